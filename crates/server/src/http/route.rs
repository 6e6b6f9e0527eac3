//! Around every endpoint: notes the route that the router found, and ends there what was refused before, so that a refusal
//! has its route in the log, the metrics and the audit list too.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::{Either, Ready, ready};
use tower::{Layer, Service};

use super::failure::Failure;
use super::request::RequestInfo;

/// A router with this around each of its endpoints.
#[derive(Debug, Clone)]
pub(in crate::http) struct Endpoints(Router);

impl Endpoints {
    /// What is added to the router later is not among them.
    pub(super) fn new(router: Router) -> Self {
        Self(router.layer(NoteRouteLayer))
    }

    /// The answer of the endpoint.
    pub(super) async fn answer(mut self, request: Request) -> Response {
        match self.0.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Refuses a request on its route. It reaches no endpoint.
    pub(super) async fn refuse(self, mut request: Request, status: StatusCode) -> Response {
        request.extensions_mut().insert(Refused(status));
        self.answer(request).await
    }
}

/// Among a request's extensions: it is refused with this status.
#[derive(Debug, Clone, Copy)]
struct Refused(StatusCode);

/// Makes [`NoteRoute`].
#[derive(Debug, Clone, Copy)]
struct NoteRouteLayer;

impl<S> Layer<S> for NoteRouteLayer {
    type Service = NoteRoute<S>;

    fn layer(&self, endpoint: S) -> NoteRoute<S> {
        NoteRoute(endpoint)
    }
}

/// An endpoint with this around it.
#[derive(Debug, Clone)]
struct NoteRoute<S>(S);

impl<S> Service<Request> for NoteRoute<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        RequestInfo::note_route(&request);
        match request.extensions().get::<Refused>() {
            Some(Refused(status)) => Either::Left(ready(Ok(Failure::from_status(*status).into_response()))),
            None => Either::Right(self.0.call(request)),
        }
    }
}

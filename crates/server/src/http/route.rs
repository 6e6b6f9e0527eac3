//! Around every endpoint: notes the route that the router found, and ends there what was refused before, so that a refusal
//! has its route in the log, the metrics and the audit list too.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::{Either, Ready, ready};
use tower::{Layer, Service};

use super::failure::Failure;
use super::request::RequestInfo;

/// Among a request's extensions: it is refused with this status, and reaches no endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(pub(super) StatusCode);

/// Makes [`NoteRoute`].
#[derive(Debug, Clone, Copy)]
pub(super) struct NoteRouteLayer;

impl<S> Layer<S> for NoteRouteLayer {
    type Service = NoteRoute<S>;

    fn layer(&self, endpoint: S) -> NoteRoute<S> {
        NoteRoute(endpoint)
    }
}

/// An endpoint with this around it.
#[derive(Debug, Clone)]
pub(super) struct NoteRoute<S>(S);

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

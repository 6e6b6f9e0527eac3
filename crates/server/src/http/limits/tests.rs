//! Bodies that come slowly, from one address and from many.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{self, Poll};

use axum::Router;
use axum::body::HttpBody;
use axum::http::header::RETRY_AFTER;
use axum::routing::post;
use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use hyper::body::{Frame, SizeHint};

use super::*;
use crate::http::route::Endpoints;

const LARGE: usize = 60_000;

struct Server {
    endpoints: Endpoints,
    room: Shares,
}

type Answer<'s> = Pin<Box<dyn Future<Output = Response> + 's>>;

impl Server {
    fn new() -> Self {
        let router = Router::new()
            .route("/", post(|body: String| async move { body.len().to_string() }))
            .route("/slow", post(|_: String| pending::<()>()));
        Self {
            endpoints: Endpoints::new(router),
            room: room_for_bodies(),
        }
    }

    fn ask(&self, address: &str, request: Request) -> Answer<'_> {
        let (way, address) = (Way::Routed(self.endpoints.clone()), address.parse().unwrap());
        Box::pin(async move { Limits::FORMS.answer(request, way, &self.room, address).await })
    }

    fn status(&self, address: &str, request: Request) -> Option<StatusCode> {
        Some(self.ask(address, request).now_or_never()?.status())
    }

    /// Asks again and again, until there is an answer at once: a refusal. Returns those that wait, with it.
    fn fill(&self, address: &str, request: impl Fn() -> Request) -> (Vec<Answer<'_>>, Response) {
        let mut waiting = Vec::new();
        loop {
            assert!(waiting.len() < 100_000, "no end");
            let mut answer = self.ask(address, request());
            match (&mut answer).now_or_never() {
                Some(refusal) => return (waiting, refusal),
                None => waiting.push(answer),
            }
        }
    }
}

/// A body that says how long it is, and does not come.
struct Announced;

impl HttpBody for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(LARGE as u64)
    }
}

fn whole(length: usize) -> Request {
    Request::post("/").body(Body::from(vec![b'a'; length])).unwrap()
}

/// So much has come, and the rest does not.
fn unfinished(length: usize) -> Request {
    let came = stream::iter([Ok::<_, Infallible>(vec![b'a'; length])]);
    let body = Body::from_stream(came.chain(stream::pending()));
    Request::post("/").body(body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn large_bodies_that_do_not_end_have_a_bound_and_leave_other_addresses_room() {
    let server = Server::new();
    let (waiting, refusal) = server.fill("192.0.2.1", || unfinished(LARGE));
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.headers().contains_key(RETRY_AFTER));
    let failure = refusal.extensions().get::<Failure>();
    assert!(failure.is_some_and(Failure::is_for_want_of_room));
    assert!((3 << 20..=4 << 20).contains(&(waiting.len() * LARGE)));
    let refused = Some(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.status("192.0.2.1", whole(LARGE)), refused);
    assert_eq!(server.status("192.0.2.2", whole(LARGE)), Some(StatusCode::OK));
    assert_eq!(server.status("192.0.2.1", whole(1000)), Some(StatusCode::OK));
    drop(waiting);
    assert_eq!(server.status("192.0.2.1", whole(LARGE)), Some(StatusCode::OK));
}

#[tokio::test(start_paused = true)]
async fn bodies_from_everywhere_have_a_bound_and_small_ones_find_room() {
    let server = Server::new();
    let mut all = Vec::new();
    for host in 1..=17 {
        all.extend(server.fill(&format!("192.0.2.{host}"), || unfinished(LARGE)).0);
    }
    assert!((63 << 20..=64 << 20).contains(&(all.len() * LARGE)));
    assert_eq!(server.status("198.51.100.1", whole(1000)), Some(StatusCode::OK));
}

#[tokio::test(start_paused = true)]
async fn what_is_only_announced_takes_no_room() {
    let server = Server::new();
    let announced = || Request::post("/").body(Body::new(Announced)).unwrap();
    let mut waiting: Vec<Answer> = (0..10_000)
        .map(|_| server.ask("192.0.2.1", announced()))
        .collect();
    assert!(waiting.iter_mut().all(|answer| answer.now_or_never().is_none()));
    assert_eq!(server.status("192.0.2.1", whole(LARGE)), Some(StatusCode::OK));
}

#[tokio::test(start_paused = true)]
async fn large_heads_count_while_the_body_is_awaited() {
    let server = Server::new();
    let (waiting, _) = server.fill("192.0.2.1", || {
        let mut request = unfinished(1);
        let value = HeaderValue::from_str(&"a".repeat(30_000)).unwrap();
        request.headers_mut().insert("x-large", value);
        request
    });
    assert!(waiting.len() * 30_000 <= 4 << 20);
}

#[tokio::test(start_paused = true)]
async fn room_is_given_back_with_the_answer() {
    let server = Server::new();
    let to_slow = || {
        let mut request = whole(LARGE);
        *request.uri_mut() = "/slow".parse().unwrap();
        request
    };
    let (waiting, refusal) = server.fill("192.0.2.1", to_slow);
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    // The handlers' time is over.
    for answer in waiting {
        assert_eq!(answer.await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(server.status("192.0.2.1", whole(LARGE)), Some(StatusCode::OK));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_answer_in_time_is_told_as_that() {
    let server = Server::new();
    let request = Request::post("/slow").body(Body::empty()).unwrap();
    let response = server.ask("192.0.2.1", request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let failure = response.extensions().get::<Failure>().unwrap();
    assert_eq!(failure.internal.as_deref(), Some("no answer in 30 s"));
}

//! An authorization server with a feed of revocations and an introspection endpoint.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use doorward_guard::client::ClientAuth;
use doorward_guard::{
    ByteStream, Document, Fetch, FetchFailure, FormRequest, FormResponse, GuardBuilder, Revocation,
    StreamRequest,
};
use doorward_oauth::time::ManualClock;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::support::{AS_METADATA, Behaviour, ISSUER, JWKS, World, ping_message};

pub(crate) const FEED: &str = "https://as.example/events/revocations";
pub(crate) const INTROSPECT: &str = "https://as.example/introspect";

const AUTHORIZATION: &str = "Basic Z3VhcmQ6c2VjcmV0";

/// What the endpoints answer, and what they were asked.
pub(crate) struct FakeEndpoints {
    feed: &'static str,
    introspect: &'static str,
    /// What a request without credentials in its form must have.
    authorization: &'static str,
    /// Whether those who want to follow get an answer.
    answers: watch::Sender<bool>,
    state: Mutex<State>,
}

impl Default for FakeEndpoints {
    fn default() -> Self {
        Self::at(FEED, INTROSPECT, AUTHORIZATION)
    }
}

#[derive(Default)]
struct State {
    /// The connection that is open now.
    connection: Option<UnboundedSender<Bytes>>,
    /// `Last-Event-ID` of every attempt.
    cursors: Vec<Option<String>>,
    /// The forms that the feed was asked with.
    feed_forms: Vec<String>,
    /// What a new connection is answered with instead of a stream.
    refusal: Option<FetchFailure>,
    /// Whether a new connection ends in a panic.
    breaks: bool,
    /// What a new connection begins with.
    opening: String,
    /// The answers to introspection; the last one stays.
    answers: VecDeque<Result<(u16, Value), FetchFailure>>,
    /// The forms that came.
    forms: Vec<String>,
}

impl FakeEndpoints {
    /// Those of a server that knows the guard by this header.
    pub(crate) fn at(feed: &'static str, introspect: &'static str, authorization: &'static str) -> Self {
        Self {
            feed,
            introspect,
            authorization,
            answers: watch::Sender::new(true),
            state: Mutex::new(State {
                opening: "retry: 1000\n\nid: log-0\nevent: ready\ndata: {}\n\n".to_owned(),
                ..State::default()
            }),
        }
    }

    pub(crate) fn feed_forms(&self) -> Vec<String> {
        self.state().feed_forms.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Sends bytes over the connection. False when nobody listens.
    pub(crate) fn send(&self, text: impl Into<String>) -> bool {
        let text = Bytes::from(text.into());
        let state = self.state();
        state.connection.as_ref().is_some_and(|it| it.send(text).is_ok())
    }

    /// Ends the connection as a server does that stops.
    pub(crate) fn end(&self) {
        self.state().connection = None;
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.state().connection.as_ref().is_some_and(|it| !it.is_closed())
    }

    /// From now on who wants to follow waits for an answer, or gets it.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.answers.send_replace(!waiting);
    }

    pub(crate) fn refuse(&self, failure: Option<FetchFailure>) {
        self.state().refusal = failure;
    }

    pub(crate) fn set_breaking(&self, breaks: bool) {
        self.state().breaks = breaks;
    }

    pub(crate) fn open_with(&self, text: impl Into<String>) {
        self.state().opening = text.into();
    }

    pub(crate) fn cursors(&self) -> Vec<Option<String>> {
        self.state().cursors.clone()
    }

    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Result<(u16, Value), FetchFailure>>) {
        self.state().answers = answers.into_iter().collect();
    }

    pub(crate) fn active(&self, active: bool) {
        self.answer([Ok((200, json!({"active": active})))]);
    }

    pub(crate) fn forms(&self) -> Vec<String> {
        self.state().forms.clone()
    }
}

impl Fetch for FakeEndpoints {
    fn get_json<'a>(
        &'a self,
        _url: &'a str,
        _max_body: usize,
    ) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        Box::pin(std::future::ready(Err(FetchFailure::new("no documents here"))))
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        Box::pin(async move {
            assert_eq!(request.url, self.introspect);
            if !request.body.contains("client_assertion=") {
                assert_eq!(request.headers[0].1, self.authorization);
            }
            let answer = {
                let mut state = self.state();
                state.forms.push(request.body.to_owned());
                match state.answers.len() {
                    0 => Err(FetchFailure::new("no answer")),
                    1 => state.answers[0].clone(),
                    _ => state.answers.pop_front().unwrap(),
                }
            };
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let (status, body) = answer?;
            let mut headers = HeaderMap::new();
            headers.insert("content-type", "application/json".parse().unwrap());
            Ok(FormResponse {
                status,
                headers,
                body: Bytes::from(body.to_string()),
            })
        })
    }

    fn get_stream<'a>(
        &'a self,
        request: StreamRequest<'a>,
    ) -> BoxFuture<'a, Result<ByteStream, FetchFailure>> {
        Box::pin(async move {
            assert_eq!(request.url, self.feed);
            let header = |name: &str| {
                let found = request.headers.iter().find(|(header, _)| header == name);
                found.map(|(_, value)| value.to_str().unwrap().to_owned())
            };
            let expected = Some(self.authorization).filter(|_| request.form.is_none());
            assert_eq!(header("authorization").as_deref(), expected);
            let mut answers = self.answers.subscribe();
            let _ = answers.wait_for(|answers| *answers).await;
            let mut state = self.state();
            state.feed_forms.extend(request.form.map(str::to_owned));
            state.cursors.push(header("last-event-id"));
            let breaks = state.breaks;
            if breaks {
                drop(state);
                #[expect(clippy::panic, reason = "what is tested")]
                {
                    panic!("the transport breaks");
                }
            }
            if let Some(refusal) = &state.refusal {
                return Err(refusal.clone());
            }
            let (sender, receiver) = unbounded_channel();
            sender.send(Bytes::from(state.opening.clone())).unwrap();
            state.connection = Some(sender);
            let bytes = unfold(receiver, |mut receiver| async move {
                Some((Ok(receiver.recv().await?), receiver))
            });
            Ok(bytes.boxed())
        })
    }
}

/// A guard with credentials that learns of revocations in this way.
pub(crate) fn world(revocation: Revocation) -> (World, Arc<FakeEndpoints>) {
    world_with(ClientAuth::basic("guard", "secret"), revocation)
}

/// The same with other credentials.
pub(crate) fn world_with(auth: ClientAuth, revocation: Revocation) -> (World, Arc<FakeEndpoints>) {
    world_of(|builder| builder.client_auth(auth).revocation(revocation))
}

/// The same with a clock that can be set.
pub(crate) fn world_at(clock: &ManualClock, revocation: Revocation) -> (World, Arc<FakeEndpoints>) {
    world_of(|builder| {
        builder
            .client_auth(ClientAuth::basic("guard", "secret"))
            .revocation(revocation)
            .clock(Arc::new(clock.clone()))
    })
}

/// The same with any settings.
pub(crate) fn world_of(settings: impl FnOnce(GuardBuilder) -> GuardBuilder) -> (World, Arc<FakeEndpoints>) {
    let world = World::with(settings);
    let metadata = json!({
        "issuer": ISSUER,
        "jwks_uri": JWKS,
        "revocation_events_endpoint": FEED,
        "introspection_endpoint": INTROSPECT,
    });
    world.server.publish(AS_METADATA, Behaviour::Json(metadata));
    let endpoints = Arc::new(FakeEndpoints::default());
    world.server.answer_by(endpoints.clone());
    (world, endpoints)
}

/// An event of the feed about something that was revoked now.
pub(crate) fn revoked(world: &World, position: u32, member: &str, id: &str) -> String {
    let data = json!({member: id, "revoked_at": world.now()});
    format!("id: log-{position}\nevent: revocation\ndata: {data}\n\n")
}

/// A ping with a token is refused as `invalid_token` although nothing else is wrong with it.
pub(crate) async fn assert_revoked(world: &World, token: &str) {
    let answer = world.post(token, &ping_message()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.challenge().contains(r#"error="invalid_token""#),
        "{}",
        answer.challenge()
    );
    assert!(world.guard.metrics().refused["token_revoked"] > 0);
}

/// A ping with a token cannot be answered now.
pub(crate) async fn assert_unavailable(world: &World, token: &str) {
    let answer = world.post(token, &ping_message()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(answer.challenge(), "", "a client must not throw its token away");
}

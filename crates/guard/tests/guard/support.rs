//! A world to test in: issuer, clock, MCP server behind the guard.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::any;
use doorward_guard::{
    ByteStream, Claims, Clock, Document, Fetch, FetchFailure, FormRequest, FormResponse, Guard, GuardBuilder,
    StreamRequest, UnixSeconds,
};
use doorward_jose::{Algorithm, SigningKey, base64url, sign};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

pub(crate) const ISSUER: &str = "https://as.example";
pub(crate) const RESOURCE: &str = "https://mcp.example/mcp";
pub(crate) const METADATA_URL: &str = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
pub(crate) const AS_METADATA: &str = "https://as.example/.well-known/oauth-authorization-server";
pub(crate) const JWKS: &str = "https://as.example/jwks.json";
pub(crate) const START: i64 = 1_800_000_000;

/// Follows tokio's clock, which tests pause.
pub(crate) struct VirtualClock(Instant);

impl VirtualClock {
    pub(crate) fn starting(at: Instant) -> Self {
        Self(at)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(START) + self.0.elapsed()
    }
}

/// What an address answers with.
#[derive(Clone)]
pub(crate) enum Behaviour {
    Json(Value),
    Raw(&'static [u8]),
    Fails,
    Hangs,
    Panics,
}

/// The authorization server.
#[derive(Default)]
pub(crate) struct FakeServer {
    pages: Mutex<HashMap<String, Behaviour>>,
    asked: Mutex<Vec<String>>,
    down: Mutex<bool>,
    /// What answers forms and opens event streams.
    more: Mutex<Option<Arc<dyn Fetch>>>,
}

impl FakeServer {
    pub(crate) fn publish(&self, url: &str, behaviour: Behaviour) {
        self.pages.lock().unwrap().insert(url.to_owned(), behaviour);
    }

    pub(crate) fn publish_keys(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
        self.publish(JWKS, Behaviour::Json(json!({"keys": keys})));
    }

    pub(crate) fn answer_by(&self, more: Arc<dyn Fetch>) {
        *self.more.lock().unwrap() = Some(more);
    }

    #[expect(clippy::expect_used, reason = "a test's helper fails like the test")]
    fn more(&self) -> Arc<dyn Fetch> {
        let more = self.more.lock().unwrap().clone();
        more.expect("nothing answers forms and streams here")
    }

    pub(crate) fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    /// How often the key set was asked for.
    pub(crate) fn key_fetches(&self) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|url| *url == JWKS)
            .count()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Fetch for FakeServer {
    fn get_json<'a>(
        &'a self,
        url: &'a str,
        max_body: usize,
    ) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(url.to_owned());
            tokio::time::sleep(Duration::from_millis(20)).await;
            let down = *self.down.lock().unwrap();
            let page = self.pages.lock().unwrap().get(url).cloned().filter(|_| !down);
            let body = match page {
                Some(Behaviour::Json(value)) => Bytes::from(value.to_string()),
                Some(Behaviour::Raw(bytes)) => Bytes::from_static(bytes),
                Some(Behaviour::Hangs) => std::future::pending().await,
                #[expect(clippy::panic, reason = "what is tested")]
                Some(Behaviour::Panics) => panic!("the transport breaks"),
                Some(Behaviour::Fails) | None => return Err(FetchFailure::new("no answer")),
            };
            assert!(body.len() <= max_body);
            Ok(Document::new(body))
        })
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        Box::pin(async move { self.more().post_form(request).await })
    }

    fn get_stream<'a>(
        &'a self,
        request: StreamRequest<'a>,
    ) -> BoxFuture<'a, Result<ByteStream, FetchFailure>> {
        Box::pin(async move { self.more().get_stream(request).await })
    }
}

pub(crate) struct World {
    pub(crate) server: Arc<FakeServer>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) key: SigningKey,
    pub(crate) guard: Guard,
    pub(crate) app: Router,
    /// How often the service behind the guard ran.
    pub(crate) runs: Arc<AtomicUsize>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn challenge(&self) -> &str {
        self.header("www-authenticate")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// `mcp:read` for everything, `mcp:write` for the tools `write` and `w`.
pub(crate) fn usual(builder: GuardBuilder) -> GuardBuilder {
    builder
        .scopes(["mcp:read"])
        .required_scopes(["mcp:read"])
        .tool_scopes("write", ["mcp:write"])
        .tool_scopes("admin", ["mcp:write", "mcp:admin"])
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(settings: impl FnOnce(GuardBuilder) -> GuardBuilder) -> Self {
        let server = Arc::new(FakeServer::default());
        let clock = Arc::new(VirtualClock::starting(Instant::now()));
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        server.publish(
            AS_METADATA,
            Behaviour::Json(json!({"issuer": ISSUER, "jwks_uri": JWKS})),
        );
        server.publish_keys(&[&key]);
        let builder = usual(Guard::builder(ISSUER, RESOURCE))
            .clock(clock.clone())
            .fetch(server.clone());
        let guard = settings(builder).build().unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        let app = guard.protect("/mcp", any(inside).with_state(runs.clone()));
        Self {
            server,
            clock,
            key,
            guard,
            app,
            runs,
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().seconds()
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// The claims of a good token with `mcp:read`.
    pub(crate) fn claims(&self) -> Value {
        json!({
            "iss": ISSUER, "sub": "alice", "aud": RESOURCE, "client_id": "client-1", "scope": "mcp:read",
            "jti": "token-1", "iat": self.now(), "exp": self.now() + 300, "gid": "grant-1",
        })
    }

    pub(crate) fn token(&self) -> String {
        self.token_with(&json!({}))
    }

    /// A good token with some claims changed; `null` removes one.
    pub(crate) fn token_with(&self, changes: &Value) -> String {
        self.sign("at+jwt", &self.changed(changes))
    }

    pub(crate) fn changed(&self, changes: &Value) -> Value {
        let mut claims = self.claims();
        let members = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            members.remove(name);
            if !value.is_null() {
                members.insert(name.clone(), value.clone());
            }
        }
        claims
    }

    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        sign(&self.key, typ, claims).unwrap()
    }

    /// A token with any header, signed by the real key.
    pub(crate) fn with_header(&self, header: &str) -> String {
        raw_token(&self.key, header, &self.claims().to_string())
    }

    pub(crate) async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        answer(
            self.app
                .clone()
                .oneshot(request.body(body.into()).unwrap())
                .await
                .unwrap(),
        )
        .await
    }

    /// POSTs a message with a token.
    pub(crate) async fn post(&self, token: &str, message: &Value) -> Answer {
        self.send(
            post().header("authorization", format!("Bearer {token}")),
            message.to_string(),
        )
        .await
    }

    /// A harmless message: is the token good?
    pub(crate) async fn ping(&self, token: &str) -> StatusCode {
        self.post(token, &ping_message()).await.status
    }
}

pub(crate) fn post() -> http::request::Builder {
    Request::post("/mcp").header("content-type", "application/json")
}

pub(crate) fn ping_message() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
}

pub(crate) fn call(tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
}

pub(crate) async fn answer<B>(response: Response<B>) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) fn raw_token(key: &SigningKey, header: &str, payload: &str) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url::encode(&signature))
}

/// Lets virtual time pass, with everything that is due in it.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// The service behind the guard tells what it got.
async fn inside(
    axum::extract::State(runs): axum::extract::State<Arc<AtomicUsize>>,
    claims: Claims,
    request: Request,
) -> axum::Json<Value> {
    runs.fetch_add(1, Ordering::SeqCst);
    let [authorization, dpop] = ["authorization", "dpop"].map(|name| request.headers().contains_key(name));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    axum::Json(json!({
        "subject": claims.subject,
        "client_id": claims.client_id,
        "grant_id": claims.grant_id,
        "key_thumbprint": claims.key_thumbprint,
        "authorization": authorization,
        "dpop": dpop,
        "body": String::from_utf8(body.to_vec()).unwrap(),
    }))
}

/// What a program says that tells errors with their causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let told: Vec<_> = causes.map(ToString::to_string).collect();
    told.join(": ")
}

//! A guard before a service, and the authorization server that it trusts.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use doorward_guard::{
    ByteStream, Document, Fetch, FetchFailure, FormRequest, FormResponse, Guard, GuardBuilder, StreamRequest,
    UnixSeconds,
};
use doorward_jose::{SigningKey, sign};
use doorward_oauth::time::ManualClock;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::keys::key;

pub const ISSUER: &str = "https://as.example";
pub const RESOURCE: &str = "https://mcp.example/mcp";
/// What every clock shows.
pub const NOW: i64 = 1_700_000_000;

/// The authorization server.
pub struct Server {
    jwks: Value,
    /// Its metadata, if not the usual.
    pub metadata: Mutex<Option<Bytes>>,
    /// The feed of revocations.
    pub feed: Mutex<Option<ByteStream>>,
    /// Every URL that was asked for.
    pub asked: Mutex<Vec<String>>,
}

impl Server {
    fn new(key: &SigningKey) -> Self {
        Self {
            jwks: json!({"keys": [key.public_jwk()]}),
            metadata: Mutex::default(),
            feed: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    fn note(&self, url: &str) {
        self.asked.lock().expect("not poisoned").push(url.to_owned());
    }

    fn document(&self, url: &str) -> Bytes {
        if !url.contains("/.well-known/") {
            return self.jwks.to_string().into();
        }
        let metadata = self.metadata.lock().expect("not poisoned").clone();
        metadata.unwrap_or_else(|| {
            let usual = json!({
                "issuer": ISSUER,
                "jwks_uri": format!("{ISSUER}/jwks"),
                "introspection_endpoint": format!("{ISSUER}/introspect"),
                "revocation_events_endpoint": format!("{ISSUER}/events/revocations"),
            });
            usual.to_string().into()
        })
    }
}

impl Fetch for Server {
    fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        self.note(url);
        let document = Document::new(self.document(url));
        Box::pin(std::future::ready(Ok(document)))
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        self.note(request.url);
        let mut headers = HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let answer = FormResponse {
            status: 200,
            headers,
            body: Bytes::from_static(br#"{"active":true}"#),
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn get_stream<'a>(
        &'a self,
        request: StreamRequest<'a>,
    ) -> BoxFuture<'a, Result<ByteStream, FetchFailure>> {
        self.note(request.url);
        let feed = self.feed.lock().expect("not poisoned").take();
        Box::pin(std::future::ready(Ok(
            feed.unwrap_or_else(|| Box::pin(stream::pending()))
        )))
    }
}

/// A guard and its surroundings.
pub struct World {
    pub runtime: Runtime,
    pub server: Arc<Server>,
    pub guard: Guard,
    pub key: SigningKey,
}

impl World {
    /// A guard of [`ISSUER`] for [`RESOURCE`] that requires the scope `read`.
    pub fn new(settings: impl FnOnce(GuardBuilder) -> GuardBuilder) -> Self {
        let key = key();
        let server = Arc::new(Server::new(&key));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let builder = Guard::builder(ISSUER, RESOURCE)
            .required_scopes(["read"])
            .clock(Arc::new(ManualClock::new(UnixSeconds(NOW))))
            .fetch(server.clone());
        let guard = settings(builder).build().expect("good settings");
        Self {
            runtime,
            server,
            guard,
            key,
        }
    }

    /// A good token with the scope `read` alone.
    pub fn token(&self) -> String {
        self.token_with(&[])
    }

    /// The same, with claims besides.
    pub fn token_with(&self, besides: &[(&str, Value)]) -> String {
        let mut claims = json!({
            "iss": ISSUER, "sub": "s", "aud": RESOURCE, "client_id": "c", "scope": "read", "jti": "j",
            "iat": NOW - 60, "exp": NOW + 240,
        });
        for (name, value) in besides {
            claims[*name] = value.clone();
        }
        sign(&self.key, "at+jwt", &claims).expect("signed")
    }
}

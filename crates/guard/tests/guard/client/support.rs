//! An authorization server on loopback, a scripted transport, and a clock that is moved by hand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use doorward_guard::client::{
    ClientAuth, ClientCredentialsRequest, ClientError, OAuthClient, OAuthClientBuilder, TokenResponse,
};
use doorward_guard::{Document, Fetch, FetchFailure, FormRequest, FormResponse};
use doorward_oauth::time::{ManualClock, UnixSeconds};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::Notify;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(UnixSeconds(1_800_000_000))
}

pub(crate) fn token(text: &str, expires_in: i64) -> Value {
    json!({"access_token": text, "token_type": "Bearer", "expires_in": expires_in})
}

/// A server with metadata and the three endpoints `/token`, `/introspect` and `/revoke`.
pub(crate) struct Server {
    pub(crate) http: MockServer,
    pub(crate) clock: ManualClock,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let server = Self {
            http: MockServer::start().await,
            clock: clock(),
        };
        let issuer = server.issuer();
        server
            .metadata(&json!({
                "issuer": issuer,
                "token_endpoint": format!("{issuer}/token"),
                "introspection_endpoint": format!("{issuer}/introspect"),
                "revocation_endpoint": format!("{issuer}/revoke"),
            }))
            .await;
        server
    }

    pub(crate) fn issuer(&self) -> String {
        self.http.uri()
    }

    pub(crate) async fn metadata(&self, document: &Value) {
        Mock::given(method("GET"))
            .and(path("/.well-known/oauth-authorization-server"))
            .respond_with(ResponseTemplate::new(200).set_body_json(document))
            .mount(&self.http)
            .await;
    }

    pub(crate) async fn on(&self, at: &str, answer: impl Respond + 'static) {
        Mock::given(method("POST"))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.http)
            .await;
    }

    /// Every answer of the token endpoint.
    pub(crate) async fn issues(&self, body: &Value) {
        self.on("/token", ResponseTemplate::new(200).set_body_json(body))
            .await;
    }

    /// `t-1`, `t-2`, … with this lifetime.
    pub(crate) async fn issues_anew(&self, expires_in: i64) {
        let issued = AtomicUsize::new(0);
        self.on("/token", move |_: &Request| {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            ResponseTemplate::new(200).set_body_json(token(&format!("t-{number}"), expires_in))
        })
        .await;
    }

    pub(crate) fn builder(&self) -> OAuthClientBuilder {
        OAuthClient::builder(self.issuer())
            .auth(ClientAuth::basic("app", "secret"))
            .clock(Arc::new(self.clock.clone()))
    }

    pub(crate) fn client(&self) -> OAuthClient {
        self.builder().build().unwrap()
    }

    pub(crate) async fn posts(&self) -> Vec<Request> {
        let requests = self.http.received_requests().await.unwrap();
        requests
            .into_iter()
            .filter(|request| request.method.as_str() == "POST")
            .collect()
    }

    pub(crate) async fn hits(&self, at: &str) -> usize {
        let requests = self.http.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path() == at).count()
    }
}

/// The parameters of a form, in order.
pub(crate) fn form(request: &Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

pub(crate) fn value<'f>(form: &'f [(String, String)], name: &str) -> Option<&'f str> {
    let mut values = form.iter().filter(|(known, _)| known == name);
    let value = values.next().map(|(_, value)| value.as_str());
    assert!(values.next().is_none(), "{name} is repeated");
    value
}

pub(crate) fn text(token: &TokenResponse) -> &str {
    use secrecy::ExposeSecret;
    token.access_token.expose_secret()
}

pub(crate) async fn own(client: &OAuthClient) -> Result<TokenResponse, ClientError> {
    client.client_credentials(&ClientCredentialsRequest::new()).await
}

/// What the scripted server does with a form.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Answer(u16, Value),
    RetryAfter(u16, &'static str),
    Garbage,
    Outage,
    Refused,
    Hang,
    /// Answers when it is told to.
    Wait(Arc<Notify>),
    Panic,
}

/// A transport that does what it is told, in order; when the list is empty, it issues tokens. Metadata is always there,
/// unless it is told to be down.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) acts: Mutex<VecDeque<Act>>,
    pub(crate) sent: AtomicUsize,
    pub(crate) asked: AtomicUsize,
    pub(crate) no_revocation: bool,
    pub(crate) metadata_down: Mutex<bool>,
    pub(crate) metadata_hangs: Mutex<bool>,
}

pub(crate) const ISSUER: &str = "https://as.example";

impl Script {
    pub(crate) fn then(&self, act: Act) {
        self.acts.lock().unwrap().push_back(act);
    }

    pub(crate) fn clear(&self) {
        self.acts.lock().unwrap().clear();
    }

    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

pub(crate) fn scripted(script: &Arc<Script>, clock: &ManualClock) -> OAuthClient {
    OAuthClient::builder(ISSUER)
        .auth(ClientAuth::basic("app", "secret"))
        .clock(Arc::new(clock.clone()))
        .fetch(script.clone())
        .build()
        .unwrap()
}

impl Fetch for Script {
    fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut metadata = json!({
            "issuer": ISSUER,
            "token_endpoint": format!("{ISSUER}/token"),
            "introspection_endpoint": format!("{ISSUER}/introspect"),
        });
        if !self.no_revocation {
            metadata["revocation_endpoint"] = json!(format!("{ISSUER}/revoke"));
        }
        let is_there = url.ends_with("oauth-authorization-server") && !*self.metadata_down.lock().unwrap();
        let answer = if is_there {
            Ok(Document::new(metadata.to_string()))
        } else {
            Err(FetchFailure::new("down"))
        };
        let hangs = *self.metadata_hangs.lock().unwrap();
        Box::pin(async move {
            if hangs {
                std::future::pending().await
            } else {
                answer
            }
        })
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        Box::pin(async move {
            self.sent.fetch_add(1, Ordering::SeqCst);
            let act = self.acts.lock().unwrap().pop_front();
            let usual = if request.url.ends_with("/token") {
                token("t", 300)
            } else {
                json!({"active": true})
            };
            let (status, headers, body) = match act.unwrap_or(Act::Answer(200, usual.clone())) {
                Act::Answer(status, body) => (status, HeaderMap::new(), body.to_string()),
                Act::RetryAfter(status, time) => {
                    let headers = [(http::header::RETRY_AFTER, http::HeaderValue::from_static(time))];
                    (status, headers.into_iter().collect(), "{}".to_owned())
                }
                Act::Garbage => (200, HeaderMap::new(), "<html>".to_owned()),
                Act::Outage => return Err(FetchFailure::new("connection refused")),
                Act::Refused => return Err(FetchFailure::refused("not a public address")),
                Act::Hang => std::future::pending().await,
                Act::Wait(gate) => {
                    gate.notified().await;
                    (200, HeaderMap::new(), usual.to_string())
                }
                #[expect(clippy::panic, reason = "what is tested")]
                Act::Panic => {
                    // Time for others to join.
                    for _ in 0..8 {
                        tokio::task::yield_now().await;
                    }
                    panic!("the transport breaks")
                }
            };
            Ok(FormResponse {
                status,
                headers,
                body: body.into(),
            })
        })
    }
}

//! Several issuers: each is followed, and asked, with credentials of its own, and speaks for its own tokens.

use std::sync::Arc;

use axum::Extension;
use doorward_guard::client::{ClientAuth, ClientError, ExchangeRequest, SubjectToken};
use doorward_guard::{
    Algorithm, BuildError, ByteStream, Document, FeedFault, Fetch, FetchFailure, FormRequest, FormResponse,
    Guard, Revocation, RevocationStatus, StreamRequest, UnixSeconds,
};
use doorward_jose::{SigningKey, sign};
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde_json::json;

use super::support::{FEED, FakeEndpoints, INTROSPECT, assert_revoked, revoked};
use crate::support::{AS_METADATA, Behaviour, ISSUER, JWKS, RESOURCE, START, World, pass, ping_message};

const SECOND: &str = "https://second.example";
const SECOND_METADATA: &str = "https://second.example/.well-known/oauth-authorization-server";
const SECOND_JWKS: &str = "https://second.example/keys";
const SECOND_FEED: &str = "https://second.example/feed";
const SECOND_INTROSPECT: &str = "https://second.example/introspect";
/// `other:their secret`
const SECOND_AUTHORIZATION: &str = "Basic b3RoZXI6dGhlaXIrc2VjcmV0";

/// Both servers; each panics when it is shown the credentials of the other.
struct Both {
    first: FakeEndpoints,
    second: FakeEndpoints,
}

impl Both {
    fn at(&self, url: &str) -> &FakeEndpoints {
        if url.starts_with(SECOND) {
            &self.second
        } else {
            &self.first
        }
    }
}

impl Fetch for Both {
    fn get_json<'a>(&'a self, url: &'a str, max: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        self.at(url).get_json(url, max)
    }

    fn post_form<'a>(
        &'a self,
        request: FormRequest<'a>,
    ) -> BoxFuture<'a, Result<FormResponse, FetchFailure>> {
        self.at(request.url).post_form(request)
    }

    fn get_stream<'a>(
        &'a self,
        request: StreamRequest<'a>,
    ) -> BoxFuture<'a, Result<ByteStream, FetchFailure>> {
        self.at(request.url).get_stream(request)
    }
}

struct Two {
    world: World,
    both: Arc<Both>,
    key: SigningKey,
}

impl Two {
    /// `known`: whether the guard has credentials at the second one.
    fn new(revocation: Revocation, known: bool) -> Self {
        let world = World::with(|builder| {
            let builder = builder
                .client_auth(ClientAuth::basic("guard", "secret"))
                .issuer(SECOND)
                .revocation(revocation);
            if known {
                builder.issuer_client_auth(SECOND, ClientAuth::basic("other", "their secret"))
            } else {
                builder
            }
        });
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let publish = |url: &str, document| world.server.publish(url, Behaviour::Json(document));
        publish(
            AS_METADATA,
            json!({"issuer": ISSUER, "jwks_uri": JWKS, "revocation_events_endpoint": FEED, "introspection_endpoint": INTROSPECT}),
        );
        publish(
            SECOND_METADATA,
            json!({
                "issuer": SECOND, "jwks_uri": SECOND_JWKS, "revocation_events_endpoint": SECOND_FEED,
                "introspection_endpoint": SECOND_INTROSPECT,
            }),
        );
        publish(SECOND_JWKS, json!({"keys": [key.public_jwk()]}));
        let both = Arc::new(Both {
            first: FakeEndpoints::default(),
            second: FakeEndpoints::at(SECOND_FEED, SECOND_INTROSPECT, SECOND_AUTHORIZATION),
        });
        world.server.answer_by(both.clone());
        Self { world, both, key }
    }

    /// Tokens of the first and of the second, alike in everything else.
    fn tokens(&self) -> (String, String) {
        let theirs = self.world.changed(&json!({"iss": SECOND}));
        (self.world.token(), sign(&self.key, "at+jwt", &theirs).unwrap())
    }

    fn statuses(&self) -> [RevocationStatus; 2] {
        let statuses = self.world.guard.revocation_statuses();
        let issuers: Vec<_> = statuses.iter().map(|(issuer, _)| *issuer).collect();
        assert_eq!(issuers, [ISSUER, SECOND]);
        [statuses[0].1, statuses[1].1]
    }
}

fn connected_since(time: i64) -> RevocationStatus {
    RevocationStatus::Connected {
        since: UnixSeconds(time),
    }
}

#[tokio::test(start_paused = true)]
async fn every_issuer_is_followed_and_speaks_for_its_own_tokens() {
    let two = Two::new(Revocation::feed(), true);
    let (ours, theirs) = two.tokens();
    for token in [&ours, &theirs] {
        assert_eq!(two.world.ping(token).await, StatusCode::OK);
    }
    pass(1).await;
    // The same grant id: it means something else at each.
    two.both.second.send(revoked(&two.world, 1, "gid", "grant-1"));
    pass(1).await;
    assert_revoked(&two.world, &theirs).await;
    assert_eq!(two.world.ping(&ours).await, StatusCode::OK);
    two.both.first.send(revoked(&two.world, 1, "gid", "grant-1"));
    pass(1).await;
    assert_revoked(&two.world, &ours).await;
    let counted = two.world.guard.metrics().feed.unwrap();
    assert_eq!(
        (counted.connected, counted.remembered, counted.heard),
        (true, 2, 2)
    );
}

/// The same grant id means something else at each.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_by_the_word_of_its_own_issuer() {
    let two = Two::new(Revocation::feed(), true);
    two.world.guard.start();
    pass(1).await;
    let (ours, theirs) = two.tokens();
    let visit = async |token: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        let uri = "/mcp".parse().unwrap();
        let head = doorward_guard::Head::new(&http::Method::GET, &uri, &headers);
        two.world.guard.admit(head).await.unwrap()
    };
    let ours = tokio::spawn(visit(&ours).await.ended().unwrap());
    let theirs = tokio::spawn(visit(&theirs).await.ended().unwrap());
    two.both.second.send(revoked(&two.world, 1, "gid", "grant-1"));
    pass(1).await;
    assert!(theirs.is_finished() && !ours.is_finished());
    two.both.first.send(revoked(&two.world, 1, "gid", "grant-1"));
    pass(1).await;
    assert!(ours.is_finished());
}

#[tokio::test(start_paused = true)]
async fn every_issuer_has_a_status_and_the_worst_is_the_guards() {
    let two = Two::new(Revocation::feed(), true);
    two.both
        .second
        .refuse(Some(FetchFailure::new("the connection was refused")));
    two.world.guard.start();
    pass(1).await;
    let [first, second] = two.statuses();
    assert_eq!(first, connected_since(START));
    let unreachable = RevocationStatus::Disconnected {
        since: UnixSeconds(START),
        reason: FeedFault::Unreachable,
    };
    assert_eq!(second, unreachable);
    assert_eq!(two.world.guard.revocation_status(), unreachable);
    assert!(!two.world.guard.metrics().feed.unwrap().connected);

    two.both.second.refuse(None);
    pass(31).await;
    let [_, second] = two.statuses();
    assert!(matches!(second, RevocationStatus::Connected { since } if since.0 > START + 1));
    assert!(two.world.guard.metrics().feed.unwrap().connected);
    // The whole is known only since the second one is back, and lost when one of them is.
    assert_eq!(two.world.guard.revocation_status(), second);
    two.both.first.refuse(Some(FetchFailure::refused("status 401")));
    two.both.first.end();
    pass(2).await;
    let [first, _] = two.statuses();
    assert!(matches!(
        first,
        RevocationStatus::Disconnected {
            reason: FeedFault::Refused,
            ..
        }
    ));
    assert_eq!(two.world.guard.revocation_status(), first);
}

/// A guard that is blind for one issuer still sees for the other.
#[tokio::test(start_paused = true)]
async fn being_blind_for_one_issuer_stops_no_token_of_another() {
    let revocation = super::feed::feed(|policy| policy.while_blind = doorward_guard::WhileBlind::Refuse);
    let two = Two::new(revocation, true);
    two.both
        .second
        .refuse(Some(FetchFailure::new("the connection was refused")));
    two.world.guard.start();
    pass(31).await;
    let (ours, theirs) = two.tokens();
    assert_eq!(two.world.ping(&ours).await, StatusCode::OK);
    super::support::assert_unavailable(&two.world, &theirs).await;
}

/// Credentials of one issuer are never shown to another: without its own, it is not followed, and that is told.
#[tokio::test(start_paused = true)]
async fn an_issuer_without_credentials_is_not_followed_and_the_status_says_so() {
    for revocation in [Revocation::feed(), Revocation::introspection()] {
        let two = Two::new(revocation, false);
        two.both.first.active(true);
        let (ours, theirs) = two.tokens();
        for token in [&ours, &theirs] {
            assert_eq!(two.world.ping(token).await, StatusCode::OK);
        }
        pass(1).await;
        let [first, second] = two.statuses();
        assert_ne!(first, RevocationStatus::Off);
        assert_eq!(second, RevocationStatus::Off);
        assert_eq!(two.world.guard.revocation_status(), first);
        assert!(two.both.second.cursors().is_empty() && two.both.second.forms().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn every_issuer_is_asked_about_its_own_tokens() {
    let two = Two::new(Revocation::introspection(), true);
    two.both.first.active(true);
    two.both.second.active(false);
    let (ours, theirs) = two.tokens();
    assert_eq!(two.world.ping(&ours).await, StatusCode::OK);
    assert_revoked(&two.world, &theirs).await;
    assert_eq!(two.both.first.forms().len(), 1);
    assert_eq!(two.both.second.forms().len(), 1);
    assert_eq!(two.statuses(), [RevocationStatus::Asks, RevocationStatus::Asks]);
}

/// Asks for an exchange of the caller's token at each issuer, and tells what came of it.
async fn exchange_everywhere(
    Extension(guard): Extension<Guard>,
    token: Option<Extension<SubjectToken>>,
) -> String {
    let Some(Extension(token)) = token else {
        return "no token".to_owned();
    };
    let request = ExchangeRequest::for_caller(&token);
    let mut told = token.issuer().to_owned();
    for issuer in [ISSUER, SECOND] {
        let outcome = guard.client_of(issuer).unwrap().exchange(&request).await;
        let refused = matches!(&outcome, Err(ClientError::Request(text)) if text.contains("client_of"));
        told += if refused { " refused" } else { " sent" };
    }
    told
}

/// Each issuer could use a token of the other at this server.
#[tokio::test(start_paused = true)]
async fn no_issuer_is_shown_the_callers_token_of_another() {
    for (known, expected) in [(true, "https://second.example refused sent"), (false, "no token")] {
        let two = Two::new(Revocation::Off, known);
        for (url, issuer) in [(AS_METADATA, ISSUER), (SECOND_METADATA, SECOND)] {
            let (jwks, endpoint) = if issuer == ISSUER {
                (JWKS, INTROSPECT)
            } else {
                (SECOND_JWKS, SECOND_INTROSPECT)
            };
            let document = json!({"issuer": issuer, "jwks_uri": jwks, "token_endpoint": endpoint});
            two.world.server.publish(url, Behaviour::Json(document));
        }
        let inside = axum::routing::any(exchange_everywhere).layer(Extension(two.world.guard.clone()));
        let (ours, theirs) = two.tokens();
        let world = World {
            app: two.world.guard.protect("/mcp", inside),
            ..two.world
        };
        let told = world.post(&ours, &ping_message()).await.body;
        assert_eq!(told, "https://as.example sent refused");
        let told = world.post(&theirs, &ping_message()).await.body;
        assert_eq!(told, expected);
        let (first, second) = (two.both.first.forms(), two.both.second.forms());
        assert!(
            first.iter().all(|form| form.contains(&ours)) && first.len() == 1,
            "{first:?}"
        );
        assert!(second.iter().all(|form| form.contains(&theirs)), "{second:?}");
    }
}

#[test]
fn credentials_for_a_stranger_are_refused_when_the_guard_is_built() {
    let auth = || ClientAuth::basic("other", "their secret");
    let builder = || Guard::builder(ISSUER, RESOURCE).issuer(SECOND);
    for named in ["https://second.example/", "https://third.example", ISSUER] {
        let error = builder().issuer_client_auth(named, auth()).build().unwrap_err();
        assert!(matches!(&error, BuildError::IssuerAuth(issuer) if issuer == named));
        assert!(error.to_string().contains("client_auth"), "{error}");
    }
    let guard = builder().issuer_client_auth(SECOND, auth()).build().unwrap();
    assert!(guard.client_of(SECOND).unwrap().can_authenticate());
    assert!(!guard.client_of(ISSUER).unwrap().can_authenticate());
    assert!(guard.client_of("https://third.example").is_none());
    // Public clients cannot be told apart from anybody.
    let public = builder()
        .client_auth(auth())
        .issuer_client_auth(SECOND, ClientAuth::public("guard"))
        .revocation(Revocation::feed());
    assert!(matches!(public.build(), Err(BuildError::Revocation(_))));
}

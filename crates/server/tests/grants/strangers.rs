//! What strangers may ask of a server that others need.

use std::net::SocketAddr;
use std::time::Duration;

use doorward_jose::{Algorithm, SigningKey};
use doorward_store::UnixSeconds;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::machine::{JWT_BEARER, access_token, app, app_with, assertion, assertion_claims, key, machine};
use crate::support::{Authorization, REDIRECT, Reply, TestApp};
use crate::trusted::{desktop, provider};

/// Introspects with an assertion of its own.
async fn introspect(app: &TestApp, client_id: &str, key: &SigningKey, token: &str) -> Reply {
    let signed = assertion(key, &assertion_claims(app, client_id));
    let form = [
        ("token", token),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &signed),
    ];
    app.browser().post_pairs("/oauth/introspect", &[], &form).await
}

/// How many assertions are remembered as used; none afterwards.
async fn remembered(app: &TestApp) -> u64 {
    let end_of_time = UnixSeconds(4_000_000_000);
    let second = Duration::from_secs(1);
    let swept = app
        .context
        .store
        .sweep(end_of_time, second, 10_000)
        .await
        .unwrap();
    let spent = swept.kinds().find(|(kind, _)| *kind == "spent");
    spent.map_or(0, |(_, rows)| rows)
}

/// An assertion that was used is a row for over an hour: nobody gets one for a token that they may not see.
#[tokio::test]
async fn who_may_see_nothing_costs_no_row_at_introspection() {
    let app = app().await;
    let key = key(Algorithm::Es256);
    let keys = json!({"keys": [key.public_jwk()]});
    let metadata = json!({
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys,
    });
    let headers = [("content-type", "application/json")];
    let stranger = app
        .browser()
        .send("POST", "/oauth/register", &headers, metadata.to_string())
        .await;
    assert_eq!(stranger.status, StatusCode::CREATED, "{stranger:?}");
    let stranger = stranger.json()["client_id"].as_str().unwrap().to_owned();
    let other = machine(&app, json!({})).await;
    let token = access_token(&other.own(&app, &[]).await);
    for _ in 0..10 {
        for token in [&*token, "nobody's"] {
            let reply = introspect(&app, &stranger, &key, token).await;
            assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
            assert_eq!(reply.json(), json!({"active": false}));
        }
    }
    assert_eq!(remembered(&app).await, 0);

    let guard = machine(&app, json!({"jwks": keys, "resource_server": "mcp"})).await;
    let reply = introspect(&app, &guard.client_id, &key, "nobody's").await;
    assert_eq!(reply.json(), json!({"active": false}));
    assert_eq!(remembered(&app).await, 1, "a resource server's counts once");
}

/// A host that takes requests and never answers.
struct Silent {
    listener: TcpListener,
    address: SocketAddr,
}

impl Silent {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// Waits for so many requests; they last as long as what is returned.
    async fn asked(&self, times: usize) -> Vec<TcpStream> {
        let mut asked = Vec::new();
        while asked.len() < times {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            asked.push(stream);
        }
        asked
    }
}

/// Everybody can name documents on hosts of their own.
#[tokio::test]
async fn slow_documents_of_strangers_do_not_hold_up_the_keys_of_trusted_issuers() {
    let app = app_with(|settings| {
        settings.server.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap()];
    })
    .await;
    let server = MockServer::start().await;
    let mut idp = provider(&app, json!({"issuer": server.uri(), "jwks": null})).await;
    idp.issuer = server.uri();
    let client = desktop(&app).await;
    for (at, body) in [
        (
            "/.well-known/openid-configuration",
            json!({"issuer": server.uri(), "jwks_uri": format!("{}/keys", server.uri())}),
        ),
        ("/keys", json!({"keys": [idp.key.public_jwk()]})),
    ] {
        Mock::given(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json::<Value>(body))
            .mount(&server)
            .await;
    }
    // All that are fetched at a time: 64, four of one host, eight for one address.
    let hosts = join_all((0..16).map(|_| Silent::new())).await;
    let strangers = LocalSet::new();
    for (stranger, host) in hosts.iter().enumerate() {
        for number in 0..4 {
            let client_id = format!("http://{}/{number}.json", host.address);
            let request = Authorization::new(&client_id, REDIRECT).path();
            let browser = app.browser();
            let address = format!("192.0.2.{stranger}");
            strangers.spawn_local(async move {
                browser.get_with(&request, &[("x-forwarded-for", &address)]).await
            });
        }
    }
    let keys = async {
        let _held = join_all(hosts.iter().map(|host| host.asked(4))).await;
        idp.show(&app, &client, json!({})).await
    };
    access_token(&strangers.run_until(keys).await);
}

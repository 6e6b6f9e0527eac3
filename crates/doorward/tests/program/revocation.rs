//! A real guard that follows a real server: a grant that ends stops working within two seconds.

use std::cell::Cell;
use std::time::Duration;

use doorward_guard::client::ClientAuth;
use doorward_guard::{FeedFault, Guard, Rejection, Revocation, RevocationStatus, VerifyError};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{
    Browser, Client, FOR_STALLED, PATIENCE, POLL, Place, RESOURCE, Server, Tokens, claims, eventually, within,
};

/// What the issue promises.
const SOON: Duration = Duration::from_secs(2);

struct Scene {
    place: Place,
    server: Server,
    credentials: ClientAuth,
}

impl Scene {
    async fn new() -> Self {
        Self::at(Place::new()).await
    }

    async fn at(place: Place) -> Self {
        let server = place.serve().await;
        place.populate();
        let create = [
            "admin",
            "client",
            "create",
            "--name",
            "Guard",
            "--resource-server",
            "demo",
            "--json",
        ];
        let client = place.run(&create).json();
        let text = |member: &str| client[member].as_str().unwrap().to_owned();
        Self {
            credentials: ClientAuth::basic(text("client_id"), text("client_secret")),
            place,
            server,
        }
    }

    fn guard(&self, revocation: Revocation) -> Guard {
        let guard = Guard::builder(&self.server.issuer, RESOURCE)
            .client_auth(self.credentials.clone())
            .revocation(revocation)
            .build()
            .unwrap();
        guard.start();
        guard
    }

    /// A guard that has heard everything.
    async fn following(&self) -> Guard {
        let guard = self.guard(Revocation::feed());
        connected(&guard).await;
        guard
    }

    async fn connect(&self, client: &Client) -> Tokens {
        let url = Browser::new().approve(&client.authorization_url()).await;
        let (_, code) = url.query_pairs().find(|(name, _)| name == "code").unwrap();
        Tokens::of(client.redeem(&code).await.unwrap())
    }
}

async fn connected(guard: &Guard) {
    eventually("the guard follows the feed", || async {
        matches!(guard.revocation_status(), RevocationStatus::Connected { .. }).then_some(())
    })
    .await;
}

/// How long the token is taken until it is refused as revoked.
async fn time_to_refusal(guard: &Guard, token: &str) -> Duration {
    let last = Cell::new(Duration::ZERO);
    eventually("the token is refused", || async {
        let (answer, waited) = within(PATIENCE, guard.verify(token)).await?;
        match answer {
            Err(VerifyError::Rejected(Rejection::Revoked)) => Some(()),
            Ok(_) => {
                last.set(last.get() + waited + POLL + Duration::from_millis(1)); // timers round up
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    })
    .await;
    last.get()
}

async fn revoke(client: &Client, token: &str) {
    let form = [("client_id", &*client.id), ("token", token)];
    let revoke = client
        .http
        .post(format!("{}/oauth/revoke", client.issuer))
        .form(&form);
    assert!(revoke.send().await.unwrap().status().is_success());
}

fn gid(tokens: &Tokens) -> String {
    match &claims(&tokens.access)["gid"] {
        Value::String(gid) => gid.clone(),
        other => panic!("{other}"),
    }
}

/// REV-001, REV-003, RS-036.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_grant_is_refused_within_two_seconds() {
    let scene = Scene::new().await;
    let guard = scene.following().await;
    let client = Client::register(&scene.server, "Desk").await;
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(scene.connect(&client).await);
    }
    for tokens in &tokens {
        assert_eq!(guard.verify(&tokens.access).await.unwrap().client_id, client.id);
    }
    // By an operator, by the client with either token, and by somebody who has a copy of a refresh token.
    scene
        .place
        .run(&["admin", "grant", "revoke", &gid(&tokens[0])])
        .success();
    assert!(time_to_refusal(&guard, &tokens[0].access).await < SOON);
    for (tokens, token) in [(&tokens[1], &tokens[1].refresh), (&tokens[2], &tokens[2].access)] {
        revoke(&client, token).await;
        assert!(time_to_refusal(&guard, &tokens.access).await < SOON);
    }
    guard.verify(&tokens[3].access).await.unwrap();
    scene
        .place
        .run(&["admin", "client", "update", &client.id, "--disabled", "true"])
        .success();
    assert!(time_to_refusal(&guard, &tokens[3].access).await < SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_was_away_hears_what_it_missed_when_the_server_is_back() {
    let scene = Scene::new().await;
    let guard = scene.following().await;
    let client = Client::register(&scene.server, "Desk").await;
    let (cut, kept) = (scene.connect(&client).await, scene.connect(&client).await);
    guard.verify(&cut.access).await.unwrap();
    // A guard that starts afterwards knows as much.
    scene
        .place
        .run(&["admin", "grant", "revoke", &gid(&cut)])
        .success();
    let second = scene.following().await;
    assert!(time_to_refusal(&second, &cut.access).await < SOON);
    second.verify(&kept.access).await.unwrap();

    let Scene { place, server, .. } = scene;
    let began = Instant::now();
    assert_eq!(server.stop().code, Some(0));
    // Their connections do not hold up the end.
    assert!(began.elapsed() < FOR_STALLED, "{:?}", began.elapsed());
    eventually("the guards notice", || async {
        let away = |guard: &Guard| {
            let status = guard.revocation_status();
            matches!(
                status,
                RevocationStatus::Disconnected {
                    reason: FeedFault::Unreachable,
                    ..
                }
            )
        };
        (away(&guard) && away(&second)).then_some(())
    })
    .await;
    let _server = place.serve().await;
    for guard in [&guard, &second] {
        connected(guard).await;
        assert!(time_to_refusal(guard, &cut.access).await < SOON);
        guard.verify(&kept.access).await.unwrap();
    }
}

/// After SIGTERM, as long as `server.shutdown_delay` says, whoever sends requests here has time to notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_server_leaves_guards_go_on_hearing() {
    let scene = Scene::at(Place::new().set("DOORWARD_SERVER_SHUTDOWN_DELAY", "10s")).await;
    let guard = scene.following().await;
    let client = Client::register(&scene.server, "Desk").await;
    let tokens = scene.connect(&client).await;
    scene.server.process.terminate();
    let readiness = format!("{}/readyz", scene.server.public_url);
    eventually("it says that it leaves", || async {
        let answer = client.http.get(&readiness).send().await.unwrap();
        (answer.status() == 503).then_some(())
    })
    .await;
    revoke(&client, &tokens.refresh).await;
    assert!(time_to_refusal(&guard, &tokens.access).await < SOON);
    assert_eq!(scene.server.stop().code, Some(0));
}

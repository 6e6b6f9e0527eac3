//! ID-JAGs that this server issues, and another Doorward that takes its word (sections JWTB and TX of the catalogue).

use doorward_jose::{Algorithm, Jws};
use doorward_store::{EndReason, GrantFilter};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::machine::{
    ACCESS_TOKEN, EXCHANGE, Machine, access_token, admin, app, key, machine, members, proof, statuses,
};
use crate::support::{
    ADMIN_KEY, Authorization, EMAIL, ISSUER, REDIRECT, RESOURCE, Reply, TestApp, VERIFIER, claims,
};
use crate::trusted::{JWT_BEARER_GRANT, assert_error, desktop, provider, show};

pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

pub(crate) const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";

pub(crate) const OTHER: &str = "http://localhost:9100";

pub(crate) const CHAT: &str = "https://chat.example/mcp";

pub(crate) const AUDIENCES: &str = "/admin/assertion-audiences";

/// A confidential client in which a person signed in, and another server to which this one vouches.
pub(crate) struct Scene {
    pub(crate) app: TestApp,
    pub(crate) client: Machine,
    /// The person's token response.
    pub(crate) response: Value,
}

/// A client that people use, and that may exchange tokens.
pub(crate) async fn web_client(app: &TestApp) -> Machine {
    let metadata = json!({
        "grant_types": ["authorization_code", "refresh_token", EXCHANGE],
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post",
    });
    machine(app, metadata).await
}

/// A person signs in to the client.
async fn sign_in(app: &TestApp, client: &Machine) -> Value {
    let request = Authorization::new(&client.client_id, REDIRECT)
        .set("scope", "mcp:read offline_access")
        .set("prompt", "consent");
    let code = app.approve(&app.browser(), &request).await.param("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    let reply = client.token(app, &form, &[]).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(app().await).await
    }

    pub(crate) async fn with(app: TestApp) -> Self {
        let client = web_client(&app).await;
        let rule = json!({"name": "chat", "client_ids": [client.client_id], "resource": CHAT, "scope": "chat.read chat.write"});
        let body = json!({"slug": "chat", "issuer": OTHER, "rules": [rule]});
        let reply = admin(&app, "POST", AUDIENCES, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        let response = sign_in(&app, &client).await;
        Self {
            app,
            client,
            response,
        }
    }

    pub(crate) fn token(&self) -> &str {
        self.response["access_token"].as_str().unwrap()
    }

    pub(crate) fn refresh_token(&self) -> &str {
        self.response["refresh_token"].as_str().unwrap()
    }

    /// Asks for an ID-JAG as this client; an empty value leaves a parameter out.
    pub(crate) async fn ask_as(
        &self,
        client: &Machine,
        changes: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Reply {
        let all = [
            &[
                ("requested_token_type", ID_JAG),
                ("audience", OTHER),
                ("resource", CHAT),
            ],
            changes,
        ]
        .concat();
        client.exchange(&self.app, self.token(), &all, headers).await
    }

    pub(crate) async fn ask(&self, changes: &[(&str, &str)]) -> Reply {
        self.ask_as(&self.client, changes, &[]).await
    }

    pub(crate) async fn change(&self, changes: Value) {
        let reply = admin(&self.app, "PATCH", &format!("{AUDIENCES}/chat"), changes).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }
}

/// Another Doorward, which trusts the first one.
async fn other_server(keys: Value) -> TestApp {
    let there = TestApp::with(|settings| {
        OTHER.clone_into(&mut settings.server.issuer);
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
    })
    .await;
    there
        .add_resource("chat", CHAT, &["chat.read", "chat.write"])
        .await;
    let mut body = json!({
        "slug": "first", "kind": "identity_provider", "issuer": ISSUER, "provision": true,
        "rules": [{"name": "all", "client_ids": ["*"], "resource": "chat", "scope": "chat.read"}],
    });
    for (name, value) in members(keys) {
        body[name] = value;
    }
    let reply = admin(&there, "POST", "/admin/trusted-issuers", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    there
}

/// JWTB-016, JWTB-001, B.2: one Doorward vouches, another takes its word.
#[tokio::test]
async fn what_one_server_vouches_for_another_one_takes() {
    let scene = Scene::new().await;
    let front = MockServer::start().await;
    let keys = scene.app.browser().open("/.well-known/jwks.json").await.json();
    Mock::given(path("/keys"))
        .respond_with(ResponseTemplate::new(200).set_body_json(keys))
        .mount(&front)
        .await;
    let there = other_server(json!({"jwks_uri": format!("{}/keys", front.uri())})).await;
    let at_home = desktop(&there).await;
    scene
        .change(json!({"client_names": {&scene.client.client_id: at_home.client_id}, "person_claims": ["email", "name"]}))
        .await;

    // Somebody has that address there, which proves nothing: an operator links the two, or nobody does.
    let jag = access_token(&scene.ask(&[]).await);
    assert_error(&show(&there, &at_home, &jag, &[]).await, "invalid_grant");
    scene.change(json!({"person_claims": ["name"]})).await;
    let jag = access_token(&scene.ask(&[]).await);
    let reply = show(&there, &at_home, &jag, &[]).await;
    let token = claims(&reply.json());
    assert_eq!(
        (&token["aud"], &token["scope"]),
        (&json!(CHAT), &json!("chat.read"))
    );
    assert_eq!(token["client_id"], at_home.client_id);
    let here = claims(&scene.response);
    assert_eq!(
        (&token["auth_time"], &token["amr"]),
        (&here["auth_time"], &here["amr"])
    );
    let person = there
        .context
        .store
        .linked_subject("first", here["sub"].as_str().unwrap());
    let person = person.await.unwrap().unwrap().user;
    assert_eq!(token["sub"], person.0.to_string());
    let added = there.context.store.user(person).await.unwrap().unwrap();
    assert_eq!(added.name, format!("The person {EMAIL}"));

    // By refresh token too, as clients do when the access token is old.
    let by_refresh = [
        ("subject_token", scene.refresh_token()),
        ("subject_token_type", REFRESH_TOKEN),
    ];
    let jag = access_token(&scene.ask(&by_refresh).await);
    access_token(&show(&there, &at_home, &jag, &[]).await);
    // Another client has nothing of it, nor has the first server.
    assert_error(
        &show(&there, &desktop(&there).await, &jag, &[]).await,
        "invalid_grant",
    );
    let at_first = desktop(&scene.app).await;
    assert_error(&show(&scene.app, &at_first, &jag, &[]).await, "invalid_grant");
    there.wait(300);
    assert_error(&show(&there, &at_home, &jag, &[]).await, "invalid_grant");
}

/// The draft's claims, the answer, and the record under the grant.
#[tokio::test]
async fn an_id_jag_says_who_signed_in_and_where_it_may_go() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let reply = scene.ask(&[("scope", "chat.read other offline_access")]).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let jag = access_token(&reply);
    let body = reply.json();
    assert_eq!(
        (&body["issued_token_type"], &body["token_type"]),
        (&json!(ID_JAG), &json!("N_A"))
    );
    assert_eq!(
        (&body["scope"], &body["expires_in"]),
        (&json!("chat.read"), &json!(300))
    );
    assert_eq!(body.get("refresh_token"), None);
    let header = Jws::parse(&jag).unwrap().header().typ.clone();
    assert_eq!(header.as_deref(), Some("oauth-id-jag+jwt"));
    let (said, shown) = (claims(&body), claims(&scene.response));
    let now = app.context.now().seconds();
    for (name, value) in [
        ("iss", json!(ISSUER)),
        ("sub", json!(app.user.id.0.to_string())),
        ("aud", json!(OTHER)),
        ("client_id", json!(scene.client.client_id)),
        ("resource", json!(CHAT)),
        ("scope", json!("chat.read")),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
        ("auth_time", shown["auth_time"].clone()),
        ("amr", json!(["pwd"])),
        ("acr", json!("urn:doorward:acr:password")),
    ] {
        assert_eq!(said[name], value, "{name}");
    }
    for absent in ["email", "name", "act", "cnf", "gid"] {
        assert_eq!(said.get(absent), None, "{absent}");
    }
    let recorded = app.context.store.issuance(said["jti"].as_str().unwrap()).await;
    let recorded = recorded.unwrap().unwrap();
    assert_eq!(recorded.grant.0.to_string(), shown["gid"].as_str().unwrap());
    assert_eq!(recorded.parent.as_deref(), shown["jti"].as_str());
    assert_eq!(recorded.resource, OTHER);

    scene
        .change(json!({"person_claims": ["email"], "lifetime": 60}))
        .await;
    let said = claims(&scene.ask(&[]).await.json());
    assert_eq!((&said["email"], &said["exp"]), (&json!(EMAIL), &json!(now + 60)));
    app.wait(280);
    let said = claims(&scene.ask(&[]).await.json());
    assert_eq!(said["exp"], shown["exp"], "it ends no later than what was shown");
    // It opens nothing here (TX-004, TX-028).
    let as_subject = [("subject_token", &*jag), ("requested_token_type", ACCESS_TOKEN)];
    assert_error(&scene.ask(&as_subject).await, "invalid_request");
    assert_eq!(scene.client.introspect(app, &jag).await, json!({"active": false}));
}

/// JWTB-016: denied by default; nobody gets anything for what others were given.
#[tokio::test]
async fn only_a_client_that_a_rule_names_is_vouched_for() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let other = web_client(app).await;
    let theirs = sign_in(app, &other).await;
    let theirs = theirs["access_token"].as_str().unwrap();
    let own = other
        .exchange(
            app,
            theirs,
            &[
                ("requested_token_type", ID_JAG),
                ("audience", OTHER),
                ("resource", CHAT),
            ],
            &[],
        )
        .await;
    assert_error(&own, "invalid_target");
    for (changes, error) in [
        (vec![("audience", "https://nobody.example")], "invalid_target"),
        (vec![("audience", "http://localhost:9100/")], "invalid_target"),
        (vec![("audience", ISSUER)], "invalid_target"),
        (vec![("audience", "chat")], "invalid_target"),
        (vec![("audience", "")], "invalid_request"),
        (vec![("resource", RESOURCE)], "invalid_target"),
        (vec![("resource", "https://chat.example/mcp#f")], "invalid_target"),
        (vec![("scope", "mcp:read")], "invalid_scope"),
        (vec![("scope", "a  b")], "invalid_scope"),
        (vec![("subject_token", theirs)], "invalid_request"),
        (vec![("subject_token", "x.y.z")], "invalid_request"),
        (
            vec![("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")],
            "invalid_request",
        ),
        (
            vec![("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
            "invalid_request",
        ),
    ] {
        assert_error(&scene.ask(&changes).await, error);
    }
    let only = scene.ask(&[("resource", "")]).await;
    assert_eq!(
        claims(&only.json())["resource"],
        CHAT,
        "the only one that it may use"
    );
    for twice in ["audience", "resource"] {
        let form = [
            ("grant_type", EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("subject_token", scene.token()),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", OTHER),
            ("resource", CHAT),
            (twice, "https://second.example"),
        ];
        let reply = scene.client.token(app, &form, &[]).await;
        assert!(reply.status.is_client_error(), "{twice}: {reply:?}");
    }
    let without = machine(app, json!({"grant_types": ["client_credentials"]})).await;
    assert_error(&scene.ask_as(&without, &[], &[]).await, "unauthorized_client");
    let unproven = Machine {
        client_id: scene.client.client_id.clone(),
        secret: None,
    };
    assert_error(&scene.ask_as(&unproven, &[], &[]).await, "invalid_client");
    scene.change(json!({"disabled": true})).await;
    assert_error(&scene.ask(&[]).await, "invalid_target");
    scene.change(json!({"disabled": false, "rules": []})).await;
    assert_error(&scene.ask(&[]).await, "invalid_target");
}

/// A resource that was called may ask on behalf of the person, and says that it acts.
#[tokio::test]
async fn the_resource_of_a_token_acts_for_the_person() {
    let scene = Scene::new().await;
    let server = machine(&scene.app, json!({"resource_server": "mcp"})).await;
    let rule = json!({"name": "all", "client_ids": ["*"], "resource": CHAT, "scope": "chat.read"});
    scene.change(json!({"rules": [rule]})).await;
    let said = claims(&scene.ask_as(&server, &[], &[]).await.json());
    assert_eq!(said["client_id"], server.client_id);
    assert_eq!(said["act"], json!({"sub": server.client_id}));
    let elsewhere = machine(&scene.app, json!({"resource_server": "search"})).await;
    assert_error(&scene.ask_as(&elsewhere, &[], &[]).await, "invalid_request");
}

/// B.2: a refresh token is shown by its client, and stays what it is.
#[tokio::test]
async fn a_refresh_token_is_shown_and_not_used_up() {
    let scene = Scene::new().await;
    let (app, client) = (&scene.app, &scene.client);
    let shown = |token| [("subject_token", token), ("subject_token_type", REFRESH_TOKEN)];
    app.wait(3600);
    assert_error(&scene.ask(&[]).await, "invalid_request");
    for _ in 0..2 {
        access_token(&scene.ask(&shown(scene.refresh_token())).await);
    }
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", scene.refresh_token()),
    ];
    let renewed = client.token(app, &form, &[]).await;
    access_token(&renewed);
    let renewed = renewed.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_error(&scene.ask(&shown(scene.refresh_token())).await, "invalid_request");
    access_token(&scene.ask(&shown(&renewed)).await);
    // JWTB-016: a refresh token of another client, and no access token for one.
    let other = web_client(app).await;
    assert_error(
        &scene.ask_as(&other, &shown(&renewed), &[]).await,
        "invalid_request",
    );
    let for_access = [
        shown(&renewed).as_slice(),
        &[("requested_token_type", ACCESS_TOKEN)],
    ]
    .concat();
    assert_error(&scene.ask(&for_access).await, "invalid_request");
    for garbage in ["dwr_x", "", "dwr_AAAA"] {
        assert_error(&scene.ask(&shown(garbage)).await, "invalid_request");
    }
    app.revoke_grants().await;
    assert_error(&scene.ask(&shown(&renewed)).await, "invalid_request");
}

/// Programs did not sign in, and the word of others is not passed on.
#[tokio::test]
async fn nobody_is_vouched_for_who_did_not_sign_in_here() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let grants = ["client_credentials", EXCHANGE, JWT_BEARER_GRANT];
    let method = "client_secret_post";
    let agent = machine(
        app,
        json!({"grant_types": grants, "token_endpoint_auth_method": method}),
    )
    .await;
    let rule = json!({"name": "all", "client_ids": ["*"], "resource": CHAT, "scope": "chat.read"});
    scene.change(json!({"rules": [rule]})).await;
    let idp = provider(app, json!({})).await;
    let own = access_token(&agent.own(app, &[]).await);
    let asserted = access_token(&idp.show(app, &agent, json!({})).await);
    for token in [own, asserted] {
        let reply = scene.ask_as(&agent, &[("subject_token", &token)], &[]).await;
        assert_error(&reply, "invalid_request");
        assert!(reply.body.contains("signed in here"), "{reply:?}");
    }
}

/// TX-021: a bound token needs its key, and what comes of it is bound too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_id_jag_for_a_bound_token_is_bound_to_its_key() {
    let scene = Scene::new().await;
    let app = &scene.app;
    let (mine, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", scene.refresh_token()),
    ];
    let bound = scene
        .client
        .token(app, &form, &[("dpop", &proof(app, &mine))])
        .await;
    let bound = access_token(&bound);
    let with = [("subject_token", &*bound)];
    assert_error(&scene.ask(&with).await, "invalid_dpop_proof");
    let wrong = proof(app, &other);
    assert_error(
        &scene.ask_as(&scene.client, &with, &[("dpop", &wrong)]).await,
        "invalid_dpop_proof",
    );
    let once = proof(app, &mine);
    let replies =
        join_all((0..50).map(|_| async { scene.ask_as(&scene.client, &with, &[("dpop", &once)]).await }))
            .await;
    assert_eq!(statuses(&replies), [(200, 1), (400, 49)].into());
    let issued = replies
        .iter()
        .find(|reply| reply.status == StatusCode::OK)
        .unwrap();
    assert_eq!(
        claims(&issued.json())["cnf"]["jkt"],
        mine.public_jwk().thumbprint()
    );
    assert_eq!(issued.json()["token_type"], "N_A");
}

/// Revocation and 50 callers at the same moment: what was recorded before is marked, nothing comes after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_the_grant_is_revoked_nobody_is_vouched_for() {
    let scene = Scene::new().await;
    let store = &scene.app.context.store;
    let calls = (0..50).map(|caller| {
        let scene = &scene;
        async move {
            if caller == 25 {
                let ended = scene.app.context.store.revoke_grants(
                    GrantFilter::default(),
                    EndReason::RevokedByAdmin,
                    scene.app.context.now(),
                );
                assert_eq!(ended.await, Ok(1));
            }
            scene.ask(&[]).await
        }
    });
    let replies = join_all(calls).await;
    for reply in &replies {
        match reply.status {
            StatusCode::OK => {
                let jti = claims(&reply.json())["jti"].as_str().unwrap().to_owned();
                let recorded = store.issuance(&jti).await.unwrap().unwrap();
                let grant = store.grant(recorded.grant).await.unwrap().unwrap();
                assert_eq!(grant.end_reason, Some(EndReason::RevokedByAdmin));
            }
            _ => assert_error(reply, "invalid_request"),
        }
    }
    assert_error(&scene.ask(&[]).await, "invalid_request");
}

//! Programs that an operator registered, and what they sign.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use doorward_jose::{Algorithm, SigningKey, base64url, sign};
use doorward_server::config::Settings;
use doorward_store::Resource;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, EMAIL, ISSUER, RESOURCE, Reply, TestApp};

pub const TOKEN: &str = "/oauth/token";
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// A second resource, with the scopes `mcp:read` and `search:run`.
pub const SEARCH: &str = "https://search.example/mcp";

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A `jti` that nobody else has.
pub fn fresh(prefix: &str) -> String {
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A server with two resources.
pub async fn app() -> TestApp {
    app_with(|_| {}).await
}

pub async fn app_with(change: impl FnOnce(&mut Settings)) -> TestApp {
    let app = TestApp::with(|settings| {
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        change(settings);
    })
    .await;
    app.add_resource("search", SEARCH, &["mcp:read", "search:run"])
        .await;
    app
}

/// Calls the admin API.
pub async fn admin(app: &TestApp, method: &str, path: &str, body: Value) -> Reply {
    app.administer(method, path, &body).await
}

/// A registered program.
pub struct Machine {
    pub client_id: String,
    pub secret: Option<String>,
}

/// Registers a program; `changes` to one that has both grants, a secret and the scopes of both resources.
pub async fn machine(app: &TestApp, changes: Value) -> Machine {
    let mut metadata = json!({
        "client_name": "Machine",
        "grant_types": ["client_credentials", EXCHANGE],
        "scope": "mcp:read mcp:write search:run",
    });
    for (name, value) in members(changes) {
        metadata[name] = value;
    }
    let reply = admin(app, "POST", "/admin/clients", metadata).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let body = reply.json();
    Machine {
        client_id: body["client_id"].as_str().unwrap().to_owned(),
        secret: body["client_secret"].as_str().map(str::to_owned),
    }
}

/// A program that signs with `key`.
pub async fn signing_machine(app: &TestApp, key: &SigningKey) -> Machine {
    let machine = machine(app, json!({"jwks": {"keys": [key.public_jwk()]}})).await;
    assert_eq!(machine.secret, None, "who signs has no secret");
    machine
}

impl Machine {
    /// The form fields that authenticate it by its secret.
    pub fn credentials(&self) -> Vec<(&str, &str)> {
        let mut form = vec![("client_id", self.client_id.as_str())];
        form.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        form
    }

    /// Posts to the token endpoint, authenticated by the secret.
    pub async fn token(&self, app: &TestApp, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let form = [self.credentials(), form.to_vec()].concat();
        app.browser().post_pairs(TOKEN, headers, &form).await
    }

    /// Asks for a token for itself.
    pub async fn own(&self, app: &TestApp, headers: &[(&str, &str)]) -> Reply {
        let form = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
        self.token(app, &form, headers).await
    }

    /// Exchanges a token; an empty value leaves a parameter out.
    pub async fn exchange(
        &self,
        app: &TestApp,
        subject: &str,
        changes: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", SEARCH),
        ];
        for (name, value) in changes {
            form.retain(|(other, _)| other != name);
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        self.token(app, &form, headers).await
    }

    /// Introspects a token.
    pub async fn introspect(&self, app: &TestApp, token: &str) -> Value {
        let form = [self.credentials(), vec![("token", token)]].concat();
        let reply = app.browser().post_pairs("/oauth/introspect", &[], &form).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    }
}

/// Lets these clients exchange for tokens of the resource with this slug.
pub async fn allow_exchange(app: &TestApp, slug: &str, clients: &[&Machine]) {
    let clients: Vec<&str> = clients.iter().map(|machine| &*machine.client_id).collect();
    set_policy(app, slug, json!({"exchange_clients": clients})).await;
}

pub async fn set_policy(app: &TestApp, slug: &str, policy: Value) {
    let reply = admin(
        app,
        "PATCH",
        &format!("/admin/resources/{slug}"),
        json!({"policy": policy}),
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
}

/// What the resource says now.
pub async fn resource(app: &TestApp, slug: &str) -> Resource {
    app.context.store.resource(slug).await.unwrap().unwrap()
}

/// A person's token response for `scope`, for a public client.
pub async fn person(app: &TestApp, client_id: &str, scope: &str) -> Value {
    let request = crate::support::Authorization::new(client_id, crate::support::REDIRECT)
        .set("scope", scope)
        .set("prompt", "consent");
    let reply = app.approve(&app.browser(), &request).await;
    let reply = app.redeem(client_id, &reply).await;
    assert_eq!(reply.status, StatusCode::OK, "{EMAIL}: {reply:?}");
    reply.json()
}

/// The access token of a response.
#[track_caller]
pub fn access_token(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

pub fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

/// The claims of a good assertion.
pub fn assertion_claims(app: &TestApp, client_id: &str) -> Value {
    let now = app.context.now().seconds();
    json!({"iss": client_id, "sub": client_id, "aud": ISSUER, "jti": fresh("a"), "iat": now, "exp": now + 60})
}

/// A `DPoP` proof with these changes to its claims; `null` leaves one out.
pub fn proof_with(app: &TestApp, key: &SigningKey, changes: Value) -> String {
    let now = app.context.now().seconds();
    let mut claims = json!({
        "jti": fresh("p"), "htm": "POST", "htu": format!("{ISSUER}{TOKEN}"), "iat": now,
    });
    for (name, value) in members(changes) {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    sign_proof(
        key,
        "dpop+jwt",
        &serde_json::to_value(key.public_jwk()).unwrap(),
        &claims,
    )
}

pub fn members(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other}"),
    }
}

/// A good proof.
pub fn proof(app: &TestApp, key: &SigningKey) -> String {
    proof_with(app, key, json!({}))
}

/// Signs a proof with any header.
pub fn sign_proof(key: &SigningKey, typ: &str, jwk: &Value, claims: &Value) -> String {
    let header = json!({"typ": typ, "alg": key.algorithm().as_str(), "jwk": jwk});
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url::encode(&signature))
}

/// Signs an assertion.
pub fn assertion(key: &SigningKey, claims: &Value) -> String {
    sign(key, "JWT", claims).unwrap()
}

/// The form of `client_credentials` with an assertion.
pub async fn own_by_assertion(app: &TestApp, assertion: &str, headers: &[(&str, &str)]) -> Reply {
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", RESOURCE),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    app.browser().post_pairs(TOKEN, headers, &form).await
}

/// 401 `invalid_client`.
#[track_caller]
pub fn assert_unauthenticated(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
    assert_eq!(reply.json()["error"], "invalid_client", "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

/// How often each status was answered.
pub fn statuses(replies: &[Reply]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for reply in replies {
        *counts.entry(reply.status.as_u16()).or_default() += 1;
    }
    counts
}

/// Signs with this `typ`, or with none, as Kubernetes does.
pub fn sign_with(key: &SigningKey, typ: Option<&str>, claims: &Value) -> String {
    let mut header = json!({"alg": key.algorithm().as_str(), "kid": key.public_jwk().key_id()});
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url::encode(&signature))
}

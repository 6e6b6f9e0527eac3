//! Issuers that are trusted, and what they sign.

use doorward_jose::{Algorithm, SigningKey, sign};
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{Machine, TOKEN, admin, fresh, key, machine, members};
use crate::support::{ISSUER, RESOURCE, Reply, TestApp};

pub const JWT_BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub const IDP: &str = "https://idp.example";
pub const CI: &str = "https://ci.example";

/// An issuer that the server trusts, with its key in the terms.
pub struct Trusted {
    pub slug: String,
    pub issuer: String,
    pub key: SigningKey,
}

/// Trusts an issuer; `changes` to a body with its key and no rules.
pub async fn trust(app: &TestApp, kind: &str, slug: &str, issuer: &str, changes: Value) -> Trusted {
    let key = key(Algorithm::Es256);
    let mut body = json!({
        "slug": slug, "kind": kind, "issuer": issuer,
        "jwks": {"keys": [key.public_jwk()]},
    });
    merge(&mut body, changes);
    let reply = admin(app, "POST", "/admin/trusted-issuers", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    Trusted {
        slug: slug.to_owned(),
        issuer: issuer.to_owned(),
        key,
    }
}

/// Sets members; `null` leaves one out.
pub fn merge(body: &mut Value, changes: Value) {
    for (name, value) in members(changes) {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(&name);
        } else {
            body[name] = value;
        }
    }
}

/// An identity provider that lets everybody's assertions through to `mcp:read` and `mcp:write`, and knows `00u1`.
pub async fn provider(app: &TestApp, changes: Value) -> Trusted {
    let mut body = json!({"rules": [
        {"name": "everybody", "client_ids": ["*"], "resource": "mcp", "scope": "mcp:read mcp:write"},
    ]});
    for (name, value) in members(changes) {
        body[name] = value;
    }
    let trusted = trust(app, "identity_provider", "idp", IDP, body).await;
    trusted.link(app, "00u1").await;
    trusted
}

/// A confidential client that has the grant.
pub async fn desktop(app: &TestApp) -> Machine {
    let method = "client_secret_post";
    let metadata = json!({"grant_types": [JWT_BEARER_GRANT], "token_endpoint_auth_method": method});
    machine(app, metadata).await
}

impl Trusted {
    /// Links a subject to the person of the app.
    pub async fn link(&self, app: &TestApp, subject: &str) {
        let path = format!("/admin/trusted-issuers/{}/subjects", self.slug);
        let body = json!({"subject": subject, "user": app.user.id.0});
        let reply = admin(app, "POST", &path, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }

    /// Changes the terms.
    pub async fn change(&self, app: &TestApp, changes: Value) {
        let path = format!("/admin/trusted-issuers/{}", self.slug);
        let reply = admin(app, "PATCH", &path, changes).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }

    /// The claims of a good ID-JAG for this client, with these changes.
    pub fn jag_claims(&self, app: &TestApp, client: &Machine, changes: Value) -> Value {
        let now = app.context.now().seconds();
        let mut claims = json!({
            "iss": self.issuer, "sub": "00u1", "aud": ISSUER, "client_id": client.client_id, "jti": fresh("jag"),
            "iat": now, "exp": now + 300, "scope": "mcp:read", "resource": RESOURCE,
        });
        merge(&mut claims, changes);
        claims
    }

    /// An ID-JAG.
    pub fn jag(&self, app: &TestApp, client: &Machine, changes: Value) -> String {
        sign(
            &self.key,
            "oauth-id-jag+jwt",
            &self.jag_claims(app, client, changes),
        )
        .unwrap()
    }

    /// Shows an ID-JAG with these changes.
    pub async fn show(&self, app: &TestApp, client: &Machine, changes: Value) -> Reply {
        show(app, client, &self.jag(app, client, changes), &[]).await
    }

    /// A platform's token.
    pub fn workload(&self, app: &TestApp, changes: Value) -> String {
        let now = app.context.now().seconds();
        let mut claims = json!({
            "iss": self.issuer, "sub": "job-1", "aud": ISSUER, "iat": now, "exp": now + 300, "jti": fresh("wl"),
        });
        merge(&mut claims, changes);
        sign(&self.key, "JWT", &claims).unwrap()
    }
}

/// Shows an assertion as this client.
pub async fn show(app: &TestApp, client: &Machine, assertion: &str, more: &[(&str, &str)]) -> Reply {
    let mut form = vec![("grant_type", JWT_BEARER_GRANT), ("assertion", assertion)];
    form.extend(more);
    client.token(app, &form, &[]).await
}

/// Shows an assertion without a client.
pub async fn show_alone(app: &TestApp, assertion: &str, more: &[(&str, &str)]) -> Reply {
    let mut form = vec![("grant_type", JWT_BEARER_GRANT), ("assertion", assertion)];
    form.extend(more);
    app.browser().post_pairs(TOKEN, &[], &form).await
}

/// This error, never to be stored.
#[track_caller]
pub fn assert_error(reply: &Reply, error: &str) {
    assert_eq!(reply.json()["error"], error, "{reply:?}");
    assert!(reply.status.is_client_error(), "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

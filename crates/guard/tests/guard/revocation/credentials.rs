//! How the guard says who it is at the feed: in every way that it can at introspection.

use std::collections::HashSet;
use std::sync::Arc;

use doorward_guard::client::ClientAuth;
use doorward_guard::{Algorithm, Revocation};
use doorward_jose::{Jws, SigningKey};
use http::StatusCode;
use serde_json::Value;

use super::feed::fault;
use super::support::{assert_revoked, revoked, world_with};
use crate::support::{ISSUER, START, pass};

/// RFC 7523 §2.2: the assertion goes into a form, and is made anew for every connection.
#[tokio::test(start_paused = true)]
async fn a_signed_assertion_opens_the_feed() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = Arc::new(SigningKey::generate(algorithm).unwrap());
        let auth = ClientAuth::private_key_jwt("guard", key.clone());
        let (world, endpoints) = world_with(auth, Revocation::feed());
        assert_eq!(world.ping(&world.token()).await, StatusCode::OK);
        pass(1).await;
        assert_eq!(fault(&world), None);
        endpoints.end();
        pass(1).await;
        assert_eq!(fault(&world), None);
        endpoints.send(revoked(&world, 1, "gid", "grant-1"));
        pass(1).await;
        assert_revoked(&world, &world.token()).await;

        let forms = endpoints.feed_forms();
        assert_eq!(forms.len(), 2);
        let ids: HashSet<String> = forms.iter().map(|form| assert_form(form, &key)).collect();
        assert_eq!(ids.len(), 2, "one assertion for one connection");
    }
}

/// The form of a client that signs; returns the `jti` of its assertion.
fn assert_form(form: &str, key: &SigningKey) -> String {
    let parameters: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    let [id, kind, assertion] = parameters.as_slice() else {
        unreachable!("{form}")
    };
    assert_eq!((id.0.as_str(), id.1.as_str()), ("client_id", "guard"));
    assert_eq!(kind.1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!(assertion.0, "client_assertion");
    let jws = Jws::parse(&assertion.1).unwrap();
    let claims: Value = jws.verify(key.public_jwk()).unwrap().claims().unwrap();
    for (name, value) in [("iss", "guard"), ("sub", "guard"), ("aud", ISSUER)] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["exp"].as_i64().unwrap() <= START + 120);
    claims["jti"].as_str().unwrap().to_owned()
}

/// Where there is a secret, it is in the header, and the request stays a `GET`.
#[tokio::test(start_paused = true)]
async fn a_secret_opens_the_feed_however_the_client_sends_it_elsewhere() {
    for auth in [
        ClientAuth::basic("guard", "secret"),
        ClientAuth::post("guard", "secret"),
    ] {
        let (world, endpoints) = world_with(auth, Revocation::feed());
        world.guard.start();
        pass(1).await;
        assert_eq!(fault(&world), None);
        assert_eq!(endpoints.feed_forms(), [""; 0]);
    }
}

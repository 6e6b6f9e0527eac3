//! What makes a client this client and no other: its keys, its id, and what consent was given for.

use serde_json::json;

use super::tests::{es256_jwk, register, typical, with};
use super::*;
use crate::error::ErrorCode;

fn refusal(name: &str, value: &serde_json::Value) -> Option<ErrorCode> {
    with(name, value.clone()).err().map(|error| error.code)
}

/// DCR-012
#[test]
fn only_public_keys_are_taken() {
    let public = es256_jwk();
    let client = with("jwks", json!({"keys": [public, {"kty": "future"}]})).unwrap();
    assert_eq!(client.jwks.as_ref().map(|set| set.keys.len()), Some(1));
    let stored = serde_json::to_value(&client).unwrap();
    assert_eq!(serde_json::from_value::<EffectiveClient>(stored).unwrap(), client);
    let mut private = public.clone();
    private["d"] = json!("AAAA");
    for value in [
        json!({"keys": [public, private]}),
        json!({"keys": [public, {"kty": "oct", "k": "AAAA"}]}),
        json!({"keys": []}),
        json!({"keys": [{"kty": "future"}]}),
        json!([]),
        json!("x"),
        json!({}),
        json!({"keys": vec![public.clone(); 21]}),
    ] {
        assert_eq!(
            refusal("jwks", &value),
            Some(ErrorCode::InvalidClientMetadata),
            "{value}"
        );
    }
    for uri in [
        "http://c.example/j",
        "https://127.0.0.1/j",
        "https://localhost/j",
        "file:///etc/passwd",
        "https://c.example/j#x",
        "https://u:p@c.example/j",
    ] {
        assert_eq!(
            refusal("jwks_uri", &json!(uri)),
            Some(ErrorCode::InvalidClientMetadata),
            "{uri}"
        );
    }
    assert!(with("jwks", json!({"keys": vec![public.clone(); 20]})).is_ok());
    let mut both = typical();
    both["jwks"] = json!({"keys": [public]});
    assert!(register(&both).is_ok());
    both["jwks_uri"] = json!("https://c.example/jwks.json");
    assert!(register(&both).is_err());
}

#[test]
fn private_key_jwt_needs_keys() {
    let mut policy = RegistrationPolicy::dynamic();
    policy.auth_methods.push(TokenEndpointAuthMethod::PrivateKeyJwt);
    policy.allow_loopback_jwks_uri = true;
    let mut document = typical();
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    let read = |document: &Value| effective(&ClientMetadata::from_value(document.clone()).unwrap(), &policy);
    assert!(read(&document).is_err());
    document["jwks_uri"] = json!("http://127.0.0.1:7000/jwks.json");
    assert!(!read(&document).unwrap().is_public());
    for elsewhere in [
        "http://c.example/jwks.json",
        "http://10.0.0.1/jwks.json",
        "ftp://127.0.0.1/jwks.json",
        "http:jwks.json",
    ] {
        document["jwks_uri"] = json!(elsewhere);
        assert!(read(&document).is_err(), "{elsewhere}");
    }
    document["jwks_uri"] = json!("https://c.example/jwks.json");
    assert!(!read(&document).unwrap().is_public());
    document["token_endpoint_auth_method"] = json!("client_secret_post");
    policy.auth_methods = vec![TokenEndpointAuthMethod::PrivateKeyJwt];
    let read = |document: &Value| effective(&ClientMetadata::from_value(document.clone()).unwrap(), &policy);
    assert!(read(&document).is_err());
}

/// DCR-019
#[test]
fn a_software_statement_is_refused_not_ignored() {
    assert_eq!(
        refusal("software_statement", &json!("x.y.z")),
        Some(ErrorCode::UnapprovedSoftwareStatement)
    );
}

#[test]
fn the_same_registration_gives_the_same_id() {
    let client = register(&typical()).unwrap();
    let id = derived_client_id(&client);
    assert!(id.starts_with("dwc_") && id.len() == 47, "{id}");
    for (name, value) in [
        (
            "redirect_uris",
            json!([
                "https://claude.ai/api/mcp/auth_callback",
                "http://localhost:50123/callback"
            ]),
        ),
        ("grant_types", json!(["refresh_token", "authorization_code"])),
        ("unknown", json!(1)),
    ] {
        assert_eq!(derived_client_id(&with(name, value).unwrap()), id, "{name}");
    }
    for (name, value) in [
        ("redirect_uris", json!(["http://localhost:3118/callback"])),
        (
            "redirect_uris",
            json!([
                "http://127.0.0.1:3118/callback",
                "https://claude.ai/api/mcp/auth_callback"
            ]),
        ),
        (
            "redirect_uris",
            json!([
                "http://localhost:3118/callback",
                "https://claude.ai:8443/api/mcp/auth_callback"
            ]),
        ),
        ("grant_types", json!(["authorization_code"])),
        ("client_name", json!("Claude Code 2")),
        ("client_name", Value::Null),
        ("scope", json!("mcp:write")),
        ("logo_uri", json!("https://claude.ai/logo")),
        ("policy_uri", json!("https://claude.ai/logo")),
        ("software_id", json!("s")),
        ("software_version", json!("s")),
        ("contacts", json!(["s"])),
        ("jwks", json!({"keys": [es256_jwk()]})),
        ("dpop_bound_access_tokens", json!(true)),
    ] {
        assert_ne!(
            derived_client_id(&with(name, value.clone()).unwrap()),
            id,
            "{name}: {value}"
        );
    }
}

#[test]
fn consent_holds_while_redirect_uris_keys_and_name_stay() {
    let fingerprint = consent_fingerprint(&register(&typical()).unwrap());
    for (name, value) in [
        ("scope", json!("mcp:write")),
        ("logo_uri", json!("https://c.example/l")),
        ("grant_types", json!(["authorization_code"])),
    ] {
        assert_eq!(
            consent_fingerprint(&with(name, value).unwrap()),
            fingerprint,
            "{name}"
        );
    }
    for (name, value) in [
        (
            "redirect_uris",
            json!(["http://localhost:3118/callback", "https://evil.example/cb"]),
        ),
        ("client_name", json!("Other")),
        ("jwks", json!({"keys": [es256_jwk()]})),
        ("jwks_uri", json!("https://c.example/jwks.json")),
    ] {
        assert_ne!(
            consent_fingerprint(&with(name, value).unwrap()),
            fingerprint,
            "{name}"
        );
    }
}

/// REDIR-031
#[test]
fn an_unsafe_redirect_uri_in_the_store_is_never_followed() {
    let mut stored = serde_json::to_value(register(&typical()).unwrap()).unwrap();
    stored["redirect_uris"] = json!([
        "JaVaScRiPt:alert(1)//",
        " javascript:alert(1)",
        "https://c.example/cb"
    ]);
    let client: EffectiveClient = serde_json::from_value(stored).unwrap();
    assert_eq!(client.redirect_uris.len(), 1);
    assert!(client.redirect_uri("JaVaScRiPt:alert(1)//").is_none());
}

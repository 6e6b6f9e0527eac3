use doorward_oauth::client::TokenEndpointAuthMethod;
use serde_json::{Value, json};

use super::*;

const CLIENT_ID: &str = "https://cimd.example/c.json";

fn valid() -> Value {
    json!({
        "client_id": CLIENT_ID,
        "client_name": "Example",
        "redirect_uris": ["https://app.example/cb", "http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    })
}

fn outcome(document: &Value) -> Result<EffectiveClient, ClientError> {
    read(
        CLIENT_ID,
        document.to_string().as_bytes(),
        &RegistrationPolicy::metadata_document(),
    )
}

fn with(member: &str, value: Value) -> Value {
    let mut document = valid();
    document[member] = value;
    document
}

fn without(member: &str) -> Value {
    let mut document = valid();
    document.as_object_mut().unwrap().remove(member);
    document
}

#[test]
fn a_valid_document_is_a_public_client() {
    let client = outcome(&valid()).unwrap();
    assert_eq!(client.client_name.as_deref(), Some("Example"));
    assert_eq!(client.token_endpoint_auth_method, TokenEndpointAuthMethod::None);
    assert!(client.redirect_uri("http://127.0.0.1:50123/callback").is_some());
    assert!(client.redirect_uri("https://evil.example/cb").is_none());
}

#[test]
fn the_document_must_name_its_own_url_byte_for_byte() {
    for client_id in [
        json!("https://cimd.example/C.json"),
        json!("https://cimd.example/c.json/"),
        json!("https://cimd.example:443/c.json"),
        json!("HTTPS://cimd.example/c.json"),
        json!("https://cimd.example/%63.json"),
        json!(1),
        json!([CLIENT_ID]),
        json!(null),
    ] {
        assert!(
            matches!(
                outcome(&with("client_id", client_id.clone())),
                Err(ClientError::InvalidDocument(_))
            ),
            "{client_id}"
        );
    }
    assert!(outcome(&without("client_id")).is_err());
}

#[test]
fn required_members_must_be_there() {
    let faulty = [
        without("client_name"),
        with("client_name", json!("")),
        with("client_name", json!("  \u{200b} ")),
        without("redirect_uris"),
        with("redirect_uris", json!([])),
        with("redirect_uris", json!("https://app.example/cb")),
        with("redirect_uris", json!([1])),
        json!([valid()]),
        json!(null),
    ];
    for document in faulty {
        assert!(
            matches!(outcome(&document), Err(ClientError::InvalidDocument(_))),
            "{document}"
        );
    }
}

#[test]
fn what_everybody_can_read_is_no_secret() {
    let faulty = [
        with("client_secret", json!("s")),
        with("client_secret_expires_at", json!(0)),
        with("token_endpoint_auth_method", json!("client_secret_basic")),
        with("token_endpoint_auth_method", json!("client_secret_post")),
        with("token_endpoint_auth_method", json!("client_secret_jwt")),
        with("jwks", json!({"keys": [{"kty": "oct", "k": "AAAA"}]})),
        with(
            "jwks",
            json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}]}),
        ),
    ];
    for document in faulty {
        assert!(
            matches!(outcome(&document), Err(ClientError::InvalidDocument(_))),
            "{document}"
        );
    }
}

#[test]
fn dangerous_redirect_uris_leave_no_client() {
    for uri in [
        "javascript:alert(1)",
        "JAVASCRIPT:x",
        "data:text/html,x",
        "http://10.0.0.1/cb",
        "https://a.example/cb#f",
        "https://u@a.example/cb",
    ] {
        assert!(outcome(&with("redirect_uris", json!([uri]))).is_err(), "{uri}");
    }
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    let valid = valid().to_string();
    let twice = valid.replacen('{', &format!(r#"{{"client_id":"{CLIENT_ID}","#), 1);
    let deep = with("x", json!(null))
        .to_string()
        .replace("null", &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    let documents = [
        valid.as_bytes()[..20].to_vec(),
        twice.into_bytes(),
        deep.into_bytes(),
        format!("{valid}{{}}").into_bytes(),
        format!("\u{feff}{valid}").into_bytes(),
        valid
            .replace("Example", "NaN")
            .replace("\"NaN\"", "NaN")
            .into_bytes(),
        valid.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        [valid.as_bytes(), b"\xff"].concat(),
        Vec::new(),
    ];
    for document in documents {
        let outcome = read(CLIENT_ID, &document, &RegistrationPolicy::metadata_document());
        assert!(
            matches!(outcome, Err(ClientError::InvalidDocument(_))),
            "{}",
            String::from_utf8_lossy(&document)
        );
    }
}

#[test]
fn only_the_normal_spelling_of_an_https_url_with_a_path_names_a_document() {
    for url in [
        CLIENT_ID,
        "https://cimd.example:8443/c",
        "https://cimd.example/c.json?v=1",
        "https://cimd.example/C.json",
    ] {
        assert_eq!(check_url(url, false), Ok(()), "{url}");
    }
    for url in [
        "http://cimd.example/c.json",
        "https://cimd.example",
        "https://cimd.example/",
        "https://cimd.example/?c",
        "https://cimd.example/c#f",
        "https://u@cimd.example/c",
        "https://u:p@cimd.example/c",
        "https://cimd.example/a/../c",
        "https://cimd.example/./c",
        "https://cimd.example/%2e%2e/c",
        "https://cimd.example/a/%2E/c",
        "https://cimd.example:443/c",
        "HTTPS://cimd.example/c",
        "https://CIMD.example/c",
        "https:/cimd.example/c",
        "https:\\\\cimd.example\\c",
        "https://cimd.example/a b",
        "https://cimd.example/c\n",
        " https://cimd.example/c",
        "https://2130706433/c",
        "https://0x7f.0.0.1/c",
        "https:///c",
        "https://cimd.example:99999/c",
        "http://localhost:9000/c",
    ] {
        assert!(check_url(url, false).is_err(), "{url}");
    }
}

#[test]
fn in_development_documents_may_be_on_loopback() {
    for url in [
        "http://localhost:9000/c",
        "http://127.0.0.1:9000/c",
        "http://[::1]:9000/c",
        "https://localhost:9000/c",
    ] {
        assert_eq!(check_url(url, true), Ok(()), "{url}");
    }
    assert!(check_url("http://cimd.example/c", true).is_err());
    assert!(check_url("http://localhost:9000/", true).is_err());
}

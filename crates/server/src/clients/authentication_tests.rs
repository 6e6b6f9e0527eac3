use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_jose::sha256;
use doorward_oauth::client::{ClientMetadata, RegistrationPolicy, effective};
use doorward_store::{ClientSecret, ClientSource};
use serde_json::json;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn client(method: &str, secrets: &[(&str, Option<i64>)]) -> Client {
    let metadata =
        json!({ "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": method });
    let metadata = ClientMetadata::from_value(metadata).unwrap();
    let secret = |(secret, expires_at): &(&str, Option<i64>)| ClientSecret {
        digest: sha256(secret.as_bytes()),
        expires_at: expires_at.map(UnixSeconds),
    };
    Client {
        client_id: "c".to_owned(),
        source: ClientSource::Admin,
        metadata: effective(&metadata, &RegistrationPolicy::dynamic()).unwrap(),
        fingerprint: String::new(),
        resource_server: None,
        secrets: secrets.iter().map(secret).collect(),
    }
}

fn basic_header(credentials: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

/// What a request with these `Authorization` headers and this form presents.
fn read(authorization: &[&str], form: &str) -> Result<(String, Option<String>), ErrorCode> {
    let mut headers = HeaderMap::new();
    for value in authorization {
        headers.append(AUTHORIZATION, value.parse().unwrap());
    }
    let parameters = Parameters::parse(form.as_bytes()).unwrap();
    match Presented::read(&headers, &parameters) {
        Ok(presented) => Ok((
            presented.client_id,
            match presented.credential {
                Credential::None => None,
                Credential::Secret(text) | Credential::Assertion(text) => Some(text),
            },
        )),
        Err(error) => Err(error.code),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what `read` returns")]
fn presented(client_id: &str, client_secret: Option<&str>) -> Result<(String, Option<String>), ErrorCode> {
    Ok((client_id.to_owned(), client_secret.map(str::to_owned)))
}

fn proves(client: Option<&Client>, secret: Option<&str>) -> bool {
    let digest = secret.map(|secret| sha256(secret.as_bytes()));
    client.is_some_and(|client| super::proves(client, digest, NOW))
}

#[test]
fn credentials_come_in_the_header_or_in_the_form() {
    assert_eq!(read(&[], "client_id=c"), presented("c", None));
    assert_eq!(
        read(&[], "client_id=c&client_secret=s"),
        presented("c", Some("s"))
    );
    assert_eq!(read(&[], "client_id=c&client_secret="), presented("c", None));
    assert_eq!(read(&[&basic_header(b"c:s")], ""), presented("c", Some("s")));
    assert_eq!(
        read(&[&basic_header(b"c:s")], "client_id=c"),
        presented("c", Some("s"))
    );
    assert_eq!(read(&[&basic_header(b"c:")], ""), presented("c", None));
    assert_eq!(
        read(&[&basic_header(b"c:s").replace("Basic", "bAsIc")], ""),
        presented("c", Some("s"))
    );
    assert_eq!(
        read(&[basic_header(b"c:sec").trim_end_matches('=')], ""),
        presented("c", Some("sec"))
    );
}

#[test]
fn basic_credentials_are_form_encoded() {
    assert_eq!(
        read(&[&basic_header(b"a%3Ab:c%3Ad")], ""),
        presented("a:b", Some("c:d"))
    );
    assert_eq!(
        read(&[&basic_header(b"c:p%25q%2Br+s")], ""),
        presented("c", Some("p%q+r s"))
    );
    assert_eq!(
        read(&[&basic_header("c:%C3%BC\u{2603}".as_bytes())], ""),
        presented("c", Some("ü\u{2603}"))
    );
    assert_eq!(read(&[&basic_header(b"c:a:b")], ""), presented("c", Some("a:b")));
    assert_eq!(
        read(&[&basic_header(b"c:100%")], ""),
        Err(ErrorCode::InvalidClient)
    );
    assert_eq!(
        read(&[&basic_header(b"c:a&b")], ""),
        Err(ErrorCode::InvalidClient)
    );
}

#[test]
fn a_malformed_header_is_an_error_and_nothing_worse() {
    let newline = format!("Basic {}\t{}", STANDARD.encode("c"), STANDARD.encode(":s"));
    let long = basic_header(&[b'a'; 6000]);
    for value in [
        "Basic !!!",
        "Basic",
        "Basic ",
        "",
        newline.as_str(),
        long.as_str(),
        &basic_header(b"no colon"),
        &basic_header(b":s"),
        &basic_header(b"\xff:s"),
    ] {
        assert_eq!(
            read(&[value], "client_id=c"),
            Err(ErrorCode::InvalidClient),
            "{value}"
        );
    }
    // RFC 6749 §5.2, INTR-001: whatever scheme it tried, the client has not authenticated.
    assert_eq!(read(&["Bearer x"], "client_id=c"), Err(ErrorCode::InvalidClient));
    assert_eq!(
        read(&[&basic_header(b"c:s"), &basic_header(b"c:s")], ""),
        Err(ErrorCode::InvalidRequest)
    );
}

#[test]
fn a_request_authenticates_in_one_way() {
    let basic = basic_header(b"c:s");
    assert_eq!(read(&[&basic], "client_secret=s"), Err(ErrorCode::InvalidRequest));
    assert_eq!(read(&[&basic], "client_id=other"), Err(ErrorCode::InvalidRequest));
    assert_eq!(
        read(&[], "client_id=c&client_id=d"),
        Err(ErrorCode::InvalidRequest)
    );
    assert_eq!(
        read(&[], "client_id=c&client_secret=a&client_secret=b"),
        Err(ErrorCode::InvalidRequest)
    );
    assert_eq!(read(&[], ""), Err(ErrorCode::InvalidClient));
    assert_eq!(read(&[], "client_secret=s"), Err(ErrorCode::InvalidClient));
    let assertion =
        format!("client_assertion=a.eyJpc3MiOiJjIn0.z&client_assertion_type={CLIENT_ASSERTION_TYPE}");
    assert_eq!(read(&[], &assertion), presented("c", Some("a.eyJpc3MiOiJjIn0.z")));
    assert_eq!(read(&[&basic], &assertion), Err(ErrorCode::InvalidRequest));
    for (other, error) in [
        ("client_id=c&client_secret=s", ErrorCode::InvalidRequest),
        ("client_id=other", ErrorCode::InvalidClient),
        ("client_assertion=d", ErrorCode::InvalidRequest),
    ] {
        assert_eq!(read(&[], &format!("{assertion}&{other}")), Err(error), "{other}");
    }
    assert_eq!(
        read(&[&basic], "client_assertion=x.y.z"),
        Err(ErrorCode::InvalidClient)
    );
    assert_eq!(
        read(&[], "client_id=c&client_secret=s&client_assertion_type=x"),
        Err(ErrorCode::InvalidClient)
    );
}

#[test]
fn a_public_client_has_nothing_to_prove_and_must_not_pretend() {
    let client = client("none", &[]);
    assert!(proves(Some(&client), None));
    assert!(!proves(Some(&client), Some("s")));
}

#[test]
fn a_client_with_a_secret_must_present_it_by_either_transport() {
    for method in ["client_secret_basic", "client_secret_post"] {
        let client = client(method, &[("right", None)]);
        assert!(proves(Some(&client), Some("right")));
        for wrong in [None, Some("wrong"), Some("righ"), Some("right "), Some("RIGHT")] {
            assert!(!proves(Some(&client), wrong), "{wrong:?}");
        }
    }
    assert!(!proves(Some(&client("client_secret_basic", &[])), Some("right")));
    assert!(!proves(None, None) && !proves(None, Some("right")));
}

#[test]
fn a_rotated_secret_works_until_its_overlap_ends() {
    let client = client(
        "client_secret_post",
        &[("new", None), ("old", Some(NOW.0 + 1)), ("older", Some(NOW.0))],
    );
    assert!(proves(Some(&client), Some("new")));
    assert!(proves(Some(&client), Some("old")));
    assert!(!proves(Some(&client), Some("older")));
}

/// What a client has that let itself in proves nothing to the audit list, a secret or a key of its own included.
#[test]
fn only_a_client_of_an_operator_is_proven() {
    for (method, source, proven) in [
        ("client_secret_basic", ClientSource::Admin, true),
        ("client_secret_basic", ClientSource::Dynamic, false),
        ("client_secret_basic", ClientSource::MetadataDocument, false),
        ("none", ClientSource::Admin, false),
        ("none", ClientSource::Dynamic, false),
    ] {
        let authenticated = AuthenticatedClient {
            client: Arc::new(Client {
                source,
                ..client(method, &[])
            }),
            digest: None,
            unspent: None,
        };
        assert_eq!(authenticated.actor().is_proven(), proven, "{method} {source:?}");
    }
}

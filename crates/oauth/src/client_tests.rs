use serde_json::{Value, json};

use super::*;
use crate::error::{ErrorCode, OAuthError};

/// What most MCP clients send.
pub(super) fn typical() -> Value {
    json!({
        "client_name": "Claude Code",
        "redirect_uris": ["http://localhost:3118/callback", "https://claude.ai/api/mcp/auth_callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "scope": "mcp:read"
    })
}

pub(super) fn register(document: &Value) -> Result<EffectiveClient, OAuthError> {
    effective(
        &ClientMetadata::from_json(document.to_string().as_bytes())?,
        &RegistrationPolicy::dynamic(),
    )
}

pub(super) fn with(name: &str, value: Value) -> Result<EffectiveClient, OAuthError> {
    let mut document = typical();
    document[name] = value;
    register(&document)
}

fn refusal(name: &str, value: &Value) -> Option<ErrorCode> {
    with(name, value.clone()).err().map(|error| error.code)
}

pub(super) fn es256_jwk() -> Value {
    let key = doorward_jose::SigningKey::generate(doorward_jose::Algorithm::Es256).unwrap();
    serde_json::to_value(key.public_jwk()).unwrap()
}

#[test]
fn a_typical_registration_is_returned_as_it_takes_effect() {
    let client = register(&typical()).unwrap();
    assert!(client.is_public() && client.may_use(GrantType::RefreshToken));
    let mut expected = typical();
    expected["application_type"] = json!("native");
    assert_eq!(serde_json::to_value(&client).unwrap(), expected);
    assert_eq!(
        serde_json::from_value::<EffectiveClient>(expected).unwrap(),
        client
    );
}

/// DCR-002
#[test]
fn defaults_are_those_of_rfc_7591_and_refresh_tokens() {
    let client = register(&json!({"redirect_uris": ["https://c.example/cb"]})).unwrap();
    assert_eq!(
        client.token_endpoint_auth_method,
        TokenEndpointAuthMethod::ClientSecretBasic
    );
    assert_eq!(
        client.grant_types,
        [GrantType::AuthorizationCode, GrantType::RefreshToken]
    );
    assert_eq!(client.response_types, ["code"]);
    assert_eq!(client.application_type, ApplicationType::Web);
    assert_eq!(client.client_name, None);
    let document = ClientMetadata::from_value(json!({"redirect_uris": ["https://c.example/cb"]})).unwrap();
    assert!(
        effective(&document, &RegistrationPolicy::metadata_document())
            .unwrap()
            .is_public()
    );
}

/// Go's SDK sends none, and a client without refresh tokens sends its person to sign in every five minutes.
#[test]
fn no_grant_types_are_the_default_ones_and_some_are_taken_at_their_word() {
    let expected = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    assert_eq!(with("grant_types", json!([])).unwrap().grant_types, expected);
    assert_eq!(with("grant_types", Value::Null).unwrap().grant_types, expected);
    let named = with("grant_types", json!(["authorization_code"])).unwrap();
    assert_eq!(named.grant_types, [GrantType::AuthorizationCode]);
    let unknown = refusal("grant_types", &json!(["password"]));
    assert_eq!(unknown, Some(ErrorCode::InvalidClientMetadata));
}

#[test]
fn an_empty_jwks_uri_is_none() {
    let client = with("jwks_uri", json!("")).unwrap();
    assert_eq!(client.jwks_uri, None);
    let mut document = typical();
    document["jwks_uri"] = json!("");
    document["jwks"] = json!({"keys": [es256_jwk()]});
    assert!(register(&document).unwrap().jwks.is_some());
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    document["jwks"] = Value::Null;
    let error = register(&document).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidClientMetadata);
}

/// DCR-003
#[test]
fn unknown_members_give_nothing() {
    let mut document = typical();
    for (name, value) in [
        ("roles", json!(["admin"])),
        ("trusted", json!(true)),
        ("client_id", json!("admin")),
        ("client_secret", json!("x")),
    ] {
        document[name] = value;
    }
    assert_eq!(register(&document).unwrap(), register(&typical()).unwrap());
    assert!(ClientMetadata::from_value(document).unwrap().names_client_secret);
}

/// DCR-010, DCR-011
#[test]
fn only_one_json_object_is_a_document() {
    for body in [
        "",
        "null",
        "[]",
        "\"x\"",
        "1",
        "true",
        "{",
        "{}{}",
        "\u{feff}{}",
        "{\"redirect_uris\":[\"https://a/cb\"],\"redirect_uris\":[\"https://evil/cb\"]}",
    ] {
        let error = ClientMetadata::from_json(body.as_bytes()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidClientMetadata, "{body}");
    }
    assert!(ClientMetadata::from_json(b"{\"client_name\":\"\xff\"}").is_err());
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(ClientMetadata::from_json(deep.as_bytes()).is_err());
    let long = format!("{{\"client_name\":\"{}\"}}", "x".repeat(MAX_DOCUMENT_LENGTH));
    assert!(ClientMetadata::from_json(long.as_bytes()).is_err());
    assert_eq!(
        register(&json!({})).unwrap_err().code,
        ErrorCode::InvalidRedirectUri
    );
}

#[test]
fn a_wrong_type_names_its_member() {
    for (name, value) in [
        ("client_name", json!(1)),
        ("grant_types", json!("authorization_code")),
        ("response_types", json!([1])),
        ("scope", json!(["a"])),
        ("jwks_uri", json!({})),
        ("contacts", json!("a@b")),
        ("dpop_bound_access_tokens", json!("true")),
        ("logo_uri", json!([])),
    ] {
        let error = with(name, value).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidClientMetadata);
        assert!(error.description.starts_with(name), "{}", error.description);
    }
    // `null` is how some clients leave a member out.
    assert_eq!(
        with("client_uri", Value::Null).unwrap(),
        register(&typical()).unwrap()
    );
}

/// DCR-004, DCR-007
#[test]
fn redirect_uris_must_be_usable() {
    for value in [
        json!([]),
        Value::Null,
        json!("https://c/cb"),
        json!([1]),
        json!([["https://c/cb"]]),
        json!([null]),
        json!([""]),
        json!(["javascript:x"]),
        json!(["http://c.example/cb"]),
        json!(vec!["https://c/cb"; 21]),
    ] {
        assert_eq!(
            refusal("redirect_uris", &value),
            Some(ErrorCode::InvalidRedirectUri),
            "{value}"
        );
    }
    assert!(
        with("redirect_uris", json!(vec!["https://c/cb"; 20]))
            .is_ok_and(|client| client.redirect_uris.len() == 1)
    );
}

#[test]
fn one_unsafe_redirect_uri_among_several_is_left_out() {
    let cursor = json!([
        "http://localhost:8787/callback",
        "javascript:alert(1)",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "http://intranet/cb"
    ]);
    let client = with("redirect_uris", cursor).unwrap();
    let kept: Vec<_> = client.redirect_uris.iter().map(RedirectUri::as_str).collect();
    assert_eq!(
        kept,
        [
            "http://localhost:8787/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback"
        ]
    );
    assert_eq!(client.application_type, ApplicationType::Native);
    assert!(client.redirect_uri("http://localhost:1/callback").is_some());
    assert!(client.redirect_uri("javascript:alert(1)").is_none());
}

/// AS-23
#[test]
fn application_type_is_honoured_and_inferred() {
    let mut document = typical();
    document["application_type"] = json!("web");
    let client = register(&document).unwrap();
    assert_eq!(client.application_type, ApplicationType::Web);
    assert_eq!(client.redirect_uris.len(), 1, "the loopback URI is left out");
    document["redirect_uris"] = json!(["http://localhost/cb"]);
    let error = register(&document).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRedirectUri);
    assert!(
        error.description.contains("register as native"),
        "{}",
        error.description
    );
    document["application_type"] = json!("native");
    assert_eq!(
        register(&document).unwrap().application_type,
        ApplicationType::Native
    );
    assert_eq!(
        refusal("application_type", &json!("service")),
        Some(ErrorCode::InvalidClientMetadata)
    );
}

/// DCR-017, DCR-018
#[test]
fn unsupported_grant_types_are_ignored_and_none_left_is_refused() {
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let client = with(
        "grant_types",
        json!([
            "authorization_code",
            "refresh_token",
            device,
            "made-up",
            "authorization_code"
        ]),
    )
    .unwrap();
    assert_eq!(
        client.grant_types,
        [GrantType::AuthorizationCode, GrantType::RefreshToken]
    );
    for value in [
        json!(["refresh_token"]),
        json!(["password"]),
        json!(["implicit"]),
        json!([device]),
        json!(["client_credentials"]),
        json!(vec!["x"; 51]),
    ] {
        assert_eq!(
            refusal("grant_types", &value),
            Some(ErrorCode::InvalidClientMetadata),
            "{value}"
        );
    }
    for value in [json!([]), json!(["token"]), json!(["code id_token"])] {
        assert_eq!(
            refusal("response_types", &value),
            Some(ErrorCode::InvalidClientMetadata),
            "{value}"
        );
    }
    assert_eq!(
        with("response_types", json!(["code", "token"]))
            .unwrap()
            .response_types,
        ["code"]
    );
}

#[test]
fn a_machine_needs_a_secret_and_no_redirect_uri() {
    let mut policy = RegistrationPolicy::dynamic();
    policy.grant_types.push(GrantType::ClientCredentials);
    let read = |document| effective(&ClientMetadata::from_value(document).unwrap(), &policy);
    let machine = read(json!({"grant_types": ["client_credentials"]})).unwrap();
    assert!(machine.redirect_uris.is_empty() && machine.response_types.is_empty());
    assert!(
        read(json!({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"})).is_err()
    );
    let machine = read(json!({"grant_types": ["client_credentials"], "response_types": ["code"]})).unwrap();
    assert!(machine.response_types.is_empty());
}

/// RFC 7591 §2: who says nothing has a secret, where the grant is for clients that prove who they are.
#[test]
fn silence_makes_no_public_client_of_a_machine() {
    let mut policy = RegistrationPolicy {
        default_auth_method: TokenEndpointAuthMethod::None,
        ..RegistrationPolicy::dynamic()
    };
    let machines = [
        GrantType::ClientCredentials,
        GrantType::TokenExchange,
        GrantType::JwtBearer,
    ];
    let method = |policy: &RegistrationPolicy, document: &Value| {
        let metadata = ClientMetadata::from_value(document.clone()).unwrap();
        effective(&metadata, policy).map(|client| client.token_endpoint_auth_method)
    };
    for grant_type in machines {
        let mut document = typical();
        document
            .as_object_mut()
            .unwrap()
            .remove("token_endpoint_auth_method");
        document["grant_types"] = json!(["authorization_code", grant_type.as_str()]);
        // A grant that the client does not get changes nothing.
        assert_eq!(method(&policy, &document), Ok(TokenEndpointAuthMethod::None));
        policy.grant_types.push(grant_type);
        assert_eq!(
            method(&policy, &document),
            Ok(TokenEndpointAuthMethod::ClientSecretBasic),
            "{grant_type:?}"
        );
        document["jwks"] = json!({"keys": [es256_jwk()]});
        assert_eq!(
            method(&policy, &document),
            Ok(TokenEndpointAuthMethod::PrivateKeyJwt)
        );
        document["token_endpoint_auth_method"] = json!("none");
        assert_eq!(method(&policy, &document), Ok(TokenEndpointAuthMethod::None));
        // A metadata document holds no secret, and nothing of the kind is made up for it.
        let mut of_documents = RegistrationPolicy::metadata_document();
        of_documents.grant_types.push(grant_type);
        document
            .as_object_mut()
            .unwrap()
            .remove("token_endpoint_auth_method");
        assert_eq!(
            method(&of_documents, &document),
            Ok(TokenEndpointAuthMethod::None)
        );
    }
}

#[test]
fn an_unsupported_authentication_method_names_those_that_work() {
    let error = with("token_endpoint_auth_method", json!("tls_client_auth")).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidClientMetadata);
    assert!(
        error
            .description
            .contains("none, client_secret_basic, client_secret_post"),
        "{}",
        error.description
    );
    let secret = ClientMetadata {
        token_endpoint_auth_method: Some("client_secret_post".to_owned()),
        ..ClientMetadata::default()
    };
    assert!(effective(&secret, &RegistrationPolicy::metadata_document()).is_err());
}

#[test]
fn names_are_bounded_and_lose_what_cannot_be_seen() {
    let name = |name: &str| with("client_name", json!(name)).map(|client| client.client_name);
    assert_eq!(
        name("Evil\u{202e}edualC\u{200b}\u{feff} \u{2066}x\u{2069}")
            .unwrap()
            .as_deref(),
        Some("EviledualC x")
    );
    assert_eq!(
        name(" Müller & Söhne 日本 ").unwrap().as_deref(),
        Some("Müller & Söhne 日本")
    );
    assert_eq!(name("\u{200b}").unwrap(), None);
    assert_eq!(
        name(&"é".repeat(200)).unwrap().map(|name| name.chars().count()),
        Some(200)
    );
    for refused in ["a\nb", "a\0b", "a\u{85}b", "\u{1b}[31m", &"x".repeat(201)] {
        assert_eq!(
            name(refused).unwrap_err().code,
            ErrorCode::InvalidClientMetadata,
            "{refused:?}"
        );
    }
}

/// DCR-013
#[test]
fn pages_are_https_on_a_named_host_or_left_out() {
    for member in ["logo_uri", "client_uri", "policy_uri", "tos_uri"] {
        let kept = with(member, json!("https://c.example/x")).unwrap();
        assert_eq!(serde_json::to_value(kept).unwrap()[member], "https://c.example/x");
        for unsafe_uri in [
            "javascript:alert(1)",
            "http://c.example/l.png",
            "data:image/svg+xml,x",
            "https://169.254.169.254/l",
            "https://[::1]/l",
            "https://localhost/l",
            "file:///x",
            "https://u@c.example/",
            "not a URI",
            "https://c.example/\"onerror=\"x",
        ] {
            let client = with(member, json!(unsafe_uri)).unwrap();
            assert_eq!(client, register(&typical()).unwrap(), "{member}: {unsafe_uri}");
        }
    }
}

#[test]
fn scopes_are_a_bounded_hint() {
    let scope =
        |value: &str| with("scope", json!(value)).map(|client| client.scope.map(|scopes| scopes.to_string()));
    assert_eq!(scope("a  b a").unwrap().as_deref(), Some("a b"));
    assert_eq!(scope("").unwrap(), None);
    assert!(scope(&"x ".repeat(1001)).is_err());
    assert!(scope("a\"b").is_err());
}

/// DCR-008
#[test]
fn counts_and_lengths_are_bounded() {
    for (name, value) in [
        ("contacts", json!(vec!["a@b.example"; 21])),
        ("contacts", json!(["x".repeat(201)])),
        ("software_id", json!("x".repeat(201))),
        ("software_version", json!("1\n2")),
        ("software_version", json!("x".repeat(1_000))),
        ("contacts", json!(["a\nb"])),
        ("scope", json!("x".repeat(2001))),
        ("grant_types", json!(vec!["authorization_code"; 51])),
    ] {
        assert_eq!(
            refusal(name, &value),
            Some(ErrorCode::InvalidClientMetadata),
            "{name}"
        );
    }
    let scope = vec!["x".repeat(200); 9].join(" ") + " " + &"y".repeat(191);
    assert_eq!(scope.len(), 2000);
    for (name, value) in [
        ("contacts", json!(vec!["a@b.example"; 20])),
        ("contacts", json!(["x".repeat(200)])),
        ("software_id", json!("x".repeat(200))),
        ("scope", json!(scope)),
        ("grant_types", json!(vec!["authorization_code"; 50])),
    ] {
        assert_eq!(refusal(name, &value), None, "{name}");
    }
}

/// A metadata document must not hold a secret, nor say when one ends.
#[test]
fn a_secret_in_the_metadata_is_noticed() {
    let names_secret = |member: &str, value: Value| {
        let mut document = typical();
        document[member] = value;
        ClientMetadata::from_value(document).unwrap().names_client_secret
    };
    assert!(names_secret("client_secret", json!("s")));
    assert!(names_secret("client_secret", Value::Null));
    assert!(names_secret("client_secret_expires_at", json!(0)));
    assert!(!names_secret("client_uri", json!("https://c.example")));
}

#[test]
fn the_longest_document_is_read() {
    let mut document = typical().to_string();
    document.push_str(&" ".repeat(MAX_DOCUMENT_LENGTH - document.len()));
    assert!(ClientMetadata::from_json(document.as_bytes()).is_ok());
    document.push(' ');
    assert!(ClientMetadata::from_json(document.as_bytes()).is_err());
}

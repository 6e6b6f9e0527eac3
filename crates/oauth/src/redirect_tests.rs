use super::*;

fn register(text: &str) -> Result<RedirectUri, RedirectUriError> {
    RedirectUri::register(text, ApplicationType::Native, &SchemePolicy::default())
}

#[test]
fn each_refusal_names_its_reason() {
    let refused = [
        ("https://c/cb#f", RedirectUriError::Fragment),
        ("https://u@c/cb", RedirectUriError::Userinfo),
        ("https://c/../cb", RedirectUriError::DotSegments),
        ("http://c.example/cb", RedirectUriError::HttpNotLoopback),
        ("http://LocalHost/cb", RedirectUriError::UpperCase),
        ("Cursor://x", RedirectUriError::UpperCase),
        ("JavaScript:alert(1)", RedirectUriError::Scheme),
        ("myapp://cb", RedirectUriError::Scheme),
        ("com.example.app:cb", RedirectUriError::Opaque),
        ("https:cb", RedirectUriError::Uri(UriError::InvalidHost)),
        ("cb", RedirectUriError::Uri(UriError::NotAbsolute)),
    ];
    for (text, reason) in refused {
        assert_eq!(register(text), Err(reason), "{text}");
    }
    let web = |text| RedirectUri::register(text, ApplicationType::Web, &SchemePolicy::default());
    assert_eq!(web("http://localhost/cb"), Err(RedirectUriError::NotForWeb));
    assert_eq!(web("cursor://cb"), Err(RedirectUriError::NotForWeb));
    assert!(web("https://c.example/cb").is_ok());
}

#[test]
fn an_operator_cannot_allow_a_dangerous_scheme() {
    let policy = SchemePolicy {
        allowed: vec!["javascript".to_owned(), "myapp".to_owned()],
    };
    let native = |text| RedirectUri::register(text, ApplicationType::Native, &policy);
    assert_eq!(
        native("javascript://c/%0aalert(1)"),
        Err(RedirectUriError::Scheme)
    );
    assert!(!policy.allows("javascript") && policy.allows("myapp"));
    assert!(native("myapp://cb").is_ok());
    assert!(native("com.example.app:/cb").is_ok());
    assert_eq!(native("cursor://cb"), Err(RedirectUriError::Scheme));
}

#[test]
fn kinds_are_told_by_the_scheme() {
    assert_eq!(register("https://c/cb").unwrap().kind(), RedirectUriKind::Https);
    assert_eq!(
        register("http://[::1]/cb").unwrap().kind(),
        RedirectUriKind::Loopback
    );
    assert_eq!(
        register("cursor://cb").unwrap().kind(),
        RedirectUriKind::PrivateUse
    );
}

#[test]
fn people_see_the_host_or_the_scheme() {
    let shown = |text| register(text).unwrap().host_for_display();
    assert_eq!(shown("https://claude.ai/api/mcp/auth_callback"), "claude.ai");
    assert_eq!(shown("https://c.example:8443?x=1"), "c.example:8443");
    assert_eq!(shown("https://c.example:443/cb"), "c.example");
    assert_eq!(shown("http://localhost:8787/callback"), "localhost:8787");
    assert_eq!(shown("http://localhost/callback"), "localhost");
    assert_eq!(
        shown("cursor://anysphere.cursor-mcp/oauth/callback"),
        "cursor://anysphere.cursor-mcp"
    );
    assert_eq!(shown("com.example.app:/cb"), "com.example.app:");
}

#[test]
fn only_a_loopback_port_is_left_out_of_comparison() {
    let comparable = |text| register(text).unwrap().comparable();
    assert_eq!(
        comparable("http://localhost:3000/cb?x=1"),
        "http://localhost/cb?x=1"
    );
    assert_eq!(comparable("http://localhost:*/cb"), "http://localhost/cb");
    for elsewhere in [
        "http://localhost:*.evil.example/cb",
        "http://localhost:*@evil.example/cb",
        "http://localhost:*1/cb",
        "http://localhost:*#x",
    ] {
        assert!(register(elsewhere).is_err(), "{elsewhere}");
    }
    assert_eq!(comparable("http://[::1]:9"), "http://[::1]");
    assert_eq!(
        comparable("https://localhost:8443/cb"),
        "https://localhost:8443/cb"
    );
    assert_eq!(comparable("cursor://cb:1/x"), "cursor://cb:1/x");
}

/// AUTHZ-021, REDIR-055
#[test]
fn the_answer_keeps_the_registered_bytes() {
    let pairs = [("code", "abc"), ("iss", "https://as.example")];
    let suffix = "code=abc&iss=https%3A%2F%2Fas.example";
    for (redirect_uri, separator) in [
        ("https://c.example/cb", "?"),
        ("https://c.example", "?"),
        ("https://c.example/cb?tenant=1&x=a%20b+c", "&"),
        ("https://c.example/a%2Fb/~x?y=%7E&z=1+2", "&"),
        ("https://c.example/cb?", ""),
        ("https://c.example/cb?a=1&", ""),
        ("com.example.app:/cb", "?"),
    ] {
        assert_eq!(
            location(redirect_uri, &pairs),
            format!("{redirect_uri}{separator}{suffix}")
        );
    }
    assert_eq!(location("https://c.example/cb", &[]), "https://c.example/cb");
}

/// AUTHZ-016
#[test]
fn a_value_cannot_become_another_parameter_or_header() {
    let state = "a&code=injected#b \"%\r\nX-Y: 1\u{202e}\u{1f600}+";
    let location = location("https://c.example/cb", &[("state", state)]);
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()));
    let parsed = url::Url::parse(&location).unwrap();
    let pairs: Vec<_> = parsed.query_pairs().into_owned().collect();
    assert_eq!(pairs, [("state".to_owned(), state.to_owned())]);
    assert_eq!(parsed.fragment(), None);
}

#[test]
fn form_action_names_the_origin_or_the_scheme() {
    let source = |text| form_action_source(text).unwrap();
    assert_eq!(source("https://c.example/cb?x"), "https://c.example");
    assert_eq!(source("https://c.example:8443/cb"), "https://c.example:8443");
    assert_eq!(source("http://localhost:3118/cb"), "http://localhost:3118");
    assert_eq!(source("http://[::1]:3118/cb"), "http:");
    assert_eq!(source("cursor://x/cb"), "cursor:");
    assert_eq!(form_action_source("; script-src *"), None);
}

/// REDIR-031
#[test]
fn a_stored_uri_is_checked_again() {
    for text in [
        "JaVaScRiPt:alert(1)//",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "DATA:text/html,x",
    ] {
        assert!(
            serde_json::from_value::<RedirectUri>(text.into()).is_err(),
            "{text:?}"
        );
    }
}

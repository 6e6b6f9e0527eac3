use super::*;

fn parse(text: &str) -> Result<Uri<'_>, UriError> {
    Uri::parse(text, 2000)
}

#[test]
fn components_are_cut_at_their_delimiters() {
    let uri = parse("https://user@h.example:8443/a/b?q=1?2#f?g").unwrap();
    assert_eq!(uri.scheme, "https");
    assert_eq!(
        uri.authority,
        Some(Authority {
            has_userinfo: true,
            host: "h.example",
            port: Some(8443)
        })
    );
    assert_eq!(
        (uri.path, uri.query, uri.fragment),
        ("/a/b", Some("q=1?2"), Some("f?g"))
    );
    let uri = parse("com.example.app:/cb").unwrap();
    assert_eq!(
        (uri.scheme, uri.authority, uri.path),
        ("com.example.app", None, "/cb")
    );
}

#[test]
fn the_last_at_sign_ends_the_userinfo() {
    let authority = parse("https://a@c.example@evil.example/cb")
        .unwrap()
        .authority
        .unwrap();
    assert_eq!((authority.has_userinfo, authority.host), (true, "evil.example"));
}

#[test]
fn hosts_that_parsers_read_differently_are_refused() {
    for host in [
        "",
        ".",
        "a..b",
        "h.",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.000.000.001",
        "256.0.0.1",
        "a.0x7f",
        "%31",
        "c%2eexample",
        "*.c",
        "xn--",
        "xn--localhost-",
        "a.XN--example-.c",
        "a!b",
        "[::1",
        "[::1]x",
        "[fe80::1%25en0]",
        "[127.0.0.1]",
        "::1",
    ] {
        let text = format!("http://{host}/cb");
        assert!(parse(&text).is_err(), "{text}");
    }
}

#[test]
fn ports_are_plain_numbers() {
    for port in [
        "", "0", "080", "65536", "99999", "-1", "+1", "abc", ":", "80:80", "%38080", "*",
    ] {
        assert!(parse(&format!("http://127.0.0.1:{port}/cb")).is_err(), "{port}");
    }
    assert_eq!(
        parse("http://127.0.0.1:65535/").unwrap().authority.unwrap().port,
        Some(65535)
    );
}

#[test]
fn characters_outside_rfc_3986_are_refused() {
    for text in [
        "https://c.example\\.evil.example/",
        "https://c/ a",
        "https://c/\n",
        "https://c/\0",
        "https://c/\u{e9}",
        "https://c/<",
        "https://c/\"",
        "https://c/%",
        "https://c/%4",
        "https://c/%zz",
        "https://c/{x}",
        "https://c/a|b",
        " https://c/",
        "java\nscript:x",
    ] {
        assert_eq!(parse(text), Err(UriError::InvalidCharacter), "{text:?}");
    }
    for text in ["//c.example/cb", "/cb", "c.example/cb", ":x", "1a:x", ""] {
        assert_eq!(parse(text), Err(UriError::NotAbsolute), "{text:?}");
    }
    assert_eq!(
        parse(&format!("https://c/{}", "a".repeat(2000))),
        Err(UriError::TooLong)
    );
}

#[test]
fn loopback_is_this_machine_only() {
    let is_loopback = |text: &str| parse(text).unwrap().authority.unwrap().is_loopback();
    assert!(is_loopback("http://LocalHost/"));
    assert!(is_loopback("http://127.255.0.1:1/"));
    assert!(is_loopback("http://[::1]/"));
    assert!(!is_loopback("http://localhost.example/"));
    assert!(!is_loopback("http://[::]/"));
    assert!(!is_loopback("http://0.0.0.0/"));
    assert!(!is_loopback("http://[::ffff:127.0.0.1]/"));
}

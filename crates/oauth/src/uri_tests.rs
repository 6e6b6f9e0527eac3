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

#[test]
fn a_scheme_is_letters_digits_and_three_signs() {
    for text in ["a+b-c.9:x", "COM.example:x"] {
        assert!(parse(text).is_ok(), "{text}");
    }
    for text in [
        "a_b:x",
        "java~script:x",
        "a%41:x",
        "a/b:x",
        "+a:x",
        "-a:x",
        ".a:x",
    ] {
        assert_eq!(parse(text), Err(UriError::NotAbsolute), "{text}");
    }
}

#[test]
fn a_name_may_begin_with_digits_and_has_at_most_253_characters() {
    for host in ["1a", "a.9lives", "0a", "xn--bcher-kva.example"] {
        assert!(parse(&format!("http://{host}/")).is_ok(), "{host}");
    }
    let long = |last: usize| format!("{}{}", format!("{}.", "a".repeat(62)).repeat(4), "b".repeat(last));
    assert_eq!((long(1).len(), long(2).len()), (253, 254));
    assert!(parse(&format!("http://{}/", long(1))).is_ok());
    assert_eq!(parse(&format!("http://{}/", long(2))), Err(UriError::InvalidHost));
}

#[test]
fn an_address_is_no_name() {
    let is_address = |text: &str| parse(text).unwrap().authority.unwrap().is_address();
    assert!(is_address("https://[2001:db8::1]/") && is_address("https://192.0.2.1/"));
    assert!(!is_address("https://c.example/"));
}

#[test]
fn a_plain_path_has_one_reading() {
    let is_plain = |path: &str| {
        parse(&format!("https://c.example{path}"))
            .unwrap()
            .path_is_plain()
    };
    for path in ["", "/", "/a/b", "/a/", "/%20", "/%C3%A9", "/a..b"] {
        assert!(is_plain(path), "{path}");
    }
    for path in [
        "//", "/a//b", "/.", "/a/../b", "/%2f", "/%5C", "/%41", "/%2e", "/%00", "/%0a", "/%7F",
    ] {
        assert!(!is_plain(path), "{path}");
    }
}

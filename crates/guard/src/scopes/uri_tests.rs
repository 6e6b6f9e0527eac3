use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, uri: &str) -> bool {
    Variants::of(uri).match_any(&UriPattern::parse(pattern).unwrap())
}

#[test]
fn templates_match_what_they_expand_to() {
    for (pattern, uri) in [
        ("notes://1/body", "notes://1/body"),
        ("notes://{id}/body", "notes://17/body"),
        ("notes://{id}/body", "notes://{id}/body"),
        ("file:///{path*}", "file:///a/b/c"),
        ("file:///{+path}", "file:///a/b/c"),
        ("file:///{path*}", "file:///"),
        ("{+any}", "x:y"),
        ("db://{table}{?limit,order}", "db://users?limit=3"),
        ("db://{table}{?limit}", "db://users"),
        ("{a}:{b}", "x:y"),
        ("data://{a}-{b}/x", "data://1-2-3/x"),
    ] {
        assert!(matches(pattern, uri), "{pattern} {uri}");
    }
    for (pattern, uri) in [
        ("notes://1/body", "notes://11/body"),
        ("notes://1/body", "notes://1/bod"),
        ("notes://{id}/body", "notes://1/2/body"),
        ("notes://{id}/body", "notes:///body"),
        ("notes://{id}/body", "notes://1/body/more"),
        ("file:///{path*}", "files:///a"),
    ] {
        assert!(!matches(pattern, uri), "{pattern} {uri}");
    }
}

/// What a server may take for the same resource needs the same scopes.
#[test]
fn other_spellings_of_a_uri_match_as_well() {
    for (pattern, uri) in [
        ("secret://plans/x", "SECRET://plans/x"),
        ("secret://plans/x", "secret://plans/%78"),
        ("Secret://Plans/x", "secret://plans/x"),
        ("secret://plans/x", "secret://plans/x?y"),
        ("secret://plans/x", "secret://plans/x#y"),
        ("secret://plans/x", " secret://plans/x"),
        ("https://h.example/a", "https://H.example:443/b/../a"),
        ("https://h.example", "https://h.example/"),
        ("https://h.example/", "https://h.example"),
        ("notes://{id}/body", "notes://1%2F2/body"),
        ("notes://{id}/body", "NOTES://7/body"),
        ("secret://plans/x", "secret://plans/\tx"),
    ] {
        assert!(matches(pattern, uri), "{pattern} {uri}");
    }
}

#[test]
fn an_endless_uri_is_protected_by_everything() {
    let long = format!("notes://{}", "a".repeat(MAX_URI));
    assert!(matches("secret://plans", &long));
}

#[test]
fn braces_must_match() {
    for bad in ["a{b", "a}b", "{a{b}}", "{}", "a{b}c}"] {
        assert_eq!(UriPattern::parse(bad), None, "{bad}");
    }
}

/// The ends of a pattern are looked at first; they may not share characters of the text.
#[test]
fn the_ends_of_a_pattern_do_not_overlap() {
    assert!(!matches("aba{x*}aba", "ababa"));
    assert!(matches("aba{x*}aba", "abaaba"));
    assert!(!matches("x:{a}", "y:1"));
    assert!(!matches("{+a}/x", "y:/z"));
}

#[test]
fn matching_stays_cheap_for_any_pattern() {
    let pattern = UriPattern::parse(&"{a*}b".repeat(50)).unwrap();
    assert!(!Variants::of(&"ab".repeat(4_000)[..7_999]).match_any(&pattern));
}

/// A path that is spelled so that it is another one until it is decoded, or on some servers alone.
#[test]
fn a_detour_to_a_protected_uri_matches() {
    for (pattern, uri) in [
        ("file:///secret/{path*}", "file:///public/..%2Fsecret/x"),
        ("file:///secret/{path*}", "file:///public/%2e%2e%2Fsecret/x"),
        ("file:///secret/{path*}", "file:///public/%252e%252e%252fsecret/x"),
        ("file:///secret/{path*}", "file:///public/../secret/x"),
        ("file:///secret/{path*}", "file:///a//../secret/x"),
        ("file:///secret/{path*}", "file:///public\\..\\secret\\x"),
        ("file:///secret/{path*}", "file:///public/..%5Csecret/x"),
        ("file:///secret/{path*}", "file:///public/..;a/secret/x"),
        ("file:///secret/{path*}", "file:///public/%2e/%2e%2e/secret/x"),
        ("file:///secret/{path*}", "file:////secret/x"),
        ("file:///secret/{path*}", "file:/secret/x"),
        ("file:///secret/{path*}", "file:secret/x"),
        ("file:///secret/{path*}", "file://localhost/secret/x"),
        ("file:///secret/{path*}", "file:///%73ecret/x"),
        ("file:///secret/{path*}", "file:///%2573ecret/x"),
        ("file:///%73ecret/{path*}", "file:///secret/x"),
        ("file:///secret/x", "file:///secret//x"),
        ("file:///secret/x", "file:///secret/x/"),
        ("file:///secret/x", "file:///secret%2F%2Fx"),
        ("file:///secret//x", "file:///secret/x"),
        ("file:///my%20files/{path*}", "file:///my files/x"),
        ("notes:a/b", "notes:c/%2e%2e/a/b"),
        ("notes:a/b", "../a/b"),
        ("{+any}/b", "x:../c"),
    ] {
        assert!(matches(pattern, uri), "{pattern} {uri}");
    }
}

/// Nothing more is asked for than the doubt is worth.
#[test]
fn a_detour_of_another_scheme_and_usual_uris_match_nothing_more() {
    for (pattern, uri) in [
        ("file:///secret/{path*}", "notes://1/../2"),
        ("file:///secret/{path*}", "file:///public/a..b/...%2F.hidden/x.y"),
        ("file:///secret/{path*}", "file:///public/secret/x"),
        ("file:///secret/{path*}", "file:///secrets/x"),
        (
            "file:///secret/{path*}",
            "file:///public//My%20Files/caf%C3%A9/?page=2#top",
        ),
        (
            "https://h.example/secret",
            "HTTPS://H.example:443//public/%7Ename/?q=%2Fsecret",
        ),
    ] {
        assert!(!matches(pattern, uri), "{pattern} {uri}");
    }
}

/// Escapes, detours and surplus slashes, in any number and order.
fn spelled_otherwise() -> impl Strategy<Value = String> {
    let segment = |name: &'static str| {
        let escapes = prop::collection::vec(0..3_u8, name.len());
        escapes.prop_map(move |levels| {
            name.bytes()
                .zip(levels)
                .fold(String::new(), |text, (byte, level)| match level {
                    0 => text + &char::from(byte).to_string(),
                    1 => text + &format!("%{byte:02x}"),
                    _ => text + &format!("%25{byte:02X}"),
                })
        })
    };
    let slash = || {
        prop::sample::select(vec![
            "/",
            "//",
            "%2F",
            "%252f",
            "/./",
            "/x/../",
            "/x%2F%2e%2e/",
            "\\",
            "%5c",
            "/%2E/",
        ])
    };
    let start = prop::sample::select(vec![
        "file://",
        "FILE://",
        " file://",
        "file://localhost",
        "File://LOCALHOST",
    ]);
    let end = prop::sample::select(vec!["", "?q", "#f", "%3Fq", "/", "%23", " "]);
    (start, slash(), segment("secret"), slash(), segment("plan"), end).prop_map(
        |(start, first, secret, second, plan, end)| format!("{start}{first}{secret}{second}{plan}{end}"),
    )
}

proptest! {
    #[test]
    fn no_spelling_of_a_path_loses_its_scope(uri in spelled_otherwise()) {
        for pattern in ["file:///secret/{path*}", "file:///secret/{name}", "file:///secret/plan", "file:///{dir}/plan"] {
            prop_assert!(matches(pattern, &uri), "{pattern} {uri}");
        }
    }

    #[test]
    fn no_uri_is_too_odd(uri in "\\PC{0,60}") {
        let _ = matches("file:///secret/{path*}", &uri);
    }
}

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::headers::{HeaderMismatch, check};
use super::{Envelope, Malformed};

fn tools(body: &str) -> Result<Vec<String>, Malformed> {
    Envelope::parse(body.as_bytes()).map(|envelope| {
        envelope
            .messages
            .iter()
            .filter_map(|m| m.tool().map(str::to_owned))
            .collect()
    })
}

#[test]
fn a_tool_call_names_its_tool_however_it_is_spelled() {
    let escaped = r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"n\u0061me":"wr\u0069te","arguments":{}}}"#;
    assert_eq!(tools(escaped), Ok(vec!["write".to_owned()]));
    let notification = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"write"}}"#;
    assert_eq!(tools(notification), Ok(vec!["write".to_owned()]));
    let batch = r#"[{"method":"tools/list","id":1},{"method":"tools/call","id":2,"params":{"name":"w"}}]"#;
    assert_eq!(tools(batch), Ok(vec!["w".to_owned()]));
    let other = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"write"}}"#;
    assert_eq!(tools(other), Ok(vec![]));
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call"}}"#;
    assert_eq!(tools(response), Ok(vec![]));
}

#[test]
fn bodies_that_two_parsers_could_read_differently_are_refused() {
    for body in [
        r#"{"method":"tools/list","method":"tools/call","params":{"name":"w"}}"#,
        r#"{"method":"tools/call","params":{"name":"w","n\u0061me":"r"}}"#,
        r#"{"method":"tools/call","params":{"name":"r"},"params":{"name":"w"}}"#,
        r#"{"method":"tools/call","params":[null,"w",{}]}"#,
        r#"{"method":"tools/call","params":{"name":["w"]}}"#,
        r#"{"method":"tools/call","params":"w"}"#,
        r#"{"method":"tools/call","params":null}"#,
        r#"{"method":"tools/call"}"#,
        r#"{"method":["tools/call"],"params":{"name":"w"}}"#,
        r#"{"id":{},"method":"ping"}"#,
        r#"{"method":"tools/call","params":{"name":"w","arguments":{"a":[{"b":1,"b":2}]}}}"#,
        r#"["2.0",1]"#,
        r"[]",
        r#"[[{"method":"ping"}]]"#,
        "1",
        "null",
    ] {
        assert_eq!(
            Envelope::parse(body.as_bytes()),
            Err(Malformed::NotAMessage),
            "{body}"
        );
    }
}

#[test]
fn what_is_no_json_is_a_parse_error() {
    let deep = format!(
        r#"{{"method":"ping","params":{{"x":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for body in [
        &b""[..],
        b"access_token=x",
        b"{\"method\":",
        b"{\"method\":\"ping\"} {\"method\":\"tools/call\"}",
        b"\xef\xbb\xbf{\"method\":\"ping\"}",
        b"{\"method\":\"\xff\"}",
        b"\x1f\x8b\x08\x00",
        deep.as_bytes(),
    ] {
        assert_eq!(Envelope::parse(body), Err(Malformed::NotJson));
    }
}

#[test]
fn a_batch_is_bounded() {
    let batch = |n: usize| json!(vec![json!({"method": "ping"}); n]).to_string();
    assert!(Envelope::parse(batch(100).as_bytes()).is_ok());
    assert_eq!(
        Envelope::parse(batch(101).as_bytes()),
        Err(Malformed::NotAMessage)
    );
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    map
}

/// RS-18, RS-19 of the MCP checklist.
#[test]
fn mirrored_headers_must_equal_the_body() {
    const V: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"wr\u00ecte"}}"#;
    let call = Envelope::parse(call.as_bytes()).unwrap();
    let encoded = "=?base64?d3LDrHRl?=";
    assert_eq!(
        check(
            &headers(&[V, ("mcp-method", "tools/call"), ("mcp-name", encoded)]),
            &call
        ),
        Ok(())
    );
    let wrong: [&[(&'static str, &str)]; 9] = [
        &[V],
        &[V, ("mcp-method", "tools/call")],
        &[V, ("mcp-name", encoded)],
        &[V, ("mcp-method", "tools/list"), ("mcp-name", encoded)],
        &[V, ("mcp-method", "tools/call"), ("mcp-name", "echo")],
        &[V, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?***?=")],
        &[
            V,
            ("mcp-method", "tools/call"),
            ("mcp-method", "tools/call"),
            ("mcp-name", encoded),
        ],
        &[
            V,
            ("mcp-method", "tools/call"),
            ("mcp-name", encoded),
            ("mcp-name", "echo"),
        ],
        &[
            V,
            ("mcp-protocol-version", "2025-11-25"),
            ("mcp-method", "tools/call"),
            ("mcp-name", encoded),
        ],
    ];
    for pairs in wrong {
        assert_eq!(check(&headers(pairs), &call), Err(HeaderMismatch), "{pairs:?}");
    }
    // An older revision has no mirrored headers; the body alone decides.
    let old = [
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "tools/list"),
    ];
    assert_eq!(check(&headers(&old), &call), Ok(()));
}

#[test]
fn the_revision_in_the_body_must_equal_the_header() {
    let body = json!({"method": "ping", "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}}});
    let envelope = Envelope::parse(body.to_string().as_bytes()).unwrap();
    let pairs = headers(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "ping")]);
    assert_eq!(check(&pairs, &envelope), Err(HeaderMismatch));
}

#[test]
fn initialize_may_come_without_mirrored_headers_but_not_with_wrong_ones() {
    let envelope = Envelope::parse(br#"{"id":1,"method":"initialize","params":{}}"#).unwrap();
    let version = ("mcp-protocol-version", "2026-07-28");
    assert_eq!(check(&headers(&[version]), &envelope), Ok(()));
    assert_eq!(
        check(&headers(&[version, ("mcp-method", "tools/list")]), &envelope),
        Err(HeaderMismatch)
    );
}

#[test]
fn a_batch_does_not_exist_in_the_mirroring_revision() {
    let envelope = Envelope::parse(br#"[{"id":1,"method":"ping"}]"#).unwrap();
    let pairs = headers(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "ping")]);
    assert_eq!(check(&pairs, &envelope), Err(HeaderMismatch));
}

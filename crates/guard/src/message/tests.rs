use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::headers::{HeaderMismatch, Mirrored};
use super::{Envelope, Malformed};
use crate::fields::Fields;

fn check(headers: &HeaderMap, envelope: &Envelope) -> Result<(), HeaderMismatch> {
    Mirrored::read(&Fields::of(headers)).check(envelope)
}

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

/// RS-040: what a reader that does not mind letter case would take for a call of the tool `w`.
#[test]
fn names_in_another_letter_case_are_refused_where_they_count() {
    for body in [
        r#"{"Method":"tools/call","Params":{"Name":"w"}}"#,
        r#"{"method":"tools/list","METHOD":"tools/call","params":{"name":"w"}}"#,
        r#"{"method":"tools/call","params":{"name":"r"},"Params":{"name":"w"}}"#,
        r#"{"method":"tools/call","params":{"name":"r","Name":"w"}}"#,
        r#"{"method":"tools/call","param\u017f":{"name":"w"},"params":{"name":"r"}}"#,
        r#"{"method":"tasks/get","params":{"taskId":"r","tas\u212aid":"w"}}"#,
        r#"{"method":"tools/call","params":{"name":"r","name\u0000":"w"}}"#,
        r#"{"method\u0000":"tools/call","params":{"name":"w"}}"#,
        r#"[{"method":"ping"},{"methoD":"tools/call","params":{"name":"w"}}]"#,
    ] {
        assert_eq!(
            Envelope::parse(body.as_bytes()),
            Err(Malformed::NotAMessage),
            "{body}"
        );
    }
    // Arguments are the tool's own, and so are the parameters of methods that name no target.
    for body in [
        r#"{"method":"tools/call","params":{"name":"w","arguments":{"Name":"x","URI":"y"}}}"#,
        r#"{"method":"notifications/custom","params":{"Name":"x"}}"#,
        r#"{"method":"ping","methods":1,"x":2}"#,
    ] {
        assert!(Envelope::parse(body.as_bytes()).is_ok(), "{body}");
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
    let body = body.to_string();
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    let pairs = headers(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "ping")]);
    assert_eq!(check(&pairs, &envelope), Err(HeaderMismatch));
}

/// RS-18 of the MCP checklist: the headers must not be missing.
#[test]
fn a_body_of_the_mirroring_revision_needs_its_headers() {
    let body = json!({"method": "ping", "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}});
    let body = body.to_string();
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    for pairs in [
        &[][..],
        &[("mcp-protocol-version", "2025-11-25")],
        &[("mcp-method", "ping")],
    ] {
        assert_eq!(
            check(&headers(pairs), &envelope),
            Err(HeaderMismatch),
            "{pairs:?}"
        );
    }
    let complete = headers(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "ping")]);
    assert_eq!(check(&complete, &envelope), Ok(()));
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

#[test]
fn a_request_names_a_bounded_number_of_resources() {
    let listen = |count: usize| {
        let uris = vec!["\"a:b\""; count].join(",");
        let body = format!(
            r#"{{"method":"subscriptions/listen","params":{{"notifications":{{"resourceSubscriptions":[{uris}]}}}}}}"#
        );
        Envelope::parse(body.as_bytes()).map(|envelope| envelope.messages[0].resources().count())
    };
    assert_eq!(listen(1_000), Ok(1_000));
    assert_eq!(listen(1_001), Err(Malformed::NotAMessage));
}

#[test]
fn the_messages_of_a_batch_share_the_number_of_resources() {
    let listen = |counts: &[usize]| {
        let messages = counts.iter().map(|count| {
            let uris = vec!["\"a:b\""; *count].join(",");
            format!(
                r#"{{"method":"subscriptions/listen","params":{{"notifications":{{"resourceSubscriptions":[{uris}]}}}}}}"#
            )
        });
        let body = format!("[{}]", messages.collect::<Vec<_>>().join(","));
        Envelope::parse(body.as_bytes()).map(|envelope| envelope.messages.len())
    };
    assert_eq!(listen(&[400, 0, 600]), Ok(3));
    assert_eq!(listen(&[400, 1, 600]), Err(Malformed::NotAMessage));
    assert_eq!(listen(&[1_000; 100]), Err(Malformed::NotAMessage));
}

/// JSON text with the names that matter, repeated now and then.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(r#""tools/call""#.to_owned()),
        Just(r#""write""#.to_owned()),
        Just(r#""\u0077rite""#.to_owned()),
        Just("1".to_owned()),
        Just("null".to_owned()),
        Just("1e400".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let name = prop::sample::select(vec![
            "method",
            "params",
            "name",
            "id",
            "_meta",
            "m\\u0065thod",
            "x",
        ]);
        let member = (name, inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            3 => prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

proptest! {
    /// What the guard accepts, a lenient parser (the last member wins) reads in the same way.
    #[test]
    fn accepted_bodies_have_one_reading(text in json_text()) {
        if let Ok(envelope) = Envelope::parse(text.as_bytes()) {
            let lenient: Value = serde_json::from_str(&text).unwrap();
            let messages = lenient.as_array().cloned().unwrap_or_else(|| vec![lenient.clone()]);
            prop_assert_eq!(messages.len(), envelope.messages.len());
            for (message, ours) in messages.iter().zip(&envelope.messages) {
                prop_assert_eq!(message["method"].as_str(), ours.method.as_deref());
                let tool = (message["method"] == "tools/call").then(|| message["params"]["name"].as_str().unwrap());
                prop_assert_eq!(tool, ours.tool());
            }
        }
    }

    #[test]
    fn no_body_makes_the_reader_fail_otherwise_than_by_an_error(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::parse(&body);
    }
}

use proptest::prelude::*;

use super::super::Envelope;
use super::*;

/// What the quick reader reads, and the strict one in the same way.
fn quick(body: &str) -> Option<Message<'_>> {
    let message = read(body)?;
    let strict = Envelope::parse_strictly(body).expect("the strict reader refuses it");
    assert!(!strict.batch);
    assert_eq!(strict.messages, [message]);
    read(body)
}

#[test]
fn usual_messages_are_read_quickly() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"resources/read","params":{"uri":"file:///ä/ö","_meta":{"progressToken":0}}}"#,
        r#" { "method" : "tools/list" , "id" : null , "params" : null } "#,
        r#"{"jsonrpc":"2.0","id":999999999999999,"result":{"a":[1,-2,[],{},true,false,null,"x"]}}"#,
        r#"{"method":"tasks/get","params":{"taskId":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        r#"{"method":"notifications/initialized"}"#,
        "{}",
        "\n{\"id\":0}\t",
    ] {
        assert!(quick(body).is_some(), "{body}");
    }
    let tool = quick(r#"{"method":"tools/call","params":{"arguments":{},"name":"write"}}"#);
    assert_eq!(tool.as_ref().and_then(Message::tool), Some("write"));
}

/// Everything that is refused, or that has more than one way to be written, is for the strict reader.
#[test]
fn what_is_unusual_is_left_to_the_strict_reader() {
    let many: Vec<_> = (0..=MAX_MEMBERS).map(|n| format!("\"m{n}\":0")).collect();
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
    for body in [
        "",
        "null",
        "[]",
        "[{}]",
        "{",
        "{}}",
        "{} x",
        "\u{feff}{}",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":01}"#,
        r#"{"a":1.5}"#,
        r#"{"a":1e5}"#,
        r#"{"a":+1}"#,
        r#"{"a":-}"#,
        r#"{"a":1234567890123456}"#,
        r#"{"a":truex}"#,
        r#"{"a":nul}"#,
        r#"{"a":"\u0061"}"#,
        "{\"a\":\"\t\"}",
        r#"{"a\u0062":1}"#,
        r#"{"a":1,"a":1}"#,
        r#"{"ä":1}"#,
        r#"{"id":-1}"#,
        r#"{"id":1.0}"#,
        r#"{"id":[]}"#,
        r#"{"id":true}"#,
        r#"{"method":1}"#,
        r#"{"method":null}"#,
        r#"{"Method":"tools/call"}"#,
        r#"{"PARAMS":{"name":"write"}}"#,
        "{\"param\u{17f}\":{\"name\":\"write\"}}",
        r#"{"method":"tools/list","method":"tools/call"}"#,
        r#"{"method":"tools/list","Method":"tools/call"}"#,
        r#"{"params":[]}"#,
        r#"{"params":"x"}"#,
        r#"{"method":"tools/call"}"#,
        r#"{"method":"tools/call","params":{"name":1}}"#,
        r#"{"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
        r#"{"method":"tools/call","params":{"name":"a","name":"b"}}"#,
        r#"{"method":"tools/call","params":{"name":"a","_meta":1}}"#,
        r#"{"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2}}}"#,
        r#"{"method":"completion/complete","params":{"ref":{"name":"a"}}}"#,
        r#"{"method":"subscriptions/listen","params":{"notifications":{}}}"#,
        &format!("{{{}}}", many.join(",")),
        &format!("{{\"a\":{deep}}}"),
        &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_LENGTH)),
    ] {
        assert!(read(body).is_none(), "{body}");
    }
}

/// Pieces of messages, in any order: most are no JSON, some nearly, some wholly.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "\"method\":",
        "\"Method\":",
        "\"method\":\"tools/list\",\"method\":",
        "\"PARAMS\":{",
        "\"param\u{17f}\":{",
        "\"id\":",
        "\"params\":{",
        "\"name\":",
        "\"uri\":",
        "\"_meta\":{",
        "\"arguments\":",
        "\"tools/call\"",
        "\"resources/read\"",
        "\"Name\":",
        "\"a\":",
        "\"b\":",
        "1",
        "0",
        "-",
        ".",
        "e",
        "null",
        "true",
        "\"x\"",
        "\"\\u0061\"",
        "ä",
        "\u{0}",
        "\t",
        "\"io.modelcontextprotocol/protocolVersion\":",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// JSON of a message's shape.
fn messages() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "method",
        "id",
        "params",
        "jsonrpc",
        "name",
        "uri",
        "taskId",
        "_meta",
        "arguments",
        "ref",
        "result",
        "Name",
        "PARAMS",
        "param\u{17f}",
        "x",
        "io.modelcontextprotocol/protocolVersion",
    ]);
    let text = prop::sample::select(vec![
        "tools/call",
        "tools/list",
        "prompts/get",
        "resources/read",
        "tasks/get",
        "completion/complete",
        "2026-07-28",
        "",
        "ä",
    ]);
    let leaf = prop_oneof![
        3 => text.prop_map(|text| format!("\"{text}\"")),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => (0..20_u8).prop_map(|number| number.to_string()),
        1 => prop::sample::select(vec!["null", "true", "1.5", "-0", "1e2"]).prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            4 => prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    let name = prop_oneof![
        6 => prop::sample::select(vec!["method", "id", "params", "x"]),
        // Look alike: the last one is `params` with U+017F, whose upper case is S.
        1 => prop::sample::select(vec!["Method", "PARAMS", "param\u{17f}"]),
    ];
    // Names come more than once as well.
    prop::collection::vec((name, value), 0..5).prop_map(|members| {
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn both_readers_read_the_same(body in prop_oneof![pieces(), messages()]) {
        quick(&body);
    }
}

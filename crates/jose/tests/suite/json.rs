//! Strict JSON.

use doorward_jose::{
    JoseError,
    json::{MAX_DEPTH, from_slice, from_value, members, objects},
};
use serde::Deserialize;
use serde_json::{Value, json};

fn read(text: &str) -> Result<Value, JoseError> {
    from_slice(text.as_bytes())
}

#[test]
fn ordinary_json_reads_as_serde_json_reads_it() {
    for text in [
        "null",
        "true",
        "-1",
        "18446744073709551615",
        "1.5",
        "1e3",
        r#""a\u00e9\ud83d\ude00""#,
        "[]",
        "{}",
        r#" { "a" : [ 1 , { "b" : null } ] , "" : 0, "__proto__": {} } "#,
        r#"[{"a":1},{"a":2}]"#,
    ] {
        assert_eq!(read(text), Ok(serde_json::from_str(text).unwrap()), "{text}");
    }
}

#[test]
fn duplicates_are_found_at_every_depth_and_in_every_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"[[{"a":{"b":1,"b":1}}]]"#,
        r#"{"x":[0,{"a":[],"c":1,"a":[]}]}"#,
        r#"{"":1,"":2}"#,
        r#"{"\u0061":1,"a":1}"#,
        r#"{"b":1,"\u0061":1,"c":1,"a":1}"#,
        r#"{"\u0061":1,"b":1,"b":1}"#,
    ] {
        assert_eq!(read(text), Err(JoseError::DuplicateMember), "{text}");
        // As a member that is skipped, the same.
        let outer = format!(r#"{{"x":{text}}}"#);
        let outcome = members(outer.as_bytes(), |_, value| value.skip());
        assert_eq!(outcome, Err(JoseError::DuplicateMember), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(JoseError::TooDeep));
    let objects = format!(
        "{}1{}",
        r#"{"a":"#.repeat(MAX_DEPTH + 1),
        "}".repeat(MAX_DEPTH + 1)
    );
    assert_eq!(read(&objects), Err(JoseError::TooDeep));
    assert_eq!(read(&"[".repeat(60_000)), Err(JoseError::TooDeep));
}

#[test]
fn everything_else_is_malformed() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{a:1}",
        "'a'",
        "01",
        "1e400",
        "-",
        "NaN",
        "Infinity",
        "\u{feff}1",
        "1 1",
        "nul",
        r#""\ud800""#,
        r#"{"a\u0000":1}"#,
        r#"[{"\u0000":1}]"#,
    ] {
        assert_eq!(read(text), Err(JoseError::Malformed), "{text:?}");
        let outer = format!(r#"{{"x":{text}}}"#);
        let outcome = members(outer.as_bytes(), |_, value| value.skip());
        assert_eq!(outcome, Err(JoseError::Malformed), "{text:?}");
    }
    assert_eq!(from_slice::<Value>(b"\"\xff\""), Err(JoseError::Malformed));
    assert_eq!(from_slice::<Vec<u8>>(b"[256]"), Err(JoseError::Malformed));
    assert_eq!(from_slice::<Vec<u8>>(b"[255]"), Ok(vec![255]));
}

#[test]
fn a_skipped_member_may_be_anything_that_is_json() {
    let document = r#"{"a":1.5e300,"b":-1,"c":18446744073709551615,"d":[true,null,"x",{"e":0.0}]}"#;
    assert_eq!(members(document.as_bytes(), |_, value| value.skip()), Ok(()));
}

#[test]
fn many_members_do_not_make_reading_slow() {
    let object: serde_json::Map<String, Value> = (0..5000).map(|n| (n.to_string(), json!(n))).collect();
    let text = Value::Object(object).to_string();
    assert!(read(&text).is_ok());
    assert_eq!(members(text.as_bytes(), |_, value| value.skip()), Ok(()));
    for repeated in ["0", "30", "4999"] {
        let doubled = text.replacen('{', &format!("{{\"{repeated}\":0,"), 1);
        let outcome = members(doubled.as_bytes(), |_, value| value.skip());
        assert_eq!(outcome, Err(JoseError::DuplicateMember));
    }
}

#[test]
fn a_member_of_another_type_is_malformed() {
    for text in [
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"a":["b"]}"#,
        "[]",
        "1",
        r#""a""#,
    ] {
        let outcome = members(text.as_bytes(), |_, value| value.string().map(drop));
        assert_eq!(outcome, Err(JoseError::Malformed), "{text}");
    }
    let mut read = Vec::new();
    members(br#"{"a":"x","b":"\u0079"}"#, |name, value| {
        read.push((name.to_owned(), value.string()?));
        Ok(())
    })
    .unwrap();
    assert_eq!(read, [("a".to_owned(), "x".into()), ("b".to_owned(), "y".into())]);
}

#[derive(Debug, PartialEq, Deserialize)]
struct Plain {
    a: u8,
    b: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Flattened {
    #[serde(default, deserialize_with = "objects")]
    aside: Vec<Plain>,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Either {
    Nothing,
    Wrapped(Plain),
    Pair(u8, Plain),
    Members { plain: Plain },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(Plain);

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Whole {
    number: f64,
    letter: char,
    nothing: (),
    pair: (u8, Option<Box<Plain>>),
    list: Vec<Plain>,
    map: std::collections::BTreeMap<String, Plain>,
    any: Value,
    either: Option<Either>,
    wrapped: Option<Wrapped>,
    #[serde(flatten)]
    flattened: Flattened,
}

#[test]
fn a_struct_is_an_object_at_every_depth() {
    let plain = json!({"a": 1, "b": null, "unknown": [1]});
    let places = |plain: &Value| {
        [
            json!({"number": 1, "letter": "x", "nothing": null, "pair": [7, plain]}),
            json!({"list": [plain, plain], "any": [1, {"x": [plain]}]}),
            json!({"map": {"x": plain}}),
            json!({"either": "Nothing", "list": [plain]}),
            json!({"either": {"Wrapped": plain}}),
            json!({"either": {"Pair": [1, plain]}}),
            json!({"either": {"Members": {"plain": plain}}}),
            json!({"wrapped": plain}),
            json!({"aside": [plain]}),
        ]
    };
    for value in places(&plain) {
        let read: Whole = from_value(value.clone()).unwrap();
        assert_eq!(read, serde_json::from_value(value.clone()).unwrap(), "{value}");
        assert_eq!(from_slice(value.to_string().as_bytes()), Ok(read));
    }
    for value in places(&json!([1, null])) {
        assert_eq!(
            from_value::<Whole>(value.clone()),
            Err(JoseError::Malformed),
            "{value}"
        );
        let text = value.to_string();
        assert_eq!(
            from_slice::<Whole>(text.as_bytes()),
            Err(JoseError::Malformed),
            "{text}"
        );
    }
    let members = json!({"Members": [plain]}).to_string();
    assert!(serde_json::from_str::<Either>(&members).is_ok());
    let mut deserializer = serde_json::Deserializer::from_str(&members);
    assert!(objects::<Either, _>(&mut deserializer).is_err());
    let said = objects::<Plain, _>(json!([1, null])).unwrap_err().to_string();
    assert!(said.contains("expected an object"), "{said}");
}

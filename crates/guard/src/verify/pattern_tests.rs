use proptest::prelude::*;
use serde_json::{Map, Value, json};

use doorward_oauth::time::UnixSeconds;

use super::*;
use crate::raw_claims::RawClaims;

const DIALECTS: [Dialect; 2] = [Dialect::AccessToken, Dialect::AnyJwt];

fn usual() -> String {
    concat!(
        r#"{"iss":"https://as.example","sub":"alice","aud":"https://mcp.example/mcp","client_id":"c-1","#,
        r#""scope":"read write","jti":"t-1","gid":"g-1","iat":1000,"exp":2000,"auth_time":900,"amr":["pwd"],"#,
        r#""cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},"tenant":7,"flags":{"a":[1,true,null]}}"#
    )
    .to_owned()
}

/// Patterns that know these claims alone.
fn knowing(document: &str, dialect: Dialect) -> Patterns {
    let patterns = Patterns::new(dialect);
    patterns.remember(document.as_bytes());
    patterns
}

fn is_like(patterns: &Patterns, document: &str) -> bool {
    let read = patterns.read(document.as_bytes());
    read.is_ok_and(|(_, likeness)| likeness.is_some())
}

/// What the strict reader says, and that both say the same.
fn assert_same(patterns: &Patterns, document: &[u8], dialect: Dialect) {
    let strict = Payload::read(document, dialect).map(|payload| format!("{payload:?}"));
    let read = patterns.read(document).map(|(payload, _)| format!("{payload:?}"));
    assert_eq!(read, strict, "{}", String::from_utf8_lossy(document));
}

#[test]
fn what_differs_is_named_with_its_value() {
    let patterns = knowing(&usual(), Dialect::AccessToken);
    let other = usual()
        .replace("alice", "bjørn")
        .replace("\"t-1\"", "\"\"")
        .replace("2000", "2060")
        .replace(":7", ":\"x\"");
    let (payload, likeness) = patterns.read(other.as_bytes()).unwrap();
    let likeness = likeness.unwrap();
    assert_eq!(likeness.known_document(), usual());
    let changes: Vec<_> = likeness.changes(&other).collect();
    assert_eq!(
        changes,
        [(1, "\"bjørn\""), (5, "\"\""), (8, "2060"), (12, "\"x\"")]
    );
    assert_eq!(payload.subject.as_deref(), Some("bjørn"));
    assert_eq!(payload.expires_at, Some(UnixSeconds(2060)));
    let same = patterns.read(usual().as_bytes()).unwrap().1;
    assert_eq!(same.unwrap().changes(&usual()).count(), 0);
}

#[test]
fn a_member_more_or_less_or_elsewhere_is_another_form() {
    let patterns = knowing(&usual(), Dialect::AccessToken);
    for other in [
        usual().replace(r#""gid":"g-1","#, ""),
        usual().replace(r#""gid":"g-1","#, r#""gid":"g-1","sid":"s","#),
        usual().replace(r#""iat":1000,"exp":2000"#, r#""exp":2000,"iat":1000"#),
        usual().replace(r#""sub":"#, r#""sub" :"#),
        usual().replace("alice", r"\u0061lice"),
        usual().replace("2000", "2000.5"),
        usual().replace("2000", "-1"),
        usual().replace(":7", ":true"),
        usual().replace(r#"["pwd"]"#, r#"["otp"]"#),
    ] {
        assert!(!is_like(&patterns, &other), "{other}");
        assert_same(&patterns, other.as_bytes(), Dialect::AccessToken);
    }
}

/// Nothing that the strict reader refuses gets past it because it looks like something.
#[test]
fn what_is_refused_is_refused_however_like_it_is() {
    for dialect in DIALECTS {
        let patterns = knowing(&usual(), dialect);
        for other in [
            usual().replace("\"alice\"", "7"),
            usual().replace("\"c-1\"", "null"),
            usual().replace("2000", "\"2000\""),
            usual().replace("2000", "02000"),
            usual().replace("2000", "99999999999999999999"),
            usual().replace("1000", ""),
            usual().replace("read write", "read \u{7f}"),
            usual().replace("alice", "al\nice"),
            usual().replace("alice", "al\u{1f}ice"),
            usual().replace("alice", "al\"ice"),
            usual().replace("\"gid\"", "\"jti\""),
            usual().replace("\"tenant\"", "\"sub\""),
            usual() + " x",
            usual() + "}",
            usual().replace("null]}}", "null]}"),
        ] {
            let read = patterns.read(other.as_bytes());
            assert!(read.is_err(), "{other}");
        }
        let mut invalid = usual().into_bytes();
        let at = invalid.iter().position(|byte| *byte == b'a').unwrap();
        invalid[at] = 0xff;
        assert!(patterns.read(&invalid).is_err());
    }
}

#[test]
fn one_token_of_many_becomes_a_pattern() {
    let patterns = Patterns::new(Dialect::AccessToken);
    let form = |number: usize| json!({"iss": "x", format!("c{number}"): 1}).to_string();
    for number in 0..MISSES {
        patterns.remember(form(number).as_bytes());
    }
    assert!(is_like(&patterns, &form(0)));
    assert!((1..MISSES).all(|number| !is_like(&patterns, &form(number))));
    patterns.remember(form(MISSES).as_bytes());
    assert!(is_like(&patterns, &form(0)) && is_like(&patterns, &form(MISSES)));
    for number in MISSES..PLACES * MISSES {
        patterns.remember(form(number + 1).as_bytes());
    }
    assert!(
        !is_like(&patterns, &form(0)),
        "there are places for so many alone"
    );
}

#[test]
fn claims_of_an_unusual_form_are_no_pattern() {
    for document in [
        usual().replace(',', ", "),
        usual().replace("alice", r"\u0061lice"),
        json!({"iss": "x", "long": "x".repeat(70_000)}).to_string(),
        Value::Object(
            (0..=MAX_MEMBERS)
                .map(|number| (format!("c{number}"), json!(1)))
                .collect(),
        )
        .to_string(),
    ] {
        assert!(Pattern::of(&document, Dialect::AccessToken).is_none());
    }
    assert!(Pattern::of(&usual(), Dialect::AccessToken).is_some());
    assert!(
        Pattern::of("{}", Dialect::AnyJwt).is_none(),
        "there is nothing to compare"
    );
}

#[test]
fn too_many_differences_are_another_form() {
    let form = |value: i32| {
        let members = (0..=MAX_CHANGES).map(|number| (format!("c{number}"), json!(value)));
        Value::Object(members.collect()).to_string()
    };
    let patterns = knowing(&form(1), Dialect::AccessToken);
    assert!(is_like(&patterns, &form(1)) && !is_like(&patterns, &form(2)));
}

#[test]
fn debug_shows_nobodys_claims() {
    let patterns = knowing(&usual(), Dialect::AccessToken);
    let other = usual().replace("alice", "bob");
    let (_, likeness) = patterns.read(other.as_bytes()).unwrap();
    let raw = RawClaims::checked(other.clone().into_bytes(), likeness);
    let alike = raw.alike().unwrap();
    assert_eq!(alike.known_json(), usual());
    let shown = format!("{alike:?} {raw:?}");
    assert!(!shown.contains("alice") && !shown.contains("bob"), "{shown}");
}

/// Names that count and one that does not.
const NAMES: [&str; 16] = [
    "iss",
    "sub",
    "client_id",
    "azp",
    "aud",
    "scope",
    "scp",
    "jti",
    "gid",
    "exp",
    "iat",
    "nbf",
    "auth_time",
    "amr",
    "cnf",
    "x",
];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => "[a-c ]{0,3}".prop_map(Value::from),
        6 => (0..3_u64).prop_map(Value::from),
        2 => any::<u64>().prop_map(Value::from),
        // On both sides of 18 digits.
        1 => (999_999_999_999_999_998..1_000_000_000_000_000_002_u64).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => (-2..2_i64).prop_map(Value::from),
        1 => Just(json!(1.5)),
        1 => Just(Value::Null),
        1 => Just(json!(["a", "b"])),
        1 => Just(json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
    ]
}

fn claims() -> impl Strategy<Value = String> {
    let members = proptest::sample::subsequence(&NAMES[..], 1..8);
    members.prop_flat_map(|names| {
        proptest::collection::vec(value(), names.len()).prop_map(move |values| {
            let members = names.iter().zip(values);
            let members: Map<_, _> = members.map(|(name, value)| ((*name).to_owned(), value)).collect();
            Value::Object(members).to_string()
        })
    })
}

proptest! {
    #[test]
    fn both_readers_say_the_same(known in claims(), other in claims()) {
        for dialect in DIALECTS {
            let patterns = knowing(&known, dialect);
            assert_same(&patterns, known.as_bytes(), dialect);
            assert_same(&patterns, other.as_bytes(), dialect);
        }
    }

    #[test]
    fn both_readers_say_the_same_of_every_variation(at in 0..400_usize, letters in "[\\x00-\\x7f]{0,3}", cut in 0..4_usize) {
        let mut other = usual();
        let at = at.min(other.len());
        let end = (at + cut).min(other.len());
        other.replace_range(at..end, &letters);
        for dialect in DIALECTS {
            assert_same(&knowing(&usual(), dialect), other.as_bytes(), dialect);
        }
    }

    #[test]
    fn a_text_ends_where_it_ends(text in "[a-z\\\\\" \\x00-\\x1f\\x7fé]{0,20}", tail in "[a-z\",}]{0,10}") {
        let document = format!("\"{text}\"{tail}");
        let strict = serde_json::Deserializer::from_str(&document).into_iter::<Value>().next();
        let mut reader = Reader::of(&document);
        if let Some(read) = reader.string() {
            prop_assert_eq!(Some(json!(read)), strict.and_then(Result::ok));
        } else {
            let end = document[1..].find(['"', '\\']).map(|end| end + 1);
            let is_plain = end.is_some_and(|end| document.as_bytes()[end] == b'"' && !document[..end].bytes().any(|byte| byte < 0x20));
            prop_assert!(!is_plain);
        }
    }
}

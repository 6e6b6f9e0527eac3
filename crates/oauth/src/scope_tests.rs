use super::*;

fn set(value: &str) -> ScopeSet {
    ScopeSet::parse(value).unwrap()
}

#[test]
fn sets_keep_the_order_they_were_given_in() {
    assert_eq!(set("b a b").to_string(), "b a");
    assert_eq!(set("a b").union(&set("c a")).to_string(), "a b c");
    assert_eq!(set("c b a").intersection(&set("a b")).to_string(), "b a");
    assert_eq!(set("c b a").difference(&set("b")).to_string(), "c a");
}

#[test]
fn equality_ignores_the_order() {
    assert_eq!(set("a b"), set("b a"));
    assert_ne!(set("a b"), set("a"));
    assert_ne!(set("a"), set("b"));
}

#[test]
fn each_fault_has_its_name() {
    assert_eq!(Scope::parse(""), Err(ScopeError::Empty));
    assert_eq!(Scope::parse("a b"), Err(ScopeError::InvalidCharacter));
    assert_eq!(
        Scope::parse(&"a".repeat(MAX_TOKEN_LENGTH + 1)),
        Err(ScopeError::TooLong)
    );
    assert_eq!(
        ScopeSet::parse(&" ".repeat(MAX_LENGTH + 1)).unwrap_err(),
        ScopeError::TooLong
    );
    let many: Vec<_> = (0..=MAX_SCOPES).map(|index| index.to_string()).collect();
    assert_eq!(ScopeSet::parse(&many.join(" ")).unwrap_err(), ScopeError::TooMany);
    assert_eq!(set(&many[1..].join(" ")).len(), MAX_SCOPES);
}

#[test]
fn sets_are_strings_on_the_wire() {
    assert_eq!(serde_json::to_string(&set("a b")).unwrap(), "\"a b\"");
    assert_eq!(serde_json::from_str::<ScopeSet>("\"a b\"").unwrap(), set("a b"));
    assert!(serde_json::from_str::<ScopeSet>("[\"a\"]").is_err());
    assert!(serde_json::from_str::<ScopeSet>("\"\\u00e9\"").is_err());
    assert_eq!(
        serde_json::from_str::<Vec<Scope>>("[\"a\"]").unwrap(),
        [Scope::parse("a").unwrap()]
    );
}

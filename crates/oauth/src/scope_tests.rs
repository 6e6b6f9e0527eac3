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
fn a_set_that_outgrew_what_is_read_is_told_and_can_be_read_back() {
    let many: ScopeSet = (0..=MAX_SCOPES)
        .map(|index| Scope::parse(&index.to_string()).unwrap())
        .collect();
    assert_eq!(many.check_size(), Err(ScopeError::TooMany));
    assert_eq!(ScopeSet::from_stored(&many.to_string()), Ok(many));
    // 32 of 255 bytes and the spaces between them: one byte less than there may be.
    let name = |index| Scope::parse(&format!("{index:0>255}")).unwrap();
    let long: ScopeSet = (0..32).map(name).collect();
    assert_eq!(
        (long.to_string().len(), long.check_size()),
        (MAX_LENGTH - 1, Ok(()))
    );
    let longer = long.union(&set("ab"));
    assert_eq!(longer.check_size(), Err(ScopeError::TooLong));
    assert_eq!(ScopeSet::from_stored(&longer.to_string()), Ok(longer));
    assert_eq!(ScopeSet::from_stored(""), Ok(ScopeSet::new()));
    assert_eq!(ScopeSet::from_stored("a é"), Err(ScopeError::InvalidCharacter));
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

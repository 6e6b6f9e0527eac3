use super::*;

fn parse(text: &str) -> Parameters {
    Parameters::parse(text.as_bytes()).unwrap()
}

#[test]
fn names_and_values_are_decoded() {
    let parameters = parse("a=1&b=x+y%20z&caf%C3%A9=%F0%9F%98%80&d=%0d%0a&e=1=2&&f");
    let pairs: Vec<_> = parameters.iter().collect();
    assert_eq!(
        pairs,
        [
            ("a", "1"),
            ("b", "x y z"),
            ("caf\u{e9}", "\u{1f600}"),
            ("d", "\r\n"),
            ("e", "1=2"),
            ("f", "")
        ]
    );
    assert_eq!(parse(""), Parameters::default());
}

/// RFC 6749 §3.1: a parameter without a value counts as omitted.
#[test]
fn an_empty_value_is_absent() {
    let parameters = parse("scope=&state&code=x");
    assert_eq!(parameters.get("scope"), Ok(None));
    assert_eq!(parameters.get("state"), Ok(None));
    assert_eq!(parameters.get("missing"), Ok(None));
    assert_eq!(parameters.require("code").unwrap(), "x");
    let error = parameters.require("scope").unwrap_err();
    assert_eq!(
        (error.code, error.description.as_ref()),
        (
            ErrorCode::InvalidRequest,
            "The parameter scope is missing. Send it."
        )
    );
}

/// AUTHZ-009, PKCE-014
#[test]
fn a_repeated_parameter_is_an_error_even_with_the_same_value() {
    for text in [
        "code=x&code=x",
        "code=x&code=y",
        "code=&code=x",
        "c%6Fde=x&code=x",
        "code&code",
    ] {
        let parameters = parse(text);
        assert_eq!(
            parameters.get("code"),
            Err(Duplicate("code".to_owned())),
            "{text}"
        );
        assert_eq!(
            parameters.require("code").unwrap_err().code,
            ErrorCode::InvalidRequest
        );
        assert_eq!(parameters.duplicates().into_iter().collect::<Vec<_>>(), ["code"]);
    }
    assert!(parse("code=x&Code=y").duplicates().is_empty());
}

#[test]
fn what_repeats_is_found_among_few_and_among_many() {
    for number in [1, 2, 11, 12, 13, 50] {
        let names: Vec<String> = (0..number).map(|name| format!("n{name}")).collect();
        assert!(parse(&names.join("&")).duplicates().is_empty(), "{number}");
        for (first, last) in [(0, number - 1), (number / 2, 0)] {
            let again = [names.as_slice(), &[names[last].clone(), names[first].clone()]].concat();
            let repeated: BTreeSet<&str> = [&*names[first], &*names[last]].into();
            assert_eq!(parse(&again.join("&")).duplicates(), repeated, "{number}");
        }
    }
}

/// AUTHZ-010, RES-004: `resource` may repeat, and an empty one is not a missing one.
#[test]
fn resource_may_repeat() {
    let parameters = parse("resource=a&x=1&resource=&resource=b");
    assert_eq!(parameters.get_all("resource").collect::<Vec<_>>(), ["a", "", "b"]);
}

#[test]
fn malformed_input_is_refused() {
    for text in ["a=%", "a=%4", "a=%zz", "%=1", "a=%+1", "a=%-1"] {
        assert_eq!(
            Parameters::parse(text.as_bytes()),
            Err(ParametersError::BadPercentEncoding),
            "{text}"
        );
    }
    for text in ["a=%ff", "a=%C3", "%ED%A0%80=x", "a=%C0%80"] {
        assert_eq!(
            Parameters::parse(text.as_bytes()),
            Err(ParametersError::NotUtf8),
            "{text}"
        );
    }
    assert_eq!(Parameters::parse(b"a=\xff"), Err(ParametersError::NotUtf8));
}

/// Bytes are looked at many at a time.
#[test]
fn what_is_coded_is_found_wherever_it_stands() {
    for before in 0..80 {
        for after in 0..40 {
            let (start, end) = ("a".repeat(before), "z".repeat(after));
            let text = format!("{start}={start}+%2b{end}&&{end}%41={start}&x");
            let parameters = parse(&text);
            let expected = [
                (start.clone(), format!("{start} +{end}")),
                (format!("{end}A"), start.clone()),
                ("x".to_owned(), String::new()),
            ];
            let found: Vec<_> = parameters
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(found, expected, "{text}");
            for broken in ["%", "%4", "%4g"] {
                let text = format!("{start}={start}{end}{broken}");
                assert_eq!(
                    Parameters::parse(text.as_bytes()),
                    Err(ParametersError::BadPercentEncoding),
                    "{text}"
                );
            }
        }
    }
}

/// AUTHZ-017
#[test]
fn input_is_bounded() {
    assert!(Parameters::parse("a=1&".repeat(MAX_PARAMETERS).as_bytes()).is_ok());
    assert_eq!(
        Parameters::parse("a=1&".repeat(MAX_PARAMETERS + 1).as_bytes()),
        Err(ParametersError::TooMany)
    );
    assert!(Parameters::parse("a".repeat(MAX_LENGTH).as_bytes()).is_ok());
    assert_eq!(
        Parameters::parse("a".repeat(MAX_LENGTH + 1).as_bytes()),
        Err(ParametersError::TooLong)
    );
}

#[test]
fn debug_shows_no_values() {
    assert_eq!(
        format!("{:?}", parse("client_secret=hunter2&code=abc")),
        r#"{"client_secret", "code"}"#
    );
}

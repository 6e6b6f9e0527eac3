//! Properties that hold for every input: parsers never panic, and URIs keep one meaning.

use doorward_oauth::challenge::Challenge;
use doorward_oauth::claims::AccessTokenClaims;
use doorward_oauth::client::{
    ClientMetadata, EffectiveClient, RegistrationPolicy, consent_fingerprint, derived_client_id, effective,
};
use doorward_oauth::error::error_text;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::parameters::Parameters;
use doorward_oauth::pkce::CodeChallenge;
use doorward_oauth::redirect::{ApplicationType, RedirectUri, RedirectUriKind, SchemePolicy, location};
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::{Scope, ScopeSet};
use proptest::prelude::*;

/// A well-formed URI, and the same URI with something put into it at some place (perhaps nothing).
fn uri_and_mutant() -> impl Strategy<Value = (String, String)> {
    let valid = prop_oneof![
        "https://[a-z]{1,8}\\.example(:[1-9][0-9]{0,4})?(/[a-zA-Z0-9._~-]{0,6}){0,3}(\\?[a-z]=[a-z0-9]{0,3})?",
        "http://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:[1-9][0-9]{0,4})?(/[a-z]{0,6}){0,2}(\\?[a-z])?",
        "(cursor|com\\.example\\.app):/{1,2}[a-z]{1,8}(/[a-z]{0,4})?",
    ];
    let insert = prop_oneof![
        Just(String::new()),
        "[@:/?#\\\\%. \\[\\]\"\\x00\n\u{e9}\u{ff0e}0-9]{1,2}",
        Just("/../".to_owned()),
        Just("%2e%2e".to_owned()),
        Just("@evil.example".to_owned()),
        Just(":80@".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    (valid, insert, any::<prop::sample::Index>()).prop_map(|(uri, insert, at)| {
        let at = at.index(uri.len() + 1);
        let mutant = format!("{}{insert}{}", &uri[..at], &uri[at..]);
        (uri, mutant)
    })
}

fn uri_like() -> impl Strategy<Value = String> {
    uri_and_mutant().prop_map(|(_, mutant)| mutant)
}

fn register(text: &str) -> Option<RedirectUri> {
    RedirectUri::register(text, ApplicationType::Native, &SchemePolicy::default()).ok()
}

/// A second opinion: what a browser's parser makes of the text.
fn browser_host_and_scheme(text: &str) -> Option<(String, String)> {
    let url = url::Url::parse(text).ok()?;
    Some((
        url.scheme().to_owned(),
        url.host_str().unwrap_or_default().to_owned(),
    ))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsers_never_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Parameters::parse(&bytes);
        let _ = ScopeSet::parse(&text);
        let _ = Issuer::parse(&text);
        let _ = ResourceUri::parse(&text);
        let _ = RedirectUri::parse(&text);
        let _ = CodeChallenge::parse(&text, Some("S256"));
        let _ = Challenge::parse(&text);
        let _ = ClientMetadata::from_json(&bytes);
        let _ = serde_json::from_slice::<AccessTokenClaims>(&bytes);
    }

    #[test]
    fn near_uris_never_panic_and_stay_as_they_are((other, text) in uri_and_mutant()) {
        if let Ok(issuer) = Issuer::parse(&text) {
            prop_assert_eq!(issuer.as_str(), &text);
            prop_assert_eq!(format!("{}{}", issuer.origin(), issuer.path()), text.clone());
        }
        if let Ok(resource) = ResourceUri::parse(&text) {
            prop_assert!(resource.matches(&text));
            prop_assert!(resource.matches(resource.canonical()));
            let canonical = ResourceUri::parse(resource.canonical()).unwrap();
            prop_assert_eq!(canonical.canonical(), resource.canonical());
            if resource.matches(&other) {
                prop_assert_eq!(browser_host_and_scheme(&text), browser_host_and_scheme(&other));
            }
        }
        let _ = RedirectUri::parse(&text).map(|uri| uri.matches(&other));
    }

    /// REDIR-054: the accepted set is the registered bytes and, on loopback, its port variants.
    #[test]
    fn a_registered_uri_matches_itself_and_nothing_else((text, other) in uri_and_mutant(), port in 1_u16..) {
        let Some(registered) = register(&text) else { return Ok(()) };
        prop_assert_eq!(registered.as_str(), &text);
        if registered.kind() == RedirectUriKind::Loopback {
            prop_assert!(text.contains(":*") || registered.matches(&text));
            let host_end = text[7..].find([':', '/', '?']).filter(|_| !text.contains('[')).map(|end| end + 7);
            if let Some(host_end) = host_end.filter(|end| !text[*end..].starts_with(':')) {
                let variant = format!("{}:{port}{}", &text[..host_end], &text[host_end..]);
                prop_assert!(registered.matches(&variant));
            }
            if registered.matches(&other) {
                prop_assert_eq!(register(&other).map(|uri| uri.comparable()), Some(registered.comparable()));
                prop_assert_eq!(browser_host_and_scheme(&registered.comparable()), browser_host_and_scheme(&other));
            }
        } else {
            prop_assert!(registered.matches(&text));
            prop_assert_eq!(registered.matches(&other), text == other);
        }
    }

    /// What is registered is read by a browser as it is read here: same scheme, no surprise host.
    #[test]
    fn a_browser_sees_the_same_host(text in uri_like()) {
        let Some(registered) = register(&text) else { return Ok(()) };
        if registered.kind() == RedirectUriKind::PrivateUse { return Ok(()) }
        let (scheme, host) = browser_host_and_scheme(&registered.comparable()).unwrap();
        let expected = format!("{scheme}://{host}");
        prop_assert!(text.to_ascii_lowercase().starts_with(&expected), "{text} is {expected}");
        let shown = registered.host_for_display().to_ascii_lowercase();
        prop_assert!(shown.starts_with(&host), "{shown} is {host}");
    }

    #[test]
    fn scopes_survive_display_and_parse(text in "[a-z:/ ]{0,40}") {
        let scopes = ScopeSet::parse(&text).unwrap();
        let again = ScopeSet::parse(&scopes.to_string()).unwrap();
        prop_assert!(scopes.iter().eq(again.iter()));
        prop_assert_eq!(again.to_string(), scopes.to_string());
    }

    #[test]
    fn set_algebra_holds(left in "[a-d ]{0,9}", right in "[a-d ]{0,9}") {
        let (left, right) = (ScopeSet::parse(&left).unwrap(), ScopeSet::parse(&right).unwrap());
        let (both, union, only) = (left.intersection(&right), left.union(&right), left.difference(&right));
        prop_assert!(left.contains_all(&both) && right.contains_all(&both));
        prop_assert!(union.contains_all(&left) && union.contains_all(&right));
        prop_assert_eq!(both.union(&only), left);
        prop_assert!(only.intersection(&right).is_empty());
    }

    #[test]
    fn parameters_are_what_was_sent(pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..20)) {
        let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let parsed = Parameters::parse(encoded.as_bytes()).unwrap();
        // The pair of two empty strings is written as "=", which is a pair too.
        let read: Vec<_> = parsed.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        prop_assert_eq!(read, pairs);
    }

    #[test]
    fn what_goes_into_a_location_comes_out(state in any::<String>(), code in "[a-zA-Z0-9_-]{1,40}") {
        let url = url::Url::parse(&location("https://c.example/cb?t=1", &[("code", &code), ("state", &state)])).unwrap();
        let read: Vec<_> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(read, [("t".to_owned(), "1".to_owned()), ("code".to_owned(), code), ("state".to_owned(), state)]);
    }

    #[test]
    fn a_challenge_survives_the_header(description in any::<String>(), url in "[ -~]{0,40}", scope in "[!#-\\[\\]-~]{1,20}") {
        let scopes = ScopeSet::from_iter([Scope::parse(&scope).unwrap()]);
        let sent = Challenge::bearer().description(&description).resource_metadata(&url).scope(&scopes);
        let header = sent.to_header_value();
        prop_assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let read = Challenge::parse(&format!("{header}, DPoP algs=\"ES256\""));
        prop_assert_eq!(read.len(), 2);
        prop_assert_eq!(read[0].get("error_description"), Some(&*error_text(&description)));
        prop_assert_eq!(read[0].get("resource_metadata"), Some(url.as_str()));
        prop_assert_eq!(read[0].get("scope"), Some(scope.as_str()));
    }

    #[test]
    fn any_document_gives_a_client_or_an_error(name in any::<String>(), uris in proptest::collection::vec(uri_like(), 0..5), scope in any::<String>()) {
        let document = serde_json::json!({"client_name": name, "redirect_uris": uris, "scope": scope, "token_endpoint_auth_method": "none"});
        let metadata = ClientMetadata::from_json(document.to_string().as_bytes()).unwrap();
        match effective(&metadata, &RegistrationPolicy::dynamic()) {
            Ok(client) => {
                let stored: EffectiveClient = serde_json::from_value(serde_json::to_value(&client).unwrap()).unwrap();
                prop_assert_eq!(derived_client_id(&stored), derived_client_id(&client));
                prop_assert_eq!(consent_fingerprint(&stored), consent_fingerprint(&client));
                prop_assert_eq!(stored, client);
            }
            Err(error) => prop_assert_eq!(error.safe_description(), &*error.description),
        }
    }
}

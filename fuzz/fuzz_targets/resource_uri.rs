//! Two texts, registered and requested (a line each), as resource and issuer identifiers and as the `htu` of a proof.
#![no_main]

use doorward_oauth::dpop::TargetUri;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::resource::{ResourceRules, ResourceUri};
use libfuzzer_sys::fuzz_target;
use url::Url;

/// The normal form of a target URI is its own, and lies where the URI does.
fn target(text: &str) {
    let Ok(target) = TargetUri::parse(text) else {
        return;
    };
    assert_eq!(TargetUri::parse(target.as_str()).as_ref(), Ok(&target));
    assert!(target.is(text) && target.is(target.as_str()));
    let standard = Url::parse(text).expect("the URL standard reads it, too");
    let normal = Url::parse(target.as_str()).expect("the URL standard reads it, too");
    assert_eq!(normal.origin(), standard.origin());
    assert_eq!(normal.query(), None);
}

fuzz_target!(|text: &str| {
    let (registered, requested) = text.split_once('\n').unwrap_or((text, text));
    // Whether an internationalised name is well-formed needs tables that the server does without; it is not resolved then.
    if registered.to_ascii_lowercase().contains("xn--") {
        return;
    }
    target(registered);
    if let Ok(issuer) = Issuer::parse(registered) {
        assert_eq!(format!("{}{}", issuer.origin(), issuer.path()), registered);
        let standard = Url::parse(registered).expect("the URL standard reads it, too");
        assert_eq!(standard.scheme() == "https", issuer.is_https());
        for url in issuer.authorization_server_metadata_urls() {
            assert_eq!(Url::parse(&url).expect("a URL").origin(), standard.origin());
        }
    }
    let rules = ResourceRules {
        http_anywhere: true,
        query: false,
    };
    let Ok(resource) = ResourceUri::parse_with(registered, rules) else {
        return;
    };
    assert!(resource.matches(registered) && resource.matches(resource.canonical()));
    let origin = Url::parse(registered)
        .expect("the URL standard reads it, too")
        .origin();
    let metadata = Url::parse(&resource.metadata_url()).expect("a URL");
    assert_eq!(metadata.origin(), origin);
    if resource.matches(requested) {
        let requested = Url::parse(requested).expect("the URL standard reads it, too");
        assert_eq!(requested.origin(), origin);
        assert_eq!(
            requested.path().trim_start_matches('/'),
            resource.path().trim_start_matches('/')
        );
    }
});

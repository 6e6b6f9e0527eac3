//! Two texts, registered and requested (a line each), as resource and issuer identifiers.
#![no_main]

use doorward_oauth::issuer::Issuer;
use doorward_oauth::resource::ResourceUri;
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|text: &str| {
    let (registered, requested) = text.split_once('\n').unwrap_or((text, text));
    // Whether an internationalised name is well-formed needs tables that the server does without; it is not resolved then.
    if registered.to_ascii_lowercase().contains("xn--") {
        return;
    }
    if let Ok(issuer) = Issuer::parse(registered) {
        assert_eq!(format!("{}{}", issuer.origin(), issuer.path()), registered);
        let standard = Url::parse(registered).expect("the URL standard reads it, too");
        assert_eq!(standard.scheme() == "https", issuer.is_https());
        for url in issuer.authorization_server_metadata_urls() {
            assert_eq!(Url::parse(&url).expect("a URL").origin(), standard.origin());
        }
    }
    let Ok(resource) = ResourceUri::parse_allowing_http(registered) else {
        return;
    };
    assert!(resource.matches(registered) && resource.matches(resource.canonical()));
    let origin = Url::parse(registered)
        .expect("the URL standard reads it, too")
        .origin();
    for url in [resource.metadata_url(), resource.root_metadata_url()] {
        assert_eq!(Url::parse(&url).expect("a URL").origin(), origin);
    }
    if resource.matches(requested) {
        let requested = Url::parse(requested).expect("the URL standard reads it, too");
        assert_eq!(requested.origin(), origin);
        assert_eq!(
            requested.path().trim_start_matches('/'),
            resource.path().trim_start_matches('/')
        );
    }
});

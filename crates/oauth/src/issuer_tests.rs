use super::*;

#[test]
fn an_issuer_is_kept_byte_for_byte() {
    for text in [
        "https://as.example",
        "https://as.example:8443",
        "https://as.example/tenant1",
        "https://as.example/a/b_c-d~e",
        "http://localhost:9000",
        "http://127.0.0.1:8000",
        "http://127.0.0.2",
        "http://[::1]:9000/t",
        "https://192.0.2.1",
    ] {
        let issuer = Issuer::parse(text).unwrap();
        assert_eq!(issuer.as_str(), text);
        assert_eq!(format!("{}{}", issuer.origin(), issuer.path()), text);
        assert_eq!(serde_json::to_value(&issuer).unwrap(), text);
    }
}

/// META-013
#[test]
fn what_cannot_be_an_issuer_is_refused_with_its_reason() {
    let refused = [
        ("https://h?x=1", IssuerError::QueryOrFragment),
        ("https://h/#f", IssuerError::QueryOrFragment),
        ("https://h?", IssuerError::QueryOrFragment),
        ("http://public.example", IssuerError::NotHttps),
        ("http://localhost.evil.example", IssuerError::NotHttps),
        ("http://0.0.0.0", IssuerError::NotHttps),
        ("ftp://h", IssuerError::NotHttps),
        ("https:h", IssuerError::NotHttps),
        ("https://user:pw@h", IssuerError::Userinfo),
        ("https://@h", IssuerError::Userinfo),
        ("h.example", IssuerError::Uri(UriError::NotAbsolute)),
        ("", IssuerError::Uri(UriError::NotAbsolute)),
        ("https://", IssuerError::Uri(UriError::InvalidHost)),
        ("https:///t", IssuerError::Uri(UriError::InvalidHost)),
        ("https://h/", IssuerError::TrailingSlash),
        ("https://h/t/", IssuerError::TrailingSlash),
        ("https://h//t", IssuerError::Path),
        ("https://h/a/../b", IssuerError::Path),
        ("https://h/.", IssuerError::Path),
        ("https://h/%74", IssuerError::Path),
        ("https://h/%2e%2e/x", IssuerError::Path),
        ("https://H", IssuerError::NotCanonical),
        ("HTTPS://h", IssuerError::NotCanonical),
        ("https://h:443", IssuerError::NotCanonical),
        ("http://localhost:80", IssuerError::NotCanonical),
        ("https://h ", IssuerError::Uri(UriError::InvalidCharacter)),
    ];
    for (text, reason) in refused {
        assert_eq!(Issuer::parse(text), Err(reason), "{text}");
    }
}

#[test]
fn metadata_urls_come_in_the_order_clients_try_them() {
    let root = Issuer::parse("https://as.example").unwrap();
    assert_eq!(
        root.authorization_server_metadata_urls(),
        [
            "https://as.example/.well-known/oauth-authorization-server",
            "https://as.example/.well-known/openid-configuration"
        ]
    );
    let tenant = Issuer::parse("https://as.example/t").unwrap();
    assert_eq!(
        tenant.authorization_server_metadata_urls(),
        [
            "https://as.example/.well-known/oauth-authorization-server/t",
            "https://as.example/.well-known/openid-configuration/t",
            "https://as.example/t/.well-known/openid-configuration"
        ]
    );
    assert_eq!(tenant.well_known_path("jwks.json"), "/.well-known/jwks.json/t");
}

#[test]
fn servers_of_others_may_end_with_a_slash_and_keep_it() {
    let rules = IssuerRules {
        trailing_slash: true,
        ..IssuerRules::default()
    };
    let issuer = Issuer::parse_with("https://tenant.example/", rules).unwrap();
    assert_eq!(issuer.as_str(), "https://tenant.example/");
    assert_eq!(
        issuer.authorization_server_metadata_urls(),
        [
            "https://tenant.example/.well-known/oauth-authorization-server",
            "https://tenant.example/.well-known/openid-configuration"
        ]
    );
    let issuer = Issuer::parse_with("https://as.example/t/", rules).unwrap();
    assert_eq!(
        issuer.authorization_server_metadata_urls(),
        [
            "https://as.example/.well-known/oauth-authorization-server/t",
            "https://as.example/.well-known/openid-configuration/t",
            "https://as.example/t/.well-known/openid-configuration"
        ]
    );
    for (text, reason) in [
        ("https://h//", IssuerError::Path),
        ("https://h/t//", IssuerError::Path),
        ("https://h/../", IssuerError::Path),
        ("http://h/", IssuerError::NotHttps),
        ("https://h/?x", IssuerError::QueryOrFragment),
    ] {
        assert_eq!(Issuer::parse_with(text, rules), Err(reason), "{text}");
    }
}

#[test]
fn http_off_loopback_is_for_development_and_must_be_asked_for() {
    let rules = IssuerRules {
        http_anywhere: true,
        ..IssuerRules::default()
    };
    let issuer = Issuer::parse_with("http://authserver:9000", rules).unwrap();
    assert!(!issuer.is_loopback());
    assert_eq!(
        Issuer::parse("http://authserver:9000"),
        Err(IssuerError::NotHttps)
    );
    assert_eq!(
        Issuer::parse_with("ftp://authserver", rules),
        Err(IssuerError::NotHttps)
    );
}

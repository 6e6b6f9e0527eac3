use super::*;

fn check(url: &str) -> Result<(), FetchError> {
    Target::parse(url, &FetchPolicy::default()).map(drop)
}

fn in_development(url: &str) -> Result<(), FetchError> {
    Target::parse(
        url,
        &FetchPolicy {
            allow_loopback_http: true,
            ..FetchPolicy::default()
        },
    )
    .map(drop)
}

#[test]
fn public_https_urls_pass() {
    for url in [
        "https://app.example/c.json",
        "https://app.example:8443/c",
        "https://1.1.1.1/c",
        "https://[2606:4700::1111]/c",
    ] {
        assert_eq!(check(url), Ok(()), "{url}");
    }
}

#[test]
fn what_is_not_a_plain_https_url_is_refused() {
    let long = format!("https://app.example/{}", "a".repeat(2048));
    for url in [
        "http://app.example/c",
        "ftp://app.example/c",
        "file:///etc/passwd",
        "https://u@app.example/c",
        "https://u:p@app.example/c",
        "https://app.example/c#f",
        "app.example/c",
        "https://",
        "data:application/json,{}",
        "https://app.example:99999/",
        long.as_str(),
    ] {
        assert!(matches!(check(url), Err(FetchError::InvalidUrl(_))), "{url}");
    }
}

#[test]
fn every_spelling_of_a_private_address_is_refused() {
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "①②⑦.⓪.⓪.①",
        "0",
        "10.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[fd12::1]",
        "[fe80::1]",
        "[ff02::1]",
    ] {
        assert!(
            matches!(
                check(&format!("https://{host}/c.json")),
                Err(FetchError::Blocked(_))
            ),
            "{host}"
        );
    }
}

#[test]
fn names_that_are_never_public_are_refused() {
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "foo.localhost",
        "printer.local",
        "db.internal",
        "metadata.google.internal",
        "intranet",
        "nas.home.arpa",
        "host.localdomain",
        "wiki.intranet",
        "router.lan",
        "nas.home",
        "mail.corp",
        "app.example.",
    ] {
        assert!(
            matches!(
                check(&format!("https://{host}/c.json")),
                Err(FetchError::Blocked(_))
            ),
            "{host}"
        );
    }
    assert_eq!(check("https://notlocal.example/c"), Ok(()));
    assert_eq!(
        check("https://mylocal/c"),
        Err(FetchError::Blocked("mylocal".into()))
    );
    assert_eq!(check("https://xn--lclhost-0za.example/c"), Ok(()));
}

#[test]
fn ports_of_other_protocols_are_refused() {
    for port in [0, 22, 25, 80, 444, 1023, 3306, 5432, 6379, 6667, 11211, 27017] {
        assert!(check(&format!("https://app.example:{port}/c")).is_err(), "{port}");
    }
    for port in BLOCKED_PORTS {
        assert!(check(&format!("https://app.example:{port}/c")).is_err(), "{port}");
    }
    // Databases, caches and orchestration that answer whoever comes.
    for port in [
        1433, 2375, 2376, 2379, 2380, 5984, 6443, 8500, 9042, 9092, 9200, 9300, 10250, 27018,
    ] {
        assert!(BLOCKED_PORTS.contains(&port), "{port}");
    }
    for port in [443, 1024, 3000, 8080, 8443, 9000, 65535] {
        assert_eq!(check(&format!("https://app.example:{port}/c")), Ok(()), "{port}");
    }
}

#[test]
fn loopback_passes_in_development_only() {
    for url in [
        "http://localhost:9000/c",
        "http://127.0.0.1:9000/c",
        "http://[::1]:9000/c",
        "http://localhost/c",
        "https://127.0.0.1/c",
    ] {
        assert_eq!(in_development(url), Ok(()), "{url}");
        assert!(check(url).is_err(), "{url}");
    }
    for url in [
        "http://10.0.0.1:9000/c",
        "http://app.example/c",
        "http://foo.localhost:9000/c",
        "http://localhost:6379/",
        "http://localhost:22/",
    ] {
        assert!(in_development(url).is_err(), "{url}");
    }
}

#[test]
fn a_private_exception_holds_for_its_exact_host_and_port() {
    let allowed_hosts = vec![
        "idp.corp:8443".parse().unwrap(),
        "10.0.0.5".parse().unwrap(),
        "IDP.example:22".parse().unwrap(),
    ];
    let policy = FetchPolicy {
        allowed_hosts,
        ..FetchPolicy::default()
    };
    let check = |url: &str| Target::parse(url, &policy).is_ok();
    assert!(
        check("https://idp.corp:8443/k") && check("https://10.0.0.5/k") && check("https://idp.example:22/k")
    );
    assert!(!check("http://idp.corp:8443/k"));
    assert!(!check("https://idp.corp/k"));
    assert!(!check("https://a.idp.corp:8443/k"));
    assert!(!check("https://10.0.0.5:8443/k"));
    assert!(!check("https://10.0.0.6/k"));
    assert!(address_is_allowed(
        "idp.corp",
        "10.1.1.1".parse().unwrap(),
        &policy
    ));
    assert!(!address_is_allowed(
        "other.corp",
        "10.1.1.1".parse().unwrap(),
        &policy
    ));
}

#[test]
fn an_exception_is_written_as_host_or_host_and_port() {
    for text in [
        "",
        "https://idp.corp",
        "idp.corp/path",
        "u@idp.corp",
        "*.corp",
        "idp.corp:x",
        "a b",
    ] {
        assert!(text.parse::<crate::AllowedHost>().is_err(), "{text}");
    }
    assert!("[fd00::1]:8443".parse::<crate::AllowedHost>().is_ok());
}

#[test]
fn a_public_name_that_points_to_loopback_is_refused_in_development_too() {
    let policy = FetchPolicy {
        allow_loopback_http: true,
        ..FetchPolicy::default()
    };
    let loopback = "127.0.0.1".parse().unwrap();
    assert!(address_is_allowed("localhost", loopback, &policy));
    assert!(address_is_allowed("127.0.0.1", loopback, &policy));
    assert!(address_is_allowed("[::1]", "::1".parse().unwrap(), &policy));
    assert!(!address_is_allowed("rebind.example", loopback, &policy));
    assert!(!address_is_allowed(
        "localhost",
        loopback,
        &FetchPolicy::default()
    ));
}

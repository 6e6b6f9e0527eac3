use super::*;

fn parse(url: &str) -> Location {
    Location::parse(url, &PostgresOptions::default()).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn refusal(url: &str) -> String {
    match Location::parse(url, &PostgresOptions::default()) {
        Err(StoreError::Unusable(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{url} was not refused"),
    }
}

#[test]
fn only_a_network_needs_tls_by_default() {
    for (url, mode) in [
        ("postgres://ada@localhost/doorward", SslMode::Disable),
        ("postgres://ada@127.0.0.1:5433/doorward", SslMode::Disable),
        ("postgres://ada@[::1]/doorward", SslMode::Disable),
        ("postgres://ada@%2Frun%2Fpostgresql/doorward", SslMode::Disable),
        ("postgres://ada@db.example/doorward", SslMode::Require),
        ("postgres://ada@localhost,db.example/doorward", SslMode::Require),
        (
            "postgres://ada@db.example/doorward?sslmode=disable",
            SslMode::Disable,
        ),
        (
            "postgres://ada@localhost/doorward?sslmode=verify-full",
            SslMode::Require,
        ),
    ] {
        assert_eq!(parse(url).config.get_ssl_mode(), mode, "{url}");
    }
}

#[test]
fn the_operators_own_options_come_last() {
    let location =
        parse("postgres://ada@localhost/x?options=-c%20statement_timeout%3D7&application_name=node-1");
    let options = location.config.get_options().unwrap();
    assert!(options.starts_with("-c statement_timeout=10000 "));
    assert!(options.ends_with(" -c statement_timeout=7"));
    assert_eq!(location.config.get_application_name(), Some("node-1"));
}

#[test]
fn a_wrong_url_is_refused_without_its_password() {
    for url in [
        "mysql://ada:geheim@localhost/x",
        "postgres://ada:geheim@localhost/x?sslmode=sometimes",
        "postgres://ada:geheim@localhost/x?sslmode=allow",
        "postgres://ada:geheim@db.example/x?sslmode=prefer",
        "postgres://ada:geheim@localhost:port/x",
        "postgres://ada:geheim@localhost/x?unknown=1",
        "postgres://ada:geheim@localhost/x?sslrootcert=%zz",
        "postgres://ada:geheim@localhost/x?sslmode=require&sslrootcert=/nowhere/ca.pem",
        "postgres://localhost/x",
    ] {
        let why = refusal(url);
        assert!(!why.contains("geheim"), "{why}");
    }
}

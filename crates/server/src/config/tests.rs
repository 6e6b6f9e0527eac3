use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::ExposeSecret as _;

use super::*;

const STRONG: &str = "q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5t";

pub(super) fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let result = match file {
        None => Settings::load(None, environment),
        Some(text) => {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let result = Settings::load(Some(file.path()), environment);
            return result.map_err(|error| {
                error
                    .to_string()
                    .replace(&file.path().display().to_string(), "FILE")
            });
        }
    };
    result.map_err(|error| error.to_string())
}

pub(super) fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
    load(Some(file), environment).expect_err("should be refused")
}

/// Another value for every key: as TOML, as text in the environment, as shown.
#[expect(clippy::too_many_lines, reason = "every key once")]
fn other_values() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        (
            "server.issuer",
            r#""http://127.0.0.1:9000""#,
            "http://127.0.0.1:9000",
        ),
        ("server.address", r#""127.0.0.1:9100""#, "127.0.0.1:9100"),
        (
            "server.trusted_proxies",
            r#"["10.0.0.0/8", "127.0.0.1/32"]"#,
            "10.0.0.0/8, 127.0.0.1/32",
        ),
        ("server.idle_timeout", r#""10m""#, "10m"),
        ("server.hsts", "false", "false"),
        ("server.shutdown_delay", r#""5s""#, "5s"),
        ("admin.address", r#""127.0.0.1:9101""#, "127.0.0.1:9101"),
        (
            "admin.bootstrap_key",
            r#""q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5t""#,
            STRONG,
        ),
        (
            "admin.bootstrap_key_file",
            r#""BOOTSTRAP_FILE""#,
            "BOOTSTRAP_FILE",
        ),
        ("storage.url", r#""sqlite://other.db""#, "sqlite://other.db"),
        ("storage.connections", "30", "30"),
        ("storage.connection_wait", r#""2s""#, "2s"),
        ("storage.connect_timeout", r#""3s""#, "3s"),
        ("storage.statement_timeout", r#""5s""#, "5s"),
        ("storage.transaction_pooler", "true", "true"),
        ("storage.retention", r#""60d""#, "60d"),
        ("keys.algorithm", r#""EdDSA""#, "EdDSA"),
        ("keys.rotation", r#""off""#, "off"),
        ("keys.publish_ahead", r#""30m""#, "30m"),
        (
            "keys.master_key",
            r#""q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5t""#,
            STRONG,
        ),
        ("keys.master_key_file", r#""other.key""#, "other.key"),
        (
            "keys.other_master_key",
            r#""q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5t""#,
            STRONG,
        ),
        ("keys.other_master_key_file", r#""other.key""#, "other.key"),
        ("tokens.access_ttl", r#""10m""#, "10m"),
        ("tokens.refresh_idle_ttl", r#""7d""#, "7d"),
        ("tokens.refresh_absolute_ttl", r#""60d""#, "60d"),
        ("tokens.refresh_retry_window", r#""30s""#, "30s"),
        ("tokens.code_ttl", r#""2m""#, "2m"),
        ("tokens.scope_memory", "false", "false"),
        ("registration.cimd", "false", "false"),
        ("registration.dcr", r#""admin_only""#, "admin_only"),
        ("registration.redirect_schemes", r#"["cursor"]"#, "cursor"),
        (
            "registration.approved_redirects",
            r#"["https://a.example/cb"]"#,
            "https://a.example/cb",
        ),
        ("par.enabled", "false", "false"),
        ("par.required", "true", "true"),
        ("par.request_ttl", r#""2m""#, "2m"),
        ("device.enabled", "false", "false"),
        ("device.code_ttl", r#""5m""#, "5m"),
        ("device.interval", r#""10s""#, "10s"),
        ("client_authentication.max_assertion_lifetime", r#""1h""#, "1h"),
        ("client_credentials.enabled", "false", "false"),
        ("token_exchange.enabled", "false", "false"),
        ("token_exchange.max_depth", "3", "3"),
        ("token_exchange.id_jag", "false", "false"),
        ("jwt_bearer.enabled", "false", "false"),
        ("dpop.enabled", "false", "false"),
        ("dpop.algorithms", r#"["ES256", "EdDSA"]"#, "ES256, EdDSA"),
        ("dpop.proof_lifetime", r#""2m""#, "2m"),
        ("dpop.require_nonce", "true", "true"),
        ("login.free_attempts", "3", "3"),
        ("login.first_wait", r#""5s""#, "5s"),
        ("login.longest_wait", r#""5m""#, "5m"),
        ("login.forget_after", r#""2h""#, "2h"),
        ("session.idle_ttl", r#""1h""#, "1h"),
        ("session.absolute_ttl", r#""1d""#, "1d"),
        ("rate_limit.token_address", r#""5/1m""#, "5/1m"),
        ("rate_limit.token_client", r#""5/1m""#, "5/1m"),
        ("rate_limit.self_registered", r#""5/1m""#, "5/1m"),
        ("rate_limit.token_account", r#""5/1m""#, "5/1m"),
        ("rate_limit.registration", r#""5/1m""#, "5/1m"),
        ("rate_limit.cimd", r#""5/1m""#, "5/1m"),
        ("rate_limit.par", r#""5/1m""#, "5/1m"),
        ("rate_limit.device_address", r#""5/1m""#, "5/1m"),
        ("rate_limit.device_total", r#""off""#, "off"),
        (
            "cors.allowed_origins",
            r#"["https://app.example"]"#,
            "https://app.example",
        ),
        ("events.max_connections", "7", "7"),
        ("events.connection_ttl", r#""10m""#, "10m"),
        ("audit.retention", r#""30d""#, "30d"),
        ("observability.log_format", r#""json""#, "json"),
        ("observability.log_level", r#""debug""#, "debug"),
    ]
}

fn in_force(settings: &Settings, path: &str) -> (String, Origin) {
    let all = settings.in_force();
    let (_, value, origin) = all.into_iter().find(|(key, ..)| key == path).unwrap();
    (value, origin)
}

#[test]
fn every_key_is_set_by_the_file_and_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("bootstrap");
    fs::write(&secret_file, format!("{STRONG}\n")).unwrap();
    fs::set_permissions(&secret_file, fs::Permissions::from_mode(0o600)).unwrap();
    let fill = |text: &str| text.replace("BOOTSTRAP_FILE", &secret_file.display().to_string());
    let registry = Settings::registry();
    let others = other_values();
    assert_eq!(
        registry.iter().map(Key::path).collect::<Vec<_>>(),
        others
            .iter()
            .map(|(path, ..)| (*path).to_owned())
            .collect::<Vec<_>>(),
        "every key of the registry is tried here"
    );
    for (key, (path, toml, text)) in registry.iter().zip(&others) {
        // What one setting says nothing without.
        let beside = (*path == "registration.approved_redirects").then_some("approved_redirects");
        let line = beside.map_or_else(String::new, |dcr| format!("dcr = \"{dcr}\"\n"));
        let by_file = load(
            Some(&format!(
                "[{}]\n{line}{} = {}\n",
                key.section,
                key.name,
                fill(toml)
            )),
            &[],
        )
        .unwrap();
        let (name, value) = (key.environment_name(), fill(text));
        let mut variables = vec![(&*name, &*value)];
        variables.extend(beside.map(|dcr| ("DOORWARD_REGISTRATION_DCR", dcr)));
        let by_environment = load(None, &variables).unwrap();
        let before = in_force(&Settings::default(), path);
        assert_eq!(before.1, Origin::Default);
        for (settings, origin) in [(by_file, Origin::File), (by_environment, Origin::Environment)] {
            let after = in_force(&settings, path);
            assert_ne!(after.0, before.0, "{path} has no effect");
            assert_eq!(after.1, origin, "{path}");
            let changed = settings.changed(&Settings::default());
            assert!(changed.iter().any(|key| key == path), "{path}: {changed:?}");
            let shown = if key.secret {
                "\"(set, not shown)\"".to_owned()
            } else {
                fill(toml)
            };
            assert_eq!(after.0, shown);
        }
    }
}

#[test]
fn the_registry_states_the_defaults_in_force() {
    let settings = Settings::default();
    for key in Settings::registry() {
        let (value, _) = in_force(&settings, &key.path());
        let default = if key.default.is_empty() {
            "(none)"
        } else {
            &key.default
        };
        assert_eq!(value, default, "{}", key.path());
        assert!(
            key.doc.ends_with('.'),
            "{} is documented by a sentence",
            key.path()
        );
        assert!(
            !key.secret || key.default.is_empty(),
            "{}: a secret has no default",
            key.path()
        );
    }
    assert_eq!(
        load(None, &[]).unwrap().in_force(),
        settings.in_force(),
        "the defaults are accepted"
    );
    assert_eq!(settings.changed(&Settings::default()), Vec::<String>::new());
}

/// What is shown of two secrets is the same.
#[test]
fn another_secret_is_a_change() {
    let with = |secret: &str| {
        let url = format!("postgres://ada:{secret}@db.example/doorward");
        let variables = [
            ("DOORWARD_STORAGE_URL", &*url),
            ("DOORWARD_ADMIN_BOOTSTRAP_KEY", secret),
            ("DOORWARD_KEYS_MASTER_KEY", secret),
        ];
        load(None, &variables).unwrap()
    };
    let (one, other) = (with(STRONG), with(&STRONG.to_ascii_uppercase()));
    assert_eq!(one.in_force(), other.in_force());
    let changed = ["admin.bootstrap_key", "storage.url", "keys.master_key"];
    assert_eq!(one.changed(&other), changed);
    assert_eq!(one.changed(&one.clone()), Vec::<String>::new());
}

#[test]
fn the_environment_wins_over_the_file() {
    let settings = load(
        Some("[tokens]\naccess_ttl = \"10m\"\n"),
        &[("DOORWARD_TOKENS_ACCESS_TTL", "90s")],
    )
    .unwrap();
    assert_eq!(settings.tokens.access_ttl, Span::seconds(90));
    assert_eq!(settings.origin("tokens", "access_ttl"), Origin::Environment);
}

#[test]
fn a_secret_is_read_from_its_file_and_never_shown() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{STRONG}").unwrap();
    let path = file.path().display().to_string();
    let settings = load(None, &[("DOORWARD_ADMIN_BOOTSTRAP_KEY_FILE", &path)]).unwrap();
    assert_eq!(
        settings.admin.bootstrap_key.as_ref().unwrap().expose_secret(),
        STRONG
    );
    assert!(!format!("{settings:?}{:?}", settings.in_force()).contains(STRONG));

    let both = [
        ("DOORWARD_ADMIN_BOOTSTRAP_KEY_FILE", path.as_str()),
        ("DOORWARD_ADMIN_BOOTSTRAP_KEY", STRONG),
    ];
    assert!(load(None, &both).unwrap_err().contains("not both"));
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o640))
        .unwrap();
    let open = load(None, &[("DOORWARD_ADMIN_BOOTSTRAP_KEY_FILE", &path)]).unwrap_err();
    let expected = format!(
        "admin.bootstrap_key_file: {path} can be read by others; run `chmod 600 {path}` (0440 where a container is handed it)"
    );
    assert!(open.contains(&expected), "{open}");
    let folder = tempfile::tempdir().unwrap();
    let folder_path = folder.path().display().to_string();
    let folder = load(None, &[("DOORWARD_ADMIN_BOOTSTRAP_KEY_FILE", &folder_path)]).unwrap_err();
    assert!(
        folder.contains(&format!("cannot read {folder_path}: it is not a file")) && !folder.contains("chmod"),
        "{folder}"
    );
    let missing = load(None, &[("DOORWARD_ADMIN_BOOTSTRAP_KEY_FILE", "/nowhere/key")]).unwrap_err();
    assert!(missing.contains("cannot read /nowhere/key"));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_name_line_and_caret() {
    let text = refusal(
        "[tokens]\ncode_ttl = \"60s\"\nacess_ttl = \"5m\"\n\n[dpob]\nenabled = true\n",
        &[],
    );
    insta::assert_snapshot!(text, @r#"
    the configuration is refused:
    FILE:3:1: there is no key `acess_ttl` in `[tokens]`; did you mean `access_ttl`?
      |
    3 | acess_ttl = …
      | ^^^^^^^^^
    FILE:5:2: there is no section `dpob`; did you mean `dpop`?
      |
    5 | [dpob]
      |  ^^^^
    "#);
}

#[test]
fn unknown_variables_of_the_family_are_refused_and_others_are_none_of_our_business() {
    let text = load(
        None,
        &[
            ("DOORWARD_TOKENS_ACCESS_TTTL", "5m"),
            ("DOORWARD_SEVER_ISSUER", "x"),
        ],
    )
    .unwrap_err();
    assert!(
        text.contains("did you mean `DOORWARD_TOKENS_ACCESS_TTL`?"),
        "{text}"
    );
    assert!(text.contains("did you mean `DOORWARD_SERVER_ISSUER`?"), "{text}");
    let others = [
        ("DOORWARD_ISSUER", "http://localhost:9000"),
        ("DOORWARD_BASE_URL", "http://localhost:8080"),
        ("DOORWARD_SCOPES", "mcp:read"),
        ("DOORWARD_DPOP", "off"),
        ("DOORWARD_ADMIN_URL", "http://localhost:9001"),
        ("DOORWARD_ADMIN_KEY", "x"),
        ("DOORWARD_CONFIG", "x.toml"),
        ("DOORWARD_LOG", "debug"),
        ("PATH", "/bin"),
        ("DOORWARD_TOKENS_ACCESS_TTL", ""),
    ];
    assert_eq!(
        load(None, &others).unwrap().in_force(),
        Settings::default().in_force()
    );
}

#[test]
fn wrong_types_and_values_are_named() {
    for (text, expected) in [
        (
            "[tokens]\naccess_ttl = 300",
            "expected a length of time such as `90s`, `15m`, `12h` or `30d`, found an integer",
        ),
        (
            "[tokens]\naccess_ttl = \"5 minutes\"",
            "expected a length of time",
        ),
        ("[tokens]\naccess_ttl = \"+5m\"", "expected a length of time"),
        ("[tokens]\naccess_ttl = \"é\"", "expected a length of time"),
        (
            "[tokens]\naccess_ttl = \"99999999999d\"",
            "expected a length of time",
        ),
        ("[tokens]\naccess_ttl = \"9999d\"", "at most ten years"),
        ("[tokens]\naccess_ttl = \"2d\"", "must be between 10s and 1d"),
        (
            "[registration]\ncimd = \"yes\"",
            "expected `true` or `false`, found a string",
        ),
        (
            "[registration]\ndcr = \"closed\"",
            "expected `open`, `approved_redirects`, `initial_access_token` or `admin_only`",
        ),
        (
            "[registration]\ndcr = \"approved_redirects\"",
            "nobody could register",
        ),
        (
            "[registration]\nredirect_schemes = [\"javascript\"]",
            "not a scheme that an application can own",
        ),
        (
            "[registration]\nredirect_schemes = [\"wss\"]",
            "not a scheme that an application can own",
        ),
        (
            "[registration]\napproved_redirects = [\"http://app.example/cb\"]",
            "registration.approved_redirects: `http://app.example/cb` cannot be used",
        ),
        ("[login]\nfree_attempts = -1", "expected a whole number"),
        (
            "[server]\naddress = \"localhost\"",
            "expected an IP address and port",
        ),
        (
            "[server]\ntrusted_proxies = \"10.0.0.0/8\"",
            "expected a list of networks",
        ),
        ("[server]\ntrusted_proxies = [\"ten\"]", "expected a network"),
        (
            "[keys]\nalgorithm = \"HS256\"",
            "expected `ES256`, `EdDSA`, `RS256` or `PS256`",
        ),
        (
            "[cors]\nallowed_origins = [\"https://app.example/\"]",
            "is no origin",
        ),
        ("[storage]\nurl = \"mysql://db\"", "storage.url"),
        ("[storage]\nurl = \"postgres://db\"", "is needed with PostgreSQL"),
        ("[storage]\nconnections = 1", "must be between 4 and 1000"),
        (
            "[storage]\nstatement_timeout = \"5m\"",
            "it must be between 1s and 10s",
        ),
        ("[dpop]\nalgorithms = []", "name at least one"),
        ("[dpop]\nalgorithms = [\"HS256\"]", "expected `ES256`"),
        ("[dpop]\nproof_lifetime = \"1h\"", "it must be between"),
        (
            "[client_authentication]\nmax_assertion_lifetime = \"2h\"",
            "it must be between 1m and 1h",
        ),
        ("[token_exchange]\nmax_depth = 0", "must be between 1 and 10"),
        ("tokens = 5", "is a section"),
        ("[tokens", "FILE:1:"),
        ("[server]\nissuer = \"http://localhost:9000/\"", "server.issuer"),
        (
            "[server]\naddress = \"127.0.0.1:9001\"",
            "is at the port of `server.address` (127.0.0.1:9001); give each its own",
        ),
        (
            "[server]\naddress = \"0.0.0.0:9001\"",
            "is at the port of `server.address` (0.0.0.0:9001)",
        ),
    ] {
        let refused = refusal(text, &[]);
        assert!(refused.contains(expected), "{text:?}: {refused}");
    }
}

#[test]
fn what_contradicts_itself_or_lets_everybody_or_nobody_in_is_refused() {
    for (text, expected) in [
        (
            "[registration]\napproved_redirects = [\"https://a.example/cb\"]",
            "says nothing where `dcr` is another one",
        ),
        (
            "[par]\nenabled = false\nrequired = true",
            "says nothing where `par.enabled` is false",
        ),
        (
            "[dpop]\nenabled = false\nrequire_nonce = true",
            "says nothing where `dpop.enabled` is false",
        ),
        (
            "[device]\ncode_ttl = \"1m\"\ninterval = \"20s\"",
            "is 20s; it must be at most a quarter of `device.code_ttl` (1m)",
        ),
        (
            "[tokens]\naccess_ttl = \"1h\"\nrefresh_absolute_ttl = \"30m\"\nrefresh_idle_ttl = \"30m\"",
            "`tokens.access_ttl`",
        ),
        ("[login]\nfree_attempts = 0", "must be between 1 and 4294967295"),
        ("[events]\nmax_connections = 0", "must be between 1 and 4096"),
        (
            "[server]\ntrusted_proxies = [\"0.0.0.0/0\"]",
            "`0.0.0.0/0` is everybody",
        ),
        ("[server]\ntrusted_proxies = [\"::/0\"]", "`::/0` is everybody"),
        (
            "[server]\ntrusted_proxies = [\"::ffff:10.0.0.1\"]",
            "write it like `10.0.0.1`",
        ),
        (
            "[admin]\nbootstrap_key = \"\"",
            "is empty, so that nobody could come in",
        ),
    ] {
        let refused = refusal(text, &[]);
        assert!(refused.contains(expected), "{text:?}: {refused}");
    }
}

#[test]
fn an_unexpanded_variable_is_refused() {
    assert!(refusal("[server]\nissuer = \"https://${HOST}\"", &[]).contains("DOORWARD_SERVER_ISSUER"));
    assert!(
        load(None, &[("DOORWARD_ADMIN_BOOTSTRAP_KEY", "${KEY}")])
            .unwrap_err()
            .contains("not expanded")
    );
}

#[test]
fn off_loopback_plain_http_and_weak_secrets_are_refused() {
    assert!(
        load(None, &[("DOORWARD_SERVER_ISSUER", "http://auth.example")])
            .unwrap_err()
            .contains("server.issuer")
    );
    let weak = [
        "changeme",
        "secret",
        "tiny1",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "my-doorward-key-that-is-long-enough-1234",
    ];
    for secret in weak {
        for exposed in [
            ("DOORWARD_SERVER_ISSUER", "https://auth.example"),
            ("DOORWARD_SERVER_ADDRESS", "0.0.0.0:9000"),
        ] {
            let refused = load(None, &[exposed, ("DOORWARD_ADMIN_BOOTSTRAP_KEY", secret)]).unwrap_err();
            assert!(
                refused.contains("admin.bootstrap_key") && !refused.contains(secret),
                "{refused}"
            );
        }
        load(None, &[("DOORWARD_ADMIN_BOOTSTRAP_KEY", secret)])
            .expect("on loopback it is the operator's business");
    }
    let exposed = [
        ("DOORWARD_SERVER_ISSUER", "https://auth.example"),
        ("DOORWARD_ADMIN_BOOTSTRAP_KEY", STRONG),
    ];
    load(None, &exposed).expect("a strong secret is good anywhere");
}

#[test]
fn the_commented_file_is_a_file_of_defaults() {
    let template = Settings::commented_template(&[]);
    assert_eq!(
        load(Some(&template), &[]).unwrap().in_force(),
        Settings::default().in_force()
    );
    let uncommented: String = template
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.ends_with(" ="))
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n");
    let settings = load(Some(&uncommented), &[]).unwrap();
    for (key, value, _) in Settings::default().in_force() {
        assert_eq!(in_force(&settings, &key).0, value);
    }
    let set = Settings::commented_template(&[("server.issuer", "\"https://auth.example\"")]);
    assert!(set.contains("\nissuer = \"https://auth.example\"\n"));
}

#[test]
fn the_reference_page_names_every_key() {
    let page = Settings::reference_markdown();
    for key in Settings::registry() {
        assert!(
            page.contains(&format!("`{}`", key.environment_name()))
                && page.contains(&key.doc.replace('|', "\\|"))
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Settings::load(Some(Path::new("/nowhere/doorward.toml")), std::iter::empty()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read the configuration /nowhere/doorward.toml")
    );
}

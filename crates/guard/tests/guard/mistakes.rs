//! RS-041: a guard that cannot work is not built, and the message says what to write instead.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use doorward_guard::client::{ClientAuth, OAuthClient};
use doorward_guard::fetch::FetchError;
use doorward_guard::oauth::issuer::IssuerError;
use doorward_guard::verifiers::{JwtVerifier, RemoteAuth, StaticTokenVerifier};
use doorward_guard::{
    Algorithm, BuildError, DpopPolicy, FeedPolicy, Guard, GuardBody, GuardBuilder, Revocation, Timeouts,
    TokenClaims,
};
use doorward_jose::SigningKey;

use crate::support::{ISSUER, RESOURCE, with_causes};

/// The message of a guard that cannot be built: a sentence or two.
fn message(builder: GuardBuilder) -> String {
    let message = with_causes(&builder.build().unwrap_err());
    assert!(message.len() < 400, "{message}");
    message
}

#[test]
fn what_can_work_is_built() {
    for (issuer, resource) in [
        (ISSUER, RESOURCE),
        ("https://as.example/", RESOURCE),
        ("https://as.example/tenant/", RESOURCE),
        ("http://localhost:9000", "http://localhost:8080/mcp"),
        ("http://127.0.0.1:9000", "http://[::1]:8080/mcp"),
        (ISSUER, "https://mcp.example"),
        (ISSUER, "https://mcp.example/mcp/"),
        (ISSUER, "https://mcp.example/mcp?tenant=a"),
    ] {
        let built = Guard::builder(issuer, resource).build();
        assert!(built.is_ok(), "{issuer} {resource}: {built:?}");
    }
    let guard = Guard::builder("http://as.internal", RESOURCE)
        .dev_mode(true)
        .build();
    assert!(guard.is_ok());
}

/// An issuer, and what the message says of it.
#[test]
fn an_issuer_that_is_none_is_refused() {
    for (issuer, fix) in [
        ("", "absolute"),
        ("as.example", "absolute"),
        ("/tenant", "absolute"),
        ("//as.example", "absolute"),
        ("ftp://as.example", "must begin with https://"),
        ("http://as.example", "dev_mode(true)"),
        ("http://10.0.0.1", "dev_mode(true)"),
        ("HTTPS://as.example", "lower case"),
        ("https://AS.example", "lower case"),
        ("https://as.example:443", "default port"),
        ("https://as.example?x", "must not have a query or fragment"),
        ("https://as.example#x", "must not have a query or fragment"),
        ("https://user@as.example", "must not have a user name"),
        ("https://user:password@as.example", "must not have a user name"),
        ("https://as.example/a b", ""),
        ("https://as.example\n", ""),
    ] {
        for builder in [
            Guard::builder(issuer, RESOURCE),
            Guard::builder(ISSUER, RESOURCE).issuer(issuer),
        ] {
            let message = message(builder);
            assert!(message.contains("the issuer"), "{issuer}: {message}");
            assert!(message.contains(fix), "{issuer}: {message}");
        }
    }
}

#[test]
fn a_resource_that_is_none_is_refused() {
    for (resource, fix) in [
        ("", "absolute"),
        ("/mcp", "absolute"),
        ("mcp", "absolute"),
        ("//mcp.example/mcp", "absolute"),
        ("mcp.example/mcp", "absolute"),
        ("http://mcp.example/mcp", "must begin with https://"),
        ("stdio:mcp", "must begin with https://"),
        ("https://mcp.example/mcp#x", "fragment"),
        ("https://mcp.example/mcp#", "fragment"),
        ("https://user@mcp.example/mcp", "must not have a user name"),
        ("https://mcp.example/:mcp", "choose a plain path such as /mcp"),
        ("https://mcp.example/*mcp", "choose a plain path such as /mcp"),
        ("https://mcp.example/a/:b", "choose a plain path such as /mcp"),
        ("https://mcp.example/{mcp}", ""),
        ("https://mcp.example/a b", ""),
    ] {
        let message = message(Guard::builder(ISSUER, resource));
        assert!(message.contains("resource"), "{resource}: {message}");
        assert!(message.contains(fix), "{resource}: {message}");
    }
}

/// What is wrong with a setting, and words of the message.
type Mistake<'m> = (fn(GuardBuilder) -> GuardBuilder, &'m [&'m str]);

fn assert_refused(mistakes: &[Mistake<'_>]) {
    for (number, (change, words)) in mistakes.iter().enumerate() {
        let message = message(change(Guard::builder(ISSUER, RESOURCE)));
        for word in *words {
            assert!(message.contains(word), "{number}: {message}");
        }
        assert!(!message.contains("secret`"), "{message}");
    }
}

#[test]
fn scopes_that_are_none_or_protect_nothing_are_refused() {
    assert_refused(&[
        (|it| it.scopes([""]), &["at least one character"]),
        (|it| it.scopes(["a b"]), &["`a b`"]),
        (
            |it| it.scopes(["offline_access"]),
            &["`offline_access`", "leave it out"],
        ),
        (|it| it.required_scopes([""]), &["at least one character"]),
        (|it| it.required_scopes(["a\"b"]), &["`a\"b`"]),
        (|it| it.required_scopes(["offline_access"]), &["leave it out"]),
        (|it| it.tool_scopes("x", [""]), &["at least one character"]),
        (
            |it| it.tool_scopes("x", [""; 0]),
            &["`tool_scopes` names `x`", "leave `x` out"],
        ),
        (
            |it| it.prompt_scopes("x", [""; 0]),
            &["`prompt_scopes` names `x`"],
        ),
        (
            |it| it.resource_scopes("x:y", [""; 0]),
            &["`resource_scopes` names `x:y`"],
        ),
        (|it| it.resource_scopes("x:{y", ["a"]), &["notes://{id}/body"]),
        (|it| it.implies("admin", [""; 0]), &["`implies` names `admin`"]),
        (|it| it.implies("admin", ["a b"]), &["`a b`"]),
    ]);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    assert_refused(&[
        (|it| it.allowed_origins(["*"]), &["`*`", "https://app.example"]),
        (
            |it| it.allowed_origins(["https://app.example/path"]),
            &["https://app.example"],
        ),
        (|it| it.allowed_origins(["null"]), &["https://app.example"]),
        (|it| it.algorithms([]), &["at least one signature algorithm"]),
        (
            |it| it.clock_skew(Duration::from_secs(61)),
            &["60 seconds or less"],
        ),
        (|it| it.resource_metadata_url("/prm"), &["`/prm`", "absolute"]),
        (
            |it| it.resource_metadata_url("https://h/prm#x"),
            &["without a fragment"],
        ),
        (
            |it| it.resource_documentation("docs"),
            &["`resource_documentation`", "absolute"],
        ),
        (
            |it| it.resource_documentation("javascript:alert(1)"),
            &["http or https"],
        ),
        (|it| it.max_body(0), &["`max_body`", "leave it out"]),
        (|it| it.max_stale(Duration::ZERO), &["`max_stale`"]),
        (
            |it| it.session_limits(0, Duration::from_secs(1)),
            &["`session_limits`"],
        ),
        (|it| it.session_limits(1, Duration::ZERO), &["`session_limits`"]),
        (|it| it.require_acr([""]), &["`require_acr`"]),
        (|it| it.require_acr(["a b"]), &["`a b`", "without spaces"]),
    ]);
}

#[test]
fn settings_of_proofs_that_cannot_work_are_refused() {
    assert_refused(&[
        (
            |it| it.dpop(DpopPolicy::Accept).dpop_algorithms([]),
            &["at least one signature algorithm"],
        ),
        (
            |it| it.dpop_window(Duration::ZERO, Duration::ZERO),
            &["at least one second"],
        ),
        (
            |it| it.dpop_window(Duration::from_secs(3601), Duration::ZERO),
            &["at most an hour"],
        ),
        (
            |it| it.dpop_window(Duration::from_secs(1), Duration::from_secs(3601)),
            &["at most an hour"],
        ),
        (|it| it.dpop_replay_capacity(0), &["`dpop_replay_capacity`"]),
        (|it| it.dpop_replay_per_key(0), &["`dpop_replay_per_key`"]),
    ]);
}

#[test]
fn ways_to_the_server_that_cannot_work_are_refused() {
    assert_refused(&[
        (
            |it| it.client_auth(ClientAuth::basic("", "secret")),
            &["client_id"],
        ),
        (|it| it.client_auth(ClientAuth::basic("app", "")), &["secret"]),
        (|it| it.client_auth(ClientAuth::post("app", "")), &["secret"]),
        (
            |it| it.issuer_client_auth(ISSUER, ClientAuth::basic("app", "secret")),
            &["`client_auth`"],
        ),
        (
            |it| it.revocation(Revocation::feed()),
            &["register one", "client_auth"],
        ),
        (
            |it| it.revocation(Revocation::introspection()),
            &["register one", "client_auth"],
        ),
        (
            |it| {
                it.client_auth(ClientAuth::public("app"))
                    .revocation(Revocation::feed())
            },
            &["client_auth"],
        ),
        (
            |it| {
                let policy = FeedPolicy::default().max_entries(0);
                it.client_auth(ClientAuth::basic("app", "secret"))
                    .revocation(Revocation::Feed(policy))
            },
            &["`max_entries`"],
        ),
        (|it| it.proxy("not a proxy"), &["HTTP client", "proxy"]),
        (
            |it| it.root_certificates("not a certificate"),
            &["HTTP client", "certificate"],
        ),
        (|it| it.root_certificates(""), &["HTTP client", "certificate"]),
    ]);
}

/// Not by chance: the same settings, right.
#[test]
fn the_same_settings_right_are_built() {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let built = Guard::builder(ISSUER, RESOURCE)
        .scopes(["a"])
        .required_scopes([""; 0])
        .tool_scopes("x", ["a"])
        .resource_scopes("notes://{id}/body", ["a"])
        .implies("admin", ["a"])
        .allowed_origins(["https://app.example", "http://localhost:3000"])
        .clock_skew(Duration::from_mins(1))
        .resource_metadata_url("https://mcp.example/prm")
        .resource_documentation("https://mcp.example/docs")
        .require_acr(["urn:mace:incommon:iap:silver"])
        .dpop(DpopPolicy::Require)
        .dpop_window(Duration::from_hours(1), Duration::ZERO)
        .client_auth(ClientAuth::private_key_jwt("app", key))
        .revocation(Revocation::feed())
        .proxy("http://user:password@proxy.example:3128")
        .timeouts(Timeouts::both(Duration::from_secs(1)))
        .build();
    assert!(built.is_ok(), "{built:?}");
}

/// A program that has the guard and nothing beside it can look into its errors.
#[test]
fn what_the_errors_hold_can_be_named() {
    let issuer = Guard::builder("as.example", RESOURCE).build().unwrap_err();
    let found: Option<&IssuerError> = issuer.source().and_then(|error| error.downcast_ref());
    assert!(found.is_some(), "{issuer:?}");
    let proxy = Guard::builder(ISSUER, RESOURCE).proxy("not a proxy").build();
    assert!(matches!(proxy, Err(BuildError::Fetch(FetchError::Setup(_)))));
}

/// Programs tell an error with its causes (`{:#}` of anyhow), so that it must not tell them itself.
#[test]
fn an_error_leaves_its_cause_to_be_told_once() {
    let refused = [
        message(Guard::builder("as.example", RESOURCE)),
        message(Guard::builder(ISSUER, "mcp.example")),
        message(Guard::builder(ISSUER, RESOURCE).scopes(["a b"])),
        message(Guard::builder(ISSUER, RESOURCE).proxy("not a proxy")),
        message(Guard::builder(ISSUER, RESOURCE).client_auth(ClientAuth::basic("", ""))),
        with_causes(&OAuthClient::builder("as.example").build().unwrap_err()),
        with_causes(
            &OAuthClient::builder(ISSUER)
                .proxy("not a proxy")
                .build()
                .unwrap_err(),
        ),
        with_causes(&JwtVerifier::builder().public_key("no key").build().unwrap_err()),
    ];
    for told in refused {
        let mut parts: Vec<_> = told.split(": ").collect();
        parts.sort_unstable();
        let all = parts.len();
        parts.dedup();
        assert_eq!(parts.len(), all, "{told}");
    }
}

/// A program that keeps settings in a struct of its own derives `Debug` for it.
#[test]
fn settings_can_be_shown_and_show_no_secret() {
    let auth = || ClientAuth::basic("mcp-server", "canary-secret");
    let verifier = StaticTokenVerifier::new([(
        "canary-token",
        TokenClaims::new(ISSUER, "ada", "app", TokenClaims::NEVER),
    )]);
    let builder = Guard::builder(ISSUER, RESOURCE)
        .required_scopes(["mcp:read"])
        .client_auth(auth())
        .issuer("https://second.example")
        .issuer_client_auth("https://second.example", auth())
        .proxy("http://user:canary-password@proxy.example")
        .revocation(Revocation::feed());
    let client = OAuthClient::builder(ISSUER)
        .auth(auth())
        .proxy("http://user:canary-password@proxy.example");
    let remote = RemoteAuth::new(verifier.unwrap(), [ISSUER], RESOURCE);
    let shown = [
        format!("{builder:?}"),
        format!("{client:?}"),
        format!("{remote:?}"),
        format!("{:?}", Revocation::introspection()),
        format!("{:?}", GuardBody::<String>::default()),
    ];
    for text in &shown {
        assert!(!text.contains("canary"), "{text}");
    }
    for (text, part) in shown
        .iter()
        .zip([RESOURCE, ISSUER, RESOURCE, "Introspection", "Whole"])
    {
        assert!(text.contains(part), "{text}");
    }
}

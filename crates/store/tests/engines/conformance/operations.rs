//! The operations of the store by their names, for tests that have to meet all of them.

use std::collections::BTreeSet;

/// Operations that read.
pub(crate) const READS: &[&str] = &[
    "resource",
    "resources",
    "client",
    "clients",
    "initial_token",
    "initial_tokens",
    "user",
    "user_by_email",
    "users",
    "session",
    "trusted_issuer",
    "trusted_issuer_by_url",
    "trusted_issuers",
    "linked_subject",
    "linked_subjects",
    "assertion_audience",
    "assertion_audience_by_url",
    "assertion_audiences",
    "consent",
    "code",
    "device_by_user_code",
    "grant",
    "grants",
    "issuance",
    "token_standing",
    "revocations",
    "signing_keys",
    "sealed",
    "find_secret",
    "admin_key",
    "admin_keys",
    "audit_entries",
    "audit_event",
    "turn",
    "try_turn",
    "ping",
    "close",
];

/// Operations that write and tell nothing, and why.
pub(crate) const SILENT: &[(&str, &str)] = &[
    (
        "begin_login",
        "a count of attempts; what was refused is told by who knows the account",
    ),
    ("clear_login", "a count of attempts"),
    ("begin_device", "a question; what a person answers is told"),
    ("poll_device", "a count of questions"),
    ("issue_own", "the token's record tells it"),
    ("issue_asserted", "the token's record tells it"),
    ("exchange_token", "the token's record tells it"),
    ("issue_id_jag", "the assertion's record tells it"),
    ("record", "tells"),
    ("forget_audit_events", "what was told long ago"),
    ("forget_revocations", "what expired long ago"),
    ("keep_partitions", "what expired long ago"),
    ("make_indexes", "the journal of the schema tells it"),
];

/// The names of all operations of the trait.
pub(crate) fn operations() -> BTreeSet<&'static str> {
    let source = include_str!("../../../src/lib.rs");
    let names = source
        .lines()
        .filter_map(|line| line.strip_prefix("    async fn "));
    names.map(|line| line.split('(').next().unwrap()).collect()
}

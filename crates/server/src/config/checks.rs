//! What must hold between the settings before anything starts.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use doorward_oauth::issuer::Issuer;
use doorward_oauth::redirect::{RedirectUri, SchemePolicy};
use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::bounds::bounds;
use super::{DynamicRegistration, Key, Origin, Problem, Settings};
use crate::keys::{is_open_to_others, read_private_file};
use crate::storage::is_postgres;

/// Reads the secrets that are named by a file.
pub(super) fn resolve_secret_files(settings: &mut Settings, problems: &mut Vec<Problem>) {
    if let Some(path) = settings.admin.bootstrap_key_file.clone() {
        if settings.admin.bootstrap_key.is_some() {
            problems.push(Problem::new(
                "admin.bootstrap_key_file",
                "set either `bootstrap_key` or `bootstrap_key_file`, not both",
            ));
        } else {
            match private_text(&path) {
                Ok(text) => settings.admin.bootstrap_key = Some(SecretString::from(text.trim_end())),
                Err(problem) => problems.push(Problem::new("admin.bootstrap_key_file", problem)),
            }
        }
    }
    let keys = &settings.keys;
    if keys.master_key.is_some() && keys.master_key_file.is_some() {
        problems.push(Problem::new(
            "keys.master_key_file",
            "set either `master_key` or `master_key_file`, not both",
        ));
    }
    if keys.other_master_key.is_some() && keys.other_master_key_file.is_some() {
        problems.push(Problem::new(
            "keys.other_master_key_file",
            "set either `other_master_key` or `other_master_key_file`, not both",
        ));
    }
}

/// What a file says that nobody else can read.
fn private_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = read_private_file(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    text.ok_or_else(|| {
        format!(
            "{0} can be read by others; run `chmod 600 {0}` (0440 where a container is handed it)",
            path.display()
        )
    })
}

impl Settings {
    /// What is to be said of a configuration file that others can read and that holds secrets itself.
    pub fn open_secrets(&self, path: &Path) -> Option<String> {
        let is_secret = |key: &Key| match key.path().as_str() {
            "storage.url" => self.storage.url.has_password(),
            _ => key.secret,
        };
        let registry = Self::registry();
        let secrets: Vec<String> = registry
            .iter()
            .filter(|key| is_secret(key) && self.origin(key.section, key.name) == Origin::File)
            .map(Key::path)
            .collect();
        // One that is gone since it was read shows nobody anything.
        if secrets.is_empty() || !fs::metadata(path).is_ok_and(|file| is_open_to_others(&file)) {
            return None;
        }
        Some(format!(
            "{0} can be read by others and holds secrets ({1}); run `chmod 600 {0}`",
            path.display(),
            secrets.join(", ")
        ))
    }
}

/// Refuses what cannot work or would not be safe.
pub(super) fn check(settings: &Settings, problems: &mut Vec<Problem>) {
    let mut refuse = |key: &str, message: String| problems.push(Problem::new(key, message));

    if let Err(error) = Issuer::parse(&settings.server.issuer) {
        refuse(
            "server.issuer",
            format!("{error}; write the public URL, such as `https://auth.example`"),
        );
    }
    check_storage(settings, &mut refuse);
    check_addresses(settings, &mut refuse);
    check_times(settings, &mut refuse);
    check_rotation(settings, &mut refuse);
    if settings.dpop.algorithms.is_empty() {
        refuse(
            "dpop.algorithms",
            "is empty; name at least one, or set `dpop.enabled = false`".to_owned(),
        );
    }
    check_contradictions(settings, &mut refuse);
    check_numbers(settings, &mut refuse);
    check_lists(settings, &mut refuse);
    let is_empty = |key: &SecretString| key.expose_secret().is_empty();
    if settings.is_exposed() {
        check_secret(
            "admin.bootstrap_key",
            settings.admin.bootstrap_key.as_ref(),
            &mut refuse,
        );
        check_secret("keys.master_key", settings.keys.master_key.as_ref(), &mut refuse);
        return;
    }
    if settings.admin.bootstrap_key.as_ref().is_some_and(is_empty) {
        refuse(
            "admin.bootstrap_key",
            "is empty, so that nobody could come in; leave it out, and the first start makes a key and shows it"
                .to_owned(),
        );
    }
    if settings
        .keys
        .master_key
        .as_ref()
        .is_some_and(|key| key.expose_secret().len() < SHORTEST_SECRET)
    {
        refuse(
            "keys.master_key",
            format!("is shorter than {SHORTEST_SECRET} characters"),
        );
    }
}

fn check_addresses(settings: &Settings, refuse: &mut impl FnMut(&str, String)) {
    let (server, admin) = (settings.server.address, settings.admin.address);
    let is_of_all = |address: SocketAddr| address.ip().is_unspecified();
    let overlap = server.ip() == admin.ip() || is_of_all(server) || is_of_all(admin);
    if overlap && server.port() == admin.port() && server.port() != 0 {
        refuse(
            "admin.address",
            format!("is at the port of `server.address` ({server}); give each its own"),
        );
    }
    for network in &settings.server.trusted_proxies {
        if network.prefix_len() == 0 {
            let message = format!(
                "`{network}` is everybody, and each client could say which address it has; name the proxies, such as `10.0.0.0/8`"
            );
            refuse("server.trusted_proxies", message);
        }
        if let IpNet::V6(network) = network
            && let Some(address) = network.addr().to_ipv4_mapped()
        {
            let message = format!("`{network}` is an IPv4 address; write it like `{address}`");
            refuse("server.trusted_proxies", message);
        }
    }
}

/// Settings of which one takes the other away.
fn check_contradictions(settings: &Settings, refuse: &mut impl FnMut(&str, String)) {
    let registration = &settings.registration;
    if registration.dcr != DynamicRegistration::ApprovedRedirects
        && !registration.approved_redirects.is_empty()
    {
        refuse(
            "registration.approved_redirects",
            "says nothing where `dcr` is another one; set `dcr = \"approved_redirects\"`, or remove the list"
                .to_owned(),
        );
    }
    if settings.par.required && !settings.par.enabled {
        refuse(
            "par.required",
            "says nothing where `par.enabled` is false; leave one of them out".to_owned(),
        );
    }
    if settings.dpop.require_nonce && !settings.dpop.enabled {
        refuse(
            "dpop.require_nonce",
            "says nothing where `dpop.enabled` is false; leave one of them out".to_owned(),
        );
    }
}

fn check_numbers(settings: &Settings, refuse: &mut impl FnMut(&str, String)) {
    // Followers stay connected, and others have to get in: at most half of the connections that the server takes.
    let followers = 1..=4096;
    for (key, value, range) in [
        (
            "token_exchange.max_depth",
            settings.token_exchange.max_depth,
            1..=10,
        ),
        ("login.free_attempts", settings.login.free_attempts, 1..=u32::MAX),
        (
            "events.max_connections",
            settings.events.max_connections,
            followers,
        ),
    ] {
        if !range.contains(&value) {
            let message = format!("must be between {} and {}", range.start(), range.end());
            refuse(key, message);
        }
    }
}

fn check_storage(settings: &Settings, refuse: &mut impl FnMut(&str, String)) {
    let url = &settings.storage.url;
    // Three turns (changes by operators, what is past its use, the master key) hold one each, and use another.
    if !(4..=1000).contains(&settings.storage.connections) {
        refuse("storage.connections", "must be between 4 and 1000".to_owned());
    }
    if is_postgres(url) {
        if settings.keys.master_key.is_none() && settings.keys.master_key_file.is_none() {
            refuse(
                "keys.master_key_file",
                "is needed with PostgreSQL: every node opens the database with the same key; `doorward init` makes one"
                    .to_owned(),
            );
        }
    } else if url.strip_prefix("sqlite://").is_none_or(str::is_empty) {
        refuse(
            "storage.url",
            "expected `sqlite://` and a path, such as `sqlite://data/doorward.db`, or `postgres://user@host/database`"
                .to_owned(),
        );
    }
}

fn check_times(settings: &Settings, refuse: &mut impl FnMut(&str, String)) {
    for bound in bounds(settings) {
        if let Some(message) = bound.violation() {
            refuse(bound.key, message);
        }
    }
    let device = &settings.device;
    if device.interval.duration() * 4 > device.code_ttl.duration() {
        let message = format!(
            "is {}; it must be at most a quarter of `device.code_ttl` ({})",
            device.interval, device.code_ttl
        );
        refuse("device.interval", message);
    }
}

/// A key has to be known everywhere before it signs, and to sign for longer than that.
fn check_rotation(settings: &Settings, refuse: &mut impl FnMut(&str, String)) {
    let keys = &settings.keys;
    let ahead = keys.publish_ahead.duration();
    if keys
        .rotation
        .duration()
        .is_some_and(|rotation| rotation < ahead * 2)
    {
        let message = format!(
            "is {}; it must be at least twice `keys.publish_ahead` ({}), or `off`",
            keys.rotation, keys.publish_ahead
        );
        refuse("keys.rotation", message);
    }
}

fn check_lists(settings: &Settings, refuse: &mut impl FnMut(&str, String)) {
    for origin in &settings.cors.allowed_origins {
        let is_origin =
            url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
        if origin != "*" && !is_origin {
            let message = format!(
                "`{origin}` is no origin; write scheme, host and port only, such as `https://app.example`"
            );
            refuse("cors.allowed_origins", message);
        }
    }
    for scheme in &settings.registration.redirect_schemes {
        let mut characters = scheme.chars();
        let well_formed = characters.next().is_some_and(|first| first.is_ascii_lowercase())
            && characters
                .all(|rest| rest.is_ascii_lowercase() || rest.is_ascii_digit() || "+-.".contains(rest));
        if !well_formed || matches!(scheme.as_str(), "http" | "https") || SchemePolicy::forbids(scheme) {
            refuse(
                "registration.redirect_schemes",
                format!("`{scheme}` is not a scheme that an application can own"),
            );
        }
    }
    let registration = &settings.registration;
    for uri in &registration.approved_redirects {
        if let Err(error) = RedirectUri::parse(uri) {
            let message = format!("`{uri}` cannot be used: {error}");
            refuse("registration.approved_redirects", message);
        }
    }
    if registration.dcr == DynamicRegistration::ApprovedRedirects
        && registration.approved_redirects.is_empty()
    {
        refuse(
            "registration.approved_redirects",
            "is empty, so that nobody could register; add redirect URIs or set `dcr` to `admin_only`"
                .to_owned(),
        );
    }
}

const SHORTEST_SECRET: usize = 32;

/// Words that examples use where a secret should stand.
const PLACEHOLDERS: [&str; 10] = [
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "password",
    "example",
    "placeholder",
    "default",
    "doorward",
    "insert",
];

fn check_secret(key: &str, secret: Option<&SecretString>, refuse: &mut impl FnMut(&str, String)) {
    let Some(secret) = secret else { return };
    let text = secret.expose_secret();
    let lower = text.to_ascii_lowercase();
    let mut characters: Vec<char> = text.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    let fault = if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        "looks like a placeholder"
    } else if text.len() < SHORTEST_SECRET {
        "is shorter than 32 characters"
    } else if characters.len() < 10 {
        "has too few different characters"
    } else {
        return;
    };
    refuse(
        key,
        format!("{fault}, and this server can be reached from outside; `doorward init` makes a good one"),
    );
}

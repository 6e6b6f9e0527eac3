//! Client ID Metadata Documents: the `client_id` is the URL of a JSON document in which the client describes
//! itself. Nothing is stored for it until a person approves.

use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::{FetchError, Fetched, Fetcher, Limits};
use doorward_oauth::client::{ClientMetadata, EffectiveClient, RegistrationPolicy, effective};
use doorward_store::MAX_CLIENT_ID;
use url::Url;

use super::{Client, ClientError};

/// 5 KiB, 5 seconds, fresh for 1 minute to 24 hours.
fn limits() -> Limits {
    Limits::default()
}

pub(super) struct Documents {
    pub(super) policy: RegistrationPolicy,
    pub(super) enabled: bool,
    /// In development: documents on loopback, over `http` too.
    pub(super) allow_loopback_http: bool,
}

/// What must not be stored is asked for again no more often than this for clients that somebody approved: the requests of
/// such a client take from no budget.
const PAUSE: Duration = Duration::from_secs(10);

impl Documents {
    /// Whether the document may be asked for at all.
    pub(super) fn check(&self, client_id: &str) -> Result<(), ClientError> {
        if !looks_like_url(client_id) {
            return Err(ClientError::Unknown);
        }
        if !self.enabled {
            return Err(ClientError::UnusableUrl(
                "this server does not take client metadata documents; register the client instead.",
            ));
        }
        check_url(client_id, self.allow_loopback_http).map_err(ClientError::UnusableUrl)
    }

    /// What the document says, as this fetcher gets it.
    pub(super) async fn resolve(&self, fetcher: &Fetcher, client_id: &str) -> Result<Client, ClientError> {
        self.check(client_id)?;
        let outcome = fetcher.get_json(client_id, &limits()).await;
        self.understand(fetcher, client_id, outcome)
    }

    /// As [`Self::resolve`], and what was answered a moment ago counts also when it is not to be kept.
    pub(super) async fn resolve_now_and_then(
        &self,
        fetcher: &Fetcher,
        client_id: &str,
    ) -> Result<Client, ClientError> {
        self.check(client_id)?;
        let limits = Limits {
            pause: PAUSE,
            ..limits()
        };
        let outcome = fetcher.get_json(client_id, &limits).await;
        self.understand(fetcher, client_id, outcome)
    }

    /// As it is now, whatever the cache holds. The caller limits how often.
    pub(super) async fn resolve_anew(
        &self,
        fetcher: &Fetcher,
        client_id: &str,
    ) -> Result<Client, ClientError> {
        self.check(client_id)?;
        let outcome = fetcher.get_json_fresh(client_id, &limits()).await;
        self.understand(fetcher, client_id, outcome)
    }

    fn understand(
        &self,
        fetcher: &Fetcher,
        client_id: &str,
        outcome: Result<Arc<Fetched>, FetchError>,
    ) -> Result<Client, ClientError> {
        let document = outcome.map_err(ClientError::DocumentUnreachable)?;
        match read(client_id, &document.body, &self.policy) {
            Ok(metadata) => Ok(Client::from_document(client_id, metadata)),
            Err(error) => {
                // An invalid document is not cached (draft §5.2): its owner sees the repair at once.
                fetcher.distrust(client_id, &limits());
                Err(error)
            }
        }
    }
}

/// Whether a `client_id` means to be a URL.
fn looks_like_url(client_id: &str) -> bool {
    let starts_with = |scheme: &str| {
        client_id
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts_with("https://") || starts_with("http://")
}

/// §3 of the draft, and one thing more: only the normal spelling of a URL is accepted. Two strings that lead to one
/// document would be two clients to the ledger and one to the reader.
fn check_url(client_id: &str, allow_loopback_http: bool) -> Result<(), &'static str> {
    if client_id.len() > MAX_CLIENT_ID {
        return Err("it is longer than 1,024 bytes.");
    }
    let url = Url::parse(client_id).map_err(|_| "it is not a URL.")?;
    let on_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(allow_loopback_http && on_loopback) {
        return Err("it must begin with https://.");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not have a user name or password.");
    }
    if url.fragment().is_some() {
        return Err("it must not have a fragment.");
    }
    if url.path() == "/" {
        return Err("it must have a path, as in https://app.example/client.json.");
    }
    if url.as_str() != client_id {
        return Err(
            "it must be written in its normal form: scheme and host in lower case, no default port, no dot segments.",
        );
    }
    let segments = url.path().to_ascii_lowercase().replace("%2e", ".");
    if segments
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return Err("it must not have dot segments.");
    }
    Ok(())
}

/// What the document at `client_id` says, once it is believed.
fn read(client_id: &str, body: &[u8], policy: &RegistrationPolicy) -> Result<EffectiveClient, ClientError> {
    let refused = |error: doorward_oauth::error::OAuthError| ClientError::InvalidDocument(error.description);
    let metadata = ClientMetadata::from_json(body).map_err(refused)?;
    // Simple string comparison (draft §4): a copy of somebody's document under another URL is nobody's.
    if metadata.client_id.as_deref() != Some(client_id) {
        return Err(ClientError::InvalidDocument(
            "its client_id must be the URL of the document, byte for byte.".into(),
        ));
    }
    if metadata.redirect_uris.as_ref().is_none_or(Vec::is_empty) {
        return Err(ClientError::InvalidDocument("redirect_uris is missing.".into()));
    }
    // Draft §4.1: what everybody can read is no secret.
    if metadata.names_client_secret {
        return Err(ClientError::InvalidDocument(
            "it must not have a client_secret or client_secret_expires_at.".into(),
        ));
    }
    let client = effective(&metadata, policy).map_err(refused)?;
    // Also when it is there but empty, or nothing but invisible characters.
    if client.client_name.is_none() {
        return Err(ClientError::InvalidDocument("client_name is missing.".into()));
    }
    Ok(client)
}

#[cfg(test)]
#[path = "cimd_tests.rs"]
mod tests;

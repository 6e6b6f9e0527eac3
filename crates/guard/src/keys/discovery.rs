//! From the issuer to its keys: metadata (RFC 8414 §3, OpenID Connect Discovery §4), then the JWK set.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorward_jose::{JwkSet, MAX_JWK_SET_BYTES, json};
use doorward_oauth::issuer::Issuer;
use serde::Deserialize;
use url::{Host, Url};

use crate::fetch::{Fetch, FetchFailure};

/// The largest metadata document, in bytes.
const MAX_METADATA_BYTES: usize = 128 * 1024;

/// How long metadata may take when it is known where the keys are: requests that wait for a new key wait for it, too.
const REDISCOVERY_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the keys could not be had. For the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryError {
    #[error("the metadata of the authorization server could not be fetched: {0}")]
    Metadata(FetchFailure),
    #[error("the metadata of the authorization server is no valid JSON object with `issuer` and `jwks_uri`")]
    MetadataMalformed,
    #[error(
        "the metadata names another issuer; configure the issuer exactly as the authorization server does"
    )]
    IssuerMismatch,
    #[error("the metadata has no https `jwks_uri`")]
    JwksUriRefused,
    #[error("the key set could not be fetched: {0}")]
    Jwks(FetchFailure),
    #[error("the key set is malformed or holds no usable key")]
    NoUsableKey,
    #[error("the authorization server did not answer in time")]
    Timeout,
}

/// The two members that the guard needs.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
}

pub(crate) struct Discovery {
    issuer: Issuer,
    fetch: Arc<dyn Fetch>,
    /// Where the keys were found the last time. Survives metadata that fails or turns bad.
    jwks_uri: Mutex<Option<String>>,
}

impl Discovery {
    pub(crate) fn new(issuer: Issuer, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            issuer,
            fetch,
            jwks_uri: Mutex::default(),
        }
    }

    /// Fetches metadata and keys, and how long the keys stay fresh.
    pub(crate) async fn fetch_keys(&self) -> Result<(JwkSet, Option<Duration>), DiscoveryError> {
        let known = self
            .jwks_uri
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let discovered = if known.is_some() {
            let discovered = tokio::time::timeout(REDISCOVERY_TIMEOUT, self.discover()).await;
            discovered.unwrap_or(Err(DiscoveryError::Timeout))
        } else {
            self.discover().await
        };
        let jwks_uri = match (discovered, known) {
            (Ok(jwks_uri), _) => {
                self.remember(&jwks_uri);
                jwks_uri
            }
            (Err(error), Some(known)) => {
                tracing::warn!(issuer = %self.issuer, %error, "keeping the known jwks_uri");
                known
            }
            (Err(error), None) => return Err(error),
        };
        let document = self
            .fetch
            .get_json(&jwks_uri, MAX_JWK_SET_BYTES)
            .await
            .map_err(DiscoveryError::Jwks)?;
        let keys = JwkSet::parse(&document.body).map_err(|_| DiscoveryError::NoUsableKey)?;
        if keys
            .keys
            .iter()
            .any(|key| key.is_for_verification() && key.key_id().is_some())
        {
            Ok((keys, document.fresh_for))
        } else {
            Err(DiscoveryError::NoUsableKey)
        }
    }

    async fn discover(&self) -> Result<String, DiscoveryError> {
        let mut first_error = None;
        for url in self.issuer.authorization_server_metadata_urls() {
            match self.metadata_at(&url).await {
                Ok(jwks_uri) => return Ok(jwks_uri),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(DiscoveryError::MetadataMalformed))
    }

    async fn metadata_at(&self, url: &str) -> Result<String, DiscoveryError> {
        let document = self
            .fetch
            .get_json(url, MAX_METADATA_BYTES)
            .await
            .map_err(DiscoveryError::Metadata)?;
        let metadata: Metadata =
            json::from_slice(&document.body).map_err(|_| DiscoveryError::MetadataMalformed)?;
        // RFC 8414 §3.3: byte for byte.
        if metadata.issuer != self.issuer.as_str() {
            return Err(DiscoveryError::IssuerMismatch);
        }
        metadata
            .jwks_uri
            .filter(|uri| self.may_hold_keys(uri))
            .ok_or(DiscoveryError::JwksUriRefused)
    }

    /// `https`, or `http` on loopback for an issuer that is there as well.
    fn may_hold_keys(&self, uri: &str) -> bool {
        let Ok(url) = Url::parse(uri) else {
            return false;
        };
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" => true,
            "http" => loopback && self.issuer.is_loopback(),
            _ => false,
        }
    }

    fn remember(&self, jwks_uri: &str) {
        let mut known = self.jwks_uri.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(jwks_uri) {
            tracing::info!(issuer = %self.issuer, jwks_uri, "found the keys of the authorization server");
            *known = Some(jwks_uri.to_owned());
        }
    }
}

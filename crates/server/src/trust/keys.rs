//! The keys of trusted issuers: from their metadata, from a URL, or from the terms themselves. Fetched apart from the
//! keys of clients, so that neither can use up the other's turns.

use std::sync::Arc;

use doorward_fetch::Fetcher;
use doorward_jose::{Header, Jwk, JwkSet};
use doorward_oauth::bearer::KeySource;
use doorward_oauth::time::{Clock, UnixSeconds};
use quick_cache::sync::Cache;
use serde::Deserialize;

use crate::clients::keys::{self, KeySets, MAX_STALE, NoKey};

/// Issuers whose metadata is remembered.
const ISSUERS: usize = 200;

/// Fetches the keys of trusted issuers.
pub(crate) struct IssuerKeys {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    sets: KeySets,
    /// Where the keys of an issuer were, by its own word, and when it said so.
    found: Cache<String, (String, UnixSeconds)>,
}

/// What is read of OpenID Connect Discovery §3.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl IssuerKeys {
    pub(crate) fn new(fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self {
            sets: KeySets::new(Arc::clone(&clock)),
            fetcher,
            clock,
            found: Cache::new(ISSUERS),
        }
    }

    /// The key of this issuer for an assertion with this header.
    pub(crate) async fn find(&self, issuer: &str, source: &KeySource, header: &Header) -> Result<Jwk, NoKey> {
        match source {
            KeySource::Discovery => {
                let url = self.discover(issuer).await?;
                self.sets.find(&self.fetcher, &url, header).await
            }
            KeySource::JwksUri(url) => self.sets.find(&self.fetcher, url, header).await,
            KeySource::Jwks(keys) => {
                let keys = JwkSet::from_value(keys).map_err(|_| NoKey::Unreachable)?;
                keys.select(header).cloned().ok_or(NoKey::Unknown)
            }
        }
    }

    /// The issuer's `jwks_uri`, or the last one while its metadata cannot be had.
    async fn discover(&self, issuer: &str) -> Result<String, NoKey> {
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let read = |body: &[u8]| {
            let metadata: Metadata = doorward_jose::json::from_slice(body).ok()?;
            (metadata.issuer == issuer).then_some(metadata.jwks_uri)
        };
        let document =
            self.fetcher.get_json(&url, &keys::limits()).await.inspect_err(
                |error| tracing::debug!(url, %error, "an issuer's metadata could not be fetched"),
            );
        let named = document
            .ok()
            .and_then(|document| Some((read(&document.body)?, document.fetched_at)));
        if let Some((jwks_uri, said_at)) = named {
            self.found.insert(issuer.to_owned(), (jwks_uri.clone(), said_at));
            return Ok(jwks_uri);
        }
        let (jwks_uri, said_at) = self.found.get(issuer).ok_or_else(|| {
            tracing::warn!(
                issuer,
                "there is no metadata of this issuer, or it is of another one"
            );
            NoKey::Unreachable
        })?;
        if self.clock.now().since(said_at) > MAX_STALE {
            return Err(NoKey::Unreachable);
        }
        Ok(jwks_uri)
    }
}

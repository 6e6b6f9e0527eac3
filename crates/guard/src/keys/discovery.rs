//! From the issuer to its keys: metadata, then the JWK set.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorward_jose::{JoseError, Jwk, JwkSet, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS};
use doorward_oauth::issuer::Issuer;
use serde_json::Value;
use url::Url;

use crate::discovery::{self, MetadataError};
use crate::fetch::{Fetch, FetchFailure};

/// How long metadata may take when it is known where the keys are: requests that wait for a new key wait for it, too.
const REDISCOVERY_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the keys could not be had. For the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("the metadata has no https `jwks_uri`")]
    JwksUriRefused,
    #[error("the key set could not be fetched: {0}")]
    Jwks(FetchFailure),
    #[error("the key set is malformed or holds no usable key")]
    NoUsableKey,
    #[error("the key set is too large: more than {MAX_JWK_SET_KEYS} keys, or {MAX_JWK_SET_BYTES} bytes")]
    TooLarge,
    #[error("the authorization server did not answer in time")]
    Timeout,
    #[error("the transport panicked")]
    Panicked,
}

/// Where keys come from.
pub(crate) enum KeySource {
    /// The metadata of an issuer says it.
    Issuer(Discovery),
    /// The operator says it.
    Fixed { jwks_uri: String, fetch: Arc<dyn Fetch> },
}

impl KeySource {
    pub(crate) fn issuer(issuer: Issuer, fetch: Arc<dyn Fetch>) -> Self {
        Self::Issuer(Discovery {
            issuer,
            fetch,
            jwks_uri: Mutex::default(),
        })
    }

    /// Who is asked, for the log: the issuer, or where the keys are, without a path that may be secret.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Issuer(discovery) => discovery.issuer.as_str().to_owned(),
            Self::Fixed { jwks_uri, .. } => {
                Url::parse(jwks_uri).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
            }
        }
    }

    /// Fetches the keys, and how long they stay fresh. `asking` is called when it is known where they are.
    pub(crate) async fn fetch_keys(
        &self,
        asking: impl FnOnce(),
    ) -> Result<(JwkSet, Option<Duration>), DiscoveryError> {
        match self {
            Self::Issuer(discovery) => {
                let jwks_uri = discovery.jwks_uri().await?;
                asking();
                // RFC 8414 says nothing of keys without a name, and tokens without one are refused.
                key_set(&*discovery.fetch, &jwks_uri, |key| key.key_id().is_some()).await
            }
            Self::Fixed { jwks_uri, fetch } => {
                asking();
                key_set(&**fetch, jwks_uri, |_| true).await
            }
        }
    }
}

async fn key_set(
    fetch: &dyn Fetch,
    jwks_uri: &str,
    is_usable: impl Fn(&Jwk) -> bool,
) -> Result<(JwkSet, Option<Duration>), DiscoveryError> {
    let document = fetch
        .get_json(jwks_uri, MAX_JWK_SET_BYTES)
        .await
        .map_err(DiscoveryError::Jwks)?;
    let keys = JwkSet::parse(&document.body).map_err(|error| match error {
        JoseError::TooLarge => DiscoveryError::TooLarge,
        _ => DiscoveryError::NoUsableKey,
    })?;
    if keys
        .keys
        .iter()
        .any(|key| key.is_for_verification() && is_usable(key))
    {
        Ok((keys, document.fresh_for))
    } else {
        Err(DiscoveryError::NoUsableKey)
    }
}

pub(crate) struct Discovery {
    issuer: Issuer,
    fetch: Arc<dyn Fetch>,
    /// Where the keys were found the last time. Survives metadata that fails or turns bad.
    jwks_uri: Mutex<Option<String>>,
}

impl Discovery {
    /// Where the keys are now.
    async fn jwks_uri(&self) -> Result<String, DiscoveryError> {
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
        match (discovered, known) {
            (Ok(jwks_uri), _) => {
                self.remember(&jwks_uri);
                Ok(jwks_uri)
            }
            (Err(error), Some(known)) => {
                tracing::warn!(issuer = %self.issuer, %error, "keeping the known jwks_uri");
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn discover(&self) -> Result<String, DiscoveryError> {
        let issuer = &self.issuer;
        discovery::discover(issuer, &*self.fetch, |metadata, _| {
            match metadata.get("jwks_uri") {
                Some(Value::String(uri)) if discovery::may_be_used(issuer, uri) => Ok(uri.clone()),
                Some(Value::String(_)) | None => Err(DiscoveryError::JwksUriRefused),
                Some(_) => Err(DiscoveryError::Metadata(MetadataError::Malformed)),
            }
        })
        .await
    }

    fn remember(&self, jwks_uri: &str) {
        let mut known = self.jwks_uri.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(jwks_uri) {
            tracing::info!(issuer = %self.issuer, jwks_uri, "found the keys of the authorization server");
            *known = Some(jwks_uri.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, ready};

    use super::*;
    use crate::fetch::Document;

    /// Whoever is asked answers this.
    struct Answers(Vec<u8>);

    impl Fetch for Answers {
        fn get_json<'a>(&'a self, _: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
            ready(Ok(Document {
                body: self.0.clone().into(),
                fresh_for: None,
            }))
            .boxed()
        }
    }

    #[tokio::test]
    async fn a_key_set_that_is_too_large_is_called_that() {
        let of = |keys: usize| format!("{{\"keys\":[{}]}}", vec!["{}"; keys].join(",")).into_bytes();
        let padded = [of(1), vec![b' '; MAX_JWK_SET_BYTES]].concat();
        for (document, is_too_large) in [
            (of(MAX_JWK_SET_KEYS), false),
            (of(MAX_JWK_SET_KEYS + 1), true),
            (padded, true),
            (b"{}".to_vec(), false),
        ] {
            let refused = key_set(&Answers(document), "https://as.example/jwks", |_| true).await;
            let error = refused.unwrap_err();
            assert_eq!(matches!(error, DiscoveryError::TooLarge), is_too_large, "{error}");
        }
    }
}

//! The metadata of an authorization server: RFC 8414 §3, then OpenID Connect Discovery §4.

use doorward_jose::json;
use doorward_oauth::issuer::Issuer;
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::fetch::{Document, Fetch, FetchFailure};

/// The largest metadata document, in bytes.
const MAX_METADATA_BYTES: usize = 128 * 1024;
/// How much of what a server says goes into a message.
const MAX_SHOWN: usize = 200;

/// Why there is no metadata. For the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataError {
    #[error("the metadata of the authorization server could not be fetched: {0}")]
    Fetch(FetchFailure),
    #[error("the metadata of the authorization server is no valid JSON object with `issuer`")]
    Malformed,
    #[error(
        "the metadata at the issuer {configured:?} names {found:?}; configure the issuer exactly as the authorization server does"
    )]
    IssuerMismatch {
        configured: String,
        /// Cut after [`MAX_SHOWN`] characters.
        found: String,
    },
}

/// Tries the places where the metadata may be, in order, and returns what `pick` makes of the first document that is
/// the issuer's and suits it; otherwise the first failure.
pub(crate) async fn discover<T, E: From<MetadataError>>(
    issuer: &Issuer,
    fetch: &dyn Fetch,
    pick: impl Fn(&Map<String, Value>, &Document) -> Result<T, E>,
) -> Result<T, E> {
    let mut first_error = None;
    for url in issuer.authorization_server_metadata_urls() {
        let found = match metadata_at(&url, issuer, fetch).await {
            Ok((members, document)) => pick(&members, &document),
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(found) => return Ok(found),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| MetadataError::Malformed.into()))
}

async fn metadata_at(
    url: &str,
    issuer: &Issuer,
    fetch: &dyn Fetch,
) -> Result<(Map<String, Value>, Document), MetadataError> {
    let document = fetch
        .get_json(url, MAX_METADATA_BYTES)
        .await
        .map_err(MetadataError::Fetch)?;
    let members: Map<String, Value> =
        json::from_slice(&document.body).map_err(|_| MetadataError::Malformed)?;
    // RFC 8414 §3.3: byte for byte.
    match members.get("issuer") {
        Some(Value::String(named)) if named == issuer.as_str() => Ok((members, document)),
        Some(Value::String(named)) => Err(MetadataError::IssuerMismatch {
            configured: issuer.as_str().to_owned(),
            found: named.chars().take(MAX_SHOWN).collect(),
        }),
        _ => Err(MetadataError::Malformed),
    }
}

/// Whether a URL of the metadata may be used: `https`, or `http` on loopback for an issuer that is there as well, or at the
/// issuer itself where that is `http`, which only development allows.
pub(crate) fn may_be_used(issuer: &Issuer, url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
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
        "http" if issuer.is_loopback() => loopback,
        "http" => url.origin().ascii_serialization() == issuer.origin(),
        _ => false,
    }
}

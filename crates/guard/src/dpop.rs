//! Access tokens that are bound to a key of the client, at the resource (RFC 9449 §7).

mod builder;
mod nonces;
mod refusal;
mod replay;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::dpop::{NonceAge, Proof, ProofContext, ProofError, ProofRules, TargetUri};
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::time::UnixSeconds;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::claims::Claims;
use crate::refusal::Refusal;
use crate::verify::Rejection;

pub(crate) use builder::DpopSettings;
use nonces::NonceSource;
pub(crate) use refusal::{DpopRefusal, ProofFault};
pub use replay::{Insertion, MemoryReplayStore, ReplayStore, ReplayStoreUnavailable};

/// The header with the proof (RFC 9449 §4).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header with the server's nonce (RFC 9449 §8.1, §9).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// How long a shared replay store may take.
const REPLAY_WAIT: Duration = Duration::from_secs(2);

/// Whether tokens may, or must, be bound to a key of the client (RFC 9449).
///
/// A token that is bound to a key never counts as a bearer token, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DpopPolicy {
    /// Bearer tokens only. A request with a proof is refused, because its sender relies on a check that nobody makes.
    #[default]
    Off,
    /// Bearer tokens under `Bearer`, bound tokens under `DPoP` with a proof.
    Accept,
    /// Bound tokens only.
    Require,
}

/// How the token came (RFC 9110 §11.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
}

/// The rules of one protected resource.
pub(crate) struct Dpop {
    policy: DpopPolicy,
    rules: ProofRules,
    /// Of the resource, from the settings: what a request says about its host is the client's word.
    origin: String,
    resource_path: String,
    nonces: Option<NonceSource>,
    replays: Arc<dyn ReplayStore>,
}

impl Dpop {
    /// Whether the scheme `DPoP` is known here.
    pub(crate) fn is_on(&self) -> bool {
        self.policy != DpopPolicy::Off
    }

    /// What a token is worth that comes without anything else.
    pub(crate) fn check_bearer(&self, claims: &Claims) -> Result<(), Rejection> {
        match (&claims.key_thumbprint, self.policy) {
            // RFC 9449 §7.2: else whoever stole the token would use it without the key.
            (Some(_), _) => Err(Rejection::SenderConstrained),
            (None, DpopPolicy::Require) => Err(Rejection::NotSenderConstrained),
            (None, _) => Ok(()),
        }
    }

    /// Whether token, scheme and proof belong together. A proof that comes out has yet to be [spent](Self::spend).
    pub(crate) fn check(
        &self,
        scheme: Scheme,
        token: &str,
        claims: &Claims,
        request: &Request<'_>,
        now: UnixSeconds,
    ) -> Result<Option<Proof>, Refusal> {
        let bound_to = match (scheme, &claims.key_thumbprint) {
            (Scheme::Bearer, _) => {
                self.check_bearer(claims).map_err(Refusal::InvalidToken)?;
                let has_proof = request.parts.headers.contains_key(DPOP);
                return if has_proof {
                    Err(Refusal::InvalidToken(Rejection::NotSenderConstrained))
                } else {
                    Ok(None)
                };
            }
            (Scheme::Dpop, None) => return Err(Refusal::InvalidToken(Rejection::NotSenderConstrained)),
            (Scheme::Dpop, Some(thumbprint)) => thumbprint,
        };
        let proof = the_proof(&request.parts.headers)?;
        let verified = self.verify(proof, token, request, now)?;
        if verified.key_thumbprint() == bound_to {
            Ok(Some(verified))
        } else {
            Err(Refusal::InvalidToken(Rejection::ProofKey))
        }
    }

    fn verify(
        &self,
        proof: &str,
        token: &str,
        request: &Request<'_>,
        now: UnixSeconds,
    ) -> Result<Proof, DpopRefusal> {
        let path = request.public_path(&self.resource_path);
        let uri = TargetUri::parse(&format!("{}{path}", self.origin))
            .map_err(|_| ProofFault::Invalid(ProofError::Uri))?;
        let nonces = self.nonces.as_ref().map(NonceSource::nonces);
        let context = ProofContext {
            method: request.parts.method.as_str(),
            uri: &uri,
            access_token: Some(token),
            nonces: nonces.as_ref(),
        };
        let verified = self.rules.verify(proof, &context, now);
        verified.map_err(|error| match (error, &self.nonces) {
            (ProofError::Nonce(error), Some(source)) => DpopRefusal::Nonce {
                error,
                nonce: source.issue(now),
            },
            _ => ProofFault::Invalid(error).into(),
        })
    }

    /// Lets a proof count, once. The last of all checks: what is refused for another reason spends nothing.
    pub(crate) async fn spend(&self, proof: &Proof, now: UnixSeconds) -> Result<(), DpopRefusal> {
        let until = proof.acceptable_until();
        // A body may have taken long: what nobody remembers any more must not count.
        if now >= until {
            return Err(ProofFault::Invalid(ProofError::Stale).into());
        }
        let insertion = self.replays.insert(proof.replay_id(), now, until);
        match tokio::time::timeout(REPLAY_WAIT, insertion).await {
            Ok(Ok(Insertion::New)) => Ok(()),
            Ok(Ok(Insertion::Replayed)) => Err(ProofFault::Replayed.into()),
            Ok(Err(ReplayStoreUnavailable { retry_after })) => {
                Err(DpopRefusal::ReplaysUnavailable { retry_after })
            }
            Err(_) => Err(DpopRefusal::ReplaysUnavailable {
                retry_after: REPLAY_WAIT,
            }),
        }
    }

    /// The nonce to send along with an answer, when the one of the request grows old (RFC 9449 §8.2).
    pub(crate) fn next_nonce(&self, proof: &Proof, now: UnixSeconds) -> Option<HeaderValue> {
        let source = self.nonces.as_ref()?;
        (proof.nonce_age() == Some(NonceAge::Ageing)).then(|| source.issue(now))
    }
}

/// RFC 9449 §4.3, check 1.
fn the_proof(headers: &HeaderMap) -> Result<&str, ProofFault> {
    let mut values = headers.get_all(DPOP).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(ProofFault::Missing),
        (Some(_), Some(_)) => Err(ProofFault::Several),
        (Some(value), None) => value
            .to_str()
            .map_err(|_| ProofFault::Invalid(ProofError::Malformed)),
    }
}

/// A request, and where it came in.
pub(crate) struct Request<'r> {
    pub(crate) parts: &'r Parts,
    /// Where this process serves the resource, if it knows.
    pub(crate) served_at: Option<&'r str>,
}

impl Request<'_> {
    /// The path that the client asked for, byte for byte as it was sent, except that a proxy's rewriting is undone.
    fn public_path(&self, resource_path: &str) -> Cow<'_, str> {
        let path = self.parts.uri.path();
        if let Some(served_at) = self.served_at {
            if path == served_at {
                return Cow::Owned(resource_path.to_owned());
            }
            let below = path.strip_prefix(served_at.trim_end_matches('/'));
            if let Some(below) = below.filter(|below| below.starts_with('/')) {
                return Cow::Owned(format!("{}{below}", resource_path.trim_end_matches('/')));
            }
        }
        Cow::Borrowed(self.original_path())
    }

    /// Routers that are nested cut the path off that they have matched.
    #[cfg(feature = "axum")]
    fn original_path(&self) -> &str {
        match self.parts.extensions.get::<::axum::extract::OriginalUri>() {
            Some(original) => original.path(),
            None => self.parts.uri.path(),
        }
    }

    #[cfg(not(feature = "axum"))]
    fn original_path(&self) -> &str {
        self.parts.uri.path()
    }
}

impl Dpop {
    fn new(settings: DpopSettings, resource: &ResourceUri, nonces: Option<NonceSource>) -> Self {
        let DpopSettings {
            policy,
            rules,
            replay_store,
            replay_capacity,
            ..
        } = settings;
        Self {
            policy,
            rules,
            origin: resource.origin().to_owned(),
            resource_path: resource.path().to_owned(),
            nonces,
            replays: replay_store.unwrap_or_else(|| Arc::new(MemoryReplayStore::new(replay_capacity))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_path(path: &str, served_at: Option<&str>, resource_path: &str) -> String {
        let (parts, ()) = http::Request::builder().uri(path).body(()).unwrap().into_parts();
        let request = Request {
            parts: &parts,
            served_at,
        };
        request.public_path(resource_path).into_owned()
    }

    /// INTEROP-008: a proxy that adds or removes a prefix.
    #[test]
    fn the_rewriting_of_a_proxy_is_undone() {
        for (path, served_at, resource_path, expected) in [
            ("/mcp", None, "/mcp", "/mcp"),
            ("/mcp/a%2Fb?x=1", None, "/mcp", "/mcp/a%2Fb"),
            ("/mcp", Some("/mcp"), "/api/mcp", "/api/mcp"),
            ("/mcp/x", Some("/mcp"), "/api/mcp", "/api/mcp/x"),
            ("/mcp/", Some("/mcp"), "/api/mcp", "/api/mcp/"),
            ("/mcpx", Some("/mcp"), "/api/mcp", "/mcpx"),
            ("/", Some("/"), "", ""),
            ("/", Some("/"), "/mcp", "/mcp"),
            ("/x", Some("/"), "/mcp/", "/mcp/x"),
            ("/mcp/x", Some("/mcp/{*rest}"), "/mcp", "/mcp/x"),
        ] {
            assert_eq!(
                public_path(path, served_at, resource_path),
                expected,
                "{path} {served_at:?}"
            );
        }
    }
}

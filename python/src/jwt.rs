//! `_core.JwtVerifier`, and keys for tests.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use doorward_guard::fetch::{FetchPolicy, Fetcher, Limits};
use doorward_guard::jose::{HmacAlgorithm, JoseError, SigningKey, base64url};
use doorward_guard::verifiers::{JwtVerifier as Verifier, JwtVerifierBuilder};
use doorward_guard::{Algorithm, Claims, Clock, Document, Fetch, FetchFailure, SystemClock, VerifyError};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use serde_json::json;

use crate::access_token::AccessTokens;
use crate::callback::EventLoops;
use crate::claims::VerifiedClaims;
use crate::transport::PyTransport;
use crate::{bridge, errors};

/// What `doorward.jwt.JWTVerifier` was told, with every default filled in.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Settings {
    public_key: Option<Vec<u8>>,
    jwks_uri: Option<String>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithm: String,
    refresh_interval: f64,
    public_addresses_only: bool,
    transport: Option<Py<PyAny>>,
}

/// Verifies tokens of any issuer. `doorward.jwt.JWTVerifier` is its face.
#[pyclass(frozen, module = "doorward._core")]
pub(crate) struct JwtVerifier {
    verifier: Arc<Verifier>,
    tokens: Py<AccessTokens>,
    event_loops: EventLoops,
}

#[pymethods]
impl JwtVerifier {
    #[new]
    fn new(settings: Settings, tokens: Py<AccessTokens>) -> PyResult<Self> {
        let event_loops = EventLoops::default();
        let verifier = settings.build(&event_loops)?;
        Ok(Self {
            verifier: Arc::new(verifier),
            tokens,
            event_loops,
        })
    }

    /// The framework's access token, or a future of it.
    fn verify(&self, py: Python<'_>, token: Bound<'_, PyString>) -> PyResult<Py<PyAny>> {
        let text = token.to_str()?;
        if let Some(judged) = self.verifier.verify_at_once(text) {
            return access_token(self.tokens.get(), judged, &token);
        }
        self.event_loops.remember(py);
        let (verifier, tokens) = (Arc::clone(&self.verifier), self.tokens.clone_ref(py));
        let (text, token) = (text.to_owned(), token.unbind());
        let judged = async move { verifier.verify(&text).await };
        bridge::run(py, judged, move |py, judged| {
            access_token(tokens.get(), judged, token.bind(py))
        })
    }
}

fn access_token(
    tokens: &AccessTokens,
    judged: Result<Claims, VerifyError>,
    token: &Bound<'_, PyString>,
) -> PyResult<Py<PyAny>> {
    let py = token.py();
    let claims = judged.map_err(|error| errors::verify(py, error, false))?;
    // A token that is bound to a key is no bearer token (RFC 9449 §7.2), and nobody looks at proofs here.
    if claims.key_thumbprint.is_some() {
        let message = "the access token is bound to a key; use doorward_auth to take such tokens";
        return Err(errors::make(py, "DPoPNotSupportedError", message, None));
    }
    tokens
        .make(&VerifiedClaims::new(claims), token, None)
        .map(Bound::unbind)
}

impl Settings {
    fn build(self, event_loops: &EventLoops) -> PyResult<Verifier> {
        let mut builder = Verifier::builder();
        if let Some(key) = self.public_key {
            builder = match self.algorithm.parse::<HmacAlgorithm>() {
                Ok(algorithm) => builder.shared_secret(algorithm, key).allow_short_secret(true),
                Err(_) => builder.public_key(String::from_utf8(key).map_err(refused)?),
            };
        }
        if self.algorithm.parse::<HmacAlgorithm>().is_err() {
            builder = builder.algorithms([self.algorithm.parse::<Algorithm>().map_err(refused)?]);
        }
        if let Some(url) = self.jwks_uri {
            let cooldown = Duration::try_from_secs_f64(self.refresh_interval).map_err(refused)?;
            builder = builder.jwks_uri(url).unknown_key_cooldown(cooldown);
        }
        if let Some(callable) = self.transport {
            builder = builder.fetch(Arc::new(PyTransport::new(callable, event_loops.clone())));
        } else if self.public_addresses_only {
            builder = builder.fetch(Arc::new(PublicAddresses::new()?));
        }
        builder = self.issuers.into_iter().fold(builder, JwtVerifierBuilder::issuer);
        builder = self
            .audiences
            .into_iter()
            .fold(builder, JwtVerifierBuilder::audience);
        builder.build().map_err(refused)
    }
}

/// Keys from public HTTPS addresses alone: for URLs that strangers can choose.
struct PublicAddresses {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
}

impl PublicAddresses {
    fn new() -> PyResult<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let fetcher = Fetcher::new(FetchPolicy::default(), clock.clone()).map_err(refused)?;
        Ok(Self { fetcher, clock })
    }
}

impl Fetch for PublicAddresses {
    fn get_json<'a>(
        &'a self,
        url: &'a str,
        max_body: usize,
    ) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        async move {
            let limits = Limits {
                max_body,
                ..Limits::default()
            };
            let fetched = self.fetcher.get_json_fresh(url, &limits).await;
            let fetched = fetched.map_err(|error| {
                if error.is_transient() {
                    FetchFailure::new(error.to_string())
                } else {
                    FetchFailure::refused(error.to_string())
                }
            })?;
            let fresh_for = fetched.expires_at.since(self.clock.now());
            let fresh_for = Some(fresh_for).filter(|time| !time.is_zero());
            Ok(Document::new(fetched.body.clone()).fresh_for(fresh_for))
        }
        .boxed()
    }
}

/// A new RSA key of 2048 bits: the private and the public half in PEM form.
#[pyfunction]
pub(crate) fn generate_rsa_key_pair(py: Python<'_>) -> PyResult<(String, String)> {
    // It takes long enough for others to want to run.
    py.detach(|| {
        let key = SigningKey::generate(Algorithm::Rs256)?;
        Ok((key.to_pem()?.to_string(), key.public_jwk().to_pem()?))
    })
    .map_err(|error: JoseError| refused(error))
}

/// A token with these claims, a JSON object, signed with RS256.
#[pyfunction]
#[pyo3(signature = (private_key, claims, kid=None))]
pub(crate) fn sign_rs256(private_key: &str, claims: &str, kid: Option<&str>) -> PyResult<String> {
    let key = SigningKey::from_pem(Algorithm::Rs256, private_key).map_err(refused)?;
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let mut token = base64url::encode(header.to_string().as_bytes());
    token.push('.');
    token += &base64url::encode(claims.as_bytes());
    let signature = key.sign(token.as_bytes()).map_err(refused)?;
    token.push('.');
    token += &base64url::encode(&signature);
    Ok(token)
}

fn refused(error: impl Error) -> PyErr {
    PyValueError::new_err(errors::with_causes(&error))
}

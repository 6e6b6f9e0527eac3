//! `_core.Client`: this program as a client of the authorization server.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::client::{
    ClientAuth, ClientCredentialsRequest, ClientError, ExchangeRequest, IntrospectionResponse, OAuthClient,
    RequestStateKey, TokenResponse, TokenType,
};
use doorward_guard::jose::SigningKey;
use futures_util::FutureExt as _;
use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderName, HeaderValue};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use secrecy::ExposeSecret;

use crate::callback::EventLoops;
use crate::clock::PyClock;
use crate::network::Network;
use crate::subject::SubjectToken;
use crate::transport::PyTransport;
use crate::{bridge, errors, json};

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What `DoorwardClient` was told.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Settings {
    credentials: Option<Credentials>,
    dpop: Option<PemKey>,
    cache_ttl_buffer_seconds: f64,
    default_ttl_seconds: f64,
    cache_max_entries: usize,
    circuit_breaker_threshold: u32,
    circuit_breaker_cooldown_seconds: f64,
    request_state_keys: Vec<Vec<u8>>,
    network: Network,
    transport: Option<Py<PyAny>>,
    clock: Option<Py<PyAny>>,
}

/// `ASCredentials`
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Credentials {
    client_id: String,
    client_secret: Option<String>,
    post: bool,
    key: Option<PemKey>,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PemKey {
    pem: String,
    algorithm: String,
}

impl Credentials {
    pub(crate) fn auth(self) -> PyResult<ClientAuth> {
        match (self.key, self.client_secret) {
            (Some(key), _) => Ok(ClientAuth::private_key_jwt(self.client_id, key.read()?)),
            (None, Some(secret)) if self.post => Ok(ClientAuth::post(self.client_id, secret)),
            (None, Some(secret)) => Ok(ClientAuth::basic(self.client_id, secret)),
            (None, None) => Ok(ClientAuth::public(self.client_id)),
        }
    }
}

impl PemKey {
    fn read(self) -> PyResult<Arc<SigningKey>> {
        let unusable = || {
            PyValueError::new_err(
                "the private key cannot be used; give PKCS #8 in PEM form and its algorithm",
            )
        };
        let algorithm = self.algorithm.parse().map_err(|_| unusable())?;
        let key = SigningKey::from_pem(algorithm, &self.pem).map_err(|_| unusable())?;
        Ok(Arc::new(key))
    }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("times are given in seconds and are not negative"))
}

/// A client of one authorization server. `doorward.DoorwardClient` is its face.
#[pyclass(frozen, module = "doorward._core")]
pub(crate) struct Client {
    inner: OAuthClient,
    event_loops: Option<EventLoops>,
}

#[pymethods]
impl Client {
    #[new]
    fn new(py: Python<'_>, issuer: String, settings: Settings) -> PyResult<Self> {
        let mut builder = OAuthClient::builder(issuer)
            .expiry_buffer(seconds(settings.cache_ttl_buffer_seconds)?)
            .default_lifetime(seconds(settings.default_ttl_seconds)?)
            .token_cache(settings.cache_max_entries)
            .circuit_breaker(
                settings.circuit_breaker_threshold,
                seconds(settings.circuit_breaker_cooldown_seconds)?,
            );
        builder = settings.network.apply_to_client(builder);
        if let Some(credentials) = settings.credentials {
            builder = builder.auth(credentials.auth()?);
        }
        if let Some(key) = settings.dpop {
            builder = builder.dpop(key.read()?);
        }
        for key in settings.request_state_keys {
            let key = <[u8; 32]>::try_from(key)
                .map_err(|_| PyValueError::new_err("request_state_keys are of 32 random bytes each"))?;
            builder = builder.request_state_key(RequestStateKey::new(key));
        }
        if let Some(callable) = settings.clock {
            builder = builder.clock(Arc::new(PyClock::new(callable)));
        }
        let mut event_loops = None;
        if let Some(callable) = settings.transport {
            let known = event_loops.insert(EventLoops::default()).clone();
            builder = builder.fetch(Arc::new(PyTransport::new(callable, known)));
        }
        let inner = builder
            .build()
            .map_err(|error| errors::client_build(py, &error))?;
        Ok(Self { inner, event_loops })
    }

    /// A token of this program's own.
    fn client_credentials(
        &self,
        py: Python<'_>,
        scopes: Vec<String>,
        resources: Vec<String>,
    ) -> PyResult<Py<PyAny>> {
        let mut request = ClientCredentialsRequest::new().scopes(scopes);
        for resource in resources {
            request = request.resource(resource);
        }
        let client = self.inner.clone();
        self.run(
            py,
            async move { client.client_credentials(&request).await },
            token,
        )
    }

    /// Another token for one that is at hand.
    fn exchange(&self, py: Python<'_>, wanted: Exchange) -> PyResult<Py<PyAny>> {
        let request = wanted.request(self.inner.issuer())?;
        let client = self.inner.clone();
        self.run(py, async move { client.exchange(&request).await }, token)
    }

    /// Whether a token counts.
    fn introspect(&self, py: Python<'_>, token: String) -> PyResult<Py<PyAny>> {
        let client = self.inner.clone();
        self.run(py, async move { client.introspect(&token).await }, introspection)
    }

    /// Ends a token.
    fn revoke(&self, py: Python<'_>, token: String) -> PyResult<Py<PyAny>> {
        let client = self.inner.clone();
        self.run(py, async move { client.revoke(&token).await }, |py, ()| {
            Ok(py.None())
        })
    }

    /// A proof for one request to another service.
    fn dpop_proof(
        &self,
        py: Python<'_>,
        method: &str,
        url: &str,
        access_token: Option<&str>,
    ) -> PyResult<String> {
        let proof = self
            .inner
            .dpop_proof(method, url, access_token)
            .map_err(|error| errors::client(py, &error))?;
        Ok(proof.to_str().unwrap_or_default().to_owned())
    }

    /// Remembers the `DPoP-Nonce` of a service's answer, all values of which are given. Whether there was a new one.
    fn remember_dpop_nonce(&self, url: &str, nonces: Vec<String>) -> bool {
        let values = nonces.into_iter().map(HeaderValue::try_from);
        let headers: Result<HeaderMap, InvalidHeaderValue> =
            values.map(|value| Ok((DPOP_NONCE, value?))).collect();
        headers.is_ok_and(|headers| self.inner.remember_dpop_nonce(url, &headers))
    }
}

impl Client {
    pub(crate) fn inner(&self) -> &OAuthClient {
        &self.inner
    }

    fn run<T: Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl Future<Output = Result<T, ClientError>> + Send + 'static,
        read: fn(Python<'_>, T) -> PyResult<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        if let Some(event_loops) = &self.event_loops {
            event_loops.remember(py);
        }
        bridge::run(py, call.boxed(), move |py, outcome| match outcome {
            Ok(value) => read(py, value),
            Err(error) => Err(errors::client(py, &error)),
        })
    }
}

/// `TokenExchangeOptions`
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Exchange {
    subject_token: Subject,
    subject_token_type: String,
    actor_token: String,
    actor_token_type: String,
    requested_token_type: String,
    scopes: Vec<String>,
    resources: Vec<String>,
    audiences: Vec<String>,
}

#[derive(FromPyObject)]
enum Subject {
    /// Of the request that is being answered.
    OfCaller(Py<SubjectToken>),
    Text(String),
}

impl Exchange {
    /// What is asked of an issuer.
    fn request(self, issuer: &str) -> PyResult<ExchangeRequest> {
        let mut request = match &self.subject_token {
            Subject::OfCaller(token) => ExchangeRequest::new(token.get().shown_to(issuer)?),
            Subject::Text(token) => ExchangeRequest::new(token.as_str()),
        };
        request = request
            .subject_token_type(self.subject_token_type)
            .requested_token_type(self.requested_token_type)
            .scopes(self.scopes);
        if !self.actor_token.is_empty() {
            request = request.actor_token_of_type(self.actor_token, self.actor_token_type);
        }
        for resource in self.resources {
            request = request.resource(resource);
        }
        for audience in self.audiences {
            request = request.audience(audience);
        }
        Ok(request)
    }
}

fn token(py: Python<'_>, token: TokenResponse) -> PyResult<Py<PyAny>> {
    let told = PyDict::new(py);
    told.set_item("access_token", token.access_token.expose_secret())?;
    let token_type = match token.token_type {
        TokenType::Bearer => "Bearer",
        TokenType::Dpop => "DPoP",
        _ => "N_A",
    };
    told.set_item("token_type", token_type)?;
    told.set_item("expires_in", token.expires_in.map(|time| time.as_secs()))?;
    told.set_item(
        "scope",
        token.scope.map(|scopes| scopes.to_string()).unwrap_or_default(),
    )?;
    let refresh_token = token.refresh_token.as_ref();
    told.set_item("refresh_token", refresh_token.map(ExposeSecret::expose_secret))?;
    told.set_item("issued_token_type", token.issued_token_type)?;
    Ok(told.into_any().unbind())
}

fn introspection(py: Python<'_>, answer: IntrospectionResponse) -> PyResult<Py<PyAny>> {
    let told = PyDict::new(py);
    told.set_item("active", answer.active)?;
    told.set_item("scope", answer.scope.unwrap_or_default())?;
    told.set_item("client_id", answer.client_id)?;
    told.set_item("username", answer.username)?;
    told.set_item("token_type", answer.token_type)?;
    told.set_item("exp", answer.expires_at.map(|time| time.0))?;
    told.set_item("iat", answer.issued_at.map(|time| time.0))?;
    told.set_item("nbf", answer.not_before.map(|time| time.0))?;
    told.set_item("sub", answer.subject)?;
    told.set_item("aud", answer.audience)?;
    told.set_item("iss", answer.issuer)?;
    told.set_item("jti", answer.jti)?;
    told.set_item("cnf_jkt", answer.key_thumbprint)?;
    told.set_item("raw", json::to_frozen_mapping(py, &answer.raw)?)?;
    Ok(told.into_any().unbind())
}

//! `_core.Guard`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_guard::oauth::dpop::ProofError;
use doorward_guard::oauth::resource::{ResourceRules, ResourceUri};
use doorward_guard::{Algorithm, GuardBuilder, Head, Named, Reason, RevocationStatus};
use http::Method;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyString;

use crate::audit::PyAuditHook;
use crate::callback::EventLoops;
use crate::claims::VerifiedClaims;
use crate::client::Credentials;
use crate::clock::PyClock;
use crate::dpop::DpopOptions;
use crate::http::{AsgiHeaders, OwnedHead, answer_to_python, bad_request};
use crate::metrics::{self, Snapshot};
use crate::network::Network;
use crate::revocation::RevocationOptions;
use crate::transport::PyTransport;
use crate::visit::Visit;
use crate::{bridge, errors, json, runtime};

/// What `doorward.Guard` was told, checked and with every default filled in.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[expect(clippy::struct_excessive_bools, reason = "as many as Python's arguments")]
pub(crate) struct Settings {
    scopes: Vec<String>,
    required_scopes: Vec<String>,
    tool_scopes: HashMap<String, Vec<String>>,
    prompt_scopes: HashMap<String, Vec<String>>,
    resource_scopes: HashMap<String, Vec<String>>,
    scope_hierarchy: HashMap<String, Vec<String>>,
    hide_unavailable: bool,
    more_issuers: Vec<String>,
    issuer_credentials: HashMap<String, Credentials>,
    algorithms: Vec<String>,
    clock_skew_seconds: u64,
    jwks_refresh_seconds: u64,
    cache_max_entries: usize,
    max_body: usize,
    resource_name: Option<String>,
    resource_documentation: Option<String>,
    resource_metadata_url: Option<String>,
    root_metadata: bool,
    allowed_origins: Vec<String>,
    bind_sessions: bool,
    end_streams_with_token: bool,
    max_login_age_seconds: Option<u64>,
    acr_values: Vec<String>,
    dpop: Option<DpopOptions>,
    credentials: Option<Credentials>,
    revocation: Option<RevocationOptions>,
    on_decision: Option<Py<PyAny>>,
    network: Network,
    transport: Option<Py<PyAny>>,
    clock: Option<Py<PyAny>>,
}

impl Settings {
    fn builder(self, issuer: String, resource: String, event_loops: &EventLoops) -> PyResult<GuardBuilder> {
        let mut builder = doorward_guard::Guard::builder(issuer, resource)
            .scopes(self.scopes)
            .required_scopes(self.required_scopes)
            .algorithms(algorithms(&self.algorithms)?)
            .clock_skew(Duration::from_secs(self.clock_skew_seconds))
            .key_refresh(Duration::from_secs(self.jwks_refresh_seconds))
            .token_cache(self.cache_max_entries)
            .max_body(self.max_body)
            .root_metadata(self.root_metadata)
            .allowed_origins(self.allowed_origins)
            .bind_sessions(self.bind_sessions)
            .end_streams_with_token(self.end_streams_with_token)
            .require_acr(self.acr_values);
        for (tool, scopes) in self.tool_scopes {
            builder = builder.tool_scopes(tool, scopes);
        }
        for (prompt, scopes) in self.prompt_scopes {
            builder = builder.prompt_scopes(prompt, scopes);
        }
        for (pattern, scopes) in self.resource_scopes {
            builder = builder.resource_scopes(pattern, scopes);
        }
        for (scope, implied) in self.scope_hierarchy {
            builder = builder.implies(scope, implied);
        }
        for issuer in self.more_issuers {
            builder = builder.issuer(issuer);
        }
        for (issuer, credentials) in self.issuer_credentials {
            builder = builder.issuer_client_auth(issuer, credentials.auth()?);
        }
        builder = self
            .network
            .apply(builder.hide_unavailable(self.hide_unavailable));
        if let Some(name) = self.resource_name {
            builder = builder.resource_name(name);
        }
        if let Some(url) = self.resource_documentation {
            builder = builder.resource_documentation(url);
        }
        if let Some(seconds) = self.max_login_age_seconds {
            builder = builder.require_recent_login(Duration::from_secs(seconds));
        }
        if let Some(options) = self.dpop {
            builder = options.apply(builder, event_loops)?;
        }
        if let Some(url) = self.resource_metadata_url {
            builder = builder.resource_metadata_url(url);
        }
        if let Some(credentials) = self.credentials {
            builder = builder.client_auth(credentials.auth()?);
        }
        if let Some(options) = self.revocation {
            builder = builder.revocation(options.choice(event_loops));
        }
        if let Some(callable) = self.on_decision {
            builder = builder.on_decision(Arc::new(PyAuditHook::new(callable)));
        }
        if let Some(callable) = self.transport {
            builder = builder.fetch(Arc::new(PyTransport::new(callable, event_loops.clone())));
        }
        if let Some(callable) = self.clock {
            builder = builder.clock(Arc::new(PyClock::new(callable)));
        }
        Ok(builder)
    }
}

pub(crate) fn algorithms(names: &[String]) -> PyResult<Vec<Algorithm>> {
    let parse = |name: &String| {
        name.parse().map_err(|_| {
            PyValueError::new_err(format!(
                "the algorithm {name:?} cannot be used; choose among ES256, ES384, EdDSA, RS256, RS384, RS512, PS256"
            ))
        })
    };
    names.iter().map(parse).collect()
}

/// The guard itself. `doorward.Guard` is its face.
#[pyclass(frozen, module = "doorward._core")]
pub(crate) struct Guard {
    inner: doorward_guard::Guard,
    dpop: bool,
    metadata_url: String,
    /// Only where the guard calls Python.
    event_loops: Option<EventLoops>,
}

#[pymethods]
impl Guard {
    #[new]
    fn new(py: Python<'_>, issuer: String, resource: String, settings: Settings) -> PyResult<Self> {
        let event_loops = EventLoops::default();
        let calls_python = settings.transport.is_some()
            || settings.dpop.as_ref().is_some_and(DpopOptions::calls_python)
            || matches!(settings.revocation, Some(RevocationOptions::Checker { .. }));
        let dpop = settings.dpop.is_some();
        // What is wrong with it, the builder says.
        let rules = ResourceRules {
            http_anywhere: true,
            query: true,
        };
        let chosen_url = settings.resource_metadata_url.clone();
        let metadata_url = ResourceUri::parse_with(&resource, rules).map(|resource| resource.metadata_url());
        let guard = settings
            .builder(issuer, resource, &event_loops)?
            .build()
            .map_err(|error| errors::build(py, &error))?;
        Ok(Self {
            inner: guard,
            dpop,
            metadata_url: chosen_url.unwrap_or(metadata_url.unwrap_or_default()),
            event_loops: calls_python.then_some(event_loops),
        })
    }

    /// Begins to fetch the issuer's keys.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.remember_loop(py);
        let runtime = runtime::handle()?;
        let _entered = runtime.enter();
        self.inner.start();
        Ok(())
    }

    /// `VerifiedClaims`, or a future of them.
    fn verify(&self, py: Python<'_>, token: Bound<'_, PyString>) -> PyResult<Py<PyAny>> {
        let token = readable(&token)?;
        let dpop = self.dpop;
        let finish = move |py: Python<'_>, verified| match verified {
            Ok(claims) => Ok(Py::new(py, VerifiedClaims::new(claims))?.into_any()),
            Err(error) => Err(errors::verify(py, error, dpop)),
        };
        // Also for what is answered at once: what is done for everybody later needs a loop.
        self.remember_loop(py);
        if let Some(verified) = self.inner.verify_at_once(&token) {
            return finish(py, verified);
        }
        let guard = self.inner.clone();
        let verified = async move { guard.verify(&token).await };
        bridge::run(py, verified, finish)
    }

    /// The same for a token that came with a proof, which is spent.
    fn verify_dpop(
        &self,
        py: Python<'_>,
        token: Bound<'_, PyString>,
        proof: Option<Bound<'_, PyString>>,
        method: Bound<'_, PyString>,
        url: Bound<'_, PyString>,
    ) -> PyResult<Py<PyAny>> {
        let Some(proof) = proof else {
            return self.verify(py, token);
        };
        self.remember_loop(py);
        let (token, proof) = (readable(&token)?, readable(&proof)?);
        let Ok(method) = method.to_string_lossy().parse::<Method>() else {
            // No proof was made for what is no method.
            return Err(errors::proof(py, Reason::Proof(ProofError::Method), None));
        };
        let path = path_of(&url.to_string_lossy()).to_owned();
        let guard = self.inner.clone();
        let verified = async move { guard.verify_dpop(&token, &proof, &method, &path).await };
        bridge::run(py, verified, |py, verified| match verified {
            Ok(claims) => Ok(Py::new(py, VerifiedClaims::new(claims))?.into_any()),
            Err(denied) => Err(errors::denied(py, &denied)),
        })
    }

    /// A `Visit`, the answer `(status, headers, body)` of a refusal, or a future of either.
    fn admit(
        &self,
        py: Python<'_>,
        method: &str,
        path: &[u8],
        query: &[u8],
        headers: AsgiHeaders,
        served_at: Option<String>,
    ) -> PyResult<Py<PyAny>> {
        self.remember_loop(py);
        let Some(head) = OwnedHead::read(method, path, query, &headers) else {
            return bad_request(py);
        };
        let guard = self.inner.clone();
        let admitted = async move {
            let asked = Head::new(&head.method, &head.uri, &head.headers);
            let admitted = guard.admit(asked.served_at(served_at.as_deref())).await;
            (admitted, head.headers)
        };
        bridge::run(py, admitted, |py, (admitted, headers)| match admitted {
            Ok(visit) => Ok(Py::new(py, Visit::new(visit, headers))?.into_any()),
            Err(answer) => answer_to_python(py, &answer),
        })
    }

    /// The answer with the resource metadata, if the path is one of its.
    fn metadata_answer(&self, py: Python<'_>, method: &str, path: &str) -> PyResult<Option<Py<PyAny>>> {
        // Nearly every request ends here.
        if !path.starts_with("/.well-known/") {
            return Ok(None);
        }
        let Ok(method) = method.parse() else {
            return Ok(None);
        };
        let answer = self.inner.metadata_answer(&method, path);
        answer.map(|answer| answer_to_python(py, &answer)).transpose()
    }

    /// Raises `InsufficientScopeError` unless the token may use a `tool`, `prompt` or `resource` that its request does not
    /// name.
    fn require_named(&self, py: Python<'_>, claims: &VerifiedClaims, kind: &str, name: &str) -> PyResult<()> {
        let named = match kind {
            "tool" => Named::Tool(name),
            "prompt" => Named::Prompt(name),
            "resource" => Named::Resource(name),
            _ => return Err(PyValueError::new_err("nothing that has scopes")),
        };
        let checked = self.inner.check_scopes(claims.inner(), named);
        checked.map_err(|missing| {
            let needed = missing.needed().iter().map(|scope| scope.as_str().to_owned());
            errors::insufficient_scope(py, needed.collect())
        })
    }

    /// How well the guard knows what was revoked: `(state, since, reason)`.
    fn revocation_status(&self) -> Status {
        status(self.inner.revocation_status())
    }

    /// The same for each issuer.
    fn revocation_statuses(&self) -> Vec<(&str, Status)> {
        let statuses = self.inner.revocation_statuses().into_iter();
        statuses.map(|(issuer, of)| (issuer, status(of))).collect()
    }

    /// The counts since the guard was built: `(allowed, refused, feed, keys)`.
    fn metrics(&self) -> Snapshot {
        metrics::snapshot(self.inner.metrics())
    }

    /// Where clients find the resource metadata.
    #[getter]
    fn metadata_url(&self) -> &str {
        &self.metadata_url
    }

    /// Where the resource metadata must be served.
    #[getter]
    fn metadata_paths(&self) -> Vec<&str> {
        self.inner.metadata_paths()
    }

    /// The resource metadata.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let path = self.inner.metadata_paths().into_iter().next();
        let answer = path.and_then(|path| self.inner.metadata_answer(&Method::GET, path));
        let document = answer.and_then(|answer| serde_json::from_slice(answer.body()).ok());
        document
            .map(|document| json::to_python(py, &document))
            .transpose()
    }
}

impl Guard {
    fn remember_loop(&self, py: Python<'_>) {
        if let Some(event_loops) = &self.event_loops {
            event_loops.remember(py);
        }
    }
}

/// `(state, since, reason)`
type Status = (&'static str, Option<i64>, Option<&'static str>);

fn status(status: RevocationStatus) -> Status {
    match status {
        RevocationStatus::Asks => ("asks", None, None),
        RevocationStatus::Connected { since } => ("connected", Some(since.0), None),
        RevocationStatus::Disconnected { since, reason } => {
            ("disconnected", Some(since.0), Some(reason.as_str()))
        }
        _ => ("off", None, None),
    }
}

/// Text as a stranger may have sent it: servers hand on bytes that are no text as lone surrogates, which nothing good has.
fn readable(text: &Bound<'_, PyString>) -> PyResult<PyBackedStr> {
    PyBackedStr::try_from(text.clone())
        .or_else(|_| PyString::new(text.py(), &text.to_string_lossy()).try_into())
}

/// The path of a URL, as it was sent.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| {
        rest.find('/').map_or("/", |start| &rest[start..])
    });
    rest.split(['?', '#']).next().unwrap_or(rest)
}

//! Errors as the exceptions of `doorward.errors`.

use std::error::Error;

use doorward_guard::client::{ClientBuildError, ClientError};
use doorward_guard::{BuildError, Denied, Reason, Rejection, VerifyError};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict as _, PyDict, PyTuple};

/// The exception class `name` of `doorward.errors`, made with a message and keyword arguments.
pub(crate) fn make<'py>(
    py: Python<'py>,
    name: &str,
    message: &str,
    arguments: Option<&Bound<'py, PyDict>>,
) -> PyErr {
    static MODULE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || {
        PyModule::import(py, "doorward.errors").map(|module| module.into_any().unbind())
    });
    let made = module.and_then(|module| module.bind(py).getattr(name)?.call((message,), arguments));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => PyRuntimeError::new_err(format!("{message} ({error})")),
    }
}

/// Why a token was not verified. What the token says is in no message.
pub(crate) fn verify(py: Python<'_>, error: VerifyError, dpop: bool) -> PyErr {
    match error {
        VerifyError::Rejected(rejection) => {
            let (class, message) = rejected(rejection, dpop);
            let reason = [("reason", rejection.as_str())].into_py_dict(py);
            make(py, class, message, reason.ok().as_ref())
        }
        VerifyError::KeysUnavailable { retry_after } => {
            let arguments = [("retry_after", retry_after.as_secs().max(1))].into_py_dict(py);
            make(
                py,
                "JWKSFetchError",
                "the keys of the authorization server are not available",
                arguments.ok().as_ref(),
            )
        }
        VerifyError::IntrospectionUnavailable { retry_after } => {
            let arguments = [("retry_after", retry_after.as_secs().max(1))].into_py_dict(py);
            make(
                py,
                "RevocationUnavailableError",
                "nobody can tell whether the access token was revoked",
                arguments.ok().as_ref(),
            )
        }
        other => make(py, "VerifierRuntimeError", &other.to_string(), None),
    }
}

fn rejected(rejection: Rejection, dpop: bool) -> (&'static str, &'static str) {
    match rejection {
        Rejection::Revoked => ("TokenRevokedError", "the access token was revoked"),
        Rejection::Expired => ("TokenExpiredError", "the access token has expired"),
        Rejection::Malformed | Rejection::NoKeyId | Rejection::UnknownKey | Rejection::Signature => (
            "InvalidSignatureError",
            "the access token is not signed by a key of its issuer",
        ),
        Rejection::SenderConstrained if dpop => (
            "DPoPProofMissingError",
            "the access token is bound to a key and came without a proof",
        ),
        Rejection::SenderConstrained => (
            "DPoPNotSupportedError",
            "the access token is bound to a key; turn DPoP on to take such tokens",
        ),
        Rejection::NotSenderConstrained => (
            "DPoPBindingMismatchError",
            "the access token is not bound to a key as it must be here, or came with a proof without being bound",
        ),
        Rejection::ProofKey => (
            "DPoPBindingMismatchError",
            "the access token is bound to another key than the proof's",
        ),
        _ => (
            "InvalidClaimsError",
            "the access token is not meant for this resource, or not now",
        ),
    }
}

/// Why a token does not count together with its proof.
pub(crate) fn denied(py: Python<'_>, denied: &Denied) -> PyErr {
    let (class, message) = match denied.reason() {
        Reason::Token(rejection) => rejected(rejection, true),
        Reason::TokensUncheckable => (
            "JWKSFetchError",
            "the keys of the authorization server are not available",
        ),
        Reason::ProofMissing => ("DPoPProofMissingError", "the proof is missing"),
        Reason::ProofRepeated => ("DPoPMultipleProofsError", "more than one proof was sent"),
        Reason::ProofReplayed => ("DPoPReplayDetectedError", "the proof was used before"),
        Reason::ProofsUncheckable => (
            "ReplayStoreUnavailableError",
            "nobody can tell whether the proof was used before",
        ),
        _ => (
            "VerifierRuntimeError",
            "the token and its proof could not be checked",
        ),
    };
    if let reason @ Reason::Proof(_) = denied.reason() {
        let nonce = denied.nonce().and_then(|nonce| nonce.to_str().ok());
        return proof(py, reason, nonce);
    }
    let arguments = PyDict::new(py);
    let mut filled = arguments.set_item("reason", denied.reason().as_str());
    if let Some(retry_after) = denied.retry_after() {
        filled = filled.and_then(|()| arguments.set_item("retry_after", retry_after.as_secs().max(1)));
    }
    if let Err(error) = filled {
        return error;
    }
    make(py, class, message, Some(&arguments))
}

/// Which rule a proof breaks, and the nonce to answer with.
pub(crate) fn proof(py: Python<'_>, reason: Reason, nonce: Option<&str>) -> PyErr {
    let arguments = [("reason", Some(reason.as_str())), ("nonce", nonce)].into_py_dict(py);
    match arguments {
        Ok(arguments) => make(
            py,
            "InvalidDPoPProofError",
            "the proof is not valid for this request",
            Some(&arguments),
        ),
        Err(error) => error,
    }
}

/// The token lacks one of these scopes.
pub(crate) fn insufficient_scope(py: Python<'_>, scopes: Vec<String>) -> PyErr {
    let message = format!(
        "the access token does not have every scope that this needs: {}",
        scopes.join(" ")
    );
    let arguments =
        PyTuple::new(py, scopes).and_then(|scopes| [("required_scopes", scopes)].into_py_dict(py));
    match arguments {
        Ok(arguments) => make(py, "InsufficientScopeError", &message, Some(&arguments)),
        Err(error) => error,
    }
}

/// Why a guard cannot be built.
pub(crate) fn build(py: Python<'_>, error: &BuildError) -> PyErr {
    let message = in_python(with_causes(error));
    let class = match error {
        BuildError::Issuer { .. } | BuildError::InsecureIssuer(_) => "InvalidIssuerError",
        BuildError::Resource { .. } | BuildError::ResourcePath(_) => "InvalidResourceError",
        _ => return PyValueError::new_err(message),
    };
    make(py, class, &message, None)
}

/// What settings are called here that have another name in Rust, as messages quote them.
const NAMES: [(&str, &str); 10] = [
    ("`dev_mode(true)`", "`dev_mode=True`"),
    ("`client_auth`", "`as_credentials`"),
    ("`issuer_client_auth`", "`issuer_credentials`"),
    ("`issuer(..)`", "`more_issuers`"),
    ("`implies`", "`scope_hierarchy`"),
    ("`require_acr`", "`acr_values`"),
    ("`dpop_replay_capacity`", "`replay_capacity`"),
    ("`dpop_replay_per_key`", "`replay_per_key`"),
    ("`dpop_nonce_keys`", "`nonce_keys`"),
    ("`request_state_key`", "`request_state_keys`"),
];

/// An error and what it leaves to its causes to tell.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let told: Vec<_> = causes.map(ToString::to_string).collect();
    told.join(": ")
}

fn in_python(message: String) -> String {
    NAMES
        .iter()
        .fold(message, |message, (rust, python)| message.replace(rust, python))
}

/// Why a client cannot be built.
pub(crate) fn client_build(py: Python<'_>, error: &ClientBuildError) -> PyErr {
    let message = in_python(with_causes(error));
    match error {
        ClientBuildError::Issuer { .. } => make(py, "InvalidIssuerError", &message, None),
        _ => PyValueError::new_err(message),
    }
}

/// Why a call to the authorization server did not do what it should.
pub(crate) fn client(py: Python<'_>, error: &ClientError) -> PyErr {
    let class = match error {
        ClientError::ConsentRequired(_) => "ConsentRequiredError",
        ClientError::InvalidRequest(_) => "InvalidRequestError",
        ClientError::InvalidClient(_) => "InvalidClientError",
        ClientError::InvalidGrant(_) => "InvalidGrantError",
        ClientError::UnauthorizedClient(_) => "UnauthorizedClientError",
        ClientError::UnsupportedGrantType(_) => "UnsupportedGrantTypeError",
        ClientError::InvalidScope(_) => "InvalidScopeError",
        ClientError::InvalidTarget(_) => "InvalidTargetError",
        ClientError::AccessDenied(_) => "AccessDeniedError",
        ClientError::Server { .. } | ClientError::Transport(_) => "ServerError",
        ClientError::CircuitOpen { .. } => "CircuitOpenError",
        ClientError::Metadata(_) => "MetadataFetchError",
        ClientError::NoEndpoint(_) => "MissingMetadataEndpointError",
        ClientError::Protocol(_) => "ProtocolError",
        ClientError::Request(text) => return PyValueError::new_err(*text),
        _ => "AuthError",
    };
    match client_arguments(py, error) {
        Ok(arguments) => make(py, class, &error.to_string(), Some(&arguments)),
        Err(error) => error,
    }
}

fn client_arguments<'py>(py: Python<'py>, error: &ClientError) -> PyResult<Bound<'py, PyDict>> {
    let arguments = PyDict::new(py);
    arguments.set_item(
        "retry_after",
        error.retry_after().map(|time| time.as_secs().max(1)),
    )?;
    match error {
        ClientError::ConsentRequired(consent) => {
            arguments.set_item("code", consent.code())?;
            arguments.set_item("service_id", &consent.service)?;
            arguments.set_item("cause_detail", consent.cause.as_deref().unwrap_or_default())?;
            arguments.set_item("consent_url", consent.consent_url.as_deref())?;
            arguments.set_item("description", consent.description.as_deref())?;
        }
        ClientError::Server { status, .. } => {
            arguments.set_item("code", "server_error")?;
            arguments.set_item("status_code", status)?;
        }
        ClientError::Transport(_) | ClientError::CircuitOpen { .. } => {
            arguments.set_item("code", "temporarily_unavailable")?;
            arguments.set_item("status_code", 503)?;
        }
        ClientError::Metadata(_) | ClientError::NoEndpoint(_) | ClientError::Protocol(_) => {}
        refused => {
            arguments.set_item("code", refused.code().unwrap_or_default())?;
            let is_client = matches!(refused, ClientError::InvalidClient(_));
            arguments.set_item("status_code", if is_client { 401 } else { 400 })?;
        }
    }
    Ok(arguments)
}

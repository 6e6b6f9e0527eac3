//! Missing consent, as MCP clients are told of it.

use doorward_guard::client::{BoundRequest, ConsentRequired, McpCall, Principal, RequestStateError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::Value;

use crate::claims::VerifiedClaims;
use crate::client::Client;
use crate::{errors, json};

/// `ConsentRequiredError`
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[expect(clippy::struct_field_names, reason = "Python's names")]
pub(crate) struct Consent {
    service: String,
    cause: Option<String>,
    consent_url: Option<String>,
    description: Option<String>,
}

impl Consent {
    fn required(self) -> ConsentRequired {
        let mut consent = ConsentRequired::new(self.service);
        consent.cause = self.cause;
        consent.consent_url = self.consent_url;
        consent.description = self.description;
        consent
    }
}

/// The request during which consent turned out to be missing.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Call {
    protocol_version: String,
    method: String,
    /// JSON
    params: String,
    url_elicitation: Option<bool>,
}

/// The member `error` or `result` of the JSON-RPC response: its name and its value.
#[pyfunction]
pub(crate) fn consent_answer(
    py: Python<'_>,
    client: &Client,
    claims: &VerifiedClaims,
    consent: Consent,
    call: Call,
) -> PyResult<(&'static str, Py<PyAny>)> {
    let params = read(&call.params)?;
    let asked = McpCall {
        protocol_version: &call.protocol_version,
        method: &call.method,
        params: &params,
        principal: &Principal::from(claims.inner()),
        url_elicitation: call.url_elicitation,
    };
    let answer = client
        .inner()
        .consent_answer(&consent.required(), &asked)
        .map_err(|error| errors::client(py, &error))?;
    let (member, value) = answer.to_json();
    Ok((member, json::to_python(py, &value)?.unbind()))
}

/// Why a `requestState` that came back does not count, in one word; `None` when it does.
#[pyfunction]
pub(crate) fn refused_request_state(
    client: &Client,
    claims: &VerifiedClaims,
    state: &str,
    method: &str,
    params: &str,
) -> PyResult<Option<&'static str>> {
    let request = BoundRequest {
        principal: &Principal::from(claims.inner()),
        method,
        params: &read(params)?,
    };
    let opened = client.inner().open_request_state(state, &request);
    Ok(opened.err().map(|error| match error {
        RequestStateError::Expired => "expired",
        RequestStateError::OtherPrincipal => "other_principal",
        RequestStateError::OtherRequest => "other_request",
        _ => "not_ours",
    }))
}

fn read(params: &str) -> PyResult<Value> {
    serde_json::from_str(params).map_err(|_| PyValueError::new_err("the parameters are not JSON"))
}

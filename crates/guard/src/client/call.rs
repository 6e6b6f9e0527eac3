//! One request to the authorization server: who sends it, how often, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::Clock;

use super::answer::success;
use super::auth::ClientAuth;
use super::breaker::{Breaker, Permit};
use super::cache::{self, TokenCache};
use super::dpop::{DPOP, Proofs};
use super::endpoints::{Endpoint, Endpoints};
use super::error::ClientError;
use super::form::Form;
use super::pauses::Pauses;
use super::request_state::RequestStates;
use super::token::{Expected, TokenResponse};
use crate::fetch::{Fetch, FetchFailure, FormRequest, FormResponse};
use crate::flights::Flights;

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// One exchange, whatever the transport does.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);

/// What the clones of a client share.
pub(crate) struct Inner {
    pub(crate) issuer: Issuer,
    pub(crate) auth: Option<ClientAuth>,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) endpoints: Endpoints,
    pub(crate) breaker: Breaker,
    /// Its own, so that a token endpoint that fails does not keep revoked tokens alive, nor the reverse.
    pub(crate) introspection_breaker: Breaker,
    pub(crate) pauses: Pauses,
    pub(crate) cache: TokenCache,
    /// Callers who want the same token share one request. It goes on as long as one of them waits.
    pub(crate) own_tokens: Flights<cache::Key, TokenResponse>,
    pub(crate) proofs: Option<Proofs>,
    pub(crate) require_bound_tokens: bool,
    pub(crate) states: RequestStates,
}

impl Inner {
    pub(crate) async fn own_token(
        &self,
        form: &Form,
        key: &cache::Key,
    ) -> Result<TokenResponse, ClientError> {
        let since = self.clock.now();
        let expected = self.expected(None);
        let token = self
            .call(Endpoint::Token, form, |answer| {
                TokenResponse::read(&success(answer, self.issuer.is_loopback())?, &expected)
            })
            .await?;
        self.cache.keep(key, &token, since, self.clock.now());
        Ok(token)
    }

    pub(crate) fn expected(&self, issued_token_type: Option<String>) -> Expected {
        Expected {
            proof_sent: self.proofs.is_some(),
            binding_required: self.require_bound_tokens,
            issued_token_type,
        }
    }

    /// Sends a form and reads the answer. Every ending is told to the breaker; one that is not (the caller goes away, a
    /// panic) tells it by dropping the permit.
    pub(crate) async fn call<T>(
        &self,
        endpoint: Endpoint,
        form: &Form,
        read: impl Fn(&FormResponse) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let breaker = match endpoint {
            Endpoint::Introspection => &self.introspection_breaker,
            Endpoint::Token | Endpoint::Revocation | Endpoint::RevocationEvents => &self.breaker,
        };
        let circuit_open = |retry_after| ClientError::CircuitOpen { retry_after };
        let call = self.pauses.enter(endpoint, form).map_err(circuit_open)?;
        let permit = breaker.enter().map_err(|open| circuit_open(open.retry_after))?;
        let outcome = match self.send(endpoint, form).await {
            Ok(answer) => read(&answer),
            Err(error) => Err(error),
        };
        match &outcome {
            Err(ClientError::Server {
                status: 429,
                retry_after,
            }) => self.pauses.refused_by_server(&call, *retry_after),
            Err(error) if error.code().is_none() => {}
            _ => self.pauses.answered(&call),
        }
        settle(permit, outcome.as_ref().err());
        outcome
    }

    async fn send(&self, endpoint: Endpoint, form: &Form) -> Result<FormResponse, ClientError> {
        let url = self.endpoints.url(endpoint).await?;
        let answer = self.send_once(&url, form).await?;
        let has_new_nonce = self
            .proofs
            .as_ref()
            .is_some_and(|proofs| proofs.remember(&url, &answer.headers));
        if !(has_new_nonce && wants_nonce(&answer)) {
            return Ok(answer);
        }
        // RFC 9449 §8: once more, with the nonce. A second refusal is the answer.
        let answer = self.send_once(&url, form).await?;
        if let Some(proofs) = &self.proofs {
            proofs.remember(&url, &answer.headers);
        }
        Ok(answer)
    }

    async fn send_once(&self, url: &str, form: &Form) -> Result<FormResponse, ClientError> {
        let now = self.clock.now();
        let (mut form, mut headers) = (form.clone(), Vec::new());
        if let Some(auth) = &self.auth {
            auth.apply(&self.issuer, now, &mut form, &mut headers).await?;
        }
        if let Some(proofs) = &self.proofs {
            headers.push((DPOP, proofs.prove("POST", url, None, now)?));
        }
        let request = FormRequest {
            url,
            body: form.as_str(),
            headers,
            max_body: MAX_ANSWER,
        };
        let answer = tokio::time::timeout(EXCHANGE_TIMEOUT, self.fetch.post_form(request)).await;
        let answer = answer
            .unwrap_or_else(|_| {
                Err(FetchFailure::new(
                    "the authorization server did not answer in time",
                ))
            })
            .map_err(ClientError::Transport)?;
        // A transport of somebody else may not have looked.
        if answer.body.len() > MAX_ANSWER {
            return Err(ClientError::Protocol("the answer is larger than 64 KiB"));
        }
        Ok(answer)
    }
}

fn settle(permit: Permit<'_>, error: Option<&ClientError>) {
    match error {
        Some(ClientError::Transport(failure)) if failure.is_outage() => permit.failed(None),
        Some(ClientError::Server {
            status: 500..,
            retry_after,
        }) => permit.failed(*retry_after),
        // Nothing was learnt about the server's health.
        Some(
            ClientError::Transport(_)
            | ClientError::Metadata(_)
            | ClientError::NoEndpoint(_)
            | ClientError::Protocol(_)
            | ClientError::Request(_)
            | ClientError::Signing(_)
            | ClientError::CircuitOpen { .. },
        ) => drop(permit),
        // It answered as the standard says, if only to refuse. A `429` is no outage either: see `pauses`.
        _ => permit.answered(),
    }
}

/// `use_dpop_nonce` (RFC 9449 §8).
fn wants_nonce(answer: &FormResponse) -> bool {
    matches!(answer.status, 400 | 401)
        && matches!(
            success(answer, false),
            Err(ClientError::InvalidDpopProof(refusal)) if refusal.code() == "use_dpop_nonce"
        )
}

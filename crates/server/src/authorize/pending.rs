//! A request on its way through login and consent. Nothing is stored for it: it travels sealed in a handle
//! that only this server can open, and only with the cookie of the browser that brought the request.

use std::time::Duration;

use doorward_jose::sha256;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Digest, Session};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::request::AuthorizationRequest;
use crate::context::Context;
use crate::http::csrf::BrowserId;
use crate::http::error::PageError;

const PURPOSE: &str = "authorization-request";
/// How long a person may take.
pub(crate) const LIFETIME: Duration = Duration::from_mins(15);

/// A request that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// Names the request; random.
    id: String,
    expires_at: UnixSeconds,
    /// The request.
    pub(crate) request: AuthorizationRequest,
    /// The client's fingerprint when the request came: the person must be asked about the same client.
    pub(crate) fingerprint: String,
    /// The person must have signed in at or after this moment.
    authenticated_since: Option<UnixSeconds>,
    /// The session that does not count, because the person is to sign in again. (A session gets a new id
    /// at every sign-in, so this is exact where a clock of whole seconds is not.)
    stale_session: Option<Digest>,
}

impl Pending {
    /// A request that has just been checked.
    pub(crate) fn new(
        ctx: &Context,
        request: AuthorizationRequest,
        fingerprint: String,
        session: Option<&Session>,
    ) -> Self {
        let now = ctx.now();
        let again = request.prompt.asks_login() || request.max_age == Some(0);
        let max_age = request.max_age.map(|seconds| Duration::from_secs(seconds.into()));
        Self {
            id: ctx.random.token(""),
            expires_at: now + LIFETIME,
            fingerprint,
            authenticated_since: if again {
                Some(now)
            } else {
                max_age.map(|max_age| now - max_age)
            },
            stale_session: session.filter(|_| again).map(|session| session.id),
            request,
        }
    }

    /// Gives the request the name under which it was pushed: however often it is opened, it gets one code.
    pub(crate) fn is_pushed_as(&mut self, id: String) {
        self.id = id;
    }

    /// The request as it travels, for one browser.
    pub(crate) fn seal(&self, ctx: &Context, browser: &BrowserId) -> Result<String, PageError> {
        let plain = serde_json::to_vec(self).map_err(|error| PageError::internal(error.to_string()))?;
        Ok(ctx.secrets.seal(PURPOSE, &bound_to(browser), &plain))
    }

    /// Opens a sealed request in the browser for which it was sealed.
    pub(crate) fn open(ctx: &Context, browser: &BrowserId, sealed: &str) -> Result<Self, PageError> {
        ctx.secrets
            .open(PURPOSE, &bound_to(browser), sealed)
            .and_then(|plain| serde_json::from_slice::<Self>(&plain).ok())
            .filter(|pending| ctx.now() < pending.expires_at)
            .ok_or_else(start_again)
    }

    /// The digest that names the request in the store: one request, one code.
    pub(crate) fn request_id(&self) -> Digest {
        sha256(self.id.as_bytes())
    }

    /// What the code is derived from. Never stored.
    pub(crate) fn secret_id(&self) -> &[u8] {
        self.id.as_bytes()
    }

    /// Whether the person signed in late enough for this request.
    pub(crate) fn accepts(&self, session: &Session) -> bool {
        self.authenticated_since
            .is_none_or(|since| session.authenticated_at >= since)
            && self.stale_session != Some(session.id)
    }
}

fn bound_to(browser: &BrowserId) -> Digest {
    sha256(browser.as_str().as_bytes())
}

/// The handle is too old, not one of ours, or one of another browser.
pub(crate) fn start_again() -> PageError {
    PageError::new(
        StatusCode::BAD_REQUEST,
        "Please start again",
        "This sign-in took too long, or it was begun in another browser. Go back to the application and connect again.",
    )
}

//! What becomes of a `429` (RFC 6585 §4): the server is well, and one of its limits is reached.
//!
//! It does not say whose limit that is: this client's, or only that of the person whose token was handed in. So first the
//! same call to the same endpoint has to wait, and nobody else. When several different calls to one endpoint are refused in
//! a row, with no other answer between them, it is everybody's, and the endpoint is left alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_oauth::time::{Clock, UnixSeconds};

use super::endpoints::Endpoint;
use super::form::Form;
use super::lru::Lru;
use crate::wait::ahead;

/// The longest time for which the `Retry-After` of a `429` is obeyed: limits are counted anew every minute or sooner, and
/// asking once too often costs little.
pub(crate) const LONGEST: Duration = Duration::from_mins(1);
/// The shortest, also for a server that does not say.
const SHORTEST: Duration = Duration::from_secs(1);
/// So many different calls refused in a row mean everybody.
const EVERYBODY: usize = 5;
/// Calls remembered at most; one that is forgotten is sent again a little early.
const CAPACITY: usize = 1_000;

/// What a call is told by: the SHA-256 of its form. Two endpoints do not share any.
type Digest = [u8; 32];

pub(crate) struct Pauses {
    clock: Arc<dyn Clock>,
    endpoints: [Mutex<Refused>; Endpoint::COUNT],
}

struct Refused {
    calls: Lru<Digest, UnixSeconds>,
    /// The different calls that were refused since the last other answer.
    in_a_row: Vec<Digest>,
    everybody: Option<UnixSeconds>,
}

/// A call that may be sent.
pub(crate) struct Call {
    endpoint: Endpoint,
    digest: Digest,
}

impl Pauses {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let refused = || {
            Mutex::new(Refused {
                calls: Lru::new(CAPACITY),
                in_a_row: Vec::new(),
                everybody: None,
            })
        };
        Self {
            clock,
            endpoints: std::array::from_fn(|_| refused()),
        }
    }

    /// Whether this call may be sent now; otherwise how long it has to wait.
    pub(crate) fn enter(&self, endpoint: Endpoint, form: &Form) -> Result<Call, Duration> {
        let digest = doorward_jose::sha256(form.as_str().as_bytes());
        let now = self.clock.now();
        let mut refused = self.refused(endpoint);
        let ends = [refused.everybody, refused.calls.get(&digest).copied()];
        match ends
            .into_iter()
            .flatten()
            .filter_map(|end| ahead(end, now, LONGEST))
            .max()
        {
            Some(wait) => Err(wait),
            None => Ok(Call { endpoint, digest }),
        }
    }

    /// The answer was a `429`.
    pub(crate) fn refused_by_server(&self, call: &Call, retry_after: Option<Duration>) {
        let wait = retry_after.unwrap_or(SHORTEST).clamp(SHORTEST, LONGEST);
        let end = self.clock.now() + wait;
        let mut refused = self.refused(call.endpoint);
        refused.calls.insert(call.digest, end);
        if !refused.in_a_row.contains(&call.digest) {
            refused.in_a_row.push(call.digest);
        }
        if refused.in_a_row.len() >= EVERYBODY {
            refused.in_a_row.clear();
            refused.everybody = Some(end);
            tracing::warn!(
                endpoint = call.endpoint.member(),
                seconds = wait.as_secs(),
                "the authorization server's limit for this client is reached; nothing is sent to this endpoint for a while"
            );
        }
    }

    /// The server answered something else.
    pub(crate) fn answered(&self, call: &Call) {
        self.refused(call.endpoint).in_a_row.clear();
    }

    fn refused(&self, endpoint: Endpoint) -> MutexGuard<'_, Refused> {
        // Whole after every statement.
        self.endpoints[endpoint as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "pauses_tests.rs"]
mod tests;

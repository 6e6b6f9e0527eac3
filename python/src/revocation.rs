//! Revocation checks that are Python's.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::{Claims, RevocationChecker, RevocationUnavailable};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pyo3::prelude::*;

use crate::callback::{self, EventLoop};
use crate::claims::VerifiedClaims;

/// When it is worth trying again after a check that failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Asks `await checker(claims, token)`, which is true for a token that was revoked.
pub(crate) struct PyRevocationChecker {
    callable: Arc<Py<PyAny>>,
    fail_closed: bool,
    event_loop: EventLoop,
}

impl PyRevocationChecker {
    pub(crate) fn new(callable: Py<PyAny>, fail_closed: bool, event_loop: EventLoop) -> Self {
        Self {
            callable: Arc::new(callable),
            fail_closed,
            event_loop,
        }
    }
}

impl RevocationChecker for PyRevocationChecker {
    fn is_revoked<'a>(
        &'a self,
        claims: &'a Claims,
        token: &'a str,
    ) -> BoxFuture<'a, Result<bool, RevocationUnavailable>> {
        let callable = Arc::clone(&self.callable);
        let (claims, token) = (claims.clone(), token.to_owned());
        async move {
            let begin = move |py: Python<'_>| callable.call1(py, (VerifiedClaims::new(claims), token));
            match callback::call(&self.event_loop, begin, |revoked| revoked.is_truthy()).await {
                Ok(revoked) => Ok(revoked),
                Err(error) => {
                    tracing::warn!(%error, fail_closed = self.fail_closed, "the revocation check failed");
                    if self.fail_closed {
                        Err(RevocationUnavailable {
                            retry_after: RETRY_AFTER,
                        })
                    } else {
                        Ok(false)
                    }
                }
            }
        }
        .boxed()
    }
}

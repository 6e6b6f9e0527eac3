//! Revocation checks that are Python's.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::{
    Claims, Fail, FeedPolicy, IntrospectionPolicy, Revocation, RevocationChecker, RevocationUnavailable,
    WhileBlind,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pyo3::prelude::*;
use tracing::Level;

use crate::callback::{self, EventLoops};
use crate::claims::VerifiedClaims;
use crate::failure::{Failures, Texts};

/// What `doorward.Guard` was told about revocations.
#[derive(FromPyObject)]
pub(crate) enum RevocationOptions {
    /// A callable.
    Checker {
        #[pyo3(item)]
        checker: Py<PyAny>,
        #[pyo3(item)]
        fail_closed: bool,
    },
    /// `IntrospectionRevocation`
    Introspection {
        #[pyo3(item)]
        ttl_seconds: f64,
        #[pyo3(item)]
        negative_ttl_seconds: f64,
        #[pyo3(item)]
        max_entries: usize,
        #[pyo3(item)]
        fail_closed: bool,
    },
    /// `RevocationFeed`
    Feed {
        #[pyo3(item)]
        max_token_lifetime_seconds: f64,
        #[pyo3(item)]
        blind_after_seconds: f64,
        #[pyo3(item)]
        refuse_while_blind: bool,
    },
}

impl RevocationOptions {
    pub(crate) fn choice(self, event_loops: &EventLoops) -> Revocation {
        match self {
            Self::Checker { checker, fail_closed } => {
                let checker = PyRevocationChecker::new(checker, fail_closed, event_loops.clone());
                Revocation::Checker(Arc::new(checker))
            }
            Self::Introspection {
                ttl_seconds,
                negative_ttl_seconds,
                max_entries,
                fail_closed,
            } => Revocation::Introspection(
                IntrospectionPolicy::default()
                    .fail(if fail_closed { Fail::Closed } else { Fail::Open })
                    .ttl(seconds(ttl_seconds))
                    .negative_ttl(seconds(negative_ttl_seconds))
                    .entries(max_entries),
            ),
            Self::Feed {
                max_token_lifetime_seconds,
                blind_after_seconds,
                refuse_while_blind,
            } => Revocation::Feed(
                FeedPolicy::default()
                    .max_token_lifetime(seconds(max_token_lifetime_seconds))
                    .blind_after(seconds(blind_after_seconds))
                    .while_blind(if refuse_while_blind {
                        WhileBlind::Refuse
                    } else {
                        WhileBlind::Accept
                    }),
            ),
        }
    }
}

/// Negative and endless times count as none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// When it is worth trying again after a check that failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Asks `await checker(claims, token)`, which is true for a token that was revoked.
struct PyRevocationChecker {
    callable: Arc<Py<PyAny>>,
    fail_closed: bool,
    event_loops: EventLoops,
    failures: Failures,
}

impl PyRevocationChecker {
    fn new(callable: Py<PyAny>, fail_closed: bool, event_loops: EventLoops) -> Self {
        Self {
            callable: Arc::new(callable),
            fail_closed,
            event_loops,
            failures: Failures::new(
                "doorward.guard.revocation",
                Level::WARN,
                "the revocation check failed",
                "the revocation check works again",
            ),
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
        let (claims, sent) = (claims.clone(), token.to_owned());
        async move {
            let begin = move |py: Python<'_>| callable.call1(py, (VerifiedClaims::new(claims), sent));
            // A forgotten `return` must let nothing pass.
            let read = |revoked: &Bound<'_, PyAny>| revoked.extract::<bool>();
            match callback::call(&self.event_loops, callback::TIMEOUT, begin, read).await {
                Ok(revoked) => {
                    self.failures.worked();
                    Ok(revoked)
                }
                Err(error) => {
                    // That nobody was asked is no outage of whoever is asked, and neither is a mistake of the program.
                    let fail_closed = self.fail_closed || error.is_local();
                    let fault = format_args!("{error} fail_closed={fail_closed}");
                    let texts = Texts::OfMistakes { without: token };
                    self.failures.failed(fault, error.raised(), texts);
                    if fail_closed {
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

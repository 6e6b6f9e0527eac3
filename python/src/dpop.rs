//! `InboundDPoPOptions`, and replay stores that are Python's.

use std::sync::Arc;
use std::time::Duration;

use doorward_guard::{
    Algorithm, DpopPolicy, GuardBuilder, Insertion, ReplayStore, ReplayStoreUnavailable, UnixSeconds,
    UsedProof,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes};
use tracing::Level;

use crate::callback::{self, EventLoops};
use crate::failure::{Failures, Texts};
use crate::guard::algorithms;

/// What `doorward.Guard` was told about bound tokens.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct DpopOptions {
    required: bool,
    max_proof_age_seconds: u64,
    clock_skew_seconds: u64,
    allowed_proof_algorithms: Vec<String>,
    require_nonce: bool,
    require_content_digest: bool,
    nonce_keys: Vec<Vec<u8>>,
    replay_capacity: usize,
    replay_per_key: Option<usize>,
    replay_store: Option<Py<PyAny>>,
}

impl DpopOptions {
    pub(crate) fn calls_python(&self) -> bool {
        self.replay_store.is_some()
    }

    pub(crate) fn algorithms(&self) -> PyResult<Vec<Algorithm>> {
        algorithms(&self.allowed_proof_algorithms)
    }

    pub(crate) fn max_age(&self) -> u64 {
        self.max_proof_age_seconds
    }

    pub(crate) fn max_ahead(&self) -> u64 {
        self.clock_skew_seconds
    }

    pub(crate) fn requires_nonce(&self) -> bool {
        self.require_nonce
    }

    pub(crate) fn nonce_keys(&self) -> PyResult<Option<NonceKeys>> {
        keys(&self.nonce_keys)
    }

    pub(crate) fn apply(self, builder: GuardBuilder, event_loops: &EventLoops) -> PyResult<GuardBuilder> {
        let policy = if self.required {
            DpopPolicy::Require
        } else {
            DpopPolicy::Accept
        };
        let mut builder = builder
            .dpop(policy)
            .dpop_window(
                Duration::from_secs(self.max_proof_age_seconds),
                Duration::from_secs(self.clock_skew_seconds),
            )
            .dpop_algorithms(self.algorithms()?)
            .dpop_nonces(self.require_nonce)
            .dpop_content_digest(self.require_content_digest)
            .dpop_replay_capacity(self.replay_capacity);
        if let Some(proofs) = self.replay_per_key {
            builder = builder.dpop_replay_per_key(proofs);
        }
        if let Some((current, previous)) = self.nonce_keys()? {
            builder = builder.dpop_nonce_keys(current, previous);
        }
        Ok(match self.replay_store {
            Some(callable) => builder.dpop_replay_store(Arc::new(PyReplayStore {
                callable: Arc::new(callable),
                event_loops: event_loops.clone(),
                failures: Failures::new(
                    "doorward.guard.dpop",
                    Level::ERROR,
                    "the replay store failed",
                    "the replay store works again",
                ),
            })),
            None => builder,
        })
    }
}

/// The key that makes nonces, and the one whose nonces still count.
pub(crate) type NonceKeys = ([u8; 32], Option<[u8; 32]>);

fn keys(given: &[Vec<u8>]) -> PyResult<Option<NonceKeys>> {
    let unusable = || PyValueError::new_err("nonce_keys are one or two keys of 32 random bytes each");
    let key = |bytes: &Vec<u8>| <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| unusable());
    match given {
        [] => Ok(None),
        [current] => Ok(Some((key(current)?, None))),
        [current, previous] => Ok(Some((key(current)?, Some(key(previous)?)))),
        _ => Err(unusable()),
    }
}

/// How long a store may take: less than the guard waits for it, which then knows why.
const LIMIT: Duration = Duration::from_millis(1900);

/// When it is worth trying again after a call that failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Asks `await insert(id, key, until, now)`, which is `True` for a proof that is new and `False` for one that was used.
struct PyReplayStore {
    callable: Arc<Py<PyAny>>,
    event_loops: EventLoops,
    failures: Failures,
}

impl ReplayStore for PyReplayStore {
    fn insert(
        &self,
        proof: UsedProof,
        now: UnixSeconds,
    ) -> BoxFuture<'_, Result<Insertion, ReplayStoreUnavailable>> {
        let callable = Arc::clone(&self.callable);
        async move {
            let begin = move |py: Python<'_>| {
                let (id, key) = (PyBytes::new(py, &proof.id), PyBytes::new(py, &proof.key));
                callable.call1(py, (id, key, proof.until.0, now.0))
            };
            // Nothing but a plain answer counts: a store that forgot to return must not let everything through.
            let read = |answer: &Bound<'_, PyAny>| Ok(answer.cast::<PyBool>()?.is_true());
            let answer = callback::call(&self.event_loops, LIMIT, begin, read).await;
            if answer.is_ok() {
                self.failures.worked();
            }
            match answer {
                Ok(true) => Ok(Insertion::New),
                Ok(false) => Ok(Insertion::Replayed),
                Err(error) => {
                    // All that it is given are digests.
                    let texts = Texts::OfMistakes { without: "" };
                    self.failures.failed(&error, error.raised(), texts);
                    Err(ReplayStoreUnavailable {
                        retry_after: RETRY_AFTER,
                    })
                }
            }
        }
        .boxed()
    }
}

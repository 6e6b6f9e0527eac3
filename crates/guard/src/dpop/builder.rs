//! The settings for tokens that are bound to a key.

use std::sync::Arc;
use std::time::Duration;

use doorward_jose::Algorithm;
use doorward_oauth::dpop::{NONCE_LIFETIME, NonceKey, Nonces, ProofRules};
use doorward_oauth::resource::ResourceUri;

use crate::builder::{BuildError, GuardBuilder};
use crate::dpop::{Dpop, DpopPolicy, NonceSource, ReplayStore};

/// The longest window that can be asked for, to either side.
const MAX_WINDOW: Duration = Duration::from_hours(1);

/// What the builder was told.
pub(crate) struct DpopSettings {
    pub(super) policy: DpopPolicy,
    pub(super) rules: ProofRules,
    pub(super) require_content_digest: bool,
    nonces: bool,
    nonce_keys: Option<(NonceKey, Option<NonceKey>)>,
    pub(super) replay_capacity: usize,
    pub(super) replay_per_key: Option<usize>,
    pub(super) replay_store: Option<Arc<dyn ReplayStore>>,
}

impl Default for DpopSettings {
    fn default() -> Self {
        Self {
            policy: DpopPolicy::Off,
            rules: ProofRules::default(),
            require_content_digest: false,
            nonces: false,
            nonce_keys: None,
            replay_capacity: 1_000_000,
            replay_per_key: None,
            replay_store: None,
        }
    }
}

impl DpopSettings {
    pub(crate) fn policy(&self) -> DpopPolicy {
        self.policy
    }

    /// The names of the algorithms for proofs, in order of preference.
    pub(crate) fn algorithms(&self) -> Vec<&'static str> {
        self.rules
            .algorithms
            .iter()
            .map(|algorithm| algorithm.as_str())
            .collect()
    }

    pub(crate) fn build(mut self, resource: &ResourceUri) -> Result<Dpop, BuildError> {
        if self.rules.algorithms.is_empty() {
            return Err(BuildError::NoAlgorithm);
        }
        let ProofRules {
            max_age, max_ahead, ..
        } = self.rules;
        if max_age.as_secs() == 0 || max_age > MAX_WINDOW || max_ahead > MAX_WINDOW {
            return Err(BuildError::DpopWindow);
        }
        if self.replay_capacity == 0 {
            return Err(BuildError::Zero("dpop_replay_capacity"));
        }
        if self.replay_per_key == Some(0) {
            return Err(BuildError::Zero("dpop_replay_per_key"));
        }
        let nonces = match self.nonce_keys.take() {
            _ if !self.nonces => None,
            Some((current, previous)) => {
                let nonces = Nonces::new(current, NONCE_LIFETIME);
                Some(NonceSource::fixed(match previous {
                    Some(key) => nonces.with_previous(key),
                    None => nonces,
                }))
            }
            None => Some(NonceSource::random().map_err(|_| BuildError::Random)?),
        };
        Ok(Dpop::new(self, resource, nonces))
    }
}

impl GuardBuilder {
    /// Whether access tokens may, or must, be bound to a key of the client (RFC 9449). Default: [`DpopPolicy::Off`].
    #[must_use]
    pub fn dpop(mut self, policy: DpopPolicy) -> Self {
        self.dpop.policy = policy;
        self
    }

    /// The signature algorithms that are accepted in proofs. Default: `ES256`, `EdDSA`, `RS256`, `PS256`.
    #[must_use]
    pub fn dpop_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.dpop.rules.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How old a proof may be, and how far ahead its clock may be; whole seconds, at most an hour each.
    /// Default: 300 s and 60 s.
    #[must_use]
    pub fn dpop_window(mut self, max_age: Duration, max_ahead: Duration) -> Self {
        self.dpop.rules.max_age = max_age;
        self.dpop.rules.max_ahead = max_ahead;
        self
    }

    /// Whether a proof must say of which body it is (`content_digest`, the SHA-256 in the form of RFC 9530: a draft of MCP's
    /// profile of `DPoP` has it). One that says so is checked in any case. Default: `false`; few clients send it.
    #[must_use]
    pub fn dpop_content_digest(mut self, require: bool) -> Self {
        self.dpop.require_content_digest = require;
        self
    }

    /// Whether proofs need a nonce of this server (RFC 9449 §9): a client that has none, or an old one, gets one with
    /// `401 use_dpop_nonce` and tries again. Proofs can then not be made in advance. Default: `false`.
    #[must_use]
    pub fn dpop_nonces(mut self, require: bool) -> Self {
        self.dpop.nonces = require;
        self
    }

    /// The secrets from which nonces are made, 32 random bytes each, for several processes that must take each other's:
    /// one for new nonces, and one whose nonces still count while it is being replaced.
    /// Default: random, for this process, replaced every hour.
    #[must_use]
    pub fn dpop_nonce_keys(mut self, current: [u8; 32], previous: Option<[u8; 32]>) -> Self {
        self.dpop.nonce_keys = Some((NonceKey::new(current), previous.map(NonceKey::new)));
        self
    }

    /// How many proofs are remembered until they are too old to be replayed, in this process. When it is full, further
    /// ones are answered with `503`: nothing that could still be replayed is forgotten. Takes memory as it fills, about
    /// 100 bytes for each. Default: 1 000 000, which is 3 300 requests a second for five minutes.
    #[must_use]
    pub fn dpop_replay_capacity(mut self, proofs: usize) -> Self {
        self.dpop.replay_capacity = proofs;
        self
    }

    /// How many of these one key may have, so that one client alone cannot fill the memory; its further ones are answered
    /// with `503`. Default: a quarter of the capacity (or 1000, where that is more).
    #[must_use]
    pub fn dpop_replay_per_key(mut self, proofs: usize) -> Self {
        self.dpop.replay_per_key = Some(proofs);
        self
    }

    /// Where proofs are remembered instead, for several processes that serve one resource.
    #[must_use]
    pub fn dpop_replay_store(mut self, store: Arc<dyn ReplayStore>) -> Self {
        self.dpop.replay_store = Some(store);
        self
    }
}

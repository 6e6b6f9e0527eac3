//! What every handler is given: the keepers, the settings, and time and randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::{Clock, SystemClock, UnixSeconds};
use doorward_store::Store;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::audit::Recorder;
use crate::clients::Directory;
use crate::config::Settings;
use crate::discovery::ServerMetadata;
use crate::events::RevocationFeed;
use crate::http::metrics::Metrics;
use crate::issue::live_tokens::LiveTokens;
use crate::issue::signed_here::SignedHere;
use crate::keys::{KeyRing, Secrets};
use crate::limits::Limits;
use crate::login::Passwords;
use crate::random::{OsRandom, Random};
use crate::resources::Resources;
use crate::trust::IssuerKeys;

/// Time and randomness, handed in so that every rule can be tested.
#[derive(Clone)]
pub struct Parts {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids, codes and secrets.
    pub random: Arc<dyn Random>,
}

impl Parts {
    /// The system's clock and generator.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(OsRandom::default()),
        }
    }
}

/// What every handler is given.
pub struct Context {
    /// As configured.
    pub settings: Settings,
    /// As they were read last; what of them counts while the server runs is in `reload.rs`.
    pub(crate) read_settings: ArcSwap<Settings>,
    /// Told when what is past its use is to be looked for anew.
    pub(crate) retention_changed: Notify,
    /// `server.issuer`, parsed.
    pub issuer: Issuer,
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids, codes and secrets.
    pub random: Arc<dyn Random>,
    /// Signs access tokens.
    pub keys: KeyRing,
    /// Seals handles, derives codes and refresh tokens.
    pub secrets: Secrets,
    /// Set when the process was asked to end.
    pub(crate) leaving: AtomicBool,
    /// Resolves any `client_id`.
    pub clients: Directory,
    /// The keys of issuers that are trusted.
    pub(crate) issuer_keys: IssuerKeys,
    /// What the server says about itself.
    pub(crate) server_metadata: ServerMetadata,
    /// Tokens of ours that were seen to work a moment ago.
    pub(crate) live_tokens: LiveTokens,
    /// Tokens that this node has signed.
    pub(crate) signed_here: SignedHere,
    /// The registered resources.
    pub resources: Resources,
    /// Checks and makes password hashes, off the threads that answer requests.
    pub passwords: Passwords,
    /// Sign-ins that go on when their connection is gone.
    pub(crate) sign_ins: TaskTracker,
    /// Tells resource servers what was revoked.
    pub(crate) revocations: Arc<RevocationFeed>,
    /// How often may be asked.
    pub(crate) limits: Limits,
    /// Writes down what is refused.
    pub audit: Arc<Recorder>,
    /// Counts.
    pub metrics: Metrics,
}

impl Context {
    /// Now.
    pub fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// The process was asked to end: from now on it is not ready.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// How refresh tokens live, from `tokens.*`.
    pub fn refresh_policy(&self) -> doorward_store::RefreshPolicy {
        doorward_store::RefreshPolicy {
            idle_ttl: self.settings.tokens.refresh_idle_ttl.duration(),
            absolute_ttl: self.settings.tokens.refresh_absolute_ttl.duration(),
            retry_window: self.settings.tokens.refresh_retry_window.duration(),
        }
    }
}

//! What every handler is given: the keepers, the settings, and time and randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::{Clock, SystemClock, UnixSeconds};
use doorward_store::Store;
use tokio_util::task::TaskTracker;

use crate::audit::Recorder;
use crate::clients::Directory;
use crate::config::Settings;
use crate::discovery::ServerMetadata;
use crate::events::RevocationFeed;
use crate::http::metrics::Metrics;
use crate::issue::live_tokens::LiveTokens;
use crate::issue::signed_here::SignedHere;
use crate::keys::{KeyRing, Secrets, configured};
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
    /// As they were read last.
    pub(crate) read_settings: ArcSwap<Settings>,
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

/// What came of reading the settings again: their names, such as `rate_limit.token_address`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// Of those that can change while the server runs, what is another value than at the reading before.
    pub in_force: Vec<String>,
    /// The others whose value is not the one that the server runs with, a file with another master key in it included.
    pub at_next_start: Vec<String>,
}

impl Context {
    /// Now.
    pub fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// Takes over what can change while the server runs, `[rate_limit]`. (The log is the program's own.) What is another value
    /// than at the reading before is written down by its name.
    pub fn reload(&self, settings: &Settings) -> Reloaded {
        self.limits.change(&settings.rate_limit);
        self.clients.change_limits(&settings.rate_limit);
        let waits = |name: &String| !name.starts_with("rate_limit.") && name != "observability.log_level";
        // One that was put back waits for nothing.
        let mut changed = settings.changed(&self.settings);
        changed.retain(waits);
        let read_before = self.read_settings.swap(Arc::new(settings.clone()));
        let news = settings.changed(&read_before);
        let (now, later): (Vec<_>, Vec<_>) = news.iter().cloned().partition(|name| !waits(name));
        if !news.is_empty() {
            let at_next_start: Vec<_> = later.into_iter().filter(|name| changed.contains(name)).collect();
            self.audit.reloaded(&news, &at_next_start);
        }
        for name in configured::replaced_files(&self.settings, self.keys.master(), self.random.as_ref()) {
            if !changed.iter().any(|other| other == name) {
                changed.push(name.to_owned());
            }
        }
        Reloaded {
            in_force: now,
            at_next_start: changed,
        }
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

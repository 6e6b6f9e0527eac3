//! From settings to the two routers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use doorward_fetch::{FetchError, FetchPolicy, Fetcher};
use doorward_oauth::issuer::{Issuer, IssuerError};
use doorward_store::{CLOCK_ERROR, Store, StoreError};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, AdminKeyOffer};
use crate::audit::{self, Recorder};
use crate::clients::{Directory, Fetchers};
use crate::config::{Settings, Tokens};
use crate::context::{Context, Parts};
use crate::discovery::ServerMetadata;
use crate::events::RevocationFeed;
use crate::http::metrics::Metrics;
use crate::issue::live_tokens::LiveTokens;
use crate::issue::signed_here::SignedHere;
use crate::keys::{KeyError, KeyRing, KeySchedule, MasterKeyError, Secrets, configured, may_start};
use crate::limits::Limits;
use crate::login::Passwords;
use crate::resources::Resources;
use crate::token::grant_types;
use crate::trust::IssuerKeys;
use crate::{jobs, routes, storage};

/// A resource server may take a token for this long after its `exp`.
pub(crate) const RESOURCE_SERVER_SKEW: Duration = Duration::from_mins(2);

/// How long the end waits for a database that does not take what was counted.
const COUNTED_WITHIN: Duration = Duration::from_secs(3);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `server.issuer`.
    #[error("server.issuer cannot be used: {0}")]
    Issuer(#[from] IssuerError),
    /// The database.
    #[error("the database cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// Signing keys or server secrets.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The HTTP client for client metadata documents.
    #[error("the HTTP client cannot be made: {0}")]
    Fetch(#[from] FetchError),
}

/// The authorization server: open it, then take its routers.
pub struct AuthorizationServer {
    context: Arc<Context>,
}

/// The two routers.
pub struct Routers {
    /// For the world: OAuth, pages, discovery.
    pub public: Router,
    /// For operators: the admin API and metrics. Never to be reachable from outside.
    pub admin: Router,
}

impl AuthorizationServer {
    /// Opens the database, the master key and the signing keys; makes what is missing on first start.
    pub async fn open(settings: Settings, parts: Parts) -> Result<Self, StartError> {
        let issuer = Issuer::parse(&settings.server.issuer)?;
        // Before the schema is changed, which no start without the right key may do.
        let (store, master) = storage::open_checked(&settings.storage, |sealed| {
            // A key is made for an empty database only: another one would open nothing of what is there.
            let master = configured::master_key(&settings, parts.random.as_ref(), sealed.is_empty())?;
            if !may_start(&master, sealed) {
                return Err(KeyError::WrongMasterKey.into());
            }
            Ok::<_, StartError>(master)
        })
        .await?;
        if issuer.is_loopback() {
            // On one's own machine the port may be another one at each start: that is not told.
            store.serve_as(issuer.as_str()).await?;
        } else if let Some(before) = acting(&store, &parts).serve_as(issuer.as_str()).await? {
            tracing::warn!(
                issuer = issuer.as_str(),
                before,
                "this database was served under another issuer's name before: servers that share a database need the same \
                 `server.issuer`, and tokens of the other name are not taken here"
            );
        }
        let secrets = Secrets::open_store(
            acting(&store, &parts).as_ref(),
            &master,
            Arc::clone(&parts.random),
        )
        .await?;
        let keys = KeyRing::open(
            Arc::clone(&store),
            master,
            Arc::clone(&parts.clock),
            Arc::clone(&parts.random),
            key_schedule(&settings),
        )
        .await?;
        let fetch_policy = FetchPolicy {
            allow_loopback_http: issuer.is_loopback(),
            ..FetchPolicy::default()
        };
        let fetcher = Fetcher::new(fetch_policy.clone(), Arc::clone(&parts.clock))?;
        // Strangers' documents must not take the room from those that an operator trusts.
        let issuers_fetcher = Fetcher::new(fetch_policy, Arc::clone(&parts.clock))?;
        admin::tell_bootstrap_key(
            acting(&store, &parts).as_ref(),
            &settings,
            (&secrets, keys.master()),
            parts.random.as_ref(),
        )
        .await?;
        let metrics = Metrics::new();
        metrics.begin(parts.clock.now(), &grant_types(&settings));
        let context = Context {
            limits: Limits::new(&settings.rate_limit, &parts.clock, &metrics),
            clients: Directory::new(
                &settings,
                &issuer,
                Arc::clone(&store),
                Fetchers {
                    strangers: fetcher,
                    operators: issuers_fetcher.clone(),
                },
                Arc::clone(&parts.clock),
                &metrics,
            ),
            issuer_keys: IssuerKeys::new(issuers_fetcher, Arc::clone(&parts.clock)),
            server_metadata: ServerMetadata::default(),
            live_tokens: LiveTokens::new(Arc::clone(&store)),
            signed_here: SignedHere::new(),
            resources: Resources::new(Arc::clone(&store)),
            revocations: Arc::new(RevocationFeed::new(
                Arc::clone(&store),
                settings.events.max_connections,
            )),
            passwords: Passwords::new(Arc::clone(&parts.random)),
            sign_ins: TaskTracker::new(),
            audit: Arc::new(Recorder::new(
                Arc::clone(&store),
                Arc::clone(&parts.clock),
                Arc::clone(&parts.random),
                metrics.clone(),
            )),
            metrics,
            read_settings: ArcSwap::from_pointee(settings.clone()),
            retention_changed: Notify::new(),
            settings,
            issuer,
            store,
            clock: parts.clock,
            random: parts.random,
            keys,
            secrets,
            leaving: AtomicBool::new(false),
        };
        Ok(Self {
            context: Arc::new(context),
        })
    }

    /// What the handlers are given.
    pub fn context(&self) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    /// Makes the first admin key, unless there is one or the settings bring their own. It is stored hashed and cannot be
    /// shown again: do this when nothing else can keep the server from starting, and do not give up waiting for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn make_first_admin_key(&self) -> Result<Option<AdminKeyOffer>, StoreError> {
        admin::make_first_key(&self.context).await
    }

    /// Deletes that key again, which could not be shown: the next start makes another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_back(&self, key: &AdminKeyOffer) -> Result<(), StoreError> {
        admin::take_back(&self.context, key).await
    }

    /// The two routers.
    pub fn routers(&self) -> Routers {
        Routers {
            public: routes::public(&self.context),
            admin: routes::admin(&self.context),
        }
    }

    /// Waits for running writes, writes down what was counted, and closes the database.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.context.revocations.stop();
        self.context.sign_ins.close();
        self.context.sign_ins.wait().await;
        self.context.audit.settled().await;
        match timeout(COUNTED_WITHIN, self.context.audit.write_counts()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "how much was refused at last is not written down"),
            Err(_) => tracing::warn!(
                "how much was refused at last is not written down: the database takes too long"
            ),
        }
        self.context.store.close().await
    }

    /// Runs what runs by itself, until `stop`; then ends the answers that would never end.
    pub async fn run_jobs(&self, stop: CancellationToken) {
        let feed = Arc::clone(&self.context.revocations);
        tokio::join!(jobs::run(self.context(), stop.clone()), async {
            stop.cancelled().await;
            feed.stop();
        });
    }
}

/// The store in the server's own hands.
fn acting(store: &Arc<dyn Store>, parts: &Parts) -> Box<dyn Store> {
    store.acting(audit::system(parts.random.as_ref(), parts.clock.as_ref()))
}

/// When signing keys come and go. A key outlives its last token: no node signs with it for longer than it takes to read
/// the keys again, and nobody takes a token for longer than the longest lifetime and the skew of resource servers.
/// The clock of a node that withdraws it may be ahead.
pub(crate) fn key_schedule(settings: &Settings) -> KeySchedule {
    KeySchedule {
        algorithm: settings.keys.algorithm,
        rotation: settings.keys.rotation.duration(),
        publish_ahead: settings.keys.publish_ahead.duration(),
        keep_previous: Tokens::LONGEST_ACCESS_TTL.duration() + RESOURCE_SERVER_SKEW + CLOCK_ERROR,
    }
}

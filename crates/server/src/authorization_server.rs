//! From settings to the two routers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use doorward_fetch::{FetchError, FetchPolicy, Fetcher};
use doorward_oauth::issuer::{Issuer, IssuerError};
use doorward_store::{CLOCK_ERROR, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, AdminKeyOffer};
use crate::audit::{self, Recorder};
use crate::clients::Directory;
use crate::config::{Settings, Tokens};
use crate::context::{Context, Parts};
use crate::discovery::ServerMetadata;
use crate::events::RevocationFeed;
use crate::http::metrics::Metrics;
use crate::issue::live_tokens::LiveTokens;
use crate::issue::signed_here::SignedHere;
use crate::keys::{KeyError, KeyRing, KeySchedule, MasterKey, MasterKeyError, Secrets, may_start};
use crate::limits::Limits;
use crate::login::Passwords;
use crate::random::Random;
use crate::resources::Resources;
use crate::trust::IssuerKeys;
use crate::{jobs, routes, storage};

/// A resource server may take a token for this long after its `exp`.
pub(crate) const RESOURCE_SERVER_SKEW: Duration = Duration::from_mins(2);

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
    first_admin_key: Option<AdminKeyOffer>,
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
            let master = master_key(&settings, &parts, sealed.is_empty())?;
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
        // Last of all that can fail: a key that is stored by a start that fails is one that nobody saw.
        let first_admin_key =
            admin::ensure_admin_key(acting(&store, &parts).as_ref(), &settings, &parts).await?;
        let metrics = Metrics::new();
        let context = Context {
            limits: Limits::new(&settings.rate_limit, &parts.clock, &metrics),
            clients: Directory::new(
                &settings,
                &issuer,
                Arc::clone(&store),
                fetcher.clone(),
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
            settings,
            issuer,
            store,
            clock: parts.clock,
            random: parts.random,
            keys,
            secrets,
            leaving: AtomicBool::new(false),
            fetcher,
        };
        Ok(Self {
            context: Arc::new(context),
            first_admin_key,
        })
    }

    /// What the handlers are given.
    pub fn context(&self) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    /// The admin key made at this start, once: it is stored hashed and cannot be shown again.
    pub fn take_first_admin_key(&mut self) -> Option<AdminKeyOffer> {
        self.first_admin_key.take()
    }

    /// The two routers.
    pub fn routers(&self) -> Routers {
        Routers {
            public: routes::public(&self.context),
            admin: routes::admin(&self.context),
        }
    }

    /// Waits for running writes and closes the database.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.context.revocations.stop();
        self.context.sign_ins.close();
        self.context.sign_ins.wait().await;
        self.context.audit.settled().await;
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
fn key_schedule(settings: &Settings) -> KeySchedule {
    KeySchedule {
        algorithm: settings.keys.algorithm,
        rotation: settings.keys.rotation.duration(),
        publish_ahead: settings.keys.publish_ahead.duration(),
        keep_previous: Tokens::LONGEST_ACCESS_TTL.duration() + RESOURCE_SERVER_SKEW + CLOCK_ERROR,
    }
}

/// The master key of a database that is there.
pub(crate) fn existing_master_key(settings: &Settings, parts: &Parts) -> Result<MasterKey, StartError> {
    Ok(master_key(settings, parts, false)?)
}

/// The master key of the settings, and the other one beside it while it is changed.
fn master_key(settings: &Settings, parts: &Parts, may_create: bool) -> Result<MasterKey, MasterKeyError> {
    let keys = &settings.keys;
    let key = match &keys.master_key {
        Some(text) => MasterKey::from_setting(text)?,
        None => master_key_of_file(settings, parts, may_create)?,
    };
    Ok(match other_master_key(settings)? {
        Some(other) => key.beside(other),
        None => key,
    })
}

fn other_master_key(settings: &Settings) -> Result<Option<MasterKey>, MasterKeyError> {
    let keys = &settings.keys;
    match (&keys.other_master_key, &keys.other_master_key_file) {
        (Some(text), _) => MasterKey::from_setting(text).map(Some),
        (None, Some(path)) => MasterKey::load(path).map(Some),
        (None, None) => Ok(None),
    }
}

/// What a start would refuse before it looks into the database: its URL, and master keys that cannot be used. A file of the
/// master key that is not there would be made.
///
/// # Errors
///
/// What the start would say.
pub fn check(settings: &Settings) -> Result<(), StartError> {
    storage::check_url(&settings.storage)?;
    let key = match &settings.keys.master_key {
        Some(text) => MasterKey::from_setting(text),
        None => MasterKey::load(&master_key_path(settings)),
    };
    match key {
        Ok(_) | Err(MasterKeyError::Missing { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    other_master_key(settings)?;
    Ok(())
}

/// From its file, beside the database when none is named.
fn master_key_of_file(
    settings: &Settings,
    parts: &Parts,
    may_create: bool,
) -> Result<MasterKey, MasterKeyError> {
    let path = master_key_path(settings);
    if may_create {
        MasterKey::load_or_create(&path, parts.random.as_ref())
    } else {
        MasterKey::load(&path)
    }
}

/// The settings that name a file in which another master key stands than the one that the server runs with, or none.
pub(crate) fn replaced_key_files(
    settings: &Settings,
    running: &MasterKey,
    random: &dyn Random,
) -> Vec<&'static str> {
    let keys = &settings.keys;
    let mut replaced = Vec::new();
    if keys.master_key.is_none() {
        let found = MasterKey::load(&master_key_path(settings));
        if !found.is_ok_and(|found| running.is(&found, random)) {
            replaced.push("keys.master_key_file");
        }
    }
    if let (None, Some(path)) = (&keys.other_master_key, &keys.other_master_key_file) {
        let found = MasterKey::load(path);
        if !found.is_ok_and(|found| running.is_beside(&found, random)) {
            replaced.push("keys.other_master_key_file");
        }
    }
    replaced
}

/// The file of the master key.
fn master_key_path(settings: &Settings) -> PathBuf {
    let named = settings.keys.master_key_file.clone();
    named.unwrap_or_else(|| default_master_key_file(&settings.storage.url))
}

/// `master.key` in the folder of the database.
fn default_master_key_file(storage_url: &str) -> PathBuf {
    Path::new(storage_url.strip_prefix("sqlite://").unwrap_or(storage_url)).with_file_name("master.key")
}

/// Opens the database for work that needs no master key, and tries it all the same: the schema is changed only where a
/// server of these settings could work with what is there. Without a key in the settings and in its usual place there is
/// nothing to try.
pub(crate) async fn open_with_key_if_any(
    settings: &Settings,
    parts: &Parts,
) -> Result<Arc<dyn Store>, StartError> {
    let keys = &settings.keys;
    let named = keys.master_key_file.is_some()
        || keys.other_master_key.is_some()
        || keys.other_master_key_file.is_some();
    let (store, ()) = storage::open_checked(&settings.storage, |sealed| {
        match existing_master_key(settings, parts) {
            Ok(master) if may_start(&master, sealed) => Ok(()),
            Ok(_) => Err(KeyError::WrongMasterKey.into()),
            Err(StartError::MasterKey(MasterKeyError::Missing { .. })) if sealed.is_empty() || !named => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    })
    .await?;
    Ok(store)
}

/// Brings the database of these settings to this version's schema, without serving. The master key is tried before, where
/// there is one: a job that only does this may have none.
pub async fn migrate(settings: &Settings, parts: Parts) -> Result<(), StartError> {
    Ok(open_with_key_if_any(settings, &parts).await?.close().await?)
}

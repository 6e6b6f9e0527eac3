//! The engine for several nodes as its callers hold it.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::errors::Fallible;
use super::location::Location;
use super::turn::Fence;
use super::work::Db;
use super::writes::Writes;
use super::{Engine, PostgresOptions};
use crate::rules::audit::Hands;
use crate::{Look, Origin, Result, Sealed, SecretsInUse, Store, StoreError};

/// The engine for several nodes.
pub struct PostgresStore {
    pub(super) engine: Arc<Engine>,
    /// Who changes something through this handle; nothing is written down where nobody is named.
    pub(super) hands: Option<Arc<Hands>>,
    /// Without which no transaction through this handle changes anything.
    pub(super) fence: Option<Fence>,
}

impl PostgresStore {
    /// Whether a URL can be one, without looking whether anything is there; the files that it names are read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`], with the reason.
    pub fn check_url(url: &str, options: &PostgresOptions) -> Result<()> {
        Location::parse(url, options).map(drop)
    }

    /// Opens `postgres://user:password@host:port/database?sslmode=…` and brings the schema up to date; nodes that
    /// start at the same time wait for each other.
    ///
    /// Beside what libpq knows (`host` as a socket directory, several hosts, `target_session_attrs=read-write`,
    /// `application_name`, `options`), `sslmode` is `disable`, `require` or `verify-full`. Whenever TLS is
    /// used, the server's certificate and name are verified, against `sslrootcert` (a PEM file) or the system's
    /// authorities. Without `sslmode`: none on a socket or on loopback, `require` elsewhere. `sslcert` and `sslkey`
    /// (PEM files) name a client certificate.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`], with the reason, when the URL, the credentials or the database are not right;
    /// [`StoreError::Unavailable`] when the server cannot be reached now.
    pub async fn open(url: &str, options: &PostgresOptions) -> Result<Self> {
        let take = |_: &[Sealed]| Ok::<_, StoreError>(());
        Self::open_checked(url, options, take)
            .await
            .map(|(store, ())| store)
    }

    /// The same, when `check` takes what is encrypted under the master key, as it lies there (nothing in a new database). Before
    /// that nothing is changed: neither the schema nor a row. Beside the store, what `check` returned.
    ///
    /// # Errors
    ///
    /// That of `check`, or as [`PostgresStore::open`].
    pub async fn open_checked<T, E: From<StoreError>>(
        url: &str,
        options: &PostgresOptions,
        check: impl FnOnce(&[Sealed]) -> std::result::Result<T, E>,
    ) -> std::result::Result<(Self, T), E> {
        let (engine, checked) = Engine::open(url, options, check).await?;
        let store = Self {
            engine: Arc::new(engine),
            hands: None,
            fence: None,
        };
        Ok((store, checked))
    }

    /// What is in the database of this URL; `None`: it is new. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`PostgresStore::open`].
    pub async fn look(url: &str, options: &PostgresOptions) -> Result<Option<Look>> {
        super::look(url, options).await
    }

    /// What would end with the keys and secrets in the database of this URL, and so many of the clients; on an older schema
    /// too, and also while servers use it. `None`: it is new. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`PostgresStore::open`].
    pub async fn secrets_in_use(
        url: &str,
        options: &PostgresOptions,
        clients: u32,
    ) -> Result<Option<SecretsInUse>> {
        super::secrets_in_use(url, options, clients).await
    }

    /// By what names others are connected to the database of this URL, as the same role or under the same
    /// `application_name`, when they do not leave within `patience`. A pooler hides them, or is one of them.
    ///
    /// # Errors
    ///
    /// As [`PostgresStore::open`].
    pub async fn others(url: &str, options: &PostgresOptions, patience: Duration) -> Result<Vec<String>> {
        super::others(url, options, patience).await
    }

    /// [`Engine::transaction`] that looks at nothing beforehand.
    pub(super) async fn transaction<T, F>(&self, work: impl Fn(Db) -> F) -> Result<T>
    where
        F: Future<Output = Fallible<T>>,
    {
        let work = &work;
        self.transaction_on(
            |_| async { Ok(()) },
            |db, ()| async move { Ok((work(db).await?, Writes::default())) },
        )
        .await
    }

    /// [`Engine::transaction`], in which nothing is changed by one whose turn it is no more.
    pub(super) async fn transaction_on<L, T, FL, FC>(
        &self,
        look: impl Fn(Db) -> FL,
        change: impl Fn(Db, L) -> FC,
    ) -> Result<T>
    where
        FL: Future<Output = Fallible<L>>,
        FC: Future<Output = Fallible<(T, Writes)>>,
    {
        let Some(fence) = &self.fence else {
            return self.engine.transaction(look, change).await;
        };
        let look = &look;
        let fenced = |db: Db| async move {
            fence.confirm(&db).await?;
            look(db).await
        };
        self.engine.transaction(fenced, change).await
    }

    /// The same engine in other hands.
    pub(super) fn in_the_hands_of(&self, origin: Origin, fence: Option<Fence>) -> Box<dyn Store> {
        Box::new(Self {
            engine: Arc::clone(&self.engine),
            hands: Some(Arc::new(Hands::new(origin))),
            fence,
        })
    }
}

impl Deref for PostgresStore {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

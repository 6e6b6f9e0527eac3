//! What an operator does to the database beside serving it: copies, a move to PostgreSQL, a change of the master key, new
//! secrets.

pub mod moving;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doorward_oauth::client::EffectiveClient;
use doorward_store::sqlite::backup::{self, Inspection, Restore, Restored};
pub use doorward_store::{Ended, IndexWork, Schema, SecretsForgotten};
use doorward_store::{Store, StoreError, TellIndex};
use tokio::time::sleep;

use crate::audit;
use crate::authorization_server::{StartError, key_schedule};
use crate::config::Settings;
use crate::context::Parts;
use crate::keys::{
    KeyError, MasterKey, MasterKeyChange, MasterKeyError, Resealed, check_published, configured, may_start,
    opens_all,
};
use crate::storage;

/// Why something was not done. Nothing of it was, except where the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The keys or the master key.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database, or a copy of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// PostgreSQL makes its own copies.
    #[error(
        "the database is PostgreSQL, which copies itself: use pg_dump and pg_restore, or continuous archiving, and keep the master key apart from the copies"
    )]
    NotAFile,
    /// The settings name one master key only.
    #[error(
        "keys.other_master_key_file (or keys.other_master_key) is not set: it names the master key so far, and keys.master_key_file the new one"
    )]
    NoOtherKey,
    /// There is nothing that new secrets could take the place of.
    #[error("the database is new: the first start makes its secrets (storage.url)")]
    NoSecrets,
    /// A server that runs would go on with the old ones.
    #[error(
        "others use this database, connected as {0}: stop every server, close what else uses its role, and try again"
    )]
    Others(String),
}

/// What a start would refuse before it looks into the database: its URL, and master keys that cannot be used. A file of the
/// master key that is not there would be made.
///
/// # Errors
/// What the start would say.
pub fn check(settings: &Settings) -> Result<(), StartError> {
    storage::check_url(&settings.storage)?;
    Ok(configured::check(settings)?)
}

/// The database of the settings, as a start would find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the start would do to its schema; `None`: there is no database yet, or a new one, and the start makes what is missing.
    pub schema: Option<Schema>,
    /// The file of the master key that the start would make, where nothing is sealed yet. Otherwise the key opens what is.
    pub makes_master_key: Option<PathBuf>,
}

/// Which database the settings name, for people: the file from the root, or the URL without its secrets.
pub fn place(settings: &Settings) -> String {
    storage::place(&settings.storage)
}

/// How the schema of the database of these settings stands to this program's; `None`: there is nothing yet. Changes nothing,
/// and makes nothing.
///
/// # Errors
/// What the start would say.
pub async fn schema(settings: &Settings) -> Result<Option<Schema>, StartError> {
    Ok(storage::look(&settings.storage).await?.map(|found| found.schema))
}

/// Where the master key of these settings stands, for people.
pub fn master_key_place(settings: &Settings) -> String {
    if settings.keys.master_key.is_some() {
        return "keys.master_key".to_owned();
    }
    let path = configured::path(settings);
    std::path::absolute(&path).unwrap_or(path).display().to_string()
}

/// What a start would find in the database, after [`check`]: whether it answers, is this program's, and is opened by the
/// master key. Changes nothing, and makes nothing; a server may run meanwhile.
///
/// # Errors
/// What the start would say.
pub async fn look(settings: &Settings, parts: &Parts) -> Result<Found, StartError> {
    let found = storage::look(&settings.storage).await?;
    let sealed = found.as_ref().map_or(&[][..], |found| &found.sealed);
    let makes_master_key = match existing_master_key(settings, parts) {
        Ok(master) if may_start(&master, sealed) => {
            let keys = found.as_ref().and_then(|found| found.signing_keys.clone());
            let keep = key_schedule(settings).keep_previous;
            check_published(keys.unwrap_or_default(), &master, parts.clock.now(), keep)?;
            None
        }
        Ok(_) => return Err(KeyError::WrongMasterKey.into()),
        Err(StartError::MasterKey(MasterKeyError::Missing { path })) if sealed.is_empty() => Some(path),
        Err(error) => return Err(error),
    };
    Ok(Found {
        schema: found.map(|found| found.schema),
        makes_master_key,
    })
}

/// How often the database is asked whether another node has made its index.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Brings the database of these settings to this version's schema, without serving. The master key is tried before, where
/// there is one: a job that only does this may have none. Waits for indexes that are made while servers work, and tells of
/// them, also when a server makes them.
///
/// # Errors
/// What the start would say; behind a pooler also that an index cannot be made there.
pub async fn migrate(settings: &Settings, parts: Parts, tell: TellIndex<'_>) -> Result<(), StartError> {
    let store = open_with_key_if_any(settings, &parts).await?;
    while !store.make_indexes(tell).await? {
        sleep(ASK_AGAIN_AFTER).await;
    }
    Ok(store.close().await?)
}

/// Copies the database of these settings to a new file, also while a server uses it.
///
/// # Errors
/// [`MaintenanceError`], with the fix. A copy that the master key of the settings does not open is not kept.
pub async fn backup(settings: &Settings, file: &Path, parts: Parts) -> Result<Inspection, MaintenanceError> {
    let url = sqlite_url(settings)?;
    backup::existing(&url)?;
    let master = existing_master_key(settings, &parts)?;
    let file = file.to_owned();
    blocking(move || backup::backup(&url, &file, |found| fits(&master, found))).await
}

/// Puts a copy in the place of the database of these settings. `end_grants`: as [`end_grants`] does it, before anybody can
/// use the copy.
///
/// # Errors
/// [`MaintenanceError`], with the fix.
pub async fn restore(
    settings: &Settings,
    file: &Path,
    replace: bool,
    end_grants: bool,
    parts: Parts,
) -> Result<Restored, MaintenanceError> {
    let url = sqlite_url(settings)?;
    let master = existing_master_key(settings, &parts)?;
    let how = Restore {
        replace,
        end_grants,
        origin: audit::system(parts.random.as_ref(), parts.clock.as_ref()),
    };
    let file = file.to_owned();
    blocking(move || backup::restore(&url, &file, how, |found| fits(&master, found))).await
}

/// Ends everything that was given out: grants, sessions, codes, devices that wait; and what counts once and was made before
/// is refused. For a database that was put back to an earlier state, which does not know what was used since. The master key
/// is tried before, where there is one.
///
/// # Errors
/// [`MaintenanceError`], with the fix. What was ended before it stays so; the same again does the rest.
pub async fn end_grants(settings: &Settings, parts: Parts) -> Result<Ended, MaintenanceError> {
    if !storage::is_postgres(&settings.storage.url) {
        backup::existing(&settings.storage.url)?;
    }
    let store = open_with_key_if_any(settings, &parts).await?;
    let ended = store
        .acting(audit::system(parts.random.as_ref(), parts.clock.as_ref()))
        .end_everything(parts.clock.now())
        .await;
    store.close().await?;
    Ok(ended?)
}

/// What new secrets would end, or have ended the secrets of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HangingOnSecrets {
    /// Signing keys.
    pub signing_keys: u64,
    /// Grants that are pending or active.
    pub grants: u64,
    /// Sessions of people.
    pub sessions: u64,
    /// Clients with a secret that operators added.
    pub clients: u64,
    /// The first [`CLIENTS_NAMED`] of these: id and name.
    pub first_clients: Vec<(String, String)>,
    /// Clients with a secret that registered themselves.
    pub self_registered: u64,
}

/// How many clients [`HangingOnSecrets`] names.
pub const CLIENTS_NAMED: u32 = 50;

/// How long connections of servers that have just stopped are waited for.
const LEAVING: Duration = Duration::from_secs(5);

/// What [`new_secrets`] would end. Changes nothing, and needs no master key; a server may run meanwhile.
///
/// # Errors
/// [`MaintenanceError`], with the fix.
pub async fn hanging_on_secrets(settings: &Settings) -> Result<HangingOnSecrets, MaintenanceError> {
    if !storage::is_postgres(&settings.storage.url) {
        backup::existing(&settings.storage.url)?;
    }
    let found = storage::secrets_in_use(&settings.storage, CLIENTS_NAMED).await?;
    let found = found.ok_or(MaintenanceError::NoSecrets)?;
    let named = |(id, metadata): (String, String)| {
        let metadata = serde_json::from_str::<EffectiveClient>(&metadata).ok();
        let name = metadata.and_then(|metadata| metadata.client_name);
        (id, name.unwrap_or_default())
    };
    Ok(HangingOnSecrets {
        signing_keys: found.signing_keys,
        grants: found.grants,
        sessions: found.sessions,
        clients: found.clients,
        first_clients: found.first_clients.into_iter().map(named).collect(),
        self_registered: found.self_registered,
    })
}

/// Forgets the signing keys and the server's secrets, for when somebody else has them or the master key is lost: the next start
/// makes others, under the master key of its settings. Ends everything that was given out, as [`end_grants`] does. Nothing has to be
/// opened, so no master key is tried; the database is brought to this version's schema.
///
/// # Errors
/// [`MaintenanceError`], with the fix. What was forgotten and ended before it stays so; the same again does the rest.
pub async fn new_secrets(
    settings: &Settings,
    parts: Parts,
) -> Result<(SecretsForgotten, HangingOnSecrets), MaintenanceError> {
    let hanging = hanging_on_secrets(settings).await?;
    let others = storage::others(&settings.storage, LEAVING).await?;
    if !others.is_empty() {
        return Err(MaintenanceError::Others(others.join(", ")));
    }
    let (store, ()) = storage::open_checked(&settings.storage, |_| Ok::<_, StoreError>(())).await?;
    let forgotten = store
        .acting(audit::system(parts.random.as_ref(), parts.clock.as_ref()))
        .forget_secrets(parts.clock.now())
        .await;
    store.close().await?;
    Ok((forgotten?, hanging))
}

/// Seals everything in the database under the master key of these settings that is still sealed under the other one. May be
/// stopped and begun again at any time, also while servers run that have both keys.
///
/// # Errors
/// [`MaintenanceError`], with the fix. What was sealed anew before it stays so.
pub async fn rotate_master_key(settings: &Settings, parts: Parts) -> Result<Resealed, MaintenanceError> {
    let keys = &settings.keys;
    if keys.other_master_key.is_none() && keys.other_master_key_file.is_none() {
        return Err(MaintenanceError::NoOtherKey);
    }
    if !storage::is_postgres(&settings.storage.url) {
        backup::existing(&settings.storage.url)?;
    }
    let master = existing_master_key(settings, &parts)?;
    let (store, ()) = storage::open_checked(&settings.storage, |sealed| {
        if opens_all(&master, sealed) {
            Ok(())
        } else {
            Err(StartError::from(KeyError::WrongMasterKey))
        }
    })
    .await?;
    let done = reseal(Arc::clone(&store), master, &parts).await;
    store.close().await?;
    done
}

/// The master key of a database that is there.
fn existing_master_key(settings: &Settings, parts: &Parts) -> Result<MasterKey, StartError> {
    Ok(configured::master_key(settings, parts.random.as_ref(), false)?)
}

/// Opens the database for work that needs no master key, and tries it all the same: the schema is changed only where a
/// server of these settings could work with what is there. Without a key in the settings and in its usual place there is
/// nothing to try.
async fn open_with_key_if_any(settings: &Settings, parts: &Parts) -> Result<Arc<dyn Store>, StartError> {
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

async fn reseal(
    store: Arc<dyn Store>,
    master: MasterKey,
    parts: &Parts,
) -> Result<Resealed, MaintenanceError> {
    let origin = audit::system(parts.random.as_ref(), parts.clock.as_ref());
    let acting = Arc::from(store.acting(origin));
    let change = MasterKeyChange::begin(acting, Arc::new(master), Arc::clone(&parts.random)).await;
    let mut change = change.map_err(StartError::from)?;
    let mut resealed = Resealed::default();
    while let Some(progress) = change.step().await.map_err(StartError::from)? {
        resealed = progress;
    }
    Ok(resealed)
}

fn sqlite_url(settings: &Settings) -> Result<String, MaintenanceError> {
    if storage::is_postgres(&settings.storage.url) {
        return Err(MaintenanceError::NotAFile);
    }
    Ok(settings.storage.url.to_string())
}

fn fits(master: &MasterKey, found: &Inspection) -> Result<(), StoreError> {
    if opens_all(master, &found.sealed) {
        return Ok(());
    }
    Err(StoreError::Unusable(
        "the copy was sealed under another master key than that of these settings (keys.master_key_file); put the right one there, or name it as keys.other_master_key_file"
            .to_owned(),
    ))
}

/// Off the threads that answer requests: it reads the whole file.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, MaintenanceError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| StoreError::Internal(error.to_string()))??)
}

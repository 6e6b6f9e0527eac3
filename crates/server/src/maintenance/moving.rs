//! Moves everything from SQLite to PostgreSQL, for a server that runs with another configuration from then on.

use doorward_store::moving::{self, Retention};
pub use doorward_store::moving::{Moved, Progress, Rows, Watch};
use doorward_store::{Sealed, StoreError};

use super::{check, existing_master_key, master_key_place, place};
use crate::authorization_server::StartError;
use crate::config::{Origin, Settings};
use crate::context::Parts;
use crate::keys::may_start;
use crate::storage;

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The environment names one database for both.
    #[error(
        "DOORWARD_STORAGE_URL is set in the environment, which wins over both configurations: unset it for this command, and name each database in its file"
    )]
    Environment,
    /// Only SQLite is left.
    #[error(
        "the database of the old configuration is {0}, not a SQLite file: only SQLite is moved to PostgreSQL (storage.url of --config)"
    )]
    NotFromSqlite(String),
    /// Only PostgreSQL is moved to.
    #[error(
        "the database of the new configuration is {0}, not PostgreSQL: write postgres://USER:PASSWORD@HOST/DATABASE (storage.url of --to)"
    )]
    NotToPostgres(String),
    /// Tokens, and what is bound to them, carry the issuer's name.
    #[error(
        "the issuer is {old} in the old configuration and {new} in the new one: every token and every client names it, so let server.issuer stay the same"
    )]
    OtherIssuer {
        /// That of the old configuration.
        old: String,
        /// That of the new one.
        new: String,
    },
    /// What is in the database would be of no use.
    #[error(
        "the master key of the new configuration ({0}) does not open what is in the old database: let it name the same key (keys.master_key_file, or keys.master_key)"
    )]
    OtherMasterKey(String),
    /// The new settings, or the master key.
    #[error("with the new configuration no server starts: {0}")]
    Start(#[from] StartError),
    /// One of the databases.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a move would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The tables and how many rows each has.
    pub tables: Vec<Rows>,
    /// Settings, other than those that have to be, that are not the same in both configurations.
    pub other_settings: Vec<String>,
}

/// What [`carry_out`] would do, and whether anything speaks against it but a server that runs. Changes nothing.
///
/// # Errors
/// [`MoveError`], with the fix.
pub async fn plan(old: &Settings, new: &Settings, parts: &Parts) -> Result<Plan, MoveError> {
    check_settings(old, new)?;
    let options = storage::options(&new.storage);
    let route = route(old, new, &options);
    let mut tables = moving::look(route, |sealed| check_key(new, parts, sealed)).await?;
    tables.retain(|table| table.rows > 0);
    let mut other_settings = new.changed(old);
    other_settings.retain(|key| !key.starts_with("storage.") && !key.contains("master_key"));
    Ok(Plan {
        tables,
        other_settings,
    })
}

/// Moves everything from the database of the old settings into that of the new ones, which has to be empty.
///
/// # Errors
/// [`MoveError`], with the fix. Both databases are as they were then.
pub async fn carry_out(
    old: &Settings,
    new: &Settings,
    parts: &Parts,
    watch: Watch<'_>,
) -> Result<Moved, MoveError> {
    check_settings(old, new)?;
    let options = storage::options(&new.storage);
    let retention = Retention {
        now: parts.clock.now(),
        issuances: new.storage.retention.duration(),
        audit_events: new.audit.retention.duration(),
    };
    let route = route(old, new, &options);
    moving::carry_out(route, retention, |sealed| check_key(new, parts, sealed), watch).await
}

fn route<'a>(
    old: &'a Settings,
    new: &'a Settings,
    options: &'a doorward_store::postgres::PostgresOptions,
) -> moving::Route<'a> {
    moving::Route {
        from: &old.storage.url,
        to: &new.storage.url,
        options,
    }
}

fn check_settings(old: &Settings, new: &Settings) -> Result<(), MoveError> {
    if new.origin("storage", "url") == Origin::Environment {
        return Err(MoveError::Environment);
    }
    if storage::is_postgres(&old.storage.url) {
        return Err(MoveError::NotFromSqlite(place(old)));
    }
    if !storage::is_postgres(&new.storage.url) {
        return Err(MoveError::NotToPostgres(place(new)));
    }
    if old.server.issuer != new.server.issuer {
        return Err(MoveError::OtherIssuer {
            old: old.server.issuer.clone(),
            new: new.server.issuer.clone(),
        });
    }
    Ok(check(new)?)
}

fn check_key(new: &Settings, parts: &Parts, sealed: &[Sealed]) -> Result<(), MoveError> {
    if may_start(&existing_master_key(new, parts)?, sealed) {
        return Ok(());
    }
    Err(MoveError::OtherMasterKey(master_key_place(new)))
}

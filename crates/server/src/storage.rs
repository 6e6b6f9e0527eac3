//! The engine that `storage.url` names.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{Look, Sealed, SecretsInUse, Store, StoreError};

use crate::config::Storage;

/// Opens the database and brings it to this version's schema, when `check` takes what is encrypted under the master key
/// (nothing in a new database); before that nothing is changed. Beside the store, what `check` returned.
pub(crate) async fn open_checked<T, E: From<StoreError>>(
    settings: &Storage,
    check: impl FnOnce(&[Sealed]) -> Result<T, E>,
) -> Result<(Arc<dyn Store>, T), E> {
    let url = &settings.url;
    Ok(if is_postgres(url) {
        let (store, checked) = PostgresStore::open_checked(url, &options(settings), check).await?;
        (Arc::new(store), checked)
    } else {
        let (store, checked) = SqliteStore::open_checked(url, &SqliteOptions::default(), check)?;
        (Arc::new(store), checked)
    })
}

/// Whether the URL can be one, without looking whether anything is there.
pub(crate) fn check_url(settings: &Storage) -> Result<(), StoreError> {
    if is_postgres(&settings.url) {
        PostgresStore::check_url(&settings.url, &options(settings))
    } else {
        SqliteStore::check_url(&settings.url)
    }
}

/// What is in the database; `None`: there is none yet, or it is new. Changes nothing, and makes nothing.
pub(crate) async fn look(settings: &Storage) -> Result<Option<Look>, StoreError> {
    let url = &settings.url;
    if is_postgres(url) {
        PostgresStore::look(url, &options(settings)).await
    } else {
        SqliteStore::look(url, &SqliteOptions::default())
    }
}

/// What would end with its keys and secrets, and so many of the clients; `None`: there is none yet, or it is new. Changes
/// nothing.
pub(crate) async fn secrets_in_use(
    settings: &Storage,
    clients: u32,
) -> Result<Option<SecretsInUse>, StoreError> {
    let url = &settings.url;
    if is_postgres(url) {
        PostgresStore::secrets_in_use(url, &options(settings), clients).await
    } else {
        SqliteStore::secrets_in_use(url, &SqliteOptions::default(), clients)
    }
}

/// By what names others use the database, when they do not leave within `patience`. Of a SQLite file the lock tells, and a
/// pooler hides them.
pub(crate) async fn others(settings: &Storage, patience: Duration) -> Result<Vec<String>, StoreError> {
    if !is_postgres(&settings.url) || settings.transaction_pooler {
        return Ok(Vec::new());
    }
    PostgresStore::others(&settings.url, &options(settings), patience).await
}

/// Which database it is, for people: the file from the root, or the URL without its secrets.
pub(crate) fn place(settings: &Storage) -> String {
    match SqliteStore::file(&settings.url) {
        Ok(Some(path)) if !is_postgres(&settings.url) => path.display().to_string(),
        _ => settings.url.to_string(),
    }
}

/// How PostgreSQL is used.
pub(crate) fn options(settings: &Storage) -> PostgresOptions {
    PostgresOptions {
        connections: usize::try_from(settings.connections).unwrap_or(usize::MAX),
        wait: settings.connection_wait.duration(),
        connect_timeout: settings.connect_timeout.duration(),
        statement_timeout: settings.statement_timeout.duration(),
        transaction_pooler: settings.transaction_pooler,
        ..PostgresOptions::default()
    }
}

/// Whether the URL names a PostgreSQL database; every other one names a SQLite file.
pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    #[test]
    fn every_setting_reaches_the_engine() {
        let settings = Storage {
            connections: 3,
            connection_wait: Span::seconds(4),
            connect_timeout: Span::seconds(6),
            statement_timeout: Span::seconds(7),
            transaction_pooler: true,
            ..Storage::default()
        };
        let wanted = PostgresOptions {
            connections: 3,
            wait: Span::seconds(4).duration(),
            connect_timeout: Span::seconds(6).duration(),
            statement_timeout: Span::seconds(7).duration(),
            transaction_pooler: true,
            ..PostgresOptions::default()
        };
        assert_eq!(options(&settings), wanted);
        assert_eq!(options(&Storage::default()), PostgresOptions::default());
    }
}

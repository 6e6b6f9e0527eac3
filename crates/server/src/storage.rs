//! The engine that `storage.url` names.

use std::sync::Arc;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{Store, StoreError};

/// Opens the database and brings it to this version's schema.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(if is_postgres(url) {
        Arc::new(PostgresStore::open(url, &PostgresOptions::default()).await?)
    } else {
        Arc::new(SqliteStore::open(url, &SqliteOptions::default())?)
    })
}

/// Whether the URL names a PostgreSQL database; every other one names a SQLite file.
pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

//! The database of a test: a SQLite file, or with `DOORWARD_TEST_ENGINE=postgres` a database of its own on a
//! PostgreSQL server that the test program starts. `cargo xtask test` runs every suite on both.

use std::path::Path;

use doorward_server::config::Settings;

#[cfg(unix)]
#[path = "../../../store/tests/engines/postgres/cluster.rs"]
pub(crate) mod cluster;

/// `postgres`, or anything else for SQLite.
const SETTING: &str = "DOORWARD_TEST_ENGINE";

/// 32 bytes in base64url.
const MASTER_KEY: &str = "q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5s";

/// Holds the database as long as the test runs.
pub struct Engine {
    #[cfg(unix)]
    _database: Option<cluster::Database>,
}

impl Engine {
    /// Whether tests run on PostgreSQL.
    pub fn is_postgres() -> bool {
        std::env::var(SETTING).as_deref() == Ok("postgres")
    }

    /// Makes a database and puts it into the settings.
    #[cfg(unix)]
    pub async fn for_a_test(settings: &mut Settings, folder: &Path) -> Self {
        if !Self::is_postgres() {
            settings.storage.url = sqlite(folder).into();
            return Self { _database: None };
        }
        let database = cluster::empty_database()
            .await
            .expect("PostgreSQL is not installed");
        settings.storage.url = database.url().into();
        settings.keys.master_key = Some(MASTER_KEY.into());
        Self {
            _database: Some(database),
        }
    }

    /// Makes a database and puts it into the settings.
    #[cfg(not(unix))]
    pub async fn for_a_test(settings: &mut Settings, folder: &Path) -> Self {
        settings.storage.url = sqlite(folder).into();
        Self {}
    }
}

fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("doorward.db").display())
}

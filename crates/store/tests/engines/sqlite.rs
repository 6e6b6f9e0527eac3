//! The conformance suite on the embedded engine: on disk and in memory.

use std::future::{Ready, ready};
use std::sync::Arc;

use doorward_store::sqlite::{SqliteOptions, SqliteStore};

use crate::conformance::scene::Opened;

fn on_disk() -> Ready<Opened> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("doorward.db");
    let store = SqliteStore::open(path.to_str().unwrap(), &SqliteOptions::default()).unwrap();
    ready(Opened {
        store: Arc::new(store),
        keep: Box::new(directory),
    })
}

fn in_memory() -> Ready<Opened> {
    ready(Opened {
        store: Arc::new(SqliteStore::temporary().unwrap()),
        keep: Box::new(()),
    })
}

mod file {
    crate::conformance::conformance!(crate::sqlite::on_disk);
}

mod memory {
    crate::conformance::conformance!(crate::sqlite::in_memory);
}

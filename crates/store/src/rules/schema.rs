//! Which schema steps a database still needs, and which databases this program refuses.

use std::fmt::Write as _;

use super::sha256;
use crate::{Result, Schema, StoreError};

/// How far an index is that is made while everybody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexWork {
    /// It is begun.
    Begun,
    /// An attempt before left a piece of it, which is removed first.
    Leftover,
    /// What the database says that it does now, and how much of that is done.
    At {
        /// In the words of the database.
        phase: String,
        /// Where the database counts it.
        percent: Option<i64>,
    },
    /// It is there.
    Made,
    /// Another node is at it, or was a moment ago.
    Elsewhere,
}

/// Is told the name of a schema step that makes an index, and how far it is.
pub type TellIndex<'a> = &'a (dyn Fn(&str, IndexWork) + Send + Sync);

/// A numbered step that is part of the program. A released one is never edited: a new one is added.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// Whether a program that does not know the step goes wrong on a database that has it. The journal says so, for
    /// nodes of the version before, which run on during a rolling upgrade and may start again.
    pub(crate) breaks_older: bool,
    /// The index that the step makes, when that is all it does and its table may be large: it is made beside the work of
    /// everybody else, after the other steps, and nobody waits for it.
    pub(crate) index: Option<&'static str>,
}

/// One of an engine's steps, from its file. `breaks_older` behind the name: programs without it have to stop first.
/// `index "NAME"`: a step that makes an index beside the work of others.
macro_rules! migration {
    ($engine:literal, $version:literal, $name:literal) => {
        $crate::rules::schema::migration!($engine, $version, $name, false, None)
    };
    ($engine:literal, $version:literal, $name:literal, breaks_older) => {
        $crate::rules::schema::migration!($engine, $version, $name, true, None)
    };
    ($engine:literal, $version:literal, $name:literal, index $index:literal) => {
        $crate::rules::schema::migration!($engine, $version, $name, false, Some($index))
    };
    ($engine:literal, $version:literal, $name:literal, $breaks_older:literal, $index:expr) => {
        $crate::rules::schema::Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../migrations/", $engine, "/", $name, ".sql")),
            breaks_older: $breaks_older,
            index: $index,
        }
    };
}
pub(crate) use migration;

/// A step of the database, from its journal.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) breaks_older: bool,
}

/// What lies between a database and this program.
#[derive(Debug)]
pub(crate) struct Difference<'m, 'a> {
    /// Steps of this program that the database has not got.
    pub(crate) pending: Vec<&'m Migration>,
    /// Steps of the database that this program does not know, and that keep it working.
    pub(crate) newer: &'a [Applied],
}

impl Difference<'_, '_> {
    /// The same in a database with this as its last step, for whoever asks before something is done.
    pub(crate) fn with(&self, last: &Applied) -> Schema {
        let breaking = self.pending.iter().rev().find(|step| step.breaks_older);
        Schema {
            last: last.name.clone(),
            steps_behind: self.pending.len(),
            indexes_behind: self.pending.iter().filter(|step| step.index.is_some()).count(),
            no_way_back: breaking.map(|step| step.name),
            steps_ahead: self.newer.len(),
        }
    }

    /// Says so in the log when the database is ahead.
    pub(crate) fn tell(&self) {
        if let Some(last) = self.newer.last() {
            tracing::warn!(
                steps = self.newer.len(),
                last = last.name,
                "the database has schema steps of a newer version; they keep this version working: finish the upgrade of this node"
            );
        }
    }

    /// Refuses a database that is ahead: what its newer steps have added would be forgotten.
    #[cfg(feature = "postgres")]
    pub(crate) fn refuse_newer(&self) -> Result<()> {
        match self.newer.last() {
            Some(last) => Err(StoreError::Unusable(format!(
                "the database has schema step {}, which this program does not know: use the newer version",
                last.name
            ))),
            None => Ok(()),
        }
    }
}

/// What has to be done to a database; an error when this program cannot work on it.
pub(crate) fn difference<'m, 'a>(
    migrations: &'m [Migration],
    applied: &'a [Applied],
) -> Result<Difference<'m, 'a>> {
    let (mut steps, mut pending) = (applied, Vec::new());
    for known in migrations {
        let Some((step, rest)) = steps.split_first() else {
            pending.push(known);
            continue;
        };
        // Later steps do not wait for an index.
        if known.index.is_some() && step.version > known.version {
            pending.push(known);
            continue;
        }
        if step.version != known.version || step.name != known.name {
            return Err(StoreError::Unusable(format!(
                "the database went another way: it has schema step {} where this program has {}",
                step.name, known.name
            )));
        }
        if step.sha256 != checksum(known.sql) {
            return Err(StoreError::Unusable(format!(
                "schema step {} was edited after the database was made with it: restore the file and add a new step instead",
                step.name
            )));
        }
        steps = rest;
    }
    if let Some(step) = steps.iter().find(|step| step.breaks_older) {
        return Err(StoreError::Unusable(format!(
            "the database has schema step {}, which this program does not know and cannot work with: run a newer version, or restore a backup from before the upgrade",
            step.name
        )));
    }
    Ok(Difference {
        pending,
        newer: steps,
    })
}

/// SHA-256 in hexadecimal; line ends as in the repository, whatever the checkout did to them.
pub(crate) fn checksum(sql: &str) -> String {
    sha256(sql.replace("\r\n", "\n").as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
#[path = "schema_tests.rs"]
pub(crate) mod tests;

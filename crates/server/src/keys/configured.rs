//! The master key that the settings name: as it stands there, in its file, or in its usual place beside the database.

use std::path::{Path, PathBuf};

use super::master::FILE_SETTING;
use super::{MasterKey, MasterKeyError};
use crate::config::Settings;
use crate::random::Random;

const OTHER_FILE_SETTING: &str = "keys.other_master_key_file";

/// The master key of the settings, and the other one beside it while it is changed. Where there is none, `may_create`
/// makes one.
///
/// # Errors
/// [`MasterKeyError`], with the fix.
pub(crate) fn master_key(
    settings: &Settings,
    random: &dyn Random,
    may_create: bool,
) -> Result<MasterKey, MasterKeyError> {
    let key = match existing(settings) {
        Err(MasterKeyError::Missing { path }) if may_create => MasterKey::load_or_create(&path, random)?,
        existing => existing?,
    };
    Ok(match other_master_key(settings)? {
        Some(other) => key.beside(other),
        None => key,
    })
}

/// Without the other one.
fn existing(settings: &Settings) -> Result<MasterKey, MasterKeyError> {
    match &settings.keys.master_key {
        Some(text) => MasterKey::from_setting(text, "keys.master_key"),
        None => MasterKey::load(&path(settings), FILE_SETTING),
    }
}

/// The other one, if there is one.
fn other_master_key(settings: &Settings) -> Result<Option<MasterKey>, MasterKeyError> {
    let keys = &settings.keys;
    match (&keys.other_master_key, &keys.other_master_key_file) {
        (Some(text), _) => MasterKey::from_setting(text, "keys.other_master_key").map(Some),
        (None, Some(path)) => match MasterKey::load(path, OTHER_FILE_SETTING) {
            // What is sealed may be under the other key, or not yet.
            Err(MasterKeyError::Missing { path }) => Err(MasterKeyError::OtherMissing { path }),
            loaded => loaded.map(Some),
        },
        (None, None) => Ok(None),
    }
}

/// The settings that name a file in which another master key stands than the one that the server runs with, or none.
pub(crate) fn replaced_files(
    settings: &Settings,
    running: &MasterKey,
    random: &dyn Random,
) -> Vec<&'static str> {
    let keys = &settings.keys;
    let mut replaced = Vec::new();
    if keys.master_key.is_none() {
        let found = MasterKey::load(&path(settings), FILE_SETTING);
        if !found.is_ok_and(|found| running.is(&found, random)) {
            replaced.push(FILE_SETTING);
        }
    }
    if let (None, Some(path)) = (&keys.other_master_key, &keys.other_master_key_file) {
        let found = MasterKey::load(path, OTHER_FILE_SETTING);
        if !found.is_ok_and(|found| running.is_beside(&found, random)) {
            replaced.push(OTHER_FILE_SETTING);
        }
    }
    replaced
}

/// The file of the master key.
pub(crate) fn path(settings: &Settings) -> PathBuf {
    let named = settings.keys.master_key_file.clone();
    named.unwrap_or_else(|| default_path(&settings.storage.url))
}

/// `master.key` in the folder of the database.
fn default_path(storage_url: &str) -> PathBuf {
    Path::new(storage_url.strip_prefix("sqlite://").unwrap_or(storage_url)).with_file_name("master.key")
}

/// Refuses master keys that cannot be used. A file that is not there is none of them: it may have to be made.
///
/// # Errors
/// [`MasterKeyError`], with the fix.
pub(crate) fn check(settings: &Settings) -> Result<(), MasterKeyError> {
    match existing(settings) {
        Ok(_) | Err(MasterKeyError::Missing { .. }) => {}
        Err(error) => return Err(error),
    }
    other_master_key(settings).map(drop)
}

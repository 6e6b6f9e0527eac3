//! `doorward init`: a commented configuration and fresh secrets, which nobody else can read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use doorward_server::config::Settings;
use doorward_server::keys::MasterKey;
use doorward_server::random::{OsRandom, Random};

use crate::cli::InitArguments;
use crate::out;

/// Writes both files; neither may exist.
pub fn run(arguments: &InitArguments) -> anyhow::Result<ExitCode> {
    for path in [&arguments.config, &arguments.master_key_file] {
        anyhow::ensure!(
            !path.exists(),
            "{} exists already; move it away or name another file",
            path.display()
        );
    }
    let random = OsRandom::default();
    let admin_key = (&random as &dyn Random).token("dwk_");
    let set = [
        ("server.issuer", toml_string(&arguments.issuer)),
        ("admin.bootstrap_key", toml_string(&admin_key)),
        (
            "keys.master_key_file",
            toml_string(&arguments.master_key_file.to_string_lossy()),
        ),
    ];
    let set: Vec<(&str, &str)> = set.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let text = Settings::commented_template(&set);

    write_secret(
        &arguments.master_key_file,
        &format!("{}\n", *MasterKey::generate_text(&random)),
    )?;
    write_secret(&arguments.config, &text)?;
    out::line(format!(
        "Wrote {} and {} (mode 0600).",
        arguments.config.display(),
        arguments.master_key_file.display()
    ));
    out::line(
        "Keep a copy of the master key apart from the database: without it nothing in there can be used.",
    );
    out::line(format!(
        "Next: doorward check-config --config {0}, then doorward serve --config {0}",
        arguments.config.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn toml_string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A new file with mode 0600, on disk before this returns.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

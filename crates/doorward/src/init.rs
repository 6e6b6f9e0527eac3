//! `doorward init`: a commented configuration and fresh secrets, which nobody else can read.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, absolute};
use std::process::ExitCode;

use anyhow::Context as _;
use doorward_oauth::issuer::Issuer;
use doorward_server::config::Settings;
use doorward_server::keys::{MasterKey, write_private_file};
use doorward_server::random::{OsRandom, Random};
use url::{Host, Url};

use crate::cli::InitArguments;
use crate::out;

/// Writes both files; neither may exist.
pub fn run(arguments: &InitArguments) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        absolute(&arguments.config)? != absolute(&arguments.master_key_file)?,
        "--config and --master-key-file name the same file; name two"
    );
    for path in [&arguments.config, &arguments.master_key_file] {
        anyhow::ensure!(
            !path.exists(),
            "{} exists already; move it away or name another file",
            path.display()
        );
    }
    let address = address(&arguments.issuer)?;
    let random = OsRandom::default();
    let admin_key = (&random as &dyn Random).token("dwk_");
    let set = [
        ("server.issuer", toml_string(&arguments.issuer)),
        ("server.address", toml_string(&address.to_string())),
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
    if let Err(error) = write_secret(&arguments.config, &text) {
        // Nothing half done: the next try finds the place as this one did.
        let _ = std::fs::remove_file(&arguments.master_key_file);
        return Err(error);
    }
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

/// Where the server listens: an issuer on loopback is where clients really connect to; in front of any other
/// stands a proxy, which finds the server on its usual port.
fn address(issuer: &str) -> anyhow::Result<SocketAddr> {
    let parsed = Issuer::parse(issuer).with_context(|| format!("--issuer {issuer} cannot be used"))?;
    let url = Url::parse(issuer)?;
    let usual = Settings::default().server.address;
    if !parsed.is_loopback() || parsed.is_https() {
        return Ok(usual);
    }
    let host = match url.host() {
        Some(Host::Ipv4(host)) => IpAddr::V4(host),
        Some(Host::Ipv6(host)) => IpAddr::V6(host),
        _ => usual.ip(),
    };
    Ok(SocketAddr::new(host, url.port().unwrap_or(80)))
}

fn toml_string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A new file with mode 0600, whole and on disk before this returns; or none.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let path_shown = path.display();
    match write_private_file(path, text, &OsRandom::default()) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.exists() => {
            anyhow::bail!("{path_shown} exists already; move it away or name another file")
        }
        written => written.with_context(|| format!("{path_shown} cannot be written")),
    }
}

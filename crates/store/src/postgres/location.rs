//! `postgres://…`: what the connections are made with.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Pool, PoolError};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use super::PostgresOptions;
use super::errors::{Fault, describe};
use super::tls::{Files, Tls};
use crate::{Result, StoreError};

pub(super) struct Location {
    pub(super) config: Config,
    pub(super) tls: Arc<Tls>,
}

impl Location {
    pub(super) fn parse(url: &str, options: &PostgresOptions) -> Result<Self> {
        let (url, files, named) = split(url)?;
        let mut config: Config = url
            .parse()
            .map_err(|error| unusable(&format!("this is no PostgreSQL URL: {}", describe(&error))))?;
        if config.get_hosts().is_empty() {
            return Err(unusable("the PostgreSQL URL names no host"));
        }
        // Its first `@` ends a password: what was one would be shown as a host, and asked for by that name.
        if config
            .get_hosts()
            .iter()
            .any(|host| matches!(host, Host::Tcp(name) if name.contains('@')))
        {
            return Err(unusable(
                "user and password of the PostgreSQL URL have an `@` in them: write it %40 (and : / ? # % as %3A %2F %3F %23 %25)",
            ));
        }
        let (hosts, ports) = (config.get_hosts().len(), config.get_ports().len());
        if ports > 1 && ports != hosts || ![0, hosts].contains(&config.get_hostaddrs().len()) {
            return Err(unusable(
                "the PostgreSQL URL has not as many ports or addresses as it has hosts",
            ));
        }
        if config.get_user().is_none() {
            return Err(unusable("the PostgreSQL URL names no user: postgres://USER@…"));
        }
        if !named {
            config.ssl_mode(if is_local(&config) {
                SslMode::Disable
            } else {
                SslMode::Require
            });
        }
        settings(&mut config, options);
        let tls = Tls::read(files, config.get_ssl_mode() != SslMode::Disable)?;
        Ok(Self {
            config,
            tls: Arc::new(tls),
        })
    }
}

/// Takes out what the driver does not know, and tells whether the URL names an `sslmode`.
fn split(url: &str) -> Result<(String, Files, bool)> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut files = Files::default();
    let mut kept = Vec::new();
    let mut named = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let path = || decode(value).map(|path| Some(path.into()));
        match key {
            "sslrootcert" => files.authorities = path()?,
            "sslcert" => files.certificate = path()?,
            "sslkey" => files.key = path()?,
            "sslmode" => {
                named = true;
                // The certificate is verified whenever TLS is used.
                kept.push(match value {
                    "verify-full" | "verify-ca" => "sslmode=require".to_owned(),
                    // Whoever is in between says that there is no TLS, and gets plain text.
                    "allow" | "prefer" => {
                        return Err(unusable(&format!(
                            "sslmode={value} protects nothing: use disable or require"
                        )));
                    }
                    _ => pair.to_owned(),
                });
            }
            _ => kept.push(pair.to_owned()),
        }
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    Ok((url, files, named))
}

fn decode(text: &str) -> Result<String> {
    let wrong = || unusable("the PostgreSQL URL has a malformed %-escape");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| {
                byte.and_then(|byte| char::from(byte).to_digit(16))
                    .ok_or_else(wrong)
            };
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).map_err(|_| wrong())?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn settings(config: &mut Config, options: &PostgresOptions) {
    // A pooler refuses start parameters that it does not know, and its sessions are not ours to set up.
    if !options.transaction_pooler {
        session_settings(config, options);
    }
    config.tcp_user_timeout(options.statement_timeout);
    // A peer that is gone without a word is noticed in a minute also where nothing is sent.
    config.keepalives_idle(Duration::from_secs(30));
    config.keepalives_interval(Duration::from_secs(10));
    config.keepalives_retries(3);
    if config.get_application_name().is_none() {
        config.application_name("doorward");
    }
}

fn session_settings(config: &mut Config, options: &PostgresOptions) {
    let statement = options.statement_timeout.as_millis();
    // A node that stops in the middle of a transaction (paused, cut off) must not hold its locks for long.
    let idle = statement * 2;
    // What a statement outside of a transaction sees is what it sees inside of one, whatever the role's default is.
    let isolation = "-c default_transaction_isolation=read\\ committed";
    // One plan a statement: partitions are chosen when it runs, and planning it anew each time would cost more than it.
    let timeouts = format!(
        "-c statement_timeout={statement} -c idle_in_transaction_session_timeout={idle} -c plan_cache_mode=force_generic_plan {isolation}"
    );
    let all = match config.get_options() {
        // The operator's own come last: they win.
        Some(own) => format!("{timeouts} {own}"),
        None => timeouts,
    };
    config.options(all);
}

/// Where they are looked for: `HOST:PORT`, or the folder of a socket.
pub(super) fn servers(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |number: usize| ports.get(number).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate();
    let servers: Vec<String> = hosts
        .map(|(number, host)| match host {
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
            Host::Tcp(name) => format!("{name}:{}", port(number)),
        })
        .collect();
    servers.join(", ")
}

fn is_local(config: &Config) -> bool {
    let local = |host: &Host| match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    };
    config.get_hosts().iter().all(local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// One connection, so that a wrong setting is told with its fix.
pub(super) async fn try_out(pool: &Pool, servers: &str) -> Result<()> {
    let error = match pool.get().await {
        Ok(_) => return Ok(()),
        Err(PoolError::Backend(error)) => error,
        // It may take connections and say nothing.
        Err(PoolError::Timeout(_)) => return Err(unreachable(servers, "no answer in time")),
        Err(error) => return Err(super::at_start(Fault::from(error))),
    };
    let why = describe(&error);
    let fix = match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("28P01" | "28000") => "check user and password in the URL",
        Some("3D000") => "create the database first",
        // PgBouncer refuses start parameters that it does not know.
        Some("08P01") if why.contains("startup parameter") => {
            "behind PgBouncer, set storage.transaction_pooler = true"
        }
        Some(code) if !code.starts_with("57") && !code.starts_with("53") => "check the URL",
        None if is_tls(&error) => "check sslmode and sslrootcert in the URL",
        None if why.contains("password missing") => {
            "write the password into the URL: postgres://USER:PASSWORD@…"
        }
        _ => return Err(unreachable(servers, &why)),
    };
    Err(unusable(&format!("the PostgreSQL server refused: {why}; {fix}")))
}

/// Behind a pooler a statement outside of a transaction runs under the role's limits alone: says so when there are none.
pub(super) async fn tell_of_limits(db: &Client) -> std::result::Result<(), tokio_postgres::Error> {
    let answer = db.simple_query("SHOW statement_timeout").await?;
    let unlimited = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("0"));
    if answer.iter().any(unlimited) {
        tracing::warn!(
            "behind a pooler a statement alone has the limits of its role, and this one has no statement_timeout: ALTER ROLE … SET statement_timeout = '10s'"
        );
    }
    Ok(())
}

fn unreachable(servers: &str, why: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "the PostgreSQL server cannot be reached at {servers}: {why}; is it running, and are host and port of storage.url right? (In a password, @ : / ? # % are written %40 %3A %2F %3F %23 %25.)"
    ))
}

fn is_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string().contains("TLS")
}

pub(super) fn unusable(why: &str) -> StoreError {
    StoreError::Unusable(why.to_owned())
}

#[cfg(test)]
#[path = "location_tests.rs"]
mod tests;

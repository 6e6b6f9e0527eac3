//! `doorward dev`: the authorization server, a guarded demo MCP server, and one real client walking
//! through both. On loopback only: the issuer is plain `http` and the person's password is on the screen.

mod browser;
mod demo_server;
mod paste;
mod setup;
mod walk;

use std::collections::BTreeMap;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context as _;
use doorward_server::config::Settings;

use crate::cli::DevArguments;
use crate::{logging, out, serve};

/// Where everything of a `dev` run is found.
pub struct Place {
    /// The authorization server.
    pub issuer: String,
    /// Its admin API.
    pub admin_url: String,
    /// The demo MCP server: the resource.
    pub mcp_url: String,
}

/// Starts everything, walks the client through it, prints what to paste, and stays up (or not: `--once`).
pub async fn run(arguments: DevArguments) -> anyhow::Result<ExitCode> {
    out::line(BANNER);
    let place = Place {
        issuer: format!("http://localhost:{}", arguments.port),
        admin_url: format!("http://127.0.0.1:{}", arguments.admin_port),
        mcp_url: format!("http://localhost:{}/mcp", arguments.demo_port),
    };
    let secrets = setup::Secrets::load_or_create(&arguments.data_dir)?;
    let settings = settings(&arguments, &place, &secrets)?;
    let _log = logging::start(&settings.observability)?;

    let stop = serve::stop_on_signal()?;
    // Before anything is started: what fails, fails with nothing else running.
    let demo = demo_server::bind(arguments.demo_port).await.with_context(|| {
        format!(
            "cannot listen on port {}; --demo-port chooses another",
            arguments.demo_port
        )
    })?;
    let server = serve::start(settings, &stop)
        .await
        .context("is another `doorward dev` running? --port, --admin-port and --data-dir choose others")?;
    let server = tokio::spawn(server.until_stopped());
    let demo = demo_server::start(&place, demo, stop.clone())?;

    let operator = setup::Operator::new(&place, &secrets)?;
    let person = operator
        .prepare(&place, &secrets)
        .await
        .context("the demo resource and person could not be set up")?;
    let walked = tokio::select! {
        walked = walk::run(&place, &person, &operator) => walked,
        () = stop.cancelled() => Ok(()),
    };
    if let Err(error) = &walked {
        out::line(format!("The walk stopped: {error:#}"));
    }
    if arguments.once {
        stop.cancel();
    } else {
        out::line(paste::lines(&place, &person, &arguments.data_dir));
        stop.cancelled().await;
        out::line("Stopping.");
    }
    demo.await?;
    server.await??;
    Ok(if walked.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

const BANNER: &str = "\
+----------------------------------------------------------------------+
|  DEVELOPMENT: loopback only, plain http, a person whose password     |
|  is shown. Never let others reach it. For real use: doorward serve.  |
+----------------------------------------------------------------------+";

/// The settings of a `dev` run: its own addresses and files, and from the environment whatever else is to be tried.
fn settings(arguments: &DevArguments, place: &Place, secrets: &setup::Secrets) -> anyhow::Result<Settings> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
    let in_data_dir = |name: &str| arguments.data_dir.join(name).to_string_lossy().into_owned();
    let ours = [
        ("DOORWARD_SERVER_ISSUER", place.issuer.clone()),
        ("DOORWARD_SERVER_ADDRESS", address(arguments.port)),
        ("DOORWARD_ADMIN_ADDRESS", address(arguments.admin_port)),
        ("DOORWARD_ADMIN_BOOTSTRAP_KEY", secrets.admin_key.clone()),
        (
            "DOORWARD_STORAGE_URL",
            format!("sqlite://{}", in_data_dir("doorward.db")),
        ),
        ("DOORWARD_KEYS_MASTER_KEY_FILE", in_data_dir("master.key")),
    ];
    let ours = ours.map(|(name, value)| (name.to_owned(), value));
    let theirs = serve::environment()?.into_iter();
    // A walk is not to be lost between its own lines.
    let quiet = ("DOORWARD_OBSERVABILITY_LOG_LEVEL".to_owned(), "warn".to_owned());
    let mut all: BTreeMap<_, _> = iter::once(quiet).chain(theirs).collect();
    all.extend(ours);
    Ok(Settings::load(None, all.into_iter())?)
}

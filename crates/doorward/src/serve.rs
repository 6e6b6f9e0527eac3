//! `doorward serve`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::Router;
use doorward_oauth::time::UnixSeconds;
use doorward_server::config::Settings;
use doorward_server::context::{Context, Parts};
use doorward_server::http::serve::{Peers, ServeLimits, serve};
use doorward_server::reload::Reloaded;
use doorward_server::{AdminKeyOffer, AuthorizationServer, Routers, maintenance};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::ConfigArguments;
use crate::descriptors::Connections;
use crate::logging::Log;
use crate::notify::ServiceManager;
use crate::{logging, out};

/// What `doorward init` writes when no other name is given.
const CONFIGURATION: &str = "doorward.toml";

/// 2026-01-01, 00:00 UTC: the program is younger.
const WRITTEN: UnixSeconds = UnixSeconds(1_767_225_600);

/// Runs the authorization server until SIGTERM or SIGINT; then answers what has begun, and stops.
pub async fn run(arguments: ConfigArguments) -> anyhow::Result<ExitCode> {
    let settings = load(arguments.config.as_deref())?;
    let log = logging::start(&settings.observability)?;
    warn_of_open_secrets(&settings, arguments.config.as_deref());
    let stop = stop_on_signal()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let manager = ServiceManager::from_environment();
    // On another thread: the embedded database is opened on this one.
    let starting = tokio::spawn(manager.starting());
    let running = tokio::select! {
        // What is there already is not given up.
        biased;
        running = start(settings, &stop) => Some(running),
        () = stop.cancelled() => None,
    };
    starting.abort();
    let Some(running) = running.transpose()? else {
        tracing::info!("stopped before it had started");
        return Ok(ExitCode::SUCCESS);
    };
    // Not before: it is stored hashed, and a start that is given up in between would leave a key that nobody saw.
    if let Some(key) = running.server.make_first_admin_key().await? {
        show(&key);
        if let Some(error) = out::lost() {
            running.server.take_back(&key).await?;
            anyhow::bail!(
                "the first admin key could not be shown ({error}) and was deleted again; start with a standard output that takes it, which makes another, or set admin.bootstrap_key"
            );
        }
    }
    let context = running.server.context();
    log.count_in(context.metrics.clone());
    let life = async {
        manager.ready(ANSWERS);
        loop {
            tokio::select! {
                () = manager.watch() => {}
                Some(()) = hangup.recv() => {
                    manager.reloading();
                    let can_be_used = reload(arguments.config.as_deref(), &log, &context);
                    context.metrics.reloaded(can_be_used);
                    manager.ready(if can_be_used { ANSWERS } else { ANSWERS_AS_BEFORE });
                }
                () = stop.cancelled() => {
                    let last_statement = context.settings.storage.statement_timeout.duration();
                    break manager.stopping(context.shutdown_delay(), last_statement);
                }
            }
        }
        // What has begun is answered in a time that is bounded, and the service manager waits for it.
        manager.watch().await;
    };
    tokio::select! {
        stopped = running.until_stopped() => stopped?,
        () = life => {}
    }
    Ok(ExitCode::SUCCESS)
}

const ANSWERS: &str = "answering";
const ANSWERS_AS_BEFORE: &str = "answering; the configuration cannot be used, and nothing has changed";

/// Reads the configuration again and takes over what can change in a running server. What cannot be used changes nothing; whether
/// it can.
fn reload(config: Option<&Path>, log: &Log, context: &Context) -> bool {
    let usable = |settings: Settings| match maintenance::check(&settings) {
        Ok(()) => Ok(settings),
        Err(error) => Err(error.into()),
    };
    match load(config).and_then(usable) {
        Ok(settings) => {
            log.change(&settings.observability);
            let Reloaded {
                in_force,
                at_next_start,
            } = context.reload(&settings);
            for key in at_next_start {
                tracing::warn!(key, "this setting has changed and takes effect at the next start");
            }
            warn_of_open_secrets(&settings, config);
            tracing::info!(changed = in_force.join(" "), "the configuration was read again");
            true
        }
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "the configuration cannot be used; nothing has changed"
            );
            false
        }
    }
}

fn warn_of_open_secrets(settings: &Settings, config: Option<&Path>) {
    if let Some(warning) = config.and_then(|path| settings.open_secrets(path)) {
        tracing::warn!("{warning}");
    }
}

/// The settings of a file and of this process's environment.
pub fn load(config: Option<&Path>) -> anyhow::Result<Settings> {
    if config.is_none() && Path::new(CONFIGURATION).exists() {
        out::note(format!(
            "no configuration file was named, so ./{CONFIGURATION} is not read: --config {CONFIGURATION} reads it"
        ));
    }
    Ok(Settings::load(config, environment()?.into_iter())?)
}

/// This process's environment. Variables of others may hold what they like; ours are UTF-8.
pub fn environment() -> anyhow::Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with("DOORWARD_") => {
                anyhow::bail!("the environment variable {name} is not UTF-8; set it again, or unset it")
            }
            Err(_) => {}
        }
    }
    Ok(variables)
}

/// A running server.
pub struct Running {
    server: AuthorizationServer,
    public: (TcpListener, Router),
    admin: (TcpListener, Router),
    connections: Connections,
    stop: CancellationToken,
}

/// Binds the listeners and opens the server; nothing is answered before [`Running::until_stopped`] runs. The listeners
/// come first: a start that fails for a taken port has not migrated anything.
pub async fn start(settings: Settings, stop: &CancellationToken) -> anyhow::Result<Running> {
    let (public_address, admin_address) = (settings.server.address, settings.admin.address);
    let issuer = settings.server.issuer.clone();
    let public = TcpListener::bind(public_address)
        .await
        .with_context(|| format!("cannot listen on {public_address} (server.address)"))?;
    let admin = TcpListener::bind(admin_address)
        .await
        .with_context(|| format!("cannot listen on {admin_address} (admin.address)"))?;
    let connections = Connections::of_process(&settings);
    let parts = Parts::system();
    refuse_an_unset_clock(parts.clock.now())?;
    let server = AuthorizationServer::open(settings, parts).await?;
    let Routers {
        public: public_router,
        admin: admin_router,
    } = server.routers();
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, issuer, public = %public_address, admin = %admin_address, "the authorization server listens");
    Ok(Running {
        server,
        public: (public, public_router),
        admin: (admin, admin_router),
        connections,
        stop: stop.clone(),
    })
}

fn show(first_admin_key: &AdminKeyOffer) {
    out::line(format!(
        "The first admin key, shown once; keep it somewhere safe and set DOORWARD_ADMIN_KEY to use it:\n{}",
        first_admin_key.expose()
    ));
}

/// A machine whose clock was never set (no battery, no network yet) says 1970: its tokens would be of that time, and keys
/// and grants would be too young or too old for ever after.
fn refuse_an_unset_clock(now: UnixSeconds) -> anyhow::Result<()> {
    anyhow::ensure!(
        now >= WRITTEN,
        "the clock of this machine is not set, it stands before this program was written; set it, and start again"
    );
    Ok(())
}

impl Running {
    /// Answers requests until the token is cancelled, then drains.
    pub async fn until_stopped(self) -> anyhow::Result<()> {
        let Self {
            server,
            public,
            admin,
            connections,
            stop,
        } = self;
        let (context, close) = (server.context(), CancellationToken::new());
        let limits = ServeLimits {
            idle_time: context.settings.server.idle_timeout.duration(),
            ..ServeLimits::with_connections(connections.public)
        };
        let admin_limits = ServeLimits::with_connections(connections.admin);
        let peers = Peers::new(&context.settings.server.trusted_proxies, context.metrics.clone());
        // First whoever sends requests here notices; then nobody loses one on a connection that closes.
        let leaving = async {
            stop.cancelled().await;
            context.leave();
            tokio::time::sleep(context.shutdown_delay()).await;
            close.cancel();
        };
        tokio::join!(
            leaving,
            serve(
                public.0,
                public.1,
                limits,
                peers.clone().of("public"),
                close.clone()
            ),
            serve(admin.0, admin.1, admin_limits, peers.of("admin"), close.clone()),
            // Until `close`, not `stop`: streams of revocations go on while the node leaves.
            server.run_jobs(close.clone()),
        );
        server.close().await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// A token that SIGTERM and SIGINT cancel.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}

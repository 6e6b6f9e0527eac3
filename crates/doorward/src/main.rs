//! Doorward: the authorization plane for the Model Context Protocol.

mod admin;
mod check_config;
mod cli;
mod descriptors;
mod dev;
mod healthcheck;
mod http_client;
mod init;
mod logging;
mod maintenance;
mod moving;
mod notify;
mod out;
mod reference;
mod schema;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = run(cli).and_then(|code| out::written().map(|()| code));
    match done {
        Ok(code) => code,
        Err(error) => {
            out::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    use cli::Command;
    match cli.command {
        Command::Serve(arguments) => block_on(serve::run(arguments)),
        Command::Dev(arguments) => block_on(dev::run(arguments)),
        Command::Admin(arguments) => block_on(admin::run(*arguments)),
        Command::Healthcheck(arguments) => block_on(healthcheck::run(arguments)),
        Command::Migrate(arguments) => block_on(maintenance::migrate(arguments)),
        Command::Backup(arguments) => block_on(maintenance::backup(arguments)),
        Command::Restore(arguments) => block_on(maintenance::restore(arguments)),
        Command::Move(arguments) => block_on(moving::run(arguments)),
        Command::EndGrants(arguments) => block_on(maintenance::end_grants(arguments)),
        Command::Keys(command) => block_on(maintenance::keys(command)),
        Command::Init(arguments) => init::run(&arguments),
        Command::CheckConfig(arguments) => block_on(check_config::run(arguments)),
        Command::Completions { shell } => {
            cli::completions(shell);
            Ok(ExitCode::SUCCESS)
        }
        Command::Reference { folder } => reference::run(&folder),
    }
}

fn block_on(future: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

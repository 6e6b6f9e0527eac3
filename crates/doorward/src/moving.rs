//! `doorward move`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use doorward_server::config::Settings;
use doorward_server::context::Parts;
use doorward_server::maintenance::moving::{self, Moved, Plan, Progress, Watch};
use doorward_server::maintenance::place;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ConfigArguments;
use crate::{out, serve};

#[derive(Args)]
pub struct MoveArguments {
    /// The configuration that the server is going to run with: its `storage.url` names an empty PostgreSQL database, and everything else stays.
    #[arg(long, value_name = "NEW_CONFIG")]
    to: PathBuf,
    /// Does it; without this it only says what would be moved, and whether anything speaks against it.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

pub async fn run(arguments: MoveArguments) -> anyhow::Result<ExitCode> {
    let old = serve::load(arguments.config.config.as_deref())?;
    let new = serve::load(Some(&arguments.to)).with_context(|| arguments.to.display().to_string())?;
    let parts = Parts::system();
    let plan = moving::plan(&old, &new, &parts).await?;
    if !plan.other_settings.is_empty() {
        out::note(format!(
            "not only the database is another one in the new configuration, but also {}",
            plan.other_settings.join(", ")
        ));
    }
    if !arguments.yes {
        say_plan(&old, &new, &plan);
        return Ok(ExitCode::SUCCESS);
    }
    let watch = Watch {
        tell: &mut say_progress,
        at_the_end: &mut go_on_whatever_comes,
    };
    let moved = moving::carry_out(&old, &new, &parts, watch).await?;
    say_moved(&old, &new, &arguments.to, &moved)?;
    Ok(ExitCode::SUCCESS)
}

fn say_plan(old: &Settings, new: &Settings, plan: &Plan) {
    out::line(format!("From {} to {}:", place(old), place(new)));
    for table in &plan.tables {
        out::line(format!("{:>12}  {}", table.rows, table.table));
    }
    out::note("nothing was done; stop the server, and say --yes");
}

/// Signals that would end the program do nothing from here on: it is done in a moment.
fn go_on_whatever_comes() {
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        if let Err(error) = signal(kind) {
            out::note(format!("do not stop this now ({error})"));
        }
    }
}

fn say_progress(progress: Progress) {
    if progress.of == 0 {
        return;
    }
    let verb = if progress.comparing { "compared" } else { "copied" };
    let Progress { done, of, .. } = progress;
    out::note(format!("{verb} {}: {} of {of}", done.table, done.rows));
}

fn say_moved(old: &Settings, new: &Settings, to: &std::path::Path, moved: &Moved) -> anyhow::Result<()> {
    let rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
    out::line(format!(
        "Everything is in {} now: {rows} rows of {} tables, each of them read back and the same.",
        place(new),
        moved.tables.len()
    ));
    out::line(format!("Start the server with {}.", to.display()));
    match &moved.kept {
        Ok(kept) => out::line(format!(
            "What was in {} is kept in {}. No server starts on the former. Start none on the latter while one serves what was moved: both would take the same refresh tokens.",
            place(old),
            kept.display()
        )),
        Err(why) => bail!(
            "the old database still stands in its place, because {why}: move it away before any server starts with the old configuration, since both would take the same refresh tokens"
        ),
    }
    Ok(())
}

//! `doorward check-config`.

use std::process::ExitCode;

use clap::Args;
use doorward_server::config::Settings;
use doorward_server::context::Parts;
use doorward_server::maintenance::{self, Found, Schema};

use crate::cli::ConfigArguments;
use crate::{out, serve};

#[derive(Args)]
pub struct CheckConfigArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Also asks the database whether it answers, what is in it, and whether the master key opens it. Changes nothing; a server may run meanwhile.
    #[arg(long)]
    database: bool,
}

/// Prints what `serve` would run with; secrets are redacted. What the URL of the database and the files of keys say is
/// looked at, and whether the database answers only when that is asked for.
pub async fn run(arguments: CheckConfigArguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.config.as_deref();
    let settings = serve::load(config)?;
    maintenance::check(&settings)?;
    if let Some(warning) = config.and_then(|path| settings.open_secrets(path)) {
        out::note(warning);
    }
    let found = if arguments.database {
        Some(maintenance::look(&settings, &Parts::system()).await?)
    } else {
        None
    };
    let rows = settings.in_force();
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, value, origin) in &rows {
        out::line(format!("{name:<width$}  {value}  ({})", origin.as_str()));
    }
    out::line("The configuration is good.");
    if let Some(found) = found {
        out::line(sentence(&settings, &found));
    }
    Ok(ExitCode::SUCCESS)
}

fn sentence(settings: &Settings, found: &Found) -> String {
    let database = maintenance::place(settings);
    let key = maintenance::master_key_place(settings);
    let makes_key = found.makes_master_key.is_some();
    match &found.schema {
        None if makes_key => {
            format!(
                "There is nothing in {database} yet: the first start makes it, and a master key in {key}."
            )
        }
        None => format!("There is nothing in {database} yet: the first start makes it."),
        Some(schema) => {
            let schema = described(schema);
            if makes_key {
                format!(
                    "{database} has {schema}; nothing in it is sealed, and the start makes a master key in {key}."
                )
            } else {
                format!("{database} has {schema}, and the master key opens it.")
            }
        }
    }
}

/// How a schema stands to this program's, and what that means for going back.
pub fn described(schema: &Schema) -> String {
    let Schema {
        last,
        steps_behind,
        indexes_behind,
        no_way_back,
        steps_ahead,
    } = schema;
    let number = |number: usize, one: &str, more: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    };
    let steps = |count| number(count, "step", "steps");
    let indexes = || number(*indexes_behind, "index", "indexes");
    let behind = steps_behind.saturating_sub(*indexes_behind);
    if behind > 0 {
        let index = match indexes_behind {
            0 => String::new(),
            _ => format!(", and {} while servers work", indexes()),
        };
        let stop = no_way_back.map_or_else(String::new, |step| {
            format!(
                ", and programs before {step} refuse to start after it: stop them all first, and keep a copy to go back to"
            )
        });
        return format!(
            "an older schema ({last}; the start, or `doorward migrate`, adds {}{index}{stop})",
            steps(behind)
        );
    }
    let known = match steps_ahead {
        0 => format!("this version's schema ({last})"),
        ahead => format!(
            "a newer version's schema ({last}), {} ahead of this program, which works with it",
            steps(*ahead)
        ),
    };
    match indexes_behind {
        0 => known,
        _ => format!(
            "{known}, but for {} (a server, or `doorward migrate`, makes what is missing while servers work)",
            indexes()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_described_by_what_becomes_of_it_and_of_older_programs() {
        let with = |steps_behind, indexes_behind, steps_ahead, no_way_back| {
            described(&Schema {
                last: "0007_last".to_owned(),
                steps_behind,
                indexes_behind,
                no_way_back,
                steps_ahead,
            })
        };
        let of = |steps_behind, steps_ahead, no_way_back| with(steps_behind, 0, steps_ahead, no_way_back);
        assert_eq!(of(0, 0, None), "this version's schema (0007_last)");
        assert_eq!(
            of(0, 1, None),
            "a newer version's schema (0007_last), 1 step ahead of this program, which works with it"
        );
        assert_eq!(
            of(2, 0, None),
            "an older schema (0007_last; the start, or `doorward migrate`, adds 2 steps)"
        );
        assert_eq!(
            with(3, 1, 0, None),
            "an older schema (0007_last; the start, or `doorward migrate`, adds 2 steps, and 1 index while servers work)"
        );
        let missing =
            ", but for 2 indexes (a server, or `doorward migrate`, makes what is missing while servers work)";
        assert_eq!(
            with(2, 2, 0, None),
            format!("this version's schema (0007_last){missing}")
        );
        assert_eq!(with(2, 2, 1, None), of(0, 1, None) + missing);
        let breaking = of(2, 0, Some("0009_breaking"));
        assert!(
            breaking.contains("programs before 0009_breaking refuse to start"),
            "{breaking}"
        );
    }
}

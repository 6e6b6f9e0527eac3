//! `doorward reference`: the pages of the book that come from the code. `cargo xtask docs` runs it, and the suite
//! `docs` fails when what is committed differs.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, Command, CommandFactory as _};
use doorward_server::config::Settings;
use doorward_server::{Endpoint, admin_endpoints, admin_openapi, public_endpoints};
use serde_json::Value;

use crate::cli::Cli;

/// Writes every generated page into the folder.
pub fn run(folder: &Path) -> anyhow::Result<ExitCode> {
    let api = serde_json::to_value(admin_openapi())?;
    let pages = [
        ("settings.md", Settings::reference_markdown()),
        ("endpoints.md", endpoints(&api)),
        ("cli.md", commands()),
        ("openapi.json", format!("{api:#}\n")),
    ];
    std::fs::create_dir_all(folder)?;
    for (name, text) in pages {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

const GENERATED: &str = "<!-- Generated from the code by `cargo xtask docs`; change it there. -->";

fn endpoints(api: &Value) -> String {
    let mut page = format!(
        "# Endpoints\n\n{GENERATED}\n\n\
         ## Public server\n\n\
         On `server.address`. With an issuer that has a path (`https://example.com/auth`), everything but the health checks is \
         below that path, and the metadata is besides at `/.well-known/oauth-authorization-server/auth`, \
         `/.well-known/openid-configuration/auth` and `/auth/.well-known/openid-configuration`. `GET` answers `HEAD` too. \
         What programs call answers cross-origin requests, without credentials.\n\n"
    );
    table(&mut page, &public_endpoints());
    page.push_str(
        "\n## Operators' server\n\n\
         On `admin.address`. Everything below `/admin` needs an admin key; see [Admin API](admin-api.md).\n\n",
    );
    table(&mut page, &admin_endpoints());
    page.push_str("\n## Admin API\n\n| method | path | what it does |\n|---|---|---|\n");
    for (path, operations) in members(&api["paths"]) {
        for (method, operation) in members(operations) {
            let about = operation["summary"]
                .as_str()
                .or(operation["description"].as_str())
                .unwrap_or_default();
            let _ = writeln!(
                page,
                "| `{}` | `{path}` | {} |",
                method.to_uppercase(),
                cell(about)
            );
        }
    }
    page
}

fn table(page: &mut String, endpoints: &[Endpoint]) {
    page.push_str("| method | path | for | what it does | standard |\n|---|---|---|---|---|\n");
    for endpoint in endpoints {
        let methods: Vec<String> = endpoint
            .methods
            .iter()
            .map(|method| format!("`{method}`"))
            .collect();
        let _ = writeln!(
            page,
            "| {} | `{}` | {} | {} | {} |",
            methods.join(" "),
            endpoint.path,
            endpoint.audience.as_str(),
            cell(endpoint.about),
            endpoint.standard,
        );
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn commands() -> String {
    let mut page = format!(
        "# Commands\n\n{GENERATED}\n\n\
         Every command has `--help`. The commands below `admin` talk to the admin API and never to the database.\n"
    );
    let mut root = Cli::command();
    root.build();
    for command in root.get_subcommands().filter(|command| is_shown(command)) {
        describe(&mut page, command, "doorward", 2);
    }
    page
}

fn describe(page: &mut String, command: &Command, above: &str, level: usize) {
    let name = format!("{above} {}", command.get_name());
    let about = command
        .get_long_about()
        .or(command.get_about())
        .map(|about| sentence(&about.to_string()))
        .unwrap_or_default();
    let heading = "#".repeat(level.min(4));
    let _ = write!(page, "\n{heading} `{name}`\n\n{about}\n");
    // What is true of a whole family is said once, where the family begins.
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| {
            !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
        })
        .filter(|argument| !argument.is_global_set() || command.has_subcommands() && level == 2)
        .collect();
    if !arguments.is_empty() {
        page.push_str("\n| argument | default | |\n|---|---|---|\n");
        for argument in arguments {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} |",
                spelling(argument),
                default(argument),
                help(argument)
            );
        }
    }
    if let Some(more) = command.get_after_help() {
        let _ = write!(page, "\n```text\n{}\n```\n", more.to_string().trim_end());
    }
    for below in command.get_subcommands().filter(|command| is_shown(command)) {
        describe(page, below, &name, level + 1);
    }
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn spelling(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.first().map(ToString::to_string).unwrap_or_default();
    match argument.get_long() {
        Some(long) if argument.get_action().takes_values() => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn default(argument: &Arg) -> String {
    if argument.is_required_set() {
        return "required".to_owned();
    }
    let values = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()));
    let shown: Vec<String> = values
        .filter(|value| value != "``" && value != "`false`")
        .collect();
    shown.join(", ")
}

fn help(argument: &Arg) -> String {
    let mut text = argument
        .get_help()
        .map(|help| cell(&sentence(&help.to_string())))
        .unwrap_or_default();
    let choices: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|choice| format!("`{}`", choice.get_name()))
        .collect();
    if !choices.is_empty() {
        let _ = write!(text, " One of {}.", choices.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, " Or `{}` in the environment.", variable.to_string_lossy());
    }
    text
}

/// clap takes the full stop from a help text that is one sentence.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '?', '!', ':']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// Text inside a table cell: on one line, with bars and angle brackets that are no markup.
fn cell(text: &str) -> String {
    let text = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|");
    // Inside code spans Markdown shows angle brackets as they are.
    text.split('`')
        .enumerate()
        .map(|(index, part)| {
            if index % 2 == 0 {
                part.replace('<', "&lt;")
            } else {
                part.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_contract_is_on_the_page() {
        let page = commands();
        for command in [
            "serve",
            "dev",
            "init",
            "check-config",
            "admin resource create",
            "admin user create",
            "healthcheck",
        ] {
            assert!(
                page.contains(&format!("`doorward {command}`")),
                "{command} is missing"
            );
        }
        assert!(
            !page.contains("doorward reference"),
            "the chore that writes the page is not for users"
        );
    }

    #[test]
    fn text_of_a_cell_stays_in_it() {
        assert_eq!(cell("a | b\n  <c> `<d>`"), "a \\| b &lt;c> `<d>`");
    }
}

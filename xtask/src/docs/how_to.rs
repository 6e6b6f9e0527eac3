//! Runs the how-to of each grant, and other pages of the same kind: every `sh` block, in order, against a server of the
//! page's own, and compares what the commands print with the `json` block below.
//!
//! A comment `test:run` above a block may take values from its output into variables: `test:run NAME=member`. A comment
//! that begins with a line `test:setup` holds commands that a reader does not see: what the page takes for granted.
//! What a reader sees may use a variable that such a block sets if the page names it, or the table of
//! [`BEFORE`] does and the page leads there. The pages' server is `https://auth.example.com`.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::markdown::{Block, blocks, spans};
use super::reader::Reader;
use super::shown::differences;
use crate::install;
use crate::suite::Outcome;
use crate::workspace::root;

const PAGES: [&str; 12] = [
    "docs/src/how-to/authorization-code.md",
    "docs/src/how-to/machines.md",
    "docs/src/how-to/token-exchange.md",
    "docs/src/how-to/enterprise.md",
    "docs/src/how-to/vouch-for-people.md",
    "docs/src/how-to/workloads.md",
    "docs/src/how-to/devices.md",
    "docs/src/how-to/pushed-requests.md",
    "docs/src/how-to/dpop.md",
    "docs/src/how-to/register-clients.md",
    "docs/src/how-to/revoke.md",
    "examples/rust/guard/README.md",
];
/// What a reader is taken to have; its table names the variables.
const BEFORE: &str = "before-the-commands.md";
const MARK: &str = "test:run";
const SETUP: &str = "test:setup";
const ADMIN_KEY: &str = "dwk_how-to-pages-0123456789abcdefghijklmnopqrstuv";
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// What every page has: a server with a person in it, and two MCP servers.
const SERVER: &str = "doorward serve";
const WORLD: &str = "printf '%s\\n' \"$E2E_PASSWORD\" | doorward admin user create --email \"$E2E_EMAIL\" --name 'Ada Lovelace' --json > person.json
doorward admin resource create --slug notes --uri https://mcp.example.com/mcp \\
  --scopes 'mcp:read||Read notes' --scopes 'mcp:write||Write notes'
doorward admin resource create --slug search --uri https://search.example.com/mcp \\
  --scopes 'search/run||Search' --scopes 'mcp:read||Read notes'
";

pub(super) fn run() -> Result<Outcome> {
    install::curl()?;
    install::openssl()?;
    let before = fs::read_to_string(root().join("docs/src/how-to").join(BEFORE))?;
    let mut outcome = Outcome::default();
    for page in PAGES {
        let text = fs::read_to_string(root().join(page))?;
        match follow(page, &text, &before) {
            Ok(blocks) => outcome.passed += blocks,
            Err(error) => outcome.failures.push(format!("{page}: {error:#}")),
        }
    }
    Ok(outcome)
}

/// Does what a page says; how many blocks that were.
fn follow(page: &str, text: &str, before: &str) -> Result<usize> {
    let unknown = unknown_variables(text, before);
    ensure!(
        unknown.is_empty(),
        "nobody tells the reader what this is: {}",
        unknown.join(", ")
    );
    let mut reader = Reader::new(&page.replace(['/', '.'], "-"))?;
    reader.set("DOORWARD_ADMIN_BOOTSTRAP_KEY", ADMIN_KEY.to_owned());
    reader.set("DOORWARD_ADMIN_KEY", ADMIN_KEY.to_owned());
    reader.set("E2E_EMAIL", EMAIL.to_owned());
    reader.set("E2E_PASSWORD", PASSWORD.to_owned());
    let tools = root().join("e2e/python/reader.py");
    reader.set("READER", tools.display().to_string());
    let ready = reader.moved("http://localhost:9000/readyz");
    reader.background(0, SERVER, &ready)?;
    reader.foreground(1, WORLD, "").context("before the page")?;
    let blocks = blocks(text);
    let mut followed = 0;
    for (number, block) in blocks.iter().enumerate() {
        if block.language != "sh" {
            continue;
        }
        let shown = blocks.get(number + 1).filter(|next| next.language == "json");
        step(&reader, number + 2, block, shown).with_context(|| block.text.clone())?;
        followed += 1;
    }
    ensure!(followed > 0, "the page has no commands");
    Ok(followed)
}

fn step(reader: &Reader, number: usize, block: &Block<'_>, shown: Option<&Block<'_>>) -> Result<()> {
    let comment = block.comment.unwrap_or_default();
    let commands = here(reader, &block.text);
    if comment == SETUP {
        return reader.foreground(number, &commands, "").map(drop);
    }
    let Some(variables) = comment.strip_prefix(MARK) else {
        bail!("the block is not run: write `<!-- {MARK} -->` above it");
    };
    let output = reader.foreground(number, &commands, "")?;
    for variable in variables.split_whitespace() {
        let (name, member) = variable.split_once('=').context("expected NAME=member")?;
        let value = member_of(&output, member);
        reader.remember(name, &value.with_context(|| format!("no {member} in {output}"))?)?;
    }
    let Some(shown) = shown else { return Ok(()) };
    let shown: Value =
        serde_json::from_str(&here(reader, &shown.text)).context("the json block is no JSON")?;
    let said: Value = serde_json::from_str(&output)
        .with_context(|| format!("the page shows JSON, and it printed {output}"))?;
    let found = differences(&shown, &said);
    ensure!(
        found.is_empty(),
        "the page shows something else: {}",
        found.join("; ")
    );
    Ok(())
}

/// The variables of commands that a reader sees whose value is from a block that the reader does not see.
fn unknown_variables(text: &str, before: &str) -> Vec<String> {
    let mut told: HashSet<&str> = spans(text)
        .into_iter()
        .map(|span| span.trim_start_matches('$'))
        .collect();
    if text.contains(BEFORE) {
        for row in before.lines().filter(|line| line.starts_with("| `")) {
            told.extend(spans(row));
        }
    }
    let mut hidden = HashSet::new();
    let mut unknown = Vec::new();
    for block in blocks(text).iter().filter(|block| block.language == "sh") {
        let set = block.text.lines().filter_map(assigned).map(str::to_owned);
        let comment = block.comment.unwrap_or_default();
        if comment == SETUP {
            hidden.extend(set);
            continue;
        }
        for name in set {
            hidden.remove(&name);
        }
        for name in used(&block.text) {
            if hidden.contains(name) && !told.contains(name) && !unknown.iter().any(|other| other == name) {
                unknown.push(name.to_owned());
            }
        }
        for (name, _) in comment.split_whitespace().filter_map(|word| word.split_once('=')) {
            hidden.remove(name);
        }
    }
    unknown
}

/// The variable that a line sets.
fn assigned(line: &str) -> Option<&str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, _) = line.split_once('=')?;
    (!name.is_empty() && name_at(name) == name).then_some(name)
}

/// The variables that commands use.
fn used(commands: &str) -> impl Iterator<Item = &str> {
    let uses = commands.split('$').skip(1);
    uses.map(|rest| name_at(rest.strip_prefix('{').unwrap_or(rest)))
        .filter(|name| !name.is_empty())
}

/// The name of a variable with which a text begins.
fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
    &text[..end.unwrap_or(text.len())]
}

/// The page's server is the one that was started.
fn here(reader: &Reader, text: &str) -> String {
    let text = text
        .replace("https://auth.example.com", "http://localhost:9000")
        .replace("http://127.0.0.1:9001", "http://localhost:9001");
    reader.moved(&text)
}

/// A member of what a command printed: of a JSON object, or a line of a table.
fn member_of(output: &str, member: &str) -> Option<String> {
    if let Ok(said) = serde_json::from_str::<Value>(output) {
        return said[member].as_str().map(str::to_owned);
    }
    let line = output.lines().find_map(|line| line.strip_prefix(member));
    line.filter(|rest| rest.starts_with(' '))
        .map(|rest| rest.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_in_json_and_in_tables() {
        let json = r#"{"client_id": "dwp_1"}"#;
        let table = "client_id      dwp_1\nclient_secret  dwsec_2\n";
        assert_eq!(member_of(json, "client_id").as_deref(), Some("dwp_1"));
        assert_eq!(member_of(table, "client_secret").as_deref(), Some("dwsec_2"));
        assert_eq!(member_of(table, "client"), None);
    }

    const TABLE: &str =
        "Put it into `CLIENT_ID`.\n\n| variable | |\n|---|---|\n| `TOKEN`, `CODE` | a token |\n";

    #[test]
    fn what_only_hidden_commands_set_is_refused() {
        let hidden = "<!-- test:setup\nTOKEN=a\nCLIENT_ID=b\nCODE=c\n-->\n";
        let shown = "<!-- test:run -->\n```sh\necho \"$TOKEN\" ${CLIENT_ID}$?\n```\n";
        let page = format!("{hidden}{shown}{shown}");
        assert_eq!(unknown_variables(&page, TABLE), ["TOKEN", "CLIENT_ID"]);
        let page = format!("Read [this]({BEFORE}) first.\n{hidden}{shown}");
        assert_eq!(unknown_variables(&page, TABLE), ["CLIENT_ID"]);
        let page = format!("`TOKEN` and `$CLIENT_ID` are made elsewhere.\n{hidden}{shown}");
        assert_eq!(unknown_variables(&page, TABLE), [""; 0]);
    }

    #[test]
    fn what_a_reader_saw_being_set_stays_known_until_a_hidden_command_sets_it() {
        let hidden = "<!-- test:setup\nID=a\n-->\n";
        let taken = "<!-- test:run ID=client_id -->\n```sh\ncreate\n```\n";
        let set = "<!-- test:run -->\n```sh\nexport ID=x\n```\n";
        let shown = "<!-- test:run -->\n```sh\necho \"$ID\"\n```\n";
        let none = [""; 0];
        assert_eq!(unknown_variables(&format!("{hidden}{taken}{shown}"), ""), none);
        assert_eq!(unknown_variables(&format!("{hidden}{set}{shown}"), ""), none);
        assert_eq!(unknown_variables(&format!("{taken}{hidden}{shown}"), ""), ["ID"]);
        assert_eq!(unknown_variables(&format!("{hidden}{shown}{taken}"), ""), ["ID"]);
    }

    #[test]
    fn every_command_of_every_page_is_run() -> Result<()> {
        for page in PAGES {
            let text = fs::read_to_string(root().join(page))?;
            let blocks = blocks(&text);
            for block in blocks.iter().filter(|block| block.language == "sh") {
                let comment = block.comment.unwrap_or_default();
                assert!(
                    comment.starts_with(MARK) || comment == SETUP,
                    "{page}: {}",
                    block.text
                );
            }
        }
        Ok(())
    }
}

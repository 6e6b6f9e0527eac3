//! The TOML file.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reference::suggestion;
use super::{Origin, Problem, Settings};

/// Puts what the file says into the settings, and every fault into `problems`.
pub(super) fn apply(settings: &mut Settings, path: &Path, text: &str, problems: &mut Vec<Problem>) {
    let mut report = Report {
        path,
        text,
        problems: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(document) => apply_document(settings, document.get_ref(), &mut report),
        Err(error) => report.add(error.span().unwrap_or_default(), error.message().to_owned()),
    }
    report.problems.sort_by_key(|(position, _)| *position);
    problems.extend(report.problems.into_iter().map(|(_, problem)| problem));
}

fn apply_document(settings: &mut Settings, document: &DeTable<'_>, report: &mut Report<'_>) {
    for (name, value) in document {
        let section: &str = name.get_ref();
        if settings.section(section).is_none() {
            let names = Settings::sections().into_iter().map(|(name, _)| name.to_owned());
            report.add(
                name.span(),
                format!("there is no section `{section}`{}", suggestion(section, names)),
            );
            continue;
        }
        match value.get_ref() {
            DeValue::Table(table) => apply_section(settings, section, table, report),
            other => report.add(
                value.span(),
                format!(
                    "`{section}` is a section; write `[{section}]` instead of a {}",
                    other.type_str()
                ),
            ),
        }
    }
}

fn apply_section(settings: &mut Settings, section: &str, table: &DeTable<'_>, report: &mut Report<'_>) {
    let registry = Settings::registry();
    for (name, value) in table {
        let Some(key) = registry
            .iter()
            .find(|key| key.section == section && key.name == name.get_ref())
        else {
            let names = registry
                .iter()
                .filter(|key| key.section == section)
                .map(|key| key.name.to_owned());
            let message = format!(
                "there is no key `{}` in `[{section}]`{}",
                name.get_ref(),
                suggestion(name.get_ref(), names)
            );
            report.add(name.span(), message);
            continue;
        };
        if has_unexpanded_variable(value.get_ref()) {
            report.add(
                value.span(),
                format!(
                    "`{}` holds `${{…}}`, which is not expanded here; set {} instead",
                    key.path(),
                    key.environment_name()
                ),
            );
            continue;
        }
        let Some(target) = settings.section_mut(section) else {
            continue;
        };
        if let Err(expected) = target.set_from_toml(key.name, value.get_ref()) {
            report.add(value.span(), format!("`{}`: {expected}", key.path()));
            continue;
        }
        settings.origins.insert((key.section, key.name), Origin::File);
    }
}

fn has_unexpanded_variable(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains("${"),
        DeValue::Array(items) => items.iter().any(|item| has_unexpanded_variable(item.get_ref())),
        _ => false,
    }
}

struct Report<'a> {
    path: &'a Path,
    text: &'a str,
    /// With their positions in the text.
    problems: Vec<(usize, Problem)>,
}

impl Report<'_> {
    /// Names line and column. The line itself is not shown: it may hold a secret; the part up to the fault's key is.
    fn add(&mut self, span: Range<usize>, message: String) {
        let position = span.start;
        let before = self.text.get(..position).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_number = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count();
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let shown = shown_part(line);
        let width = self.text.get(span).map_or(1, |fault| {
            fault.lines().next().unwrap_or_default().chars().count()
        });
        let width = width.min(shown.chars().count().saturating_sub(column)).max(1);
        let gutter = " ".repeat(line_number.to_string().len());
        let excerpt = format!(
            "{gutter} |\n{line_number} | {shown}\n{gutter} | {}{}",
            " ".repeat(column),
            "^".repeat(width),
        );
        let place = format!("{}:{line_number}:{}", self.path.display(), column + 1);
        self.problems.push((
            position,
            Problem {
                place,
                message,
                excerpt: Some(excerpt),
            },
        ));
    }
}

/// The line, without its value when the key could be that of a secret.
fn shown_part(line: &str) -> String {
    let Some((key, _)) = line.split_once('=') else {
        return line.to_owned();
    };
    let name = key
        .trim()
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let secret = ["key", "secret", "password", "token"]
        .iter()
        .any(|word| name.contains(word))
        && !name.ends_with("_file");
    if secret {
        format!("{key}= …")
    } else {
        line.to_owned()
    }
}

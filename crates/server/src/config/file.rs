//! The TOML file.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reference::suggestion;
use super::{Key, Origin, Problem, Settings};

/// Puts what the file says into the settings, and every fault into `problems`.
pub(super) fn apply(settings: &mut Settings, path: &Path, text: &str, problems: &mut Vec<Problem>) {
    let mut report = Report {
        path,
        text,
        problems: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(document) => apply_document(settings, document.get_ref(), &mut report),
        Err(error) => {
            let fault = error.span().unwrap_or_default();
            let open = report.known_name(fault.start);
            report.add(fault, open, error.message().to_owned());
        }
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
                name.span(),
                format!("there is no section `{section}`{}", suggestion(section, names)),
            );
            continue;
        }
        match value.get_ref() {
            DeValue::Table(table) => apply_section(settings, section, table, report),
            other => report.add(
                value.span(),
                name.span(),
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
            report.add(name.span(), name.span(), message);
            continue;
        };
        // A number or a word that is wrong is worth seeing; in free text there may be a secret.
        let open = if key.free_text {
            name.span()
        } else {
            name.span().start..value.span().end
        };
        if has_unexpanded_variable(value.get_ref()) {
            report.add(
                value.span(),
                open,
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
            report.add(value.span(), open, format!("`{}`: {expected}", key.path()));
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
    /// Names line and column of the fault. Of the line itself only what is `open` is shown: the rest may be a secret, or a
    /// piece of one.
    fn add(&mut self, fault: Range<usize>, open: Range<usize>, message: String) {
        let position = fault.start;
        let line_start = self.line_start(position);
        let before = self.text.get(..position).unwrap_or(self.text);
        let line_number = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count();
        let place = format!("{}:{line_number}:{}", self.path.display(), column + 1);
        let excerpt = self.shown(line_start, open).map(|shown| {
            let width = shown.chars().count();
            let column = column.min(width.saturating_sub(1));
            let fault = self.text.get(fault).and_then(|fault| fault.lines().next());
            let carets = fault.unwrap_or_default().chars().count();
            let carets = carets.min(width.saturating_sub(column)).max(1);
            let gutter = " ".repeat(line_number.to_string().len());
            format!(
                "{gutter} |\n{line_number} | {shown}\n{gutter} | {}{}",
                " ".repeat(column),
                "^".repeat(carets),
            )
        });
        self.problems.push((
            position,
            Problem {
                place,
                message,
                excerpt,
            },
        ));
    }

    fn line_start(&self, position: usize) -> usize {
        let before = self.text.get(..position).unwrap_or(self.text);
        before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The rest of the text from here on, up to the end of the line.
    fn line(&self, start: usize) -> &str {
        let rest = self.text.get(start..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }

    /// What is open of the line that begins there; `None` when that does not come first in it.
    fn shown(&self, line_start: usize, open: Range<usize>) -> Option<String> {
        let indent = self.text.get(line_start..open.start)?;
        if open.is_empty() || !indent.chars().all(|c| matches!(c, ' ' | '\t' | '[')) {
            return None;
        }
        let line = self.line(line_start);
        let (open, hidden) = line.split_at_checked((open.end - line_start).min(line.len()))?;
        let rest = match hidden.trim_start().chars().next() {
            Some('=') => " = …",
            Some(']') => "]",
            _ => "",
        };
        Some(format!("{open}{rest}"))
    }

    /// The name of a section or key of ours in front of the line's `=`. Nothing else that stands in a file that cannot be
    /// read is known to be no secret.
    fn known_name(&self, position: usize) -> Range<usize> {
        let start = self.line_start(position);
        let (name, _) = self.line(start).split_once('=').unwrap_or_default();
        let start = start + (name.len() - name.trim_start().len());
        let name = name.trim();
        let is_key = |key: &Key| key.name == name || key.path() == name;
        let is_section = || Settings::sections().iter().any(|(section, _)| *section == name);
        if Settings::registry().iter().any(is_key) || is_section() {
            start..start + name.len()
        } else {
            0..0
        }
    }
}

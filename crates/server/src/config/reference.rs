//! What is generated from the registry: the reference page, the commented file, the settings in force.

use std::fmt::Write as _;

use super::bounds::{Bound, bounds};
use super::section::Key;
use super::{Origin, Settings};

impl Settings {
    /// The reference page, in Markdown.
    pub fn reference_markdown() -> String {
        let mut page = String::from(
            "# Settings\n\n\
             <!-- Generated from the registry of settings; change it there. -->\n\n\
             Settings come from a TOML file (`--config FILE`), then from the environment, which wins. Unknown keys are refused. \
             Lengths of time are written `90s`, `15m`, `12h`, `30d`. Lists are comma separated in the environment, and an empty \
             variable other than a list counts as not set.\n\n\
             They are read at the start. On `SIGHUP` they are read again, and `[rate_limit]`, `audit.retention`, \
             `events.connection_ttl`, `observability.log_level`, `server.shutdown_delay` and `storage.retention` count at once, as do \
             the files of certificates and keys that `storage.url` names; everything else does at [the next start](../how-to/deploy.md#what-changes-without-a-restart).\n",
        );
        let bounds = bounds(&Self::default());
        for (section, about) in Self::sections() {
            let _ = write!(
                page,
                "\n## `[{section}]`\n\n{about}\n\n| key | type | default | environment | |\n|---|---|---|---|---|\n"
            );
            for key in Self::registry().iter().filter(|key| key.section == section) {
                let default = if key.default.is_empty() {
                    "none".to_owned()
                } else {
                    format!("`{}`", key.default)
                };
                let _ = writeln!(
                    page,
                    "| `{}` | {} | {default} | `{}` | {} |",
                    key.name,
                    key.kind,
                    key.environment_name(),
                    meaning(key, &bounds).replace('|', "\\|"),
                );
            }
        }
        page
    }

    /// A configuration file in which every key is explained and commented out, except those in `set`:
    /// pairs of `section.key` and a TOML value.
    pub fn commented_template(set: &[(&str, &str)]) -> String {
        let mut file = String::from(
            "# Doorward's settings. What is commented out is the default.\n\
             # Every key can also be set in the environment, as DOORWARD_<SECTION>_<KEY>.\n",
        );
        let bounds = bounds(&Self::default());
        for (section, about) in Self::sections() {
            let _ = write!(file, "\n# {about}\n[{section}]\n");
            for key in Self::registry().iter().filter(|key| key.section == section) {
                let _ = writeln!(file, "# {}", meaning(key, &bounds));
                let _ = match set.iter().find(|(path, _)| *path == key.path()) {
                    Some((_, value)) => writeln!(file, "{} = {value}", key.name),
                    None if key.default.is_empty() => writeln!(file, "#{} =", key.name),
                    None => writeln!(file, "#{} = {}", key.name, key.default),
                };
            }
        }
        file
    }

    /// Every key with the value in force (secrets redacted, `(none)` when there is none) and where it comes from.
    pub fn in_force(&self) -> Vec<(String, String, Origin)> {
        Self::registry()
            .iter()
            .map(|key| {
                let shown = self
                    .section(key.section)
                    .map(|section| section.show(key.name))
                    .unwrap_or_default();
                let shown = if shown.is_empty() {
                    "(none)".to_owned()
                } else {
                    shown
                };
                (key.path(), shown, self.origin(key.section, key.name))
            })
            .collect()
    }
}

/// What a key means, and between what its value has to be.
fn meaning(key: &Key, bounds: &[Bound]) -> String {
    let path = key.path();
    match bounds.iter().find(|bound| bound.key == path) {
        Some(range) => format!("{} From {range}.", key.doc),
        None => key.doc.clone(),
    }
}

/// `; did you mean …?` when a name is near enough, else the names there are (when they are few).
pub(super) fn suggestion(unknown: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let nearest = names
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(unknown, name), name))
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    match nearest {
        Some((likeness, name)) if likeness >= 0.5 => format!("; did you mean `{name}`?"),
        _ if names.len() <= 12 => format!("; there are {}", names.join(", ")),
        _ => "; see the reference of settings".to_owned(),
    }
}

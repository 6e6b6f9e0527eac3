//! The environment: `DOORWARD_<SECTION>_<KEY>`.

use super::reference::suggestion;
use super::{Origin, Problem, Settings};

/// Variables of the same family that are no settings: they belong to the command line and the example servers.
const NOT_SETTINGS: [&str; 8] = [
    "DOORWARD_CONFIG",
    "DOORWARD_LOG",
    "DOORWARD_ADMIN_URL",
    "DOORWARD_ADMIN_KEY",
    "DOORWARD_ISSUER",
    "DOORWARD_BASE_URL",
    "DOORWARD_SCOPES",
    "DOORWARD_DPOP",
];

/// Puts what the environment says into the settings, and every fault into `problems`.
///
/// An empty variable counts as not set, except for lists, which it empties.
pub(super) fn apply(
    settings: &mut Settings,
    environment: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    let registry = Settings::registry();
    let ours = environment
        .filter(|(name, _)| name.starts_with("DOORWARD_") && !NOT_SETTINGS.contains(&name.as_str()));
    for (name, text) in ours {
        let Some(key) = registry.iter().find(|key| key.environment_name() == name) else {
            let names = registry.iter().map(super::Key::environment_name);
            let message = format!("there is no such setting{}", suggestion(&name, names));
            problems.push(Problem::new(name, message));
            continue;
        };
        if text.is_empty() && !key.list {
            continue;
        }
        if text.contains("${") {
            problems.push(Problem::new(
                name,
                "holds `${…}`, which is not expanded here; expand it where it is set",
            ));
            continue;
        }
        let Some(target) = settings.section_mut(key.section) else {
            continue;
        };
        if let Err(expected) = target.set_from_text(key.name, &text) {
            problems.push(Problem::new(name, expected));
            continue;
        }
        settings
            .origins
            .insert((key.section, key.name), Origin::Environment);
    }
}

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
    let ours = environment.filter(|(name, text)| {
        name.starts_with("DOORWARD_")
            && !NOT_SETTINGS.contains(&name.as_str())
            && !is_of_kubernetes(name, text)
    });
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

/// Whether Kubernetes made the variable, for a Service of the namespace with a name like `doorward` or `doorward-admin`: it
/// gives one of each of these forms to every container (`enableServiceLinks`), and they say nothing to the program.
fn is_of_kubernetes(name: &str, text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // `DOORWARD_PORT`, `DOORWARD_PORT_9000_TCP` and `…_PROTO`, `…_PORT`, `…_ADDR`
    let of_port = name.match_indices("_PORT").any(|(at, port)| {
        let Some(rest) = name.get(at + port.len()..) else {
            return false;
        };
        let mut parts = rest.split('_').skip(1);
        match (parts.next(), parts.next()) {
            (None, _) => rest.is_empty() && text.contains("://"),
            (Some(number), Some("TCP" | "UDP" | "SCTP")) => is_number(number),
            _ => false,
        }
    });
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || of_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_says_of_a_service_of_our_name_is_no_setting() {
        for (name, text) in [
            ("DOORWARD_SERVICE_HOST", "10.0.0.7"),
            ("DOORWARD_SERVICE_PORT", "9000"),
            ("DOORWARD_SERVICE_PORT_HTTP", "9000"),
            ("DOORWARD_PORT", "tcp://10.0.0.7:9000"),
            ("DOORWARD_PORT_9000_TCP", "tcp://10.0.0.7:9000"),
            ("DOORWARD_PORT_9000_TCP_PROTO", "tcp"),
            ("DOORWARD_PORT_9000_TCP_PORT", "9000"),
            ("DOORWARD_PORT_9000_TCP_ADDR", "10.0.0.7"),
            ("DOORWARD_PORT_53_UDP_ADDR", "10.0.0.7"),
            ("DOORWARD_ADMIN_SERVICE_HOST", "10.0.0.8"),
            ("DOORWARD_ADMIN_PORT", "tcp://10.0.0.8:9001"),
            ("DOORWARD_ADMIN_PORT_9001_TCP_ADDR", "10.0.0.8"),
        ] {
            assert!(is_of_kubernetes(name, text), "{name}");
        }
    }

    #[test]
    fn what_might_be_meant_as_a_setting_is_not_taken_for_that_of_kubernetes() {
        for (name, text) in [
            ("DOORWARD_PORT", "9000"),
            ("DOORWARD_SERVER_PORT", "9000"),
            ("DOORWARD_PORT_TCP", "9000"),
            ("DOORWARD_PORT_9000", "tcp"),
            ("DOORWARD_PORT_X_TCP", "1"),
            ("DOORWARD_SERVICE", "1"),
        ] {
            assert!(!is_of_kubernetes(name, text), "{name}");
        }
        for key in Settings::registry() {
            let name = key.environment_name();
            assert!(!is_of_kubernetes(&name, "tcp://10.0.0.7:9000"), "{name}");
        }
    }
}

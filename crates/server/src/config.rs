//! The settings: a TOML file, then `DOORWARD_<SECTION>_<KEY>` from the environment, which wins.
//!
//! Every key lives in one place, its section's file under `config/`: name, type, default and the sentence that
//! documents it. Reading, the reference page, the commented file and `check-config` all come from there.

mod admin;
mod audit;
mod bounds;
mod checks;
mod choice;
mod cors;
mod environment;
mod error;
mod events;
mod file;
mod flows;
mod grants;
mod keys;
mod login;
mod observability;
mod rate_limit;
mod reference;
mod registration;
mod section;
mod server;
mod session;
mod span;
mod storage;
mod tokens;
mod value;

#[cfg(test)]
mod shown_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

pub use admin::Admin;
pub use audit::Audit;
pub use cors::Cors;
pub use error::{ConfigError, Problem};
pub use events::Events;
pub use flows::{Device, Par};
pub use grants::{ClientAuthentication, ClientCredentials, Dpop, JwtBearer, TokenExchange};
pub use keys::{Keys, Rotation};
pub use login::Login;
pub use observability::{LogFormat, LogLevel, Observability};
pub use rate_limit::{Rate, RateLimit};
pub use registration::{DynamicRegistration, Registration};
pub use section::Key;
use section::Section;
pub use server::Server;
pub use session::Session;
pub use span::Span;
pub use storage::Storage;
pub use tokens::Tokens;

/// Where the value in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// An environment variable.
    Environment,
}

impl Origin {
    /// `default`, `file` or `environment`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
        }
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: $section:ty,)+) => {
        /// Everything an operator can set.
        #[derive(Debug, Clone, Default)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $field: $section,)+
            origins: BTreeMap<(&'static str, &'static str), Origin>,
        }

        impl Settings {
            /// Every key, section by section, in the order in which the reference page shows them.
            pub fn registry() -> Vec<Key> {
                [$(<$section>::keys(),)+].concat()
            }

            /// The sections with the sentence that describes each.
            fn sections() -> Vec<(&'static str, String)> {
                vec![$((stringify!($field), <$section>::about()),)+]
            }

            /// The keys (`section.key`) whose value is another one than in `before`, secrets as well.
            pub fn changed(&self, before: &Self) -> Vec<String> {
                let mut changed = Vec::new();
                $(
                    let keys = self.$field.changed(&before.$field).into_iter();
                    changed.extend(keys.map(|key| format!("{}.{key}", stringify!($field))));
                )+
                changed
            }

            fn section(&self, name: &str) -> Option<&dyn Section> {
                match name {
                    $(stringify!($field) => Some(&self.$field),)+
                    _ => None,
                }
            }

            fn section_mut(&mut self, name: &str) -> Option<&mut dyn Section> {
                match name {
                    $(stringify!($field) => Some(&mut self.$field),)+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    /// The public server.
    server: Server,
    /// The operators' server.
    admin: Admin,
    /// Where everything is kept.
    storage: Storage,
    /// Signing keys and the key that protects them.
    keys: Keys,
    /// Lifetimes of codes and tokens.
    tokens: Tokens,
    /// How clients introduce themselves.
    registration: Registration,
    /// Authorization requests that are sent in advance.
    par: Par,
    /// Signing in on another device.
    device: Device,
    /// How clients prove who they are.
    client_authentication: ClientAuthentication,
    /// Programs that get tokens for themselves.
    client_credentials: ClientCredentials,
    /// Tokens that are exchanged for others.
    token_exchange: TokenExchange,
    /// Assertions of trusted issuers.
    jwt_bearer: JwtBearer,
    /// Tokens that are bound to a key.
    dpop: Dpop,
    /// Signing in.
    login: Login,
    /// Browser sessions.
    session: Session,
    /// How often may be asked.
    rate_limit: RateLimit,
    /// Browser clients on other origins.
    cors: Cors,
    /// The feed of revocations.
    events: Events,
    /// What was changed and refused.
    audit: Audit,
    /// Logs.
    observability: Observability,
}

impl Settings {
    /// Reads the file, if one is named, then the environment, and checks that the whole makes sense.
    ///
    /// Every problem found is reported, not only the first.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
            file::apply(&mut settings, path, &text, &mut problems);
        }
        environment::apply(&mut settings, environment, &mut problems);
        // Even now, so that nothing is left to be found by the next try: a key that was refused above stands at its default.
        checks::resolve_secret_files(&mut settings, &mut problems);
        checks::check(&settings, &mut problems);
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError::Invalid(problems))
        }
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, section: &str, key: &str) -> Origin {
        self.origins
            .iter()
            .find(|((s, k), _)| *s == section && *k == key)
            .map_or(Origin::Default, |(_, origin)| *origin)
    }

    /// Whether a stranger on the network can reach this server: the issuer or a listener is not on loopback.
    pub fn is_exposed(&self) -> bool {
        !self.server.issuer_is_loopback()
            || !self.server.address.ip().is_loopback()
            || !self.admin.address.ip().is_loopback()
    }
}

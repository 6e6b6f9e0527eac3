//! A section is a struct whose fields are its keys; the macro writes what can be derived from that.

use toml::de::DeValue;

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name in that section.
    pub name: &'static str,
    /// Its type in words.
    pub kind: &'static str,
    /// Its default as a TOML value; empty when there is none.
    pub default: String,
    /// What it does.
    pub doc: String,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether its value is text of any kind, in which a secret may stand.
    pub(super) free_text: bool,
    /// Whether its value is a list, which an empty environment variable empties.
    pub list: bool,
}

impl Key {
    /// The environment variable that sets it.
    pub fn environment_name(&self) -> String {
        format!("DOORWARD_{}_{}", self.section, self.name).to_ascii_uppercase()
    }

    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// What every section can do.
pub(super) trait Section {
    /// The sentence that describes the section.
    fn about() -> String
    where
        Self: Sized;
    /// The section's keys.
    fn keys() -> Vec<Key>
    where
        Self: Sized;
    /// The value in force as a TOML value (redacted when secret, empty when there is none).
    fn show(&self, key: &str) -> String;
    /// The keys whose value is another one than before.
    fn changed(&self, before: &Self) -> Vec<&'static str>
    where
        Self: Sized;
    /// Sets a key from the environment; the error says what was expected.
    fn set_from_text(&mut self, key: &str, text: &str) -> Result<(), String>;
    /// Sets a key from the file; the error says what was expected.
    fn set_from_toml(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String>;
}

/// Joins the lines of a doc comment into one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident in $section:literal {
            $($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $kind,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $crate::config::section::Section for $name {
            fn about() -> String {
                $crate::config::section::paragraph(&[$($about),+])
            }

            fn keys() -> Vec<$crate::config::section::Key> {
                let default = Self::default();
                vec![$($crate::config::section::Key {
                    section: $section,
                    name: stringify!($key),
                    kind: <$kind as $crate::config::value::Value>::KIND,
                    default: $crate::config::value::Value::show(&default.$key),
                    doc: $crate::config::section::paragraph(&[$($doc),+]),
                    secret: <$kind as $crate::config::value::Value>::SECRET,
                    free_text: <$kind as $crate::config::value::Value>::FREE_TEXT,
                    list: <$kind as $crate::config::value::Value>::LIST,
                },)+]
            }

            fn show(&self, key: &str) -> String {
                match key {
                    $(stringify!($key) => $crate::config::value::Value::show(&self.$key),)+
                    _ => String::new(),
                }
            }

            fn changed(&self, before: &Self) -> Vec<&'static str> {
                let keys = [$((
                    stringify!($key),
                    $crate::config::value::Value::is_same(&self.$key, &before.$key),
                ),)+];
                keys.iter().filter(|(_, is_same)| !is_same).map(|(key, _)| *key).collect()
            }

            fn set_from_text(&mut self, key: &str, text: &str) -> Result<(), String> {
                match key {
                    $(stringify!($key) => self.$key = $crate::config::value::Value::from_text(text)?,)+
                    _ => return Err("no such key".to_owned()),
                }
                Ok(())
            }

            fn set_from_toml(&mut self, key: &str, value: &toml::de::DeValue<'_>) -> Result<(), String> {
                match key {
                    $(stringify!($key) => self.$key = $crate::config::value::Value::from_toml(value)?,)+
                    _ => return Err("no such key".to_owned()),
                }
                Ok(())
            }
        }
    };
}
pub(super) use section;

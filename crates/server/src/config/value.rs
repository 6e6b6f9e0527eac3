//! How the types of settings are read from text and from TOML, and shown.

use std::net::SocketAddr;
use std::path::PathBuf;

use doorward_jose::{Algorithm, constant_time_eq};
use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use toml::de::DeValue;

/// A type that a setting can have.
pub(super) trait Value: Sized {
    /// The type in words, with an example where that helps.
    const KIND: &'static str;
    /// Whether the value is never shown.
    const SECRET: bool = false;
    /// Whether it is text of any kind, in which a secret may stand: not shown when it is refused.
    const FREE_TEXT: bool = false;
    /// Whether it is a list, which an empty environment variable empties.
    const LIST: bool = false;

    /// Reads an environment variable; the error says what was expected.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads a TOML value: a string, unless the type says otherwise.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Self::from_text(text),
            other => Err(wrong_type(Self::KIND, other)),
        }
    }

    /// The value in TOML; empty when there is none.
    fn show(&self) -> String;

    /// Whether it is the same value, also where what is shown is not all of it.
    fn is_same(&self, other: &Self) -> bool {
        self.show() == other.show()
    }
}

fn wrong_type(kind: &str, found: &DeValue<'_>) -> String {
    format!(
        "expected {kind}, found {} {}",
        article(found.type_str()),
        found.type_str()
    )
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Value for String {
    const KIND: &'static str = "a string";
    const FREE_TEXT: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("expected a string without control characters".to_owned());
        }
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Value for bool {
    const KIND: &'static str = "`true` or `false`";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("expected {}", Self::KIND)),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| wrong_type(Self::KIND, value))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    const KIND: &'static str = "a whole number";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("expected {}, at most {}", Self::KIND, Self::MAX))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Integer(number) if number.radix() == 10 => Self::from_text(number.as_str()),
            DeValue::Integer(_) => Err(format!("expected {} in decimal notation", Self::KIND)),
            other => Err(wrong_type(Self::KIND, other)),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for SocketAddr {
    const KIND: &'static str = "an IP address and port such as `127.0.0.1:9000`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected {}", Self::KIND))
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for IpNet {
    const KIND: &'static str = "a network such as `10.0.0.0/8` or an IP address";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse::<Self>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(Self::from))
            .map_err(|_| format!("expected {}", Self::KIND))
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "a path";
    const FREE_TEXT: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("expected {}", Self::KIND));
        }
        String::from_text(text).map(Self::from)
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for SecretString {
    const KIND: &'static str = "a secret";
    const SECRET: bool = true;
    const FREE_TEXT: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        String::from_text(text).map(Self::from)
    }

    fn show(&self) -> String {
        "\"(set, not shown)\"".to_owned()
    }

    fn is_same(&self, other: &Self) -> bool {
        constant_time_eq(self.expose_secret().as_bytes(), other.expose_secret().as_bytes())
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const SECRET: bool = T::SECRET;
    const FREE_TEXT: bool = T::FREE_TEXT;

    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(Some)
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        T::from_toml(value).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

/// Implements lists: TOML arrays, and comma separated in the environment.
macro_rules! lists {
    ($($item:ty: $kind:literal,)+) => {
        $(impl Value for Vec<$item> {
            const KIND: &'static str = $kind;
            const FREE_TEXT: bool = <$item as Value>::FREE_TEXT;
            const LIST: bool = true;

            fn from_text(text: &str) -> Result<Self, String> {
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(<$item as Value>::from_text)
                    .collect()
            }

            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                let items = value.as_array().ok_or_else(|| wrong_type(Self::KIND, value))?;
                items.iter().map(|item| <$item as Value>::from_toml(item.get_ref())).collect()
            }

            fn show(&self) -> String {
                let items: Vec<String> = self.iter().map(Value::show).collect();
                format!("[{}]", items.join(", "))
            }
        })+
    };
}

lists! {
    String: "a list of strings",
    IpNet: "a list of networks such as `10.0.0.0/8`",
    Algorithm: "a list of `ES256`, `EdDSA`, `RS256` and `PS256`",
}

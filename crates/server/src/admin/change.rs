//! Members of changes: left out, `null`, or a value.

use doorward_jose::json::objects;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What a record can be without: `null` takes it away.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Member<T> {
    /// It stays as it is.
    #[default]
    LeftOut,
    /// What it is from now on.
    Is(Option<T>),
}

impl<T> Member<T> {
    pub(super) const fn is_left_out(&self) -> bool {
        matches!(self, Self::LeftOut)
    }

    pub(super) fn or(self, before: Option<T>) -> Option<T> {
        match self {
            Self::LeftOut => before,
            Self::Is(value) => value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Is)
    }
}

/// What a record is never without: `null` says nothing about it.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value: Option<T> = Option::deserialize(deserializer)?;
    let sentence = "null is no value for this member; leave it out to keep what there is";
    value.map(Some).ok_or_else(|| D::Error::custom(sentence))
}

/// The same, where there are structs in it; see [`objects`].
pub(super) fn given_objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Given<T>(Option<T>);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            given(deserializer).map(Self)
        }
    }

    let Given(value) = objects(deserializer)?;
    Ok(value)
}

//! Every claim of a token, for those who look.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use doorward_jose::json;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Every claim of a token: reads like a JSON object.
///
/// Most requests never look at claims that have no field of their own, so the object is made when it is looked at for
/// the first time.
#[derive(Clone, Default)]
pub struct RawClaims {
    /// A JSON object that was read strictly, and so can be read again.
    document: Vec<u8>,
    object: OnceLock<Map<String, Value>>,
}

impl RawClaims {
    /// The claims in `document`, which was read by [`json::members`] before.
    pub(crate) fn checked(document: Vec<u8>) -> Self {
        Self {
            document,
            object: OnceLock::new(),
        }
    }

    /// The object as the token has it, for those who build something else of it than a [`Map`]: JSON in UTF-8, without
    /// members of the same name and nested no deeper than 32 levels. `None` for claims that did not come as text.
    pub fn as_json(&self) -> Option<&[u8]> {
        (!self.document.is_empty()).then_some(&*self.document)
    }
}

impl Deref for RawClaims {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Map<String, Value> {
        self.object
            .get_or_init(|| json::from_slice(&self.document).unwrap_or_default())
    }
}

impl From<Map<String, Value>> for RawClaims {
    fn from(object: Map<String, Value>) -> Self {
        Self {
            document: Vec::new(),
            object: OnceLock::from(object),
        }
    }
}

impl PartialEq for RawClaims {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Serialize for RawClaims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl fmt::Debug for RawClaims {
    /// The names alone: what is in them may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys()).finish()
    }
}

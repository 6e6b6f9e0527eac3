//! Every claim of a token, for those who look.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use doorward_jose::json;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::verify::Likeness;

/// Every claim of a token: reads like a JSON object.
///
/// Most requests never look at claims that have no field of their own, so the object is made when it is looked at for
/// the first time.
#[derive(Clone, Default)]
pub struct RawClaims {
    /// A JSON object that was read strictly, and so can be read again.
    document: Vec<u8>,
    likeness: Option<Likeness>,
    object: OnceLock<Map<String, Value>>,
}

/// The claims of another token, of which those of this one are a variation: the same members in the same order, and all but
/// some with the same text.
///
/// The tokens of an issuer are alike. Who builds something of claims can build it once for what they have in common.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct AlikeClaims<'c> {
    document: &'c str,
    likeness: &'c Likeness,
}

impl fmt::Debug for AlikeClaims<'_> {
    /// What is in the claims may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlikeClaims").finish_non_exhaustive()
    }
}

impl<'c> AlikeClaims<'c> {
    /// The claims of the other token, as [`RawClaims::as_json`] has them: the same text for every token that is like it. They are
    /// somebody else's: never to be handed out, written to a log or decided by.
    pub fn known_json(&self) -> &'c str {
        self.likeness.known_document()
    }

    /// What another language, or a framework, made of the other token's claims, so that it is made once for all that are like it:
    /// `make` uses [`Self::known_json`] and nothing of this token.
    /// `None` when a companion of another type was there first.
    pub fn companion<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&'c T> {
        self.likeness.companion(make)
    }

    /// The members in which this token differs: each by its place in the order, with its value, which is a string without escapes,
    /// in quotation marks, or a whole number of at most 18 digits.
    pub fn changes(&self) -> impl Iterator<Item = (usize, &'c str)> {
        self.likeness.changes(self.document)
    }
}

impl RawClaims {
    /// The claims in `document`, which was read by [`json::members`] before, or found to be like one that was.
    pub(crate) fn checked(document: Vec<u8>, likeness: Option<Likeness>) -> Self {
        Self {
            document,
            likeness,
            object: OnceLock::new(),
        }
    }

    /// What they are like, for bindings to other languages. `None` for claims of another form than the usual one, and the first of their form.
    #[doc(hidden)]
    pub fn alike(&self) -> Option<AlikeClaims<'_>> {
        Some(AlikeClaims {
            likeness: self.likeness.as_ref()?,
            document: str::from_utf8(&self.document).ok()?,
        })
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
            likeness: None,
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

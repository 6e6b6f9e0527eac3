//! An object read member by member, with the same rules and without building it.

use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{MAX_DEPTH, Strict};
use crate::JoseError;

/// The member has another type, or a value that its reader does not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// The value of one member. Whoever gets it takes it in one of these forms.
pub struct Member<'m, 'de>(&'m mut dyn Source<'de>);

impl<'de> Member<'_, 'de> {
    /// A string; borrowed from the document where nothing is escaped.
    ///
    /// # Errors
    /// [`Refused`] for another type.
    pub fn string(self) -> Result<Cow<'de, str>, Refused> {
        self.0.string()
    }

    /// Whatever it is.
    ///
    /// # Errors
    /// [`Refused`] when it breaks a rule of [`super`].
    pub fn any(self) -> Result<Value, Refused> {
        self.0.any()
    }

    /// Nothing: only the rules are checked.
    ///
    /// # Errors
    /// [`Refused`] when it breaks a rule of [`super`].
    pub fn skip(self) -> Result<(), Refused> {
        self.0.skip()
    }
}

/// Reads one JSON text that must be an object: `read` is called with every member, in the order of the document, and must
/// take its value. The rules are those of [`from_slice`](super::from_slice), for what is skipped as well.
///
/// # Errors
/// Those of [`from_slice`](super::from_slice); [`JoseError::Malformed`] also when `read` refuses.
pub fn members<'de>(
    document: &'de [u8],
    mut read: impl FnMut(&str, Member<'_, 'de>) -> Result<(), Refused>,
) -> Result<(), JoseError> {
    let fault = Cell::new(JoseError::Malformed);
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let object = Object {
        read: &mut read,
        strict: Strict {
            levels_left: MAX_DEPTH - 1,
            fault: &fault,
        },
    };
    deserializer
        .deserialize_map(object)
        .and_then(|()| deserializer.end())
        .map_err(|_| fault.get())
}

trait Source<'de> {
    fn string(&mut self) -> Result<Cow<'de, str>, Refused>;
    fn any(&mut self) -> Result<Value, Refused>;
    fn skip(&mut self) -> Result<(), Refused>;
}

/// The value at which a map stands.
struct Next<'f, A> {
    map: A,
    strict: Strict<'f>,
}

impl<'de, A: MapAccess<'de>> Source<'de> for Next<'_, A> {
    fn string(&mut self) -> Result<Cow<'de, str>, Refused> {
        self.map.next_value_seed(Text).map_err(|_| Refused)
    }

    fn any(&mut self) -> Result<Value, Refused> {
        self.map.next_value_seed(self.strict).map_err(|_| Refused)
    }

    fn skip(&mut self) -> Result<(), Refused> {
        self.map.next_value_seed(Skip(self.strict)).map_err(|_| Refused)
    }
}

struct Object<'r, 'f, R> {
    read: &'r mut R,
    strict: Strict<'f>,
}

impl<'de, R: FnMut(&str, Member<'_, 'de>) -> Result<(), Refused>> Visitor<'de> for Object<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        let mut next = Next {
            map,
            strict: self.strict,
        };
        while let Some(name) = next.map.next_key_seed(Text)? {
            names.check(&name, self.strict)?;
            (self.read)(&name, Member(&mut next)).map_err(|Refused| A::Error::custom("refused"))?;
            names.keep(name);
        }
        Ok(())
    }
}

/// Reads any value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Skip<'f>(Strict<'f>);

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(E::custom("not a number"))
        }
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = Self(self.0.inside()?);
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = Self(self.0.inside()?);
        let mut names = Names::default();
        while let Some(name) = map.next_key_seed(Text)? {
            names.check(&name, self.0)?;
            names.keep(name);
            map.next_value_seed(inside)?;
        }
        Ok(())
    }
}

struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The names of one object so far. A few are compared one by one; many, which only an attacker sends, are hashed.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    const FEW: usize = 24;

    /// Checks a name against those before it.
    fn check<E: serde::de::Error>(&self, name: &str, strict: Strict<'_>) -> Result<(), E> {
        if name.contains('\0') {
            return Err(strict.refuse(JoseError::Malformed));
        }
        if self.few.iter().any(|known| known == name) || self.many.contains(name) {
            return Err(strict.refuse(JoseError::DuplicateMember));
        }
        Ok(())
    }

    fn keep(&mut self, name: Cow<'de, str>) {
        if self.few.len() < Self::FEW {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
    }
}

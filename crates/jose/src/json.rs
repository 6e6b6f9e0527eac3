//! JSON as a security protocol needs it: no duplicate members at any depth, bounded nesting.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::JoseError;

pub use members::{Member, Refused, TextOrAny, members};
pub use objects::objects;

mod members;
mod objects;

/// The deepest nesting of objects and arrays that is read.
pub const MAX_DEPTH: usize = 32;

/// Reads one JSON text into `T`. A struct in it, at any depth, is an object.
///
/// # Errors
/// [`JoseError::DuplicateMember`], [`JoseError::TooDeep`], and [`JoseError::Malformed`] for everything that is not JSON
/// (RFC 8259: invalid UTF-8, lone surrogates, a byte order mark, trailing data, numbers out of range), for a member
/// name with a NUL in it, or for JSON that does not fit `T`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JoseError> {
    from_value(value(bytes)?)
}

/// Reads a value that is parsed already into `T`. A struct in it, at any depth, is an object.
///
/// # Errors
/// [`JoseError::Malformed`] for JSON that does not fit `T`.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, JoseError> {
    objects(value).map_err(|_| JoseError::Malformed)
}

/// Reads one JSON text that must be an object.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JoseError> {
    match value(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(JoseError::Malformed),
    }
}

fn value(bytes: &[u8]) -> Result<Value, JoseError> {
    let fault = Cell::new(JoseError::Malformed);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict {
        levels_left: MAX_DEPTH,
        fault: &fault,
    }
    .deserialize(&mut deserializer)
    .map_err(|_| fault.get())?;
    deserializer.end().map_err(|_| JoseError::Malformed)?;
    Ok(value)
}

/// Builds a [`Value`]; `fault` says which rule stopped it, since serde's errors carry text alone.
#[derive(Clone, Copy)]
struct Strict<'f> {
    levels_left: usize,
    fault: &'f Cell<JoseError>,
}

impl Strict<'_> {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left, ..self }),
            None => Err(self.refuse(JoseError::TooDeep)),
        }
    }

    fn refuse<E: serde::de::Error>(self, fault: JoseError) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.contains('\0') {
                return Err(self.refuse(JoseError::Malformed));
            }
            if object.contains_key(&name) {
                return Err(self.refuse(JoseError::DuplicateMember));
            }
            object.insert(name, members.next_value_seed(inside)?);
        }
        Ok(Value::Object(object))
    }
}

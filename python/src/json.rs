//! JSON as Python values.

use std::fmt;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value that can be changed: dictionaries and lists.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(members) => Ok(to_dict(py, members)?.into_any()),
        simple => scalar(py, simple),
    }
}

/// The members of an object.
pub(crate) fn to_dict<'py>(py: Python<'py>, members: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in members {
        dict.set_item(name, to_python(py, value)?)?;
    }
    Ok(dict)
}

/// The members of an object that was read strictly before, straight from its text.
pub(crate) fn object<'py>(py: Python<'py>, document: &str) -> PyResult<Bound<'py, PyDict>> {
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let object = AsPython(py)
        .deserialize(&mut deserializer)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(object.cast_into()?)
}

/// A member that is a string.
pub(crate) fn text<'py>(
    members: &Bound<'py, PyDict>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyString>>> {
    let member = members.get_item(name)?;
    Ok(member.and_then(|member| member.cast_into().ok()))
}

/// The words of a text.
pub(crate) fn words<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyList>> {
    let words: Vec<_> = text.to_str()?.split_ascii_whitespace().collect();
    PyList::new(text.py(), words)
}

/// Makes Python values while it reads.
#[derive(Clone, Copy)]
struct AsPython<'py>(Python<'py>);

impl<'py> AsPython<'py> {
    fn value<E: de::Error>(self, value: impl IntoPyObjectExt<'py>) -> Result<Bound<'py, PyAny>, E> {
        value.into_bound_py_any(self.0).map_err(E::custom)
    }
}

impl<'de, 'py> DeserializeSeed<'de> for AsPython<'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, 'py> Visitor<'de> for AsPython<'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(self.0.None().into_bound(self.0))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.value(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.value(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.value(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.value(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        self.value(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let list = PyList::empty(self.0);
        while let Some(item) = items.next_element_seed(self)? {
            list.append(item).map_err(de::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let dict = PyDict::new(self.0);
        while let Some(name) = members.next_key_seed(Name(self.0))? {
            let value = members.next_value_seed(self)?;
            dict.set_item(name, value).map_err(de::Error::custom)?;
        }
        Ok(dict.into_any())
    }
}

/// The name of a member. Those that nearly every token has are made once.
struct Name<'py>(Python<'py>);

impl<'de, 'py> DeserializeSeed<'de> for Name<'py> {
    type Value = Bound<'py, PyString>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'py> Visitor<'_> for Name<'py> {
    type Value = Bound<'py, PyString>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let py = self.0;
        let usual = match name {
            "iss" => intern!(py, "iss"),
            "sub" => intern!(py, "sub"),
            "aud" => intern!(py, "aud"),
            "exp" => intern!(py, "exp"),
            "nbf" => intern!(py, "nbf"),
            "iat" => intern!(py, "iat"),
            "jti" => intern!(py, "jti"),
            "azp" => intern!(py, "azp"),
            "gid" => intern!(py, "gid"),
            "amr" => intern!(py, "amr"),
            "scp" => intern!(py, "scp"),
            "scope" => intern!(py, "scope"),
            "client_id" => intern!(py, "client_id"),
            "auth_time" => intern!(py, "auth_time"),
            other => return Ok(PyString::new(py, other)),
        };
        Ok(usual.clone())
    }
}

/// A dictionary of JSON values that shares nothing that can be changed with `dict`.
pub(crate) fn copy_of_dict<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let copy = dict.copy()?;
    for (name, value) in dict {
        if let Some(copied) = copy_of_container(&value)? {
            copy.set_item(name, copied)?;
        }
    }
    Ok(copy)
}

/// `None` for what cannot be changed anyway.
pub(crate) fn copy_of_container<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return Ok(Some(copy_of_dict(dict)?.into_any()));
    }
    let Ok(list) = value.cast_exact::<PyList>() else {
        return Ok(None);
    };
    let copy = PyList::empty(value.py());
    for item in list {
        copy.append(copy_of_container(&item)?.unwrap_or(item))?;
    }
    Ok(Some(copy.into_any()))
}

/// An object that cannot be changed, however deep: mapping proxies and tuples.
pub(crate) fn to_frozen_mapping<'py>(
    py: Python<'py>,
    members: &Map<String, Value>,
) -> PyResult<Bound<'py, PyAny>> {
    static PROXY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let dict = PyDict::new(py);
    for (name, value) in members {
        dict.set_item(name, to_frozen(py, value)?)?;
    }
    PROXY.import(py, "types", "MappingProxyType")?.call1((dict,))
}

/// A value that cannot be changed.
pub(crate) fn to_frozen<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items
                .iter()
                .map(|item| to_frozen(py, item))
                .collect::<PyResult<_>>()?;
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Value::Object(members) => to_frozen_mapping(py, members),
        simple => scalar(py, simple),
    }
}

fn scalar<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Bool(flag) => flag.into_bound_py_any(py),
        Value::String(text) => text.into_bound_py_any(py),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => integer.into_bound_py_any(py),
            (_, Some(integer), _) => integer.into_bound_py_any(py),
            (_, _, Some(float)) => float.into_bound_py_any(py),
            _ => Ok(py.None().into_bound(py)),
        },
        _ => Ok(py.None().into_bound(py)),
    }
}

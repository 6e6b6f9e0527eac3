//! JSON as Python values.

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple};
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
fn copy_of_container<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
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

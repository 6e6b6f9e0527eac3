//! Claims of a token as a copy of another's.
//!
//! The tokens of an issuer have the same members in the same order, and many of the same values: issuer, audience, often
//! client and scope. So the claims of one token are kept, with the text of each member. Another token's are a copy of them in
//! which only those members are replaced whose text differs: no name and no repeated value is read or made again.

use pyo3::IntoPyObjectExt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::json;

/// The claims of a token, never handed out.
pub(crate) struct Template {
    claims: Py<PyDict>,
    members: Vec<Member>,
    scope: Option<Scope>,
}

struct Member {
    name: Py<PyString>,
    /// What stands before it, its name and its value.
    text: Box<str>,
    /// How much of that is no value.
    start: usize,
    /// The value, where it can be changed and must not be shared.
    list: Option<Py<PyList>>,
}

struct Scope {
    text: Py<PyString>,
    each: Py<PyList>,
}

impl Template {
    /// Of an object that was read strictly before into `claims`. `None` where it is not of the usual form: no white space, no
    /// escapes; strings, numbers, flags and lists of strings.
    pub(crate) fn of(document: &str, claims: &Bound<'_, PyDict>) -> Option<Self> {
        let mut reader = Reader::of(document)?;
        let mut members = Vec::with_capacity(claims.len());
        for (name, value) in claims {
            let begin = reader.position;
            reader.byte(if begin == 0 { b'{' } else { b',' })?;
            reader.string()?;
            reader.byte(b':')?;
            let start = reader.position - begin;
            reader.skip_value()?;
            members.push(Member {
                name: name.cast_into().ok()?.unbind(),
                text: document.get(begin..reader.position)?.into(),
                start,
                list: value.cast::<PyList>().ok().map(|list| copy(list).unbind()),
            });
        }
        reader.end()?;
        // Many documents get no further than their first bytes.
        let claims = json::copy_of_dict(claims).ok()?;
        let scope = json::text(&claims, intern!(claims.py(), "scope")).ok()?;
        let scope = scope.and_then(|scope| Scope::of(&scope).ok());
        Some(Self {
            claims: claims.unbind(),
            members,
            scope,
        })
    }

    /// The claims of another token, which were read strictly before. `None` when they have other members, or values that are
    /// not of the usual form.
    pub(crate) fn fill<'py>(&self, py: Python<'py>, document: &str) -> Option<Bound<'py, PyDict>> {
        let mut reader = Reader::of(document)?;
        let claims = self.claims.bind(py).copy().ok()?;
        for member in &self.members {
            if reader.member(&member.text) {
                if let Some(list) = &member.list {
                    claims.set_item(&member.name, copy(list.bind(py))).ok()?;
                }
            } else {
                reader.word(member.text.get(..member.start)?)?;
                claims.set_item(&member.name, reader.value(py)?).ok()?;
            }
        }
        reader.end()?;
        Some(claims)
    }

    /// The scopes in `scope`, if the template's claims have the very same string.
    pub(crate) fn scopes<'py>(&self, scope: &Bound<'py, PyString>) -> Option<Bound<'py, PyList>> {
        let kept = self.scope.as_ref().filter(|kept| scope.is(&kept.text))?;
        Some(copy(kept.each.bind(scope.py())))
    }
}

impl Scope {
    fn of(text: &Bound<'_, PyString>) -> PyResult<Self> {
        Ok(Self {
            each: json::words(text)?.unbind(),
            text: text.clone().unbind(),
        })
    }
}

fn copy<'py>(list: &Bound<'py, PyList>) -> Bound<'py, PyList> {
    list.get_slice(0, list.len())
}

/// Reads a document that is known to be JSON.
struct Reader<'j> {
    document: &'j str,
    position: usize,
}

impl<'j> Reader<'j> {
    /// `None` for a document with escapes.
    fn of(document: &'j str) -> Option<Self> {
        (!document.as_bytes().contains(&b'\\')).then_some(Self {
            document,
            position: 0,
        })
    }

    fn rest(&self) -> &'j [u8] {
        let rest = self.document.as_bytes().get(self.position..);
        rest.unwrap_or_default()
    }

    /// Whether this member comes next, to its end.
    fn member(&mut self, text: &str) -> bool {
        let after = self.rest().strip_prefix(text.as_bytes());
        let is_next = after.is_some_and(|after| matches!(after.first(), Some(b',' | b'}')));
        if is_next {
            self.position += text.len();
        }
        is_next
    }

    fn word(&mut self, text: &str) -> Option<()> {
        self.rest().strip_prefix(text.as_bytes())?;
        self.position += text.len();
        Some(())
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        (*self.rest().first()? == wanted).then(|| self.position += 1)
    }

    fn end(&mut self) -> Option<()> {
        self.byte(b'}')?;
        self.rest().is_empty().then_some(())
    }

    fn string(&mut self) -> Option<&'j str> {
        self.byte(b'"')?;
        let start = self.position;
        let length = self.rest().iter().position(|byte| *byte == b'"')?;
        self.position += length + 1;
        self.document.get(start..start + length)
    }

    fn value<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        if self.rest().first() == Some(&b'"') {
            return Some(PyString::new(py, self.string()?).into_any());
        }
        self.whole_number()?.into_bound_py_any(py).ok()
    }

    /// Whatever else a number may have is found behind it, where it is not expected.
    fn whole_number(&mut self) -> Option<u64> {
        /// More might not fit.
        const DIGITS: usize = 19;
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.count();
        if length == 0 || length > DIGITS {
            return None;
        }
        let digits = self.rest().get(..length)?;
        self.position += length;
        Some(
            digits
                .iter()
                .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')),
        )
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.rest().first()? {
            b'"' => self.string().map(drop),
            b'[' => self.skip_strings(),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}');
                self.position += self.rest().iter().position(is_end)?;
                Some(())
            }
            // White space would hide what comes behind it.
            _ => None,
        }
    }

    fn skip_strings(&mut self) -> Option<()> {
        self.byte(b'[')?;
        if self.byte(b']').is_some() {
            return Some(());
        }
        loop {
            self.string()?;
            if self.byte(b',').is_none() {
                return self.byte(b']');
            }
        }
    }
}

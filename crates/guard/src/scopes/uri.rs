//! Patterns for the URIs of resources.
//!
//! A server may look at a URI otherwise than as it was sent: with the scheme in lower case, dot segments gone, escapes
//! undone, query dropped. So a pattern matches if any of those forms does, and where the forms do not tell what the server
//! sees, every pattern does: at worst a scope is asked for that the server would not have needed.

mod spellings;

use std::borrow::Cow;
use std::fmt;

use spellings::{OF_PARTS, OF_URIS, OF_WHOLE_PATTERNS, Spelling, forms_of, has_dot_segment, scheme_of};

/// URIs that are longer match every pattern: nothing is too long to be protected, and matching stays cheap.
const MAX_URI: usize = 8 * 1024;

/// A URI, or a template of them (RFC 6570, of which `{name}`, `{+name}`, `{name*}`, `{?a,b}` and `{&a}` are known).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UriPattern {
    source: String,
    /// The template as it was given, and with its literal parts in other spellings.
    forms: Vec<Vec<Part>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Anything without a slash.
    Segment,
    /// Anything.
    Rest,
}

impl Part {
    fn map(&self, spelling: Spelling) -> Self {
        match self {
            Self::Literal(text) => Self::Literal(spelling(text).into_owned()),
            Self::Segment => Self::Segment,
            Self::Rest => Self::Rest,
        }
    }
}

impl UriPattern {
    /// `None` when the braces do not match.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let given = parts(source)?;
        let mut forms = vec![given.clone()];
        if let [Part::Literal(uri)] = given.as_slice() {
            let spellings = forms_of(uri, OF_WHOLE_PATTERNS).unwrap_or_default();
            forms.extend(
                spellings
                    .into_iter()
                    .map(|form| vec![Part::Literal(form.into_owned())]),
            );
        } else {
            for spelling in OF_PARTS {
                for known in 0..forms.len() {
                    let form: Vec<_> = forms[known].iter().map(|part| part.map(*spelling)).collect();
                    if !forms.contains(&form) {
                        forms.push(form);
                    }
                }
            }
        }
        Some(Self {
            source: source.to_owned(),
            forms,
        })
    }

    /// Whether the pattern is for URIs with this scheme, as far as it says.
    fn has_scheme(&self, scheme: &str) -> bool {
        match self.forms[0].first() {
            Some(Part::Literal(start)) => scheme_of(start).is_none_or(|own| own.eq_ignore_ascii_case(scheme)),
            _ => true,
        }
    }

    fn matches(&self, uri: &str) -> bool {
        self.source == uri || self.forms.iter().any(|parts| parts_match(parts, uri))
    }
}

fn parts(source: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some(open) = rest.find('{') {
        let (literal, expression) = rest.split_at(open);
        let close = expression.find('}')?;
        if literal.contains('}') || expression[1..close].contains('{') {
            return None;
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        let name = &expression[1..close];
        let part = match name.bytes().next()? {
            b'+' | b'#' | b'/' | b'.' | b';' | b'?' | b'&' => Part::Rest,
            _ if name.ends_with('*') || name.contains(',') => Part::Rest,
            _ => Part::Segment,
        };
        parts.push(part);
        rest = &expression[close + 1..];
    }
    if rest.contains('}') {
        return None;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Some(parts)
}

/// Whether the parts, one after the other, make up the text. At most text times parts steps, and only for a text that
/// begins and ends as it must: a request may name very many.
fn parts_match(parts: &[Part], text: &str) -> bool {
    let text = text.as_bytes();
    let begins = !matches!(parts.first(), Some(Part::Literal(start)) if !text.starts_with(start.as_bytes()));
    let ends = !matches!(parts.last(), Some(Part::Literal(end)) if !text.ends_with(end.as_bytes()));
    if !begins || !ends {
        return false;
    }
    // The ends that the parts so far can have.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for part in parts {
        let mut next = vec![false; text.len() + 1];
        match part {
            Part::Literal(literal) => {
                let literal = literal.as_bytes();
                for start in (0..=text.len()).filter(|start| ends[*start]) {
                    if text[start..].starts_with(literal) {
                        next[start + literal.len()] = true;
                    }
                }
            }
            Part::Segment | Part::Rest => {
                let mut open = false;
                for end in 0..=text.len() {
                    next[end] = open;
                    open |= ends[end];
                    if *part == Part::Segment && text.get(end) == Some(&b'/') {
                        open = false;
                    }
                    if *part == Part::Rest {
                        next[end] = open;
                    }
                }
            }
        }
        ends = next;
    }
    ends[text.len()]
}

/// The forms in which a server may look at one URI.
pub(super) struct Variants<'u> {
    uri: &'u str,
    others: Vec<String>,
    doubt: Doubt,
}

/// Which patterns a URI matches whatever its forms are.
enum Doubt {
    None,
    /// Those for the schemes of these forms: a dot segment leads elsewhere on some servers, above all one that comes out
    /// of an escape, which is none yet for a server that looks before it decodes.
    Schemes(Vec<String>),
    /// Every pattern.
    All,
}

impl<'u> Variants<'u> {
    pub(super) fn of(uri: &'u str) -> Self {
        Self::complete(uri).unwrap_or(Self {
            uri,
            others: Vec::new(),
            doubt: Doubt::All,
        })
    }

    /// `None` for what is too long or has too many forms.
    fn complete(uri: &'u str) -> Option<Self> {
        if uri.len() > MAX_URI {
            return None;
        }
        let forms = forms_of(uri, OF_URIS)?;
        let mut schemes = Vec::new();
        for form in forms.iter().filter(|form| has_dot_segment(form)) {
            schemes.push(scheme_of(form)?.to_owned());
        }
        let doubt = if schemes.is_empty() {
            Doubt::None
        } else {
            Doubt::Schemes(schemes)
        };
        let others = forms.into_iter().filter(|form| form != uri);
        Some(Self {
            uri,
            others: others.map(Cow::into_owned).collect(),
            doubt,
        })
    }

    pub(super) fn match_any(&self, pattern: &UriPattern) -> bool {
        let is_in_doubt = match &self.doubt {
            Doubt::None => false,
            Doubt::Schemes(schemes) => schemes.iter().any(|scheme| pattern.has_scheme(scheme)),
            Doubt::All => true,
        };
        is_in_doubt || pattern.matches(self.uri) || self.others.iter().any(|form| pattern.matches(form))
    }
}

impl fmt::Debug for UriPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;

//! Patterns for the URIs of resources.
//!
//! A server may look at a URI otherwise than as it was sent: with the scheme in lower case, dot segments gone, escapes
//! undone, query dropped. So a pattern matches if any of those forms does, and where the forms do not tell what the server
//! sees, every pattern does: at worst a scope is asked for that the server would not have needed.

use std::borrow::Cow;
use std::fmt;

use url::Url;

/// URIs that are longer match every pattern: nothing is too long to be protected, and matching stays cheap.
const MAX_URI: usize = 8 * 1024;
/// URIs with more forms match every pattern as well.
const MAX_FORMS: usize = 32;

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
    fn map(&self, spelling: fn(&str) -> Cow<'_, str>) -> Self {
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

type Spelling = fn(&str) -> Cow<'_, str>;

/// What servers and their libraries do to a URI, each on its own.
const OF_URIS: &[Spelling] = &[
    without_query,
    parsed,
    unescaped,
    normal_start,
    slashes,
    single_slashes,
    without_slash_at_end,
];
/// A pattern that says which query it means is for that query.
const OF_WHOLE_PATTERNS: &[Spelling] = OF_URIS.split_at(1).1;
const OF_PARTS: &[Spelling] = &[normal_start, unescaped, single_slashes];

/// The forms that come of these spellings, one after the other in every order. `None` when they are too many.
fn forms_of<'u>(uri: &'u str, spellings: &[Spelling]) -> Option<Vec<Cow<'u, str>>> {
    let mut forms = vec![normal_start(uri.trim())];
    let mut known = 0;
    while let Some(form) = forms.get(known).cloned() {
        known += 1;
        for spelling in spellings {
            if let Cow::Owned(other) = spelling(&form)
                && !forms.iter().any(|known| *known == other)
            {
                forms.push(Cow::Owned(other));
            }
        }
        if forms.len() > MAX_FORMS {
            return None;
        }
    }
    Some(forms)
}

/// As URL libraries write it.
fn parsed(uri: &str) -> Cow<'_, str> {
    match Url::parse(uri) {
        Ok(url) if url.as_str() != uri => Cow::Owned(url.into()),
        _ => Cow::Borrowed(uri),
    }
}

/// Scheme and host in lower case (RFC 3986 §6.2.2.1).
fn normal_start(uri: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Cow::Borrowed(uri);
    };
    let start = &uri[..scheme.len() + 3 + rest.find('/').unwrap_or(rest.len())];
    let normal = start.to_lowercase();
    if normal == start {
        return Cow::Borrowed(uri);
    }
    Cow::Owned(normal + &uri[start.len()..])
}

fn without_query(uri: &str) -> Cow<'_, str> {
    match uri.find(['?', '#']) {
        Some(end) => Cow::Owned(uri[..end].to_owned()),
        None => Cow::Borrowed(uri),
    }
}

fn slashes(uri: &str) -> Cow<'_, str> {
    if uri.contains('\\') {
        return Cow::Owned(uri.replace('\\', "/"));
    }
    Cow::Borrowed(uri)
}

/// One slash for several in a row, but for those before an authority.
fn single_slashes(uri: &str) -> Cow<'_, str> {
    let start = uri.find("://").map_or(0, |colon| colon + 3);
    if !uri[start..].contains("//") {
        return Cow::Borrowed(uri);
    }
    let mut single = uri[..start].to_owned();
    let mut after_slash = false;
    for character in uri[start..].chars() {
        let is_slash = character == '/';
        if !(is_slash && after_slash) {
            single.push(character);
        }
        after_slash = is_slash;
    }
    Cow::Owned(single)
}

fn without_slash_at_end(uri: &str) -> Cow<'_, str> {
    match uri.strip_suffix('/') {
        Some(without) => Cow::Owned(without.to_owned()),
        None => Cow::Borrowed(uri),
    }
}

/// Also behind the colon of a scheme alone, and with parameters, which some servers drop first.
fn has_dot_segment(uri: &str) -> bool {
    uri.split(['/', '\\', ':']).any(|segment| {
        let name = segment.split(';').next();
        matches!(name, Some("." | ".."))
    })
}

/// What is before the first colon, unless that is no scheme (RFC 3986 §3.1).
fn scheme_of(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let is_scheme = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some(scheme)
}

fn unescaped(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut bytes = Vec::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = match after {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let (byte, after) = escape.map_or((byte, after), |(high, low)| (high << 4 | low, &after[2..]));
        bytes.push(byte);
        rest = after;
    }
    let text = String::from_utf8_lossy(&bytes);
    if text == uri {
        return Cow::Borrowed(uri);
    }
    Cow::Owned(text.into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

impl fmt::Debug for UriPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;

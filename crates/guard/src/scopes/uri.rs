//! Patterns for the URIs of resources.
//!
//! A server may look at a URI otherwise than as it was sent: with the scheme in lower case, dot segments gone, escapes
//! undone, query dropped. So a pattern matches if any of those forms does: at worst a scope is asked for that the server
//! would not have needed.

use std::borrow::Cow;
use std::fmt;

use url::Url;

/// URIs that are longer match every pattern: nothing is too long to be protected, and matching stays cheap.
const MAX_URI: usize = 8 * 1024;

/// A URI, or a template of them (RFC 6570, of which `{name}`, `{+name}`, `{name*}`, `{?a,b}` and `{&a}` are known).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UriPattern {
    source: String,
    /// The template as it was given, and with its literal parts in the normal form of URIs.
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

impl UriPattern {
    /// `None` when the braces do not match.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let mut forms = vec![parts(source)?];
        if let [Part::Literal(scheme_and_more), ..] = forms[0].as_slice()
            && let Some(normal) = normal_start(scheme_and_more)
        {
            let mut form = forms[0].clone();
            form[0] = Part::Literal(normal);
            forms.push(form);
        }
        if let Some(exact) = exact_form(&forms[0]) {
            forms.push(vec![Part::Literal(exact)]);
        }
        Some(Self {
            source: source.to_owned(),
            forms,
        })
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

/// Scheme and host in lower case (RFC 3986 §6.2.2.1).
fn normal_start(literal: &str) -> Option<String> {
    let (scheme, rest) = literal.split_once("://")?;
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let normal = format!("{}://{}{path}", scheme.to_lowercase(), host.to_lowercase());
    (normal != literal).then_some(normal)
}

/// A pattern without variables, as URL libraries write it.
fn exact_form(parts: &[Part]) -> Option<String> {
    match parts {
        [Part::Literal(uri)] => Url::parse(uri).ok().map(String::from).filter(|form| form != uri),
        _ => None,
    }
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
}

impl<'u> Variants<'u> {
    pub(super) fn of(uri: &'u str) -> Self {
        let mut others: Vec<String> = Vec::new();
        if uri.len() > MAX_URI {
            return Self { uri, others };
        }
        let mut add = |form: &str| {
            for form in [Cow::Borrowed(form), unescaped(form)] {
                for form in [&*form, without_query(&form)] {
                    if form != uri && !others.iter().any(|known| known == form) {
                        others.push(form.to_owned());
                    }
                }
            }
        };
        add(uri);
        add(uri.trim());
        if let Ok(url) = Url::parse(uri) {
            add(url.as_str());
        }
        Self { uri, others }
    }

    pub(super) fn match_any(&self, pattern: &UriPattern) -> bool {
        self.uri.len() > MAX_URI
            || pattern.matches(self.uri)
            || self.others.iter().any(|form| pattern.matches(form))
    }
}

fn without_query(uri: &str) -> &str {
    uri.find(['?', '#']).map_or(uri, |end| &uri[..end])
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
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
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
mod tests {
    use super::*;

    fn matches(pattern: &str, uri: &str) -> bool {
        Variants::of(uri).match_any(&UriPattern::parse(pattern).unwrap())
    }

    #[test]
    fn templates_match_what_they_expand_to() {
        for (pattern, uri) in [
            ("notes://1/body", "notes://1/body"),
            ("notes://{id}/body", "notes://17/body"),
            ("notes://{id}/body", "notes://{id}/body"),
            ("file:///{path*}", "file:///a/b/c"),
            ("file:///{+path}", "file:///a/b/c"),
            ("file:///{path*}", "file:///"),
            ("{+any}", "x:y"),
            ("db://{table}{?limit,order}", "db://users?limit=3"),
            ("db://{table}{?limit}", "db://users"),
            ("{a}:{b}", "x:y"),
            ("data://{a}-{b}/x", "data://1-2-3/x"),
        ] {
            assert!(matches(pattern, uri), "{pattern} {uri}");
        }
        for (pattern, uri) in [
            ("notes://1/body", "notes://11/body"),
            ("notes://1/body", "notes://1/bod"),
            ("notes://{id}/body", "notes://1/2/body"),
            ("notes://{id}/body", "notes:///body"),
            ("notes://{id}/body", "notes://1/body/more"),
            ("file:///{path*}", "files:///a"),
        ] {
            assert!(!matches(pattern, uri), "{pattern} {uri}");
        }
    }

    /// What a server may take for the same resource needs the same scopes.
    #[test]
    fn other_spellings_of_a_uri_match_as_well() {
        for (pattern, uri) in [
            ("secret://plans/x", "SECRET://plans/x"),
            ("secret://plans/x", "secret://plans/%78"),
            ("Secret://Plans/x", "secret://plans/x"),
            ("secret://plans/x", "secret://plans/x?y"),
            ("secret://plans/x", "secret://plans/x#y"),
            ("secret://plans/x", " secret://plans/x"),
            ("https://h.example/a", "https://H.example:443/b/../a"),
            ("https://h.example", "https://h.example/"),
            ("https://h.example/", "https://h.example"),
            ("notes://{id}/body", "notes://1%2F2/body"),
            ("notes://{id}/body", "NOTES://7/body"),
            ("secret://plans/x", "secret://plans/\tx"),
        ] {
            assert!(matches(pattern, uri), "{pattern} {uri}");
        }
    }

    #[test]
    fn an_endless_uri_is_protected_by_everything() {
        let long = format!("notes://{}", "a".repeat(MAX_URI));
        assert!(matches("secret://plans", &long));
    }

    #[test]
    fn braces_must_match() {
        for bad in ["a{b", "a}b", "{a{b}}", "{}", "a{b}c}"] {
            assert_eq!(UriPattern::parse(bad), None, "{bad}");
        }
    }

    /// The ends of a pattern are looked at first; they may not share characters of the text.
    #[test]
    fn the_ends_of_a_pattern_do_not_overlap() {
        assert!(!matches("aba{x*}aba", "ababa"));
        assert!(matches("aba{x*}aba", "abaaba"));
        assert!(!matches("x:{a}", "y:1"));
        assert!(!matches("{+a}/x", "y:/z"));
    }

    #[test]
    fn matching_stays_cheap_for_any_pattern() {
        let pattern = UriPattern::parse(&"{a*}b".repeat(50)).unwrap();
        assert!(!Variants::of(&"ab".repeat(4_000)[..7_999]).match_any(&pattern));
    }
}

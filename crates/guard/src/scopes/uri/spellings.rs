//! How else a URI may be written, and what servers and their libraries make of one.

use std::borrow::Cow;

use url::Url;

/// URIs with more forms match every pattern.
const MAX_FORMS: usize = 32;

pub(super) type Spelling = fn(&str) -> Cow<'_, str>;

/// What servers and their libraries do to a URI, each on its own.
pub(super) const OF_URIS: &[Spelling] = &[
    without_query,
    parsed,
    unescaped,
    normal_start,
    slashes,
    single_slashes,
    without_slash_at_end,
];
/// A pattern that says which query it means is for that query.
pub(super) const OF_WHOLE_PATTERNS: &[Spelling] = OF_URIS.split_at(1).1;
pub(super) const OF_PARTS: &[Spelling] = &[normal_start, unescaped, single_slashes];

/// The forms that come of these spellings, one after the other in every order. `None` when they are too many.
pub(super) fn forms_of<'u>(uri: &'u str, spellings: &[Spelling]) -> Option<Vec<Cow<'u, str>>> {
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
pub(super) fn has_dot_segment(uri: &str) -> bool {
    uri.split(['/', '\\', ':']).any(|segment| {
        let name = segment.split(';').next();
        matches!(name, Some("." | ".."))
    })
}

/// What is before the first colon, unless that is no scheme (RFC 3986 §3.1).
pub(super) fn scheme_of(uri: &str) -> Option<&str> {
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

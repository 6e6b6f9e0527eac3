//! Cookies: `__Host-` off loopback, always `HttpOnly` and `SameSite=Lax`.

use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use doorward_jose::{base64url, sha256};
use doorward_oauth::issuer::Issuer;

use super::error::PageError;

/// As long as browsers keep a cookie.
pub(crate) const LONGEST_AGE: Duration = Duration::from_hours(400 * 24);

/// The cookies this server sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie<'a> {
    /// Who is signed in.
    Session,
    /// Which browser this is; what CSRF tokens and pending requests are bound to.
    Browser,
    /// The same for one request, by its tag: two tabs of a browser that is here for the first time each set
    /// [`Cookie::Browser`], and the first of them would be lost.
    Tab(&'a str),
    /// That a person signed in here before; proves it to the sign-in throttle and to nothing else.
    Known,
}

/// How cookies are named and marked on this server.
#[derive(Debug, Clone)]
pub(crate) struct CookiePolicy {
    secure: bool,
    /// What the names begin with, after `__Host-`.
    program: String,
}

impl CookiePolicy {
    /// `__Host-` and `Secure` unless the issuer is `http` on loopback, where browsers refuse them. The names are the issuer's
    /// own where a host may have several: cookies know no ports, and `__Host-` cookies no paths (RFC 6265 §8.5).
    pub(crate) fn for_issuer(issuer: &Issuer) -> Self {
        let mut program = "doorward".to_owned();
        if issuer.is_loopback() || !issuer.path().is_empty() {
            let digest = base64url::encode(&sha256(issuer.as_str().as_bytes()));
            program.extend(["_", &digest[..8]]);
        }
        Self {
            secure: issuer.is_https(),
            program,
        }
    }

    /// The cookie's name on this server.
    pub(crate) fn name(&self, cookie: Cookie<'_>) -> String {
        let Self { secure, program } = self;
        let prefix = if *secure { "__Host-" } else { "" };
        match cookie {
            Cookie::Session => format!("{prefix}{program}_session"),
            Cookie::Browser => format!("{prefix}{program}_browser"),
            Cookie::Tab(tag) => format!("{prefix}{program}_tab_{tag}"),
            Cookie::Known => format!("{prefix}{program}_known"),
        }
    }

    /// `Set-Cookie` for a value of token characters (base64url), for as long as the browser runs or
    /// `max_age` says.
    pub(crate) fn set(&self, cookie: Cookie<'_>, value: &str, max_age: Option<Duration>) -> HeaderValue {
        debug_assert!(value.bytes().all(is_value_byte), "cookie values are tokens");
        let value: String = value
            .chars()
            .filter(|c| u8::try_from(*c).is_ok_and(is_value_byte))
            .collect();
        let secure = if self.secure { "; Secure" } else { "" };
        let age = max_age
            .map(|age| format!("; Max-Age={}", age.as_secs()))
            .unwrap_or_default();
        let text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}",
            self.name(cookie)
        );
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// `Set-Cookie` that takes the cookie away.
    pub(crate) fn clear(&self, cookie: Cookie<'_>) -> HeaderValue {
        self.set(cookie, "", Some(Duration::ZERO))
    }

    /// The cookie's value, if the request carries it.
    pub(crate) fn read(
        &self,
        cookie: Cookie<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<String>, DuplicateCookie> {
        Cookies::from_headers(headers)
            .get(&self.name(cookie))
            .map(|value| value.map(str::to_owned))
    }
}

const fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

/// The cookies of a request, as they came: others on this host may have set theirs to anything (RFC 6265 §4.2.2).
#[derive(Debug)]
pub(crate) struct Cookies<'a> {
    pairs: Vec<(&'a [u8], &'a [u8])>,
}

/// The same cookie twice: somebody else planted one, and nobody can tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the same cookie came twice")]
pub(crate) struct DuplicateCookie;

impl<'a> Cookies<'a> {
    pub(crate) fn from_headers(headers: &'a HeaderMap) -> Self {
        let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        let pairs = lines
            .flat_map(|line| line.split(|byte| *byte == b';'))
            .filter_map(|pair| {
                let at = pair.iter().position(|byte| *byte == b'=')?;
                Some((pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()))
            })
            .collect();
        Self { pairs }
    }

    /// The cookie's value; empty counts as absent, and so does one that is no text, which is none of ours.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&'a str>, DuplicateCookie> {
        let mut values = self
            .pairs
            .iter()
            .filter(|(found, _)| *found == name.as_bytes())
            .map(|(_, value)| *value);
        let first = values.next().filter(|value| !value.is_empty());
        if values.next().is_some() {
            Err(DuplicateCookie)
        } else {
            Ok(first.and_then(|value| str::from_utf8(value).ok()))
        }
    }
}

impl From<DuplicateCookie> for PageError {
    fn from(_: DuplicateCookie) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "Your browser sent conflicting cookies",
            "Delete this site's cookies in your browser, then start again from the application.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(issuer: &str) -> CookiePolicy {
        CookiePolicy::for_issuer(&Issuer::parse(issuer).unwrap())
    }

    #[test]
    fn off_loopback_a_cookie_belongs_to_the_host_and_to_https() {
        let set = policy("https://auth.example").set(Cookie::Session, "abc", None);
        assert_eq!(
            set,
            "__Host-doorward_session=abc; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        let set = policy("http://localhost:9000").set(Cookie::Browser, "abc", Some(Duration::from_mins(1)));
        assert_eq!(
            set,
            "doorward_gSe4-u_0_browser=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"
        );
    }

    #[test]
    fn a_cookie_that_comes_twice_is_refused() {
        let mut headers = HeaderMap::new();
        let policy = policy("https://auth.example");
        headers.append(
            COOKIE,
            HeaderValue::from_static("__Host-doorward_session=one; other=x"),
        );
        assert_eq!(policy.read(Cookie::Session, &headers), Ok(Some("one".to_owned())));
        assert_eq!(policy.read(Cookie::Browser, &headers), Ok(None));
        headers.append(COOKIE, HeaderValue::from_static("__Host-doorward_session=two"));
        assert_eq!(policy.read(Cookie::Session, &headers), Err(DuplicateCookie));
    }

    #[test]
    fn bytes_that_are_no_text_hide_no_other_cookie() {
        let mut headers = HeaderMap::new();
        let line = b"a=\xff; odd; =; \xff=x; __Host-doorward_session=one; __Host-doorward_browser=\xff";
        headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        let policy = policy("https://auth.example");
        assert_eq!(policy.read(Cookie::Session, &headers), Ok(Some("one".to_owned())));
        assert_eq!(policy.read(Cookie::Browser, &headers), Ok(None));
    }
}

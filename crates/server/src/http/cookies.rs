//! Cookies: `__Host-` off loopback, always `HttpOnly` and `SameSite=Lax`.

use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct CookiePolicy {
    secure: bool,
}

impl CookiePolicy {
    /// `__Host-` and `Secure` unless the issuer is `http` on loopback, where browsers refuse them.
    pub(crate) fn for_issuer(issuer: &Issuer) -> Self {
        Self {
            secure: issuer.is_https(),
        }
    }

    /// The cookie's name on this server.
    pub(crate) fn name(self, cookie: Cookie<'_>) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        match cookie {
            Cookie::Session => format!("{prefix}doorward_session"),
            Cookie::Browser => format!("{prefix}doorward_browser"),
            Cookie::Tab(tag) => format!("{prefix}doorward_tab_{tag}"),
            Cookie::Known => format!("{prefix}doorward_known"),
        }
    }

    /// `Set-Cookie` for a value of token characters (base64url), for as long as the browser runs or
    /// `max_age` says.
    pub(crate) fn set(self, cookie: Cookie<'_>, value: &str, max_age: Option<Duration>) -> HeaderValue {
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
    pub(crate) fn clear(self, cookie: Cookie<'_>) -> HeaderValue {
        self.set(cookie, "", Some(Duration::ZERO))
    }

    /// The cookie's value, if the request carries it.
    pub(crate) fn read(
        self,
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

/// The cookies of a request.
#[derive(Debug)]
pub(crate) struct Cookies<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

/// The same cookie twice: somebody else planted one, and nobody can tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the same cookie came twice")]
pub(crate) struct DuplicateCookie;

impl<'a> Cookies<'a> {
    pub(crate) fn from_headers(headers: &'a HeaderMap) -> Self {
        let lines = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let pairs = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        Self { pairs }
    }

    /// The cookie's value; empty counts as absent.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&'a str>, DuplicateCookie> {
        let mut values = self
            .pairs
            .iter()
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| *value);
        let first = values.next().filter(|value| !value.is_empty());
        if values.next().is_some() {
            Err(DuplicateCookie)
        } else {
            Ok(first)
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
            "doorward_browser=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"
        );
    }

    #[test]
    fn a_cookie_that_comes_twice_is_refused() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("doorward_session=one; other=x"));
        let policy = policy("http://localhost:9000");
        assert_eq!(policy.read(Cookie::Session, &headers), Ok(Some("one".to_owned())));
        assert_eq!(policy.read(Cookie::Browser, &headers), Ok(None));
        headers.append(COOKIE, HeaderValue::from_static("doorward_session=two"));
        assert_eq!(policy.read(Cookie::Session, &headers), Err(DuplicateCookie));
    }
}

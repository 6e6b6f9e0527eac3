//! Forms are accepted from our own pages, in the browser that was shown them.

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use doorward_jose::base64url;
use doorward_oauth::issuer::Issuer;

use super::cookies::{Cookie, CookiePolicy, DuplicateCookie};
use crate::keys::Secrets;
use crate::random::Random;

const PURPOSE: &str = "csrf";

/// Names a browser, by a cookie that no script reads.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BrowserId(String);

impl std::fmt::Debug for BrowserId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BrowserId(redacted)")
    }
}

impl BrowserId {
    /// A new one.
    pub(crate) fn generate(random: &dyn Random) -> Self {
        Self(random.token(""))
    }

    /// The one the request carries. A value of another shape counts as absent.
    pub(crate) fn read(policy: &CookiePolicy, headers: &HeaderMap) -> Result<Option<Self>, DuplicateCookie> {
        Self::read_as(Cookie::Browser, policy, headers)
    }

    /// The one the request carries in this cookie.
    pub(crate) fn read_as(
        cookie: Cookie<'_>,
        policy: &CookiePolicy,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, DuplicateCookie> {
        let value = policy.read(cookie, headers)?;
        Ok(value
            .filter(|value| base64url::decode(value).is_ok_and(|bytes| bytes.len() == 32))
            .map(Self))
    }

    /// The cookie's value.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The token that goes with a form: good for one browser and one handle (or purpose).
pub(crate) fn issue(secrets: &Secrets, browser: &BrowserId, handle: &str) -> String {
    base64url::encode(&secrets.mac(PURPOSE, &[browser.0.as_bytes(), handle.as_bytes()]))
}

/// Whether the token is the one issued for this browser and handle; in constant time.
pub(crate) fn check(secrets: &Secrets, browser: &BrowserId, handle: &str, token: &str) -> bool {
    base64url::decode(token)
        .is_ok_and(|token| secrets.verify_mac(PURPOSE, &[browser.0.as_bytes(), handle.as_bytes()], &token))
}

/// Whether a browser says that the request comes from our own pages. A request that carries neither
/// header comes from no modern browser; its token has to speak for it.
pub(crate) fn same_origin(headers: &HeaderMap, issuer: &Issuer) -> bool {
    let site_is_own = headers
        .get("sec-fetch-site")
        .is_none_or(|site| site == "same-origin" || site == "none");
    // A page under `Referrer-Policy: no-referrer`, as all of ours are, posts with `Origin: null`; then
    // `Sec-Fetch-Site` tells, where the browser knows it.
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin_is_own = match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => origin == "null" || origin.as_bytes() == issuer.origin().as_bytes(),
        (Some(_), Some(_)) => false,
    };
    site_is_own && origin_is_own
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use doorward_store::sqlite::{SqliteOptions, SqliteStore};

    use super::*;
    use crate::keys::MasterKey;
    use crate::random::OsRandom;

    fn from(headers: &[(&'static str, &str)]) -> bool {
        let issuer = Issuer::parse("https://auth.example/tenant").unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        same_origin(&headers, &issuer)
    }

    #[test]
    fn only_our_own_pages_may_post() {
        assert!(from(&[
            ("origin", "https://auth.example"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(from(&[("origin", "null"), ("sec-fetch-site", "same-origin")]));
        assert!(from(&[]));
        assert!(!from(&[("origin", "https://evil.example")]));
        assert!(!from(&[
            ("origin", "https://auth.example"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(!from(&[("origin", "null"), ("sec-fetch-site", "same-site")]));
        assert!(!from(&[("origin", "null"), ("sec-fetch-site", "cross-site")]));
        assert!(!from(&[
            ("origin", "https://auth.example"),
            ("origin", "https://evil.example")
        ]));
        assert!(!from(&[("origin", "https://auth.example:444")]));
    }

    #[tokio::test]
    async fn a_token_is_good_for_one_browser_and_one_handle() {
        let folder = tempfile::tempdir().unwrap();
        let random: Arc<dyn Random> = Arc::new(OsRandom::default());
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let store = SqliteStore::open(&url, &SqliteOptions::default()).unwrap();
        let master = MasterKey::load_or_create(&folder.path().join("master.key"), random.as_ref()).unwrap();
        let secrets = Secrets::open_store(&store, &master, Arc::clone(&random))
            .await
            .unwrap();
        let (mine, other) = (
            BrowserId::generate(random.as_ref()),
            BrowserId::generate(random.as_ref()),
        );
        let token = issue(&secrets, &mine, "handle");
        assert!(check(&secrets, &mine, "handle", &token));
        assert!(!check(&secrets, &other, "handle", &token));
        assert!(!check(&secrets, &mine, "another", &token));
        for wrong in ["", "AAAA", &format!("{token}=")] {
            assert!(!check(&secrets, &mine, "handle", wrong));
        }
    }
}

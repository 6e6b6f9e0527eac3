//! A browser: keeps cookies, sends what a browser sends, follows nothing by itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use url::Url;

use super::html::{self, Form};
use super::{ADMIN_KEY, ISSUER, PASSWORD};

/// A browser with its cookies.
pub struct Browser {
    router: Router,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    pub fn new(router: Router) -> Self {
        Self {
            router,
            cookies: Mutex::default(),
        }
    }

    /// The cookies, by name.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().unwrap().clone()
    }

    /// Sets a cookie, as an attacker might.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.to_owned());
    }

    /// The value of the cookie whose name ends so (`session`, `browser`).
    pub fn cookie(&self, ending: &str) -> Option<String> {
        self.cookies()
            .into_iter()
            .find(|(name, _)| name.ends_with(ending))
            .map(|(_, value)| value)
    }

    /// Forgets every cookie.
    pub fn forget(&self) {
        self.cookies.lock().unwrap().clear();
    }

    /// `GET`, as a link on another page would.
    pub async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[("sec-fetch-site", "none")]).await
    }

    /// `GET` with these headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, String::new()).await
    }

    /// Follows redirects on the server itself until there is a page or the way leads elsewhere.
    pub async fn open(&self, path: &str) -> Reply {
        let reply = self.get(path).await;
        self.follow(reply).await
    }

    /// Goes on where a reply leads, as long as it is on the server itself.
    pub async fn follow(&self, mut reply: Reply) -> Reply {
        for _ in 0..10 {
            match reply.own_location() {
                Some(path) => reply = self.get_with(&path, &[("sec-fetch-site", "same-origin")]).await,
                None => return reply,
            }
        }
        panic!("a redirect loop: {reply:?}");
    }

    /// Posts a form as its own page would, with a button.
    pub async fn submit(&self, form: &Form, button: Option<(&str, &str)>) -> Reply {
        let headers = [("origin", ISSUER), ("sec-fetch-site", "same-origin")];
        self.submit_with(form, button, &headers).await
    }

    /// Posts a form with these headers.
    pub async fn submit_with(
        &self,
        form: &Form,
        button: Option<(&str, &str)>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&form.fields);
        body.extend_pairs(button);
        self.post(&form.action, headers, body.finish()).await
    }

    /// Posts a form body.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> Reply {
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body).await
    }

    /// Calls the operators' API with [`ADMIN_KEY`] and a JSON body; `null` is no body.
    pub async fn administer(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.administer_with(ADMIN_KEY, method, path, body).await
    }

    /// The same with another key.
    pub async fn administer_with(&self, key: &str, method: &str, path: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {key}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &*authorization),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &headers, body).await
    }

    /// Posts a form with these fields.
    pub async fn post_pairs(&self, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.post(path, headers, body).await
    }

    /// Opens a page with a login form and signs in. The reply to the form.
    pub async fn sign_in(&self, path: &str, email: &str, password: &str) -> Reply {
        let page = self.open(path).await;
        let form = page.form("/login").set("email", email).set("password", password);
        self.submit(&form, None).await
    }

    /// Signs in on this page with everybody's password and goes on to the next page.
    pub async fn sign_in_on(&self, page: &Reply, email: &str) -> Reply {
        let form = page.form("/login").set("email", email).set("password", PASSWORD);
        let reply = self.submit(&form, None).await;
        self.follow(reply).await
    }

    /// Any request.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        let cookies = self.cookies();
        if !cookies.is_empty() {
            let pairs: Vec<_> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", pairs.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        let host = request.headers_mut().entry("host");
        host.or_insert("localhost:9000".parse().unwrap());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        self.keep_cookies(&parts.headers);
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        let mut jar = self.cookies.lock().unwrap();
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a cookie has a name");
            if attributes
                .to_ascii_lowercase()
                .split(';')
                .any(|attribute| attribute.trim() == "max-age=0")
            {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// An answer.
#[derive(Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        write!(f, "\n{}", self.body)
    }
}

impl Reply {
    /// A header's value; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `Location`, byte for byte.
    pub fn location(&self) -> Option<&str> {
        self.headers
            .get(header::LOCATION)
            .map(|value| value.to_str().unwrap())
    }

    /// The path and query of a redirect to the server itself.
    pub fn own_location(&self) -> Option<String> {
        let location = self.location()?;
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(location.to_owned());
        }
        location
            .strip_prefix(ISSUER)
            .filter(|rest| rest.starts_with('/'))
            .map(str::to_owned)
    }

    /// The decoded query parameters of `Location`, in order.
    pub fn query(&self) -> Vec<(String, String)> {
        let location = Url::parse(self.location().expect("a redirect")).unwrap();
        location.query_pairs().into_owned().collect()
    }

    /// One query parameter of `Location`.
    pub fn param(&self, name: &str) -> Option<String> {
        self.query()
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The form that posts to this path.
    pub fn form(&self, action: &str) -> Form {
        let found = Form::all(&self.body)
            .into_iter()
            .find(|form| form.action.split('?').next() == Some(action));
        found.unwrap_or_else(|| panic!("no form for {action} in {self:?}"))
    }

    /// What a person reads: the body without tags and escapes.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for character in self.body.chars() {
            match character {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => text.push(character),
                _ => {}
            }
        }
        html::unescape(&text)
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts an error of an endpoint that programs call (RFC 6749 §5.2): 400, with a sentence, not cached.
    #[track_caller]
    pub fn assert_error(&self, error: &str) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{self:?}");
        assert_eq!(self.json()["error"], error, "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(self.json()["error_description"].as_str().unwrap().len() > 20);
    }

    /// Asserts an error page: 4xx, no `Location`.
    #[track_caller]
    pub fn assert_error_page(&self) {
        assert!(self.status.is_client_error(), "{self:?}");
        assert!(self.location().is_none(), "{self:?}");
        assert!(self.header("content-type").starts_with("text/html"), "{self:?}");
    }

    /// Asserts a redirect to the client with this error, this `state` and `iss`, and without a code.
    #[track_caller]
    pub fn assert_error_redirect(&self, redirect_uri: &str, error: &str, state: Option<&str>) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        assert!(
            self.location()
                .is_some_and(|location| location.starts_with(redirect_uri)),
            "{self:?}"
        );
        assert_eq!(self.param("error").as_deref(), Some(error), "{self:?}");
        assert_eq!(self.param("state").as_deref(), state, "{self:?}");
        assert_eq!(self.param("iss").as_deref(), Some(ISSUER), "{self:?}");
        assert_eq!(self.param("code"), None, "{self:?}");
    }
}

//! What a browser and a client keep of a server's answers.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

/// A browser's cookies.
#[derive(Default)]
pub struct Cookies(Vec<(String, String)>);

impl Cookies {
    /// Takes over what an answer sets.
    pub fn keep(&mut self, headers: &HeaderMap) -> anyhow::Result<()> {
        for cookie in headers.get_all(SET_COOKIE) {
            let (name, rest) = cookie
                .to_str()?
                .split_once('=')
                .context("a cookie without a value")?;
            let value = rest.split(';').next().unwrap_or_default();
            self.0.retain(|(known, _)| known != name);
            // One that was taken back has no value.
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }

    /// As a browser sends them; none before there is one.
    pub fn header(&self) -> anyhow::Result<HeaderValue> {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Ok(HeaderValue::from_str(&pairs.join("; "))?)
    }
}

/// The value of a hidden field of a page. Handles and tokens hold nothing that a page escapes.
pub fn field<'p>(page: &'p str, name: &str) -> anyhow::Result<&'p str> {
    let start = format!("name=\"{name}\" value=\"");
    let found = page.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    let (value, _) = found.with_context(|| {
        let shown: String = page.chars().take(300).collect();
        format!("the page has no field {name}: {shown}")
    })?;
    Ok(value)
}

/// A text member of an answer.
pub fn text(object: &Value, name: &str) -> anyhow::Result<String> {
    let value = object[name]
        .as_str()
        .with_context(|| format!("the answer has no {name}"))?;
    Ok(value.to_owned())
}

/// The credentials of a client from the answer that created it, as RFC 6749 §2.3.1 sends them. Neither part has a
/// character that is escaped.
pub fn basic(client: &Value) -> anyhow::Result<HeaderValue> {
    let both = format!(
        "{}:{}",
        text(client, "client_id")?,
        text(client, "client_secret")?
    );
    Ok(HeaderValue::from_str(&format!(
        "Basic {}",
        STANDARD.encode(both)
    ))?)
}

//! A stand-in for the person's browser: keeps cookies, follows redirects, and fills in our own pages' forms.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use reqwest::{Client, Response, StatusCode, header};
use url::Url;

use super::setup::Person;
use crate::http_client;

/// More redirects than any sign-in takes.
const MOST_REDIRECTS: usize = 10;

/// A browser at one page.
pub struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
    url: Url,
    html: String,
}

/// Where the browser ended up.
enum Arrival {
    Page,
    /// A redirect to the client.
    Client(String),
}

impl Browser {
    /// Opens the authorization URL and arrives at the login page.
    pub async fn open(authorization_url: &str, redirect_uri: &str) -> anyhow::Result<Self> {
        let url = Url::parse(authorization_url)?;
        let mut browser = Self {
            client: http_client::build()?,
            cookies: BTreeMap::new(),
            url: url.clone(),
            html: String::new(),
        };
        let response = browser.get(&url).await?;
        match browser.follow(response, redirect_uri).await? {
            Arrival::Page => Ok(browser),
            Arrival::Client(_) => bail!("the server redirected to the client before anybody signed in"),
        }
    }

    /// Signs in on the login page and arrives at the consent page; or back at the client, with the URL it is
    /// called back at, when the person allowed the same in an earlier run.
    pub async fn sign_in(&mut self, person: &Person, redirect_uri: &str) -> anyhow::Result<Option<String>> {
        let fields = [
            ("email", person.email.as_str()),
            ("password", person.password.as_str()),
        ];
        Ok(match self.submit(&fields, redirect_uri).await? {
            Arrival::Page => None,
            Arrival::Client(location) => Some(location),
        })
    }

    /// Allows everything that is asked for and returns the URL that the client is called back at.
    pub async fn allow(&mut self, redirect_uri: &str) -> anyhow::Result<String> {
        ensure!(
            self.html.contains("name=\"decision\""),
            "no consent page at {}",
            self.url.path()
        );
        match self.submit(&[("decision", "allow")], redirect_uri).await? {
            Arrival::Client(location) => Ok(location),
            Arrival::Page => bail!("consent did not lead back to the client"),
        }
    }

    async fn submit(&mut self, fields: &[(&str, &str)], redirect_uri: &str) -> anyhow::Result<Arrival> {
        let (action, mut form) = first_form(&self.html).context("the page has no form")?;
        form.retain(|(name, _)| !fields.iter().any(|(other, _)| name == other));
        form.extend(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let target = self.url.join(&action)?;
        let origin = self.url.origin().ascii_serialization();
        let request = self
            .client
            .post(target.clone())
            .form(&form)
            .header(header::ORIGIN, origin);
        let response = self.send(request).await?;
        self.url = target;
        self.follow(response, redirect_uri).await
    }

    async fn get(&mut self, url: &Url) -> anyhow::Result<Response> {
        let request = self.client.get(url.clone());
        self.send(request).await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> anyhow::Result<Response> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = if cookies.is_empty() {
            request
        } else {
            request.header(header::COOKIE, cookies.join("; "))
        };
        let response = request.send().await?;
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }

    async fn follow(&mut self, mut response: Response, redirect_uri: &str) -> anyhow::Result<Arrival> {
        for _ in 0..MOST_REDIRECTS {
            if !response.status().is_redirection() {
                let status = response.status();
                self.html = response.text().await?;
                ensure!(status == StatusCode::OK, "{} answered {status}", self.url.path());
                return Ok(Arrival::Page);
            }
            let location = response
                .headers()
                .get(header::LOCATION)
                .context("a redirect without Location")?;
            let location = location.to_str()?.to_owned();
            if location.starts_with(redirect_uri) {
                return Ok(Arrival::Client(location));
            }
            self.url = self.url.join(&location)?;
            let url = self.url.clone();
            response = self.get(&url).await?;
        }
        bail!("too many redirects")
    }
}

/// Action and filled-in fields of the first form: hidden ones, and check boxes that are ticked. Reads our
/// own pages, whose attributes are always quoted; not a parser for the web.
fn first_form(html: &str) -> Option<(String, Vec<(String, String)>)> {
    let form = &html[html.find("<form")?..];
    let form = &form[..form.find("</form>")?];
    let action = attribute(&form[..form.find('>')?], "action")?;
    let fields = form.split("<input").skip(1).filter_map(|rest| {
        let tag = rest.split_once('>').map_or(rest, |(tag, _)| tag);
        let kind = attribute(tag, "type").unwrap_or_default();
        let filled = kind == "hidden"
            || (kind == "checkbox" && tag.split_whitespace().any(|word| word.starts_with("checked")));
        filled.then(|| {
            Some((
                attribute(tag, "name")?,
                attribute(tag, "value").unwrap_or_default(),
            ))
        })?
    });
    Some((action, fields.collect()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = tag[start..].split('"').next()?;
    let entities = [
        ("&#38;", "&"),
        ("&amp;", "&"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#60;", "<"),
        ("&#62;", ">"),
    ];
    Some(entities.iter().fold(value.to_owned(), |text, (entity, plain)| {
        text.replace(entity, plain)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_fields_and_ticked_boxes_are_sent() {
        let html = r#"<p>x</p><form method="post" action="/consent">
            <input type="hidden" name="csrf_token" value="a&#38;b">
            <input type="checkbox" name="scope" value="mcp:read" checked>
            <input type="checkbox" name="scope" value="mcp:write">
            <input type="text" name="note" value="n"><button name="decision" value="allow">Allow</button></form>"#;
        let fields =
            [("csrf_token", "a&b"), ("scope", "mcp:read")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(first_form(html), Some(("/consent".to_owned(), fields.to_vec())));
    }
}

//! A browser: keeps cookies, follows redirects on the server itself, and fills in its forms.

use std::collections::BTreeMap;
use std::sync::Mutex;

use reqwest::{RequestBuilder, StatusCode, header};
use url::Url;

use super::{EMAIL, PASSWORD, http};

/// A browser with its cookies.
pub struct Browser {
    pub http: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// Where it has arrived.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub url: Url,
    pub html: String,
    /// A redirect that leads away from the server.
    pub away: Option<Url>,
}

impl Browser {
    pub fn new() -> Self {
        Self::with(http())
    }

    pub fn with(http: reqwest::Client) -> Self {
        Self {
            http,
            cookies: Mutex::default(),
        }
    }

    /// The values of its cookies.
    pub fn cookies(&self) -> Vec<String> {
        self.cookies.lock().unwrap().values().cloned().collect()
    }

    /// Opens a page and follows redirects as long as they stay on its origin.
    pub async fn open(&self, url: &str) -> reqwest::Result<Page> {
        let url = Url::parse(url).unwrap();
        self.follow(self.http.get(url.clone()), url).await
    }

    /// Posts the first form of a page, with these fields set.
    pub async fn submit(&self, page: &Page, fields: &[(&str, &str)]) -> reqwest::Result<Page> {
        let (action, mut form) = page.form();
        form.retain(|(name, _)| !fields.iter().any(|(set, _)| set == name));
        form.extend(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let url = page.url.join(&action).unwrap();
        let origin = url.origin().ascii_serialization();
        let request = self
            .http
            .post(url.clone())
            .header(header::ORIGIN, origin)
            .form(&form);
        self.follow(request, url).await
    }

    /// Signs in and allows whatever is asked; the URL at which the client is called back.
    pub async fn approve(&self, url: &str) -> Url {
        let mut page = self.open(url).await.unwrap();
        if page.html.contains("name=\"password\"") {
            page = self
                .submit(&page, &[("email", EMAIL), ("password", PASSWORD)])
                .await
                .unwrap();
        }
        if page.away.is_none() {
            page = self.submit(&page, &[("decision", "allow")]).await.unwrap();
        }
        page.away
            .clone()
            .unwrap_or_else(|| panic!("not sent back to the client: {page:?}"))
    }

    async fn follow(&self, mut request: RequestBuilder, mut url: Url) -> reqwest::Result<Page> {
        for _ in 0..10 {
            let response = self.send(request).await?;
            let status = response.status();
            let location = response
                .headers()
                .get(header::LOCATION)
                .map(|value| value.to_str().unwrap());
            let next = location.map(|location| url.join(location).unwrap());
            match next {
                Some(next) if next.origin() == url.origin() => {
                    request = self.http.get(next.clone());
                    url = next;
                }
                away => {
                    let html = response.text().await?;
                    return Ok(Page {
                        status,
                        url,
                        html,
                        away,
                    });
                }
            }
        }
        panic!("a redirect loop at {url}");
    }

    async fn send(&self, request: RequestBuilder) -> reqwest::Result<reqwest::Response> {
        let cookies: Vec<String> = {
            let jar = self.cookies.lock().unwrap();
            jar.iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        let request = match cookies.as_slice() {
            [] => request,
            cookies => request.header(header::COOKIE, cookies.join("; ")),
        };
        let response = request.send().await?;
        let mut jar = self.cookies.lock().unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            jar.insert(name.to_owned(), value.to_owned());
        }
        Ok(response)
    }
}

impl Page {
    /// Action and fields of the first form: hidden ones and ticked boxes. The pages always quote attributes.
    pub fn form(&self) -> (String, Vec<(String, String)>) {
        let start = self
            .html
            .find("<form")
            .unwrap_or_else(|| panic!("no form: {self:?}"));
        let form = self.html[start..].split("</form>").next().unwrap();
        let fields = form.split("<input").skip(1).filter_map(|rest| {
            let tag = rest.split('>').next().unwrap();
            let sent = match attribute(tag, "type").as_deref() {
                Some("hidden") => true,
                Some("checkbox") => tag.ends_with(" checked"),
                _ => false,
            };
            sent.then(|| (attribute(tag, "name").unwrap(), attribute(tag, "value").unwrap()))
        });
        (attribute(form, "action").unwrap(), fields.collect())
    }

    /// The values of an attribute, wherever it stands.
    pub fn attributes(&self, name: &str) -> Vec<String> {
        let tags = self.html.split('<').skip(1);
        tags.filter_map(|tag| attribute(tag.split('>').next().unwrap(), name))
            .collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let value = rest.split('"').next().unwrap();
    Some(value.replace("&#38;", "&").replace("&amp;", "&"))
}

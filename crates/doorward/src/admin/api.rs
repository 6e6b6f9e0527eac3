//! One call of the admin API, and its answer on the terminal.

use anyhow::bail;
use reqwest::header::{ETAG, HeaderValue, IF_MATCH};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::failure::{Failure, Kind};
use super::table;
use crate::{http_client, out};

/// The `error` of an answer to a path that nobody serves.
const UNKNOWN_ENDPOINT: &str = "unknown_endpoint";

/// The admin API.
pub struct Api {
    client: Client,
    url: String,
    key: SecretString,
    json: bool,
}

/// A record as it was read.
#[derive(Clone)]
pub struct Reading {
    pub record: Value,
    tag: Option<HeaderValue>,
}

impl Api {
    /// The API at `url`. `json`: print answers as they are.
    pub fn new(url: &str, key: &SecretString, json: bool) -> anyhow::Result<Self> {
        if key.expose_secret().is_empty() {
            bail!(Failure::new(
                Kind::Key,
                "no admin key: set DOORWARD_ADMIN_KEY to admin.bootstrap_key of the configuration, or to the key that was printed at first start (`doorward dev` prints where its own is)",
            ));
        }
        let Some(url) = http_client::base(url) else {
            bail!(Failure::usage(
                "the admin API's address must begin with http:// or https://, as in http://127.0.0.1:9001",
            ));
        };
        // The end of a line that came along from a file is not part of it.
        let key = SecretString::from(key.expose_secret().trim());
        if !key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!(Failure::new(
                Kind::Key,
                "the admin key has a character in it that no key has: a space, a line break, or one that is not ASCII",
            ));
        }
        Ok(Self {
            client: http_client::build()?,
            url: url.to_owned(),
            key,
            json,
        })
    }

    /// Sends a request; an answer that is not a success becomes an error with the server's sentence.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        Ok(self.send(method, path, body, None).await?.record)
    }

    /// Reads a record in order to change it.
    pub async fn read(&self, path: &str) -> anyhow::Result<Reading> {
        self.send(Method::GET, path, None, None).await
    }

    /// Changes a record that is the one that was read; `None` when it is not any more.
    pub async fn change(&self, path: &str, body: &Value, read: &Reading) -> anyhow::Result<Option<Value>> {
        match self.send(Method::PATCH, path, Some(body), read.tag.clone()).await {
            Ok(changed) => Ok(Some(changed.record)),
            Err(error) if error.downcast_ref().is_some_and(Failure::is_not_as_read) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        if_match: Option<HeaderValue>,
    ) -> anyhow::Result<Reading> {
        let place = path.split_once('?').map_or(path, |(place, _)| place);
        for part in place.split('/').skip(1) {
            named(part)?;
        }
        let url = format!("{}{path}", self.url);
        let mut request = self
            .client
            .request(method.clone(), &url)
            .bearer_auth(self.key.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(tag) = if_match {
            request = request.header(IF_MATCH, tag);
        }
        let away = |error| self.away(&method, error);
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let tag = response.headers().get(ETAG).cloned();
        let text = response.text().await.map_err(away)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if !status.is_success() {
            bail!(self.refused(status, answer));
        }
        // Only a removal has nothing to say.
        let is_gone = method == Method::DELETE && status == StatusCode::NO_CONTENT && text.is_empty();
        if !is_gone && !answer.is_object() {
            bail!(Failure::answered(
                status,
                Value::Null,
                self.other(&format!("HTTP {}", status.as_u16()))
            ));
        }
        Ok(Reading { record: answer, tag })
    }

    /// Why there is no answer, or none that is whole: what was sent may have been done all the same, unless it only reads.
    fn away(&self, method: &Method, error: reqwest::Error) -> anyhow::Error {
        let url = &self.url;
        let failure = if error.is_builder() && Url::parse(url).is_ok() {
            Failure::usage("a name or id is too long for an address; nothing was sent")
        } else if error.is_builder() {
            Failure::usage(format!(
                "{url} is no address of an admin API; correct --url (DOORWARD_ADMIN_URL)"
            ))
        } else if error.is_connect() {
            Failure::new(
                Kind::Away,
                format!(
                    "the admin API at {url} does not answer; is the server running, and is this its address (--url)?"
                ),
            )
        } else {
            let further = if method.is_safe() {
                "run the command again"
            } else {
                "what was sent may have been done: look, or run the command again"
            };
            Failure::new(
                Kind::Away,
                format!("the admin API at {url} was asked, and has not answered to the end; {further}"),
            )
        };
        anyhow::Error::new(error.without_url()).context(failure)
    }

    /// Somebody else is there, and answers so.
    fn other(&self, answers: &str) -> String {
        format!(
            "{} answers {answers} and is no admin API of Doorward; correct --url (DOORWARD_ADMIN_URL)",
            self.url
        )
    }

    /// The failure of an answer that has no such member, which every answer of the API has there.
    pub fn without(&self, member: &str) -> Failure {
        Failure::new(Kind::Other, self.other(&format!("without `{member}`")))
    }

    fn refused(&self, status: StatusCode, answer: Value) -> Failure {
        let said = answer["error_description"].as_str();
        let number = status.as_u16();
        let sentence = match (said, answer["error_id"].as_str()) {
            _ if status == StatusCode::UNAUTHORIZED => {
                "the server refuses this admin key: it is another one, or was deleted; set DOORWARD_ADMIN_KEY to one that `doorward admin admin-key create` or the first start has shown, or to admin.bootstrap_key".to_owned()
            }
            _ if answer["error"] == UNKNOWN_ENDPOINT => format!(
                "the admin API at {} has no such operation, or is none: it is another version, or the public address; correct --url (DOORWARD_ADMIN_URL) (HTTP {number})",
                self.url
            ),
            (Some(sentence), Some(id)) => format!("{sentence} (HTTP {number}, error id {id})"),
            (Some(sentence), None) => format!("{sentence} (HTTP {number})"),
            (None, _) => self.other(&format!("HTTP {number}")),
        };
        let answer = if said.is_some() { answer } else { Value::Null };
        Failure::answered(status, answer, sentence)
    }

    /// Whether answers are printed as they are.
    pub const fn prints_json(&self) -> bool {
        self.json
    }

    /// Prints one record or a list of them.
    pub fn print(&self, answer: &Value, columns: &[&str]) -> anyhow::Result<()> {
        if self.json {
            out::line(serde_json::to_string_pretty(answer)?);
            return Ok(());
        }
        match answer["items"].as_array() {
            Some(rows) => {
                out::line(table::rows(rows, columns));
                if let Some(next) = answer["next"].as_str() {
                    out::note(format!("there is more: --cursor {next}, or --all"));
                }
            }
            None => out::line(table::record(answer)),
        }
        Ok(())
    }

    /// Prints a record with a secret that is shown this once. When it could not be, `way_on` says how to get another.
    pub fn print_once(&self, answer: &Value, columns: &[&str], way_on: &str) -> anyhow::Result<()> {
        self.print(answer, columns)?;
        if let Some(error) = out::lost() {
            bail!(Failure::new(
                Kind::Other,
                format!("it was made, but its secret could not be shown ({error}); {way_on}")
            ));
        }
        Ok(())
    }

    /// Says that something was done, unless JSON was asked for.
    pub fn done(&self, sentence: &str) {
        if !self.json {
            out::line(sentence);
        }
    }
}

/// Refuses what is no name and no id. In an address it would make another one: without its last part, or without the dots,
/// which are taken away on the way.
pub fn named(name: &str) -> anyhow::Result<()> {
    if matches!(name, "" | "." | "..") {
        bail!(Failure::usage(
            "a name or id is empty, or made of dots; nothing was sent"
        ));
    }
    Ok(())
}

/// The query string of a page.
pub fn page_query(cursor: Option<&str>, limit: u32, more: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::from("?"));
    query.append_pair("limit", &limit.to_string());
    if let Some(cursor) = cursor {
        query.append_pair("cursor", cursor);
    }
    for (name, value) in more {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// A path with one name in it, percent-encoded.
pub fn path(prefix: &str, name: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("{prefix}/{}", name.replace('+', "%20"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    /// Whoever listens has the request, and may be at it still.
    #[tokio::test]
    async fn what_takes_too_long_may_have_been_done() {
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", busy.local_addr().unwrap());
        let api = Api::new(&url, &SecretString::from("dwk_any"), false).unwrap();
        let request = api.client.post(&url).timeout(Duration::from_millis(50));
        let error = request.send().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        let told = api.away(&Method::POST, error).to_string();
        assert!(told.contains("what was sent may have been done"), "{told}");
    }
}

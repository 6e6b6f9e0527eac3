//! What the server knows during the load, and how people come in: set up through the admin API, and by
//! walking login and consent once a person. Every further authorization passes on the remembered consent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use bytes::Bytes;
use doorward_oauth::pkce::CodeChallenge;
use http::header::{AUTHORIZATION, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::http::{Answer, Connection, encode};
use crate::server::Installation;

const RESOURCE: &str = "https://mcp.example.com/mcp";
const REDIRECT_URI: &str = "http://127.0.0.1:7777/callback";
const SCOPE: &str = "tools/read tools/write";
const PASSWORD: &str = "correct horse battery staple";
const VERIFIER: &str = "a-code-verifier-of-forty-three-characters-or-more";

/// Everything that requests are made of.
pub struct World {
    pub public: SocketAddr,
    pub client_id: String,
    /// Credentials of the resource server, for introspection.
    pub introspector: HeaderValue,
    /// The path and query of an authorization request.
    pub authorize: String,
    /// The cookies of each signed-in browser, taken in turn.
    browsers: Pool<HeaderValue>,
    /// Codes that were not redeemed.
    pub codes: Pool<String>,
    /// Refresh tokens, the one that rested longest first.
    pub refresh_tokens: Pool<String>,
    /// Access tokens, the oldest first.
    pub access_tokens: Pool<String>,
}

/// Things that are taken from the front and put to the back.
pub struct Pool<T>(Mutex<VecDeque<T>>);

impl<T> Pool<T> {
    const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    /// The first.
    pub fn take(&self) -> Option<T> {
        self.items().pop_front()
    }

    /// Puts one to the back; drops from the front what is more than `most`.
    pub fn put(&self, item: T, most: usize) {
        let mut items = self.items();
        items.push_back(item);
        let surplus = items.len().saturating_sub(most);
        items.drain(..surplus);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items().len()
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Pool<T> {
    /// The first, which goes to the back.
    pub fn next(&self) -> Option<T> {
        let mut items = self.items();
        let item = items.pop_front()?;
        items.push_back(item.clone());
        Some(item)
    }
}

impl World {
    /// Registers a resource, a public client, a resource server and people, and signs the people in.
    pub async fn set_up(installation: &Installation, people: usize) -> anyhow::Result<Self> {
        let admin = Admin::connect(installation).await?;
        let scopes = json!([{ "name": "tools/read", "description": "Read" }, { "name": "tools/write", "description": "Write" }]);
        admin
            .create(
                "resources",
                json!({ "slug": "mcp", "uri": RESOURCE, "backend_kind": "mint", "scopes": scopes }),
            )
            .await?;
        let client = json!({ "client_name": "Load", "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none" });
        let client_id = text(&admin.create("clients", client).await?, "client_id")?;
        let introspector = admin
            .create(
                "clients",
                json!({ "client_name": "MCP server", "resource_server": "mcp" }),
            )
            .await?;
        let credentials = format!(
            "{}:{}",
            text(&introspector, "client_id")?,
            text(&introspector, "client_secret")?
        );
        let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
        let challenge = CodeChallenge::of_verifier(VERIFIER);
        let request = encode(&[
            ("response_type", "code"),
            ("client_id", &client_id),
            ("redirect_uri", REDIRECT_URI),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("state", "af0ifjsldkj"),
            ("resource", RESOURCE),
            ("scope", SCOPE),
        ]);
        let world = Self {
            public: installation.public,
            client_id,
            introspector: HeaderValue::from_str(&format!("Basic {credentials}"))?,
            authorize: format!("/oauth/authorize?{request}"),
            browsers: Pool::new(),
            codes: Pool::new(),
            refresh_tokens: Pool::new(),
            access_tokens: Pool::new(),
        };
        for person in 0..people {
            let email = format!("person{person}@example.com");
            admin
                .create(
                    "users",
                    json!({ "email": email, "name": email, "password": PASSWORD }),
                )
                .await?;
            let cookies = world
                .sign_in(installation, &email)
                .await
                .context("the walk through login and consent failed")?;
            world.browsers.put(cookies, people);
        }
        Ok(world)
    }

    /// The cookies of the next browser.
    pub fn browser(&self) -> Option<HeaderValue> {
        self.browsers.next()
    }

    /// The form that redeems a code.
    pub fn redemption(&self, code: &str) -> String {
        encode(&[
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT_URI),
            ("resource", RESOURCE),
        ])
    }

    /// The form that uses a refresh token.
    pub fn refresh(&self, token: &str) -> String {
        encode(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("refresh_token", token),
            ("resource", RESOURCE),
        ])
    }

    /// A person's first authorization: login, then consent. Returns the cookies of the browser.
    async fn sign_in(&self, installation: &Installation, email: &str) -> anyhow::Result<HeaderValue> {
        let mut connection = Connection::open(self.public).await?;
        let issuer = installation.issuer();
        let mut cookies = Cookies::default();

        let answer = cookies.keep(connection.get(&self.authorize, None).await?)?;
        let path = own_path(&answer, &issuer)?;
        let page = cookies.keep(connection.get(&path, Some(&cookies.header()?)).await?)?;
        let form = [
            ("request", field(&page, "request")?),
            ("csrf_token", field(&page, "csrf_token")?),
            ("email", email),
            ("password", PASSWORD),
        ];
        let header = (http::header::COOKIE, &cookies.header()?);
        let answer = cookies.keep(connection.post("/login", encode(&form), Some(header)).await?)?;
        let path = own_path(&answer, &issuer)?;
        let page = cookies.keep(connection.get(&path, Some(&cookies.header()?)).await?)?;
        let mut form = vec![
            ("request", field(&page, "request")?),
            ("csrf_token", field(&page, "csrf_token")?),
            ("decision", "allow"),
        ];
        // Every box that the page offers ticked; without the last one there are no refresh tokens.
        let ticked = SCOPE.split(' ').chain(["offline_access"]);
        form.extend(ticked.map(|scope| ("scope", scope)));
        let header = (http::header::COOKIE, &cookies.header()?);
        let answer = connection.post("/consent", encode(&form), Some(header)).await?;
        ensure!(
            code_of(&answer).is_some(),
            "no code after consent: {}",
            answer.summary()
        );
        cookies.header()
    }
}

/// The code in a redirect to the client.
pub fn code_of(answer: &Answer) -> Option<String> {
    let (_, query) = answer.location()?.strip_prefix(REDIRECT_URI)?.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(name, _)| name == "code")
        .map(|(_, code)| code.into_owned())
}

/// A text member of an object.
pub fn text(object: &Value, name: &str) -> anyhow::Result<String> {
    let value = object[name]
        .as_str()
        .with_context(|| format!("the answer has no {name}"))?;
    Ok(value.to_owned())
}

/// The value of a hidden field. Handles and tokens hold nothing that a page escapes.
fn field<'p>(page: &'p Answer, name: &str) -> anyhow::Result<&'p str> {
    let start = format!("name=\"{name}\" value=\"");
    let found = page
        .text()
        .split_once(&start)
        .and_then(|(_, rest)| rest.split_once('"'));
    let (value, _) = found.with_context(|| format!("the page has no field {name}: {}", page.summary()))?;
    Ok(value)
}

fn own_path(answer: &Answer, issuer: &str) -> anyhow::Result<String> {
    let location = answer
        .location()
        .with_context(|| format!("no redirect: {}", answer.summary()))?;
    let path = location.strip_prefix(issuer).unwrap_or(location);
    ensure!(path.starts_with('/'), "a redirect elsewhere: {location}");
    Ok(path.to_owned())
}

/// A browser's cookies.
#[derive(Default)]
struct Cookies(Vec<(String, String)>);

impl Cookies {
    fn keep(&mut self, answer: Answer) -> anyhow::Result<Answer> {
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let (name, rest) = cookie
                .to_str()?
                .split_once('=')
                .context("a cookie without a value")?;
            let value = rest.split(';').next().unwrap_or_default();
            self.0.retain(|(known, _)| known != name);
            self.0.push((name.to_owned(), value.to_owned()));
        }
        Ok(answer)
    }

    fn header(&self) -> anyhow::Result<HeaderValue> {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Ok(HeaderValue::from_str(&pairs.join("; "))?)
    }
}

/// The operators' API.
struct Admin {
    connection: tokio::sync::Mutex<Connection>,
    authorization: HeaderValue,
}

impl Admin {
    async fn connect(installation: &Installation) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Connection::open(installation.admin).await?.into(),
            authorization: HeaderValue::from_str(&format!("Bearer {}", installation.admin_key))?,
        })
    }

    async fn create(&self, what: &str, body: Value) -> anyhow::Result<Value> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/admin/{what}"))
            .body(Full::from(Bytes::from(body.to_string())))?;
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
            .headers_mut()
            .insert(AUTHORIZATION, self.authorization.clone());
        let answer = self.connection.lock().await.send(request).await?;
        if !answer.status.is_success() {
            bail!("cannot create {what}: {}", answer.summary());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

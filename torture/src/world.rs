//! What the load needs: a resource, clients, and people who have signed in.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::balancer::{Answer, Ask, Balancer, Failure};
use crate::pages::{Cookies, basic, field, text};
use crate::random::Random;
use crate::site::Site;

const RESOURCE: &str = "https://mcp.example.com/mcp";
const REDIRECT_URI: &str = "http://127.0.0.1:7777/callback";
const SCOPE: &str = "tools/read tools/write";
const PASSWORD: &str = "correct horse battery staple";
const VERIFIER: &str = "a-code-verifier-of-forty-three-characters-or-more";

/// What requests are made of.
pub struct World {
    pub client_id: String,
    /// Each is signed in, and has allowed the client what it asks for.
    pub people: Vec<HeaderValue>,
    introspector: HeaderValue,
    authorize: String,
    admin: Admin,
}

/// The operators' API of one node.
pub struct Admin {
    balancer: Balancer,
    key: HeaderValue,
}

impl Admin {
    /// Of the node at this place.
    pub fn of(site: &Site, node: usize) -> anyhow::Result<Self> {
        Ok(Self {
            balancer: Balancer::new(
                &[site.nodes[node].admin],
                &HeaderValue::from_str(&site.nodes[node].admin.to_string())?,
            ),
            key: HeaderValue::from_str(&format!("Bearer {}", site.admin_key))?,
        })
    }

    /// One request, with its answer whatever it is.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Answer, Failure> {
        let ask = if body.is_null() {
            Ask::get(path)
        } else {
            Ask::json(method, path, body)
        };
        self.balancer
            .send_to(0, &ask.with(AUTHORIZATION, &self.key))
            .await
    }

    /// One request that must be answered well.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, &body).await;
        let answer = answer.map_err(|failure| anyhow::anyhow!("{path}: {failure:?}"))?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.summary());
        Ok(answer.json())
    }
}

impl World {
    /// Sets up the first node's server, through the balancer for what people do.
    pub async fn set_up(site: &Site, balancer: &Balancer, people: usize) -> anyhow::Result<Self> {
        let admin = Admin::of(site, 0)?;
        let scopes = json!([{ "name": "tools/read", "description": "Read" }, { "name": "tools/write", "description": "Write" }]);
        let resource = json!({ "slug": "mcp", "uri": RESOURCE, "backend_kind": "mint", "scopes": scopes });
        admin.call(Method::POST, "/admin/resources", resource).await?;
        let client = json!({ "client_name": "Load", "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none" });
        let client = admin.call(Method::POST, "/admin/clients", client).await?;
        let server = json!({ "client_name": "MCP server", "resource_server": "mcp" });
        let introspector = basic(&admin.call(Method::POST, "/admin/clients", server).await?)?;
        let client_id = text(&client, "client_id")?;
        let mut world = Self {
            authorize: authorization_url(&client_id),
            client_id,
            people: Vec::new(),
            introspector,
            admin,
        };
        for person in 0..people {
            let email = format!("person{person}@example.com");
            let user = json!({ "email": email, "name": email, "password": PASSWORD });
            world.admin.call(Method::POST, "/admin/users", user).await?;
            let cookies = sign_in(site, balancer, &world.authorize, &email).await;
            world.people.push(cookies.context("nobody can sign in")?);
        }
        Ok(world)
    }

    /// The operators' API of the first node.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// A program's client and how it proves itself, from the answer that created it.
    pub fn program() -> Value {
        json!({ "client_name": "Program", "grant_types": ["client_credentials"], "scope": "tools/read" })
    }

    /// An authorization request of a signed-in person.
    pub fn authorization(&self, person: &HeaderValue) -> Ask {
        Ask::get(&self.authorize).with(COOKIE, person)
    }

    /// The use of a code.
    pub fn redemption(&self, code: &str) -> Ask {
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT_URI),
            ("resource", RESOURCE),
        ];
        Ask::form("/oauth/token", &fields)
    }

    /// The use of a refresh token.
    pub fn refresh(&self, token: &str) -> Ask {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("refresh_token", token),
            ("resource", RESOURCE),
        ];
        Ask::form("/oauth/token", &fields)
    }

    /// A revocation.
    pub fn revocation(&self, token: &str) -> Ask {
        Ask::form(
            "/oauth/revoke",
            &[("client_id", &self.client_id), ("token", token)],
        )
    }

    /// An introspection by the resource's server.
    pub fn introspection(&self, token: &str) -> Ask {
        Ask::form("/oauth/introspect", &[("token", token)]).with(AUTHORIZATION, &self.introspector)
    }

    /// A token for a program.
    pub fn client_credentials(credentials: &HeaderValue) -> Ask {
        let fields = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
        Ask::form("/oauth/token", &fields).with(AUTHORIZATION, credentials)
    }
}

/// The code in a redirect to the client.
pub fn code_of(answer: &Answer) -> Option<String> {
    let (_, query) = answer.location()?.strip_prefix(REDIRECT_URI)?.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(name, code)| (name == "code").then(|| code.into_owned()))
}

/// The payload of an access token, unverified.
pub fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn authorization_url(client_id: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(doorward_jose::sha256(VERIFIER.as_bytes()));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", REDIRECT_URI),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "af0ifjsldkj"),
            ("resource", RESOURCE),
            ("scope", SCOPE),
        ])
        .finish();
    format!("/oauth/authorize?{query}")
}

/// A person's first authorization: login, then consent. The cookies of the browser.
async fn sign_in(
    site: &Site,
    balancer: &Balancer,
    authorize: &str,
    email: &str,
) -> anyhow::Result<HeaderValue> {
    let mut browser = Browser {
        site,
        balancer,
        random: Random::new(0, 0),
        cookies: Cookies::default(),
    };
    let page = browser.walk(Ask::get(authorize)).await?;
    let form = [
        ("request", field(page.text(), "request")?),
        ("csrf_token", field(page.text(), "csrf_token")?),
        ("email", email),
        ("password", PASSWORD),
    ];
    let page = browser.walk(Ask::form("/login", &form)).await?;
    let mut form = vec![
        ("request", field(page.text(), "request")?),
        ("csrf_token", field(page.text(), "csrf_token")?),
        ("decision", "allow"),
    ];
    // Every box that the page offers ticked; without the last one there are no refresh tokens.
    form.extend(
        SCOPE
            .split(' ')
            .chain(["offline_access"])
            .map(|scope| ("scope", scope)),
    );
    let answer = browser.walk(Ask::form("/consent", &form)).await?;
    ensure!(
        code_of(&answer).is_some(),
        "no code after consent: {}",
        answer.summary()
    );
    browser.cookies.header()
}

struct Browser<'s> {
    site: &'s Site,
    balancer: &'s Balancer,
    random: Random,
    cookies: Cookies,
}

impl Browser<'_> {
    /// Sends it and follows redirects on the server itself.
    async fn walk(&mut self, mut ask: Ask) -> anyhow::Result<Answer> {
        let own = format!("http://{}", self.site.host.to_str()?);
        loop {
            let cookies = self.cookies.header()?;
            if !cookies.is_empty() {
                ask = ask.with(COOKIE, &cookies);
            }
            let sent = self.balancer.send(&ask, &mut self.random).await;
            let answer = sent.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
            self.cookies.keep(&answer.headers)?;
            let path = answer
                .location()
                .map(|location| location.strip_prefix(&own).unwrap_or(location));
            match path.filter(|path| path.starts_with('/')) {
                Some(path) => ask = Ask::get(path),
                None => return Ok(answer),
            }
        }
    }
}

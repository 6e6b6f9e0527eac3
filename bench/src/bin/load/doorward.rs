//! Doorward's world: set up through the admin API, and by walking login and consent once a person. Every further
//! authorization passes on the remembered consent.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::http::{Answer, Connection, encode};
use crate::pages::{basic, field};
use crate::server::Installation;
use crate::world::{Call, Cookies, Offers, REDIRECT_URI, RESOURCE, World, authorization, code_of, text};

const SCOPE: &str = "tools/read tools/write";
const PASSWORD: &str = "correct horse battery staple";
const TOKEN: &str = "/oauth/token";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Registers a resource, a public client, a machine, a resource server and people, and signs the people in.
pub async fn set_up(installation: &Installation, people: usize) -> anyhow::Result<World> {
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
    let machine = json!({ "client_name": "Machine", "grant_types": ["client_credentials"], "scope": SCOPE });
    let machine = basic(&admin.create("clients", machine).await?)?;
    let resource_server =
        json!({ "client_name": "MCP server", "resource_server": "mcp", "grant_types": [EXCHANGE] });
    let resource_server = basic(&admin.create("clients", resource_server).await?)?;
    let authorize = authorization("/oauth/authorize", &client_id, SCOPE, Some(RESOURCE));
    let world = World::new(
        installation.public,
        offers(&client_id, authorize.clone(), machine, resource_server),
    );
    for person in 0..people {
        let email = format!("person{person}@example.com");
        let body = json!({ "email": email, "name": email, "password": PASSWORD });
        admin.create("users", body).await?;
        let cookies = sign_in(installation, &authorize, &email)
            .await
            .context("the walk through login and consent failed")?;
        world.browsers.put(cookies);
    }
    Ok(world)
}

fn offers(client_id: &str, authorize: String, machine: HeaderValue, resource_server: HeaderValue) -> Offers {
    let grant = ("grant_type", "client_credentials");
    let subject_type = (
        "subject_token_type",
        "urn:ietf:params:oauth:token-type:access_token",
    );
    Offers {
        health: Some("/livez"),
        metadata: Some("/.well-known/oauth-authorization-server"),
        jwks: Some("/.well-known/jwks.json"),
        token: Some(Call::new(
            TOKEN,
            &[("client_id", client_id), ("resource", RESOURCE)],
        )),
        authorize: Some(authorize),
        client_credentials: Some(Call {
            authorization: Some(machine),
            ..Call::new(TOKEN, &[grant, ("resource", RESOURCE), ("scope", SCOPE)])
        }),
        token_exchange: Some(Call {
            authorization: Some(resource_server.clone()),
            ..Call::new(
                TOKEN,
                &[("grant_type", EXCHANGE), subject_type, ("scope", "tools/read")],
            )
        }),
        introspection: Some(Call {
            authorization: Some(resource_server),
            ..Call::new("/oauth/introspect", &[])
        }),
        remembers_tokens: true,
        ..Offers::default()
    }
}

/// A person's first authorization: login, then consent. Returns the cookies of the browser.
async fn sign_in(installation: &Installation, authorize: &str, email: &str) -> anyhow::Result<HeaderValue> {
    let mut connection = Connection::open(installation.public).await?;
    let issuer = installation.issuer();
    let mut cookies = Cookies::default();

    let answer = connection.get(authorize, None).await?;
    cookies.keep(&answer.headers)?;
    let path = own_path(&answer, &issuer)?;
    let page = connection.get(&path, Some(&cookies.header()?)).await?;
    cookies.keep(&page.headers)?;
    let form = [
        ("request", field(page.text(), "request")?),
        ("csrf_token", field(page.text(), "csrf_token")?),
        ("email", email),
        ("password", PASSWORD),
    ];
    let header = (http::header::COOKIE, &cookies.header()?);
    let answer = connection.post("/login", encode(&form), Some(header)).await?;
    cookies.keep(&answer.headers)?;
    let path = own_path(&answer, &issuer)?;
    let page = connection.get(&path, Some(&cookies.header()?)).await?;
    cookies.keep(&page.headers)?;
    let mut form = vec![
        ("request", field(page.text(), "request")?),
        ("csrf_token", field(page.text(), "csrf_token")?),
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

fn own_path(answer: &Answer, issuer: &str) -> anyhow::Result<String> {
    let location = answer
        .location()
        .with_context(|| format!("no redirect: {}", answer.summary()))?;
    let path = location.strip_prefix(issuer).unwrap_or(location);
    ensure!(path.starts_with('/'), "a redirect elsewhere: {location}");
    Ok(path.to_owned())
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

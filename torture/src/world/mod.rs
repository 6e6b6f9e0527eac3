//! What the load needs: resources, clients of every kind, an identity provider, and people who have signed in.

mod admin;
mod keys;
mod people;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_jose::JoseError;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use self::keys::{Keys, PROVIDER};
use self::people::PASSWORD;
use crate::balancer::{Answer, Ask, Balancer};
use crate::pages::{basic, text};
use crate::site::Site;

pub use self::admin::Admin;
pub use self::people::{Person, allowing};

pub const TOKEN: &str = "/oauth/token";
pub const REVOKE: &str = "/oauth/revoke";
pub const PAR: &str = "/oauth/par";
pub const DEVICE_AUTHORIZATION: &str = "/oauth/device_authorization";
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub const RESOURCE: &str = "https://mcp.example.com/mcp";
/// Whose tokens are had in exchange for those of the first.
pub const OTHER_RESOURCE: &str = "https://search.example.com/mcp";
pub const SCOPE: &str = "tools/read tools/write";
const REDIRECT_URI: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "a-code-verifier-of-forty-three-characters-or-more";
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Which client.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A public one.
    #[default]
    Public,
    /// A public one whose tokens are bound to its key: each of its token requests has a proof.
    Bound,
    /// One that signs an assertion for each request, and has every grant that a program can have.
    Agent,
    /// A device.
    Television,
}

/// What requests are made of.
pub struct World {
    pub people: Vec<Person>,
    public: String,
    bound: String,
    agent: String,
    television: String,
    keys: Keys,
    introspector: HeaderValue,
    other_introspector: HeaderValue,
    admin: Admin,
    operators: Admin,
}

impl World {
    /// Sets up the first node's server, through the balancer for what people do.
    pub async fn set_up(site: &Site, balancer: &Balancer, people: usize) -> anyhow::Result<Self> {
        let admin = Admin::of(site, 0)?;
        let create = async |body| admin.call(Method::POST, "/admin/clients", body).await;
        let keys = Keys::generate(site.issuer()?)?;
        let scopes = json!([{ "name": "tools/read", "description": "Read" }, { "name": "tools/write", "description": "Write" }]);
        let resource = json!({ "slug": "mcp", "uri": RESOURCE, "backend_kind": "mint", "scopes": scopes });
        admin.call(Method::POST, "/admin/resources", resource).await?;
        let client = json!({ "client_name": "Load", "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none" });
        let mut bound = client.clone();
        bound["dpop_bound_access_tokens"] = true.into();
        let (public, bound) = (create(client).await?, create(bound).await?);
        let agent = json!({
            "client_name": "Agent", "redirect_uris": [REDIRECT_URI], "application_type": "native", "scope": SCOPE,
            "grant_types": ["authorization_code", "refresh_token", "client_credentials", EXCHANGE, JWT_BEARER],
            "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [keys.agent.public_jwk()] },
            "resource_server": "mcp",
        });
        let agent = text(&create(agent).await?, "client_id")?;
        let television = json!({
            "client_name": "Television", "grant_types": [DEVICE_CODE, "refresh_token"], "token_endpoint_auth_method": "none",
        });
        let television = create(television).await?;
        let other = json!({
            "slug": "search", "uri": OTHER_RESOURCE, "backend_kind": "mint", "scopes": scopes,
            "policy": { "exchange_clients": [&agent] },
        });
        admin.call(Method::POST, "/admin/resources", other).await?;
        let server = |slug| json!({ "client_name": "MCP server", "resource_server": slug });
        let provider = provider("idp", PROVIDER, &keys);
        admin
            .call(Method::POST, "/admin/trusted-issuers", provider)
            .await?;
        let mut world = Self {
            people: Vec::new(),
            public: text(&public, "client_id")?,
            bound: text(&bound, "client_id")?,
            agent,
            television: text(&television, "client_id")?,
            keys,
            introspector: basic(&create(server("mcp")).await?)?,
            other_introspector: basic(&create(server("search")).await?)?,
            operators: Admin::everywhere(site)?,
            admin,
        };
        for person in 0..people {
            let email = format!("person{person}@example.com");
            let user = json!({ "email": email, "name": email, "password": PASSWORD });
            world.admin.call(Method::POST, "/admin/users", user).await?;
            let person = Person::sign_in(site, balancer, &world, &email).await?;
            world.people.push(person);
        }
        Ok(world)
    }

    /// See [`Keys::sign_at`].
    pub fn sign_at(&self, one: i64, other: i64) {
        self.keys.sign_at(one, other);
    }

    /// The operators' API of the first node.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The operators' API of whatever node is ready.
    pub fn operators(&self) -> &Admin {
        &self.operators
    }

    /// A program's client.
    pub fn program() -> Value {
        json!({ "client_name": "Program", "grant_types": ["client_credentials"], "scope": "tools/read" })
    }

    fn client_id(&self, who: Who) -> &str {
        match who {
            Who::Public => &self.public,
            Who::Bound => &self.bound,
            Who::Agent => &self.agent,
            Who::Television => &self.television,
        }
    }

    /// What a person allows once, for each client that asks by an address.
    fn authorizations(&self) -> impl Iterator<Item = Ask> {
        let ask = |who| Ask::get(format!("/oauth/authorize?{}", self.authorization_query(who)));
        [Who::Public, Who::Bound, Who::Agent].into_iter().map(ask)
    }

    fn authorization_query(&self, who: Who) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", self.client_id(who))
            .extend_pairs(authorization_fields(&challenge()))
            .finish()
    }

    /// An authorization request of a signed-in person.
    pub fn authorization(&self, who: Who, person: &Person) -> Ask {
        let path = format!("/oauth/authorize?{}", self.authorization_query(who));
        Ask::get(path).with(COOKIE, &person.cookies)
    }

    /// The same with what was pushed before.
    pub fn pushed_authorization(&self, who: Who, request_uri: &str, person: &Person) -> Ask {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", self.client_id(who))
            .append_pair("request_uri", request_uri)
            .finish();
        Ask::get(format!("/oauth/authorize?{query}")).with(COOKIE, &person.cookies)
    }

    /// A client's request, with what it proves itself with, if that counts once: how far ahead its time is.
    pub fn request(
        &self,
        who: Who,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<(Ask, Option<i64>), JoseError> {
        let client_id = self.client_id(who);
        let mut form = vec![("client_id", client_id)];
        form.extend(fields);
        match who {
            Who::Bound if path == TOKEN => {
                let (proof, ahead) = self.keys.proof(path)?;
                let proof = HeaderValue::from_str(&proof).map_err(|_| JoseError::Malformed)?;
                Ok((Ask::form(path, &form).with(DPOP, &proof), Some(ahead)))
            }
            Who::Agent => {
                let (assertion, ahead) = self.keys.assertion(client_id)?;
                form.extend([
                    ("client_assertion_type", ASSERTION),
                    ("client_assertion", &assertion),
                ]);
                Ok((Ask::form(path, &form), Some(ahead)))
            }
            _ => Ok((Ask::form(path, &form), None)),
        }
    }

    /// The identity provider's word for a person, to the client that signs, and how far ahead its time is.
    pub fn id_jag(&self, person: &Person) -> Result<(String, i64), JoseError> {
        self.keys
            .id_jag(PROVIDER, self.client_id(Who::Agent), &person.subject, RESOURCE)
    }

    /// Another identity provider, with the keys of the first.
    pub fn another_provider(&self, slug: &str, issuer: &str) -> Value {
        provider(slug, issuer, &self.keys)
    }

    /// A token for somebody by the word of an identity provider, which is another one each time.
    pub fn by_word_of(&self, issuer: &str, person: &str) -> Result<Ask, JoseError> {
        let client_id = self.client_id(Who::Agent);
        let (assertion, _) = self.keys.id_jag(issuer, client_id, person, RESOURCE)?;
        let fields = [("grant_type", JWT_BEARER), ("assertion", &assertion)];
        let (ask, _) = self.request(Who::Agent, TOKEN, &fields)?;
        Ok(ask)
    }

    /// An introspection by the resource's server.
    pub fn introspection(&self, token: &str) -> Ask {
        Ask::form("/oauth/introspect", &[("token", token)]).with(AUTHORIZATION, &self.introspector)
    }

    /// The same of a token that was had in exchange.
    pub fn introspection_of_exchanged(&self, token: &str) -> Ask {
        Ask::form("/oauth/introspect", &[("token", token)]).with(AUTHORIZATION, &self.other_introspector)
    }

    /// A token for a program.
    pub fn client_credentials(credentials: &HeaderValue) -> Ask {
        let fields = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
        Ask::form(TOKEN, &fields).with(AUTHORIZATION, credentials)
    }
}

/// What an operator says of an identity provider.
fn provider(slug: &str, issuer: &str, keys: &Keys) -> Value {
    let rule = json!({ "name": "everybody", "client_ids": ["*"], "resource": "mcp", "scope": "tools/read" });
    json!({
        "slug": slug, "kind": "identity_provider", "issuer": issuer, "single_use": true, "provision": true,
        "jwks": { "keys": [keys.provider.public_jwk()] }, "rules": [rule],
    })
}

/// The fields of a request that redeems a code.
pub fn redemption(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT_URI),
        ("resource", RESOURCE),
    ]
}

/// The fields of a request that uses a refresh token.
pub fn refresh(token: &str) -> [(&str, &str); 3] {
    [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("resource", RESOURCE),
    ]
}

/// The fields of an authorization request, but for its client.
pub fn authorization_fields(challenge: &str) -> [(&str, &str); 7] {
    [
        ("response_type", "code"),
        ("redirect_uri", REDIRECT_URI),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("state", "af0ifjsldkj"),
        ("resource", RESOURCE),
        ("scope", SCOPE),
    ]
}

/// What the verifier is held against (RFC 7636 §4.2).
pub fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(doorward_jose::sha256(VERIFIER.as_bytes()))
}

/// The code in a redirect to the client.
pub fn code_of(answer: &Answer) -> Option<String> {
    let (_, query) = answer.location()?.strip_prefix(REDIRECT_URI)?.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(name, code)| (name == "code").then(|| code.into_owned()))
}

/// The header of an access token.
pub fn header(token: &str) -> Option<Value> {
    part(token, 0)
}

/// The payload of an access token, unverified.
pub fn claims(token: &str) -> Option<Value> {
    part(token, 1)
}

fn part(token: &str, number: usize) -> Option<Value> {
    let part = token.split('.').nth(number)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

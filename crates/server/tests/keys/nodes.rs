//! Several servers on one database, and verifiers that keep the key sets they got.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use doorward_jose::{Algorithm, Jwk, Jws};
use doorward_oauth::time::{Clock as _, ManualClock, UnixSeconds};
use doorward_server::AuthorizationServer;
use doorward_server::config::{Rate, Rotation, Settings, Span};
use doorward_server::context::{Context, Parts};
use doorward_server::random::OsRandom;
use doorward_store::{Resource, ResourcePolicy, ResourceScope};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ADMIN_KEY, Browser, Engine, ISSUER, RESOURCE, Reply};

pub const JWKS: &str = "/.well-known/jwks.json";
/// What the key set allows its readers (`Cache-Control`).
const MAX_AGE: i64 = 300;

/// A database, and the time.
pub struct Place {
    pub settings: Settings,
    pub clock: ManualClock,
    _engine: Engine,
    _folder: TempDir,
}

impl Place {
    /// Keys rotate every hour and are published a quarter of an hour before.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        ISSUER.clone_into(&mut settings.server.issuer);
        settings.admin.bootstrap_key = Some(ADMIN_KEY.into());
        settings.keys.rotation = Rotation::every(Span::hours(1));
        settings.keys.publish_ahead = Span::minutes(15);
        settings.rate_limit.token_address = Rate::OFF;
        settings.rate_limit.token_client = Rate::OFF;
        let engine = Engine::for_a_test(&mut settings, folder.path()).await;
        Self {
            settings,
            clock: ManualClock::new(UnixSeconds(1_800_000_000)),
            _engine: engine,
            _folder: folder,
        }
    }

    /// Starts a server, as one more node.
    pub async fn node(&self) -> Node {
        self.try_node(self.settings.clone()).await.unwrap()
    }

    /// The same with an algorithm.
    pub async fn node_with(&self, algorithm: Algorithm) -> Node {
        let mut settings = self.settings.clone();
        settings.keys.algorithm = algorithm;
        self.try_node(settings).await.unwrap()
    }

    pub async fn try_node(&self, settings: Settings) -> Result<Node, doorward_server::StartError> {
        let parts = Parts {
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(OsRandom::default()),
        };
        let server = AuthorizationServer::open(settings, parts).await?;
        let routers = server.routers();
        Ok(Node {
            context: server.context(),
            public: routers.public,
            admin: routers.admin,
            server,
        })
    }

    pub fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// One server.
pub struct Node {
    pub context: Arc<Context>,
    public: Router,
    admin: Router,
    pub server: AuthorizationServer,
}

impl Node {
    pub async fn admin(&self, method: &str, path: &str, body: Value) -> Reply {
        Browser::new(self.admin.clone())
            .administer(method, path, &body)
            .await
    }

    /// Lists the admin keys with one of them.
    pub async fn admin_keys(&self, key: &str) -> Reply {
        Browser::new(self.admin.clone())
            .administer_with(key, "GET", "/admin/admin-keys", &Value::Null)
            .await
    }

    /// Registers a program for a resource of its own; the fields that authenticate it.
    pub async fn program(&self) -> Program {
        let scope = ResourceScope {
            name: "mcp:read".to_owned(),
            description: "Read".to_owned(),
            upstream: None,
            default: true,
        };
        let resource = Resource {
            slug: "mcp".to_owned(),
            uri: RESOURCE.to_owned(),
            display_name: "Tools".to_owned(),
            scopes: vec![scope],
            policy: ResourcePolicy::default(),
            created_at: self.context.now(),
            updated_at: self.context.now(),
        };
        self.context.store.create_resource(resource).await.unwrap();
        let metadata =
            json!({"client_name": "Program", "grant_types": ["client_credentials"], "scope": "mcp:read"});
        let reply = self.admin("POST", "/admin/clients", metadata).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        let body = reply.json();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Program {
            client_id: text("client_id"),
            secret: text("client_secret"),
        }
    }

    /// A token for the program itself.
    pub async fn token(&self, program: &Program) -> String {
        let reply = self.ask_for_token(program).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What the program is answered that asks for a token.
    pub async fn ask_for_token(&self, program: &Program) -> Reply {
        let form = [
            ("grant_type", "client_credentials"),
            ("resource", RESOURCE),
            ("client_id", &program.client_id),
            ("client_secret", &program.secret),
        ];
        self.browser().post_pairs("/oauth/token", &[], &form).await
    }

    /// Whether the server says that the token works.
    pub async fn says_active(&self, program: &Program, token: &str) -> bool {
        let form = [
            ("token", token),
            ("client_id", &program.client_id),
            ("client_secret", &program.secret),
        ];
        let reply = self.browser().post_pairs("/oauth/introspect", &[], &form).await;
        reply.json()["active"] == true
    }

    /// The ids of the published keys.
    pub async fn published(&self) -> Vec<String> {
        let keys = self.browser().get(JWKS).await.json();
        let id = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        keys["keys"].as_array().unwrap().iter().map(id).collect()
    }

    /// The key set as it is answered.
    pub async fn document(&self) -> String {
        self.browser().get(JWKS).await.body
    }

    /// What a node does every second by itself.
    pub async fn tick(&self) {
        self.context.keys.reload().await.unwrap();
        self.context.keys.rotate_when_due().await.unwrap();
    }

    pub fn browser(&self) -> Browser {
        Browser::new(self.public.clone())
    }
}

/// A registered program.
pub struct Program {
    pub client_id: String,
    pub secret: String,
}

/// The id of the key that signed a token.
pub fn key_of(token: &str) -> String {
    Jws::parse(token).unwrap().header().key_id.clone().unwrap()
}

/// A resource server that asks for the keys when its copy is as old as it may be, and never for a `kid` that it does not
/// know: the least that anybody does.
pub struct Verifier {
    keys: Vec<Jwk>,
    fetched: i64,
}

impl Verifier {
    /// Without keys yet; its copies are renewed at moments of its own.
    pub fn new(clock: &ManualClock, offset: i64) -> Self {
        Self {
            keys: Vec::new(),
            fetched: clock.now().0 - MAX_AGE + offset,
        }
    }

    /// Asks this node for the keys, when it is time.
    pub async fn refresh(&mut self, node: &Node, now: i64) {
        if now - self.fetched >= MAX_AGE {
            self.fetched = now;
        } else if !self.keys.is_empty() {
            return;
        }
        let reply = node.browser().get(JWKS).await;
        assert!(
            reply
                .header("cache-control")
                .contains(&format!("max-age={MAX_AGE}"))
        );
        let keys = reply.json();
        let keys = keys["keys"].as_array().unwrap();
        self.keys = keys.iter().map(|key| Jwk::from_value(key).unwrap()).collect();
    }

    pub fn takes(&self, token: &str) -> bool {
        let key_id = key_of(token);
        let key = self.keys.iter().find(|key| key.thumbprint() == key_id);
        key.is_some_and(|key| Jws::parse(token).unwrap().verify_signature(key).is_ok())
    }
}

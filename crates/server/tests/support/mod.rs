//! The server under test: the real routers on a database of its own, a clock that tests move by hand, and
//! browsers that keep cookies and fill in forms.

#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

mod browser;
mod engine;
mod flow;
mod html;
pub mod log;

use std::sync::Arc;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_oauth::time::{Clock as _, ManualClock, UnixSeconds};
use doorward_server::AuthorizationServer;
use doorward_server::config::Settings;
use doorward_server::context::{Context, Parts};
use doorward_server::random::OsRandom;
use doorward_store::{
    ClientFilter, EndReason, Grant, GrantFilter, PageRequest, Resource, ResourcePolicy, ResourceScope, User,
    UserId,
};
use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

pub use browser::{Browser, Reply};
pub use engine::Engine;
#[cfg(unix)]
pub(crate) use engine::cluster;
pub use flow::{Authorization, REDIRECT, VERIFIER, challenge_of, claims};
pub use html::Form;

/// The issuer of the server under test.
pub const ISSUER: &str = "http://localhost:9000";
/// The resource that [`TestApp::new`] registers, with the scopes `mcp:read` and `mcp:write`.
pub const RESOURCE: &str = "https://mcp.example/mcp";
/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery staple";
/// The admin key of [`TestApp::with_admin_key`].
pub const ADMIN_KEY: &str = "dwk_a-key-for-this-test-only-0123456789";
/// The person whom [`TestApp::new`] adds.
pub const EMAIL: &str = "ada@example.com";

/// A server with one resource and one person.
pub struct TestApp {
    /// What the handlers are given.
    pub context: Arc<Context>,
    /// Moves when the test moves it.
    pub clock: ManualClock,
    /// The public router.
    pub public: Router,
    /// The operators' router.
    pub admin: Router,
    /// The person.
    pub user: User,
    _engine: Engine,
    /// What the routers came from.
    pub server: AuthorizationServer,
    _folder: TempDir,
}

impl TestApp {
    /// A server with the default settings.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A server whose operators' router takes [`ADMIN_KEY`].
    pub async fn with_admin_key() -> Self {
        Self::with(|settings| settings.admin.bootstrap_key = Some(ADMIN_KEY.into())).await
    }

    /// A server with other settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let app = Self::empty(change).await;
        app.add_resource("mcp", RESOURCE, &["mcp:read", "mcp:write"])
            .await;
        app.context.store.create_user(app.user.clone()).await.unwrap();
        app
    }

    /// A server that knows nobody and nothing.
    pub async fn empty(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        ISSUER.clone_into(&mut settings.server.issuer);
        let engine = Engine::for_a_test(&mut settings, folder.path()).await;
        change(&mut settings);
        let clock = ManualClock::new(UnixSeconds(1_800_000_000));
        let parts = Parts {
            clock: Arc::new(clock.clone()),
            random: Arc::new(OsRandom::default()),
        };
        let server = AuthorizationServer::open(settings, parts).await.unwrap();
        let routers = server.routers();
        let context = server.context();
        let user = new_user(&context, EMAIL);
        Self {
            context,
            clock,
            public: routers.public,
            admin: routers.admin,
            user,
            _engine: engine,
            server,
            _folder: folder,
        }
    }

    /// A browser without cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(self.public.clone())
    }

    /// Calls the operators' API, as [`Browser::administer`] does.
    pub async fn administer(&self, method: &str, path: &str, body: &Value) -> Reply {
        Browser::new(self.admin.clone())
            .administer(method, path, body)
            .await
    }

    /// Registers a client with a secret, as an operator does; its `Authorization` header.
    pub async fn confidential(&self, body: &Value) -> String {
        let reply = self.administer("POST", "/admin/clients", body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        let client = reply.json();
        let (id, secret) = (&client["client_id"], &client["client_secret"]);
        let pair = format!("{}:{}", id.as_str().unwrap(), secret.as_str().unwrap());
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// A browser in which [`EMAIL`] is signed in.
    pub async fn signed_in(&self) -> Browser {
        let browser = self.browser();
        let reply = browser.sign_in("/login", EMAIL, PASSWORD).await;
        assert!(
            reply.status.is_success() || reply.status.is_redirection(),
            "{reply:?}"
        );
        browser
    }

    /// Lets time pass.
    pub fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Adds a resource whose scopes are all defaults.
    pub async fn add_resource(&self, slug: &str, uri: &str, scopes: &[&str]) -> Resource {
        let scope = |name: &&str| ResourceScope {
            name: (*name).to_owned(),
            description: format!("What {name} is for"),
            upstream: None,
            default: true,
        };
        let resource = Resource {
            slug: slug.to_owned(),
            uri: uri.to_owned(),
            display_name: format!("The {slug} server"),
            scopes: scopes.iter().map(scope).collect(),
            policy: ResourcePolicy::default(),
            created_at: self.clock.now(),
            updated_at: self.clock.now(),
        };
        self.context
            .store
            .create_resource(resource.clone())
            .await
            .unwrap();
        resource
    }

    /// Adds a person with [`PASSWORD`].
    pub async fn add_user(&self, email: &str) -> User {
        let user = new_user(&self.context, email);
        self.context.store.create_user(user.clone()).await.unwrap();
        user
    }

    /// Every grant, newest first.
    pub async fn grants(&self) -> Vec<Grant> {
        let page = self
            .context
            .store
            .grants(GrantFilter::default(), PageRequest::default());
        page.await.unwrap().items
    }

    /// Why the only grant ended; `None` while it lives.
    pub async fn end_reason(&self) -> Option<EndReason> {
        let grants = self.grants().await;
        assert_eq!(grants.len(), 1);
        grants[0].end_reason
    }

    /// Ends every grant, as the person would.
    pub async fn revoke_grants(&self) {
        self.context
            .store
            .revoke_grants(GrantFilter::default(), EndReason::RevokedByUser, self.clock.now())
            .await
            .unwrap();
    }

    /// How many clients are on record.
    pub async fn number_of_clients(&self) -> usize {
        let all = PageRequest {
            after: None,
            limit: 200,
        };
        let filter = ClientFilter::default();
        self.context.store.clients(filter, all).await.unwrap().items.len()
    }

    /// Disables a client.
    pub async fn disable_client(&self, client_id: &str) {
        let store = &self.context.store;
        let mut client = store.client(client_id).await.unwrap().unwrap();
        client.disabled = true;
        store.update_client(client).await.unwrap();
    }

    /// Disables the person of [`TestApp::new`], or enables the person again.
    pub async fn set_disabled(&self, disabled: bool) {
        let user = User {
            disabled,
            ..self.user.clone()
        };
        self.context
            .store
            .update_user(user, self.clock.now())
            .await
            .unwrap();
    }
}

/// A person with [`PASSWORD`].
pub fn new_user(context: &Context, email: &str) -> User {
    User {
        id: UserId(context.random.uuid_v4()),
        email: email.to_owned(),
        name: format!("The person {email}"),
        password_hash: Some(cheap_hash(PASSWORD)),
        disabled: false,
        created_at: context.now(),
        updated_at: context.now(),
    }
}

/// A hash that is cheap to check: the tests are not about how expensive passwords are.
fn cheap_hash(password: &str) -> String {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_with_salt(password.as_bytes(), b"the salt of tests")
        .unwrap()
        .to_string()
}

/// Whose header that of [`TestApp::confidential`] is.
pub fn client_id(authorization: &str) -> String {
    let pair = STANDARD.decode(authorization.trim_start_matches("Basic "));
    let pair = String::from_utf8(pair.unwrap()).unwrap();
    pair.split_once(':').unwrap().0.to_owned()
}

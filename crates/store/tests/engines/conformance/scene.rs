//! Records to work with.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use doorward_oauth::scope::ScopeSet;
use doorward_store::{
    Approval, ApprovalOutcome, Client, ClientSource, Code, Consent, Digest, Grant, GrantId, GrantState,
    Issuance, RedeemCode, RedeemOutcome, RefreshPolicy, Resource, ResourcePolicy, ResourceScope,
    RotateOutcome, RotateRefresh, Session, Store, UnixSeconds, User, UserId,
};
use tokio::sync::Barrier;
use uuid::Uuid;

/// An empty store, and what has to live as long as it.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keep: Box<dyn Any + Send + Sync>,
}

pub(crate) const RESOURCE: &str = "https://files.example/mcp";
pub(crate) const APP: &str = "app";
pub(crate) const POLICY: RefreshPolicy = RefreshPolicy {
    idle_ttl: Duration::from_hours(30 * 24),
    absolute_ttl: Duration::from_hours(90 * 24),
    retry_window: Duration::from_mins(2),
};

/// The present of a test, in seconds after it began.
pub(crate) fn at(seconds: i64) -> UnixSeconds {
    UnixSeconds(1_800_000_000 + seconds)
}

/// A number that no other record of this test run has.
pub(crate) fn fresh() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// For a process that works on what another one began.
pub(crate) fn begin_numbers_at(number: u32) {
    NEXT.store(number, Ordering::Relaxed);
}

static NEXT: AtomicU32 = AtomicU32::new(1);

pub(crate) fn digest(kind: u8, number: u32) -> Digest {
    let mut digest = [kind; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    digest
}

pub(crate) fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

pub(crate) fn resource(slug: &str, uri: &str) -> Resource {
    let scope = |name: &str, default| ResourceScope {
        name: name.to_owned(),
        description: format!("{name}, with \"quotes\" and ünïcode"),
        upstream: None,
        default,
    };
    Resource {
        slug: slug.to_owned(),
        uri: uri.to_owned(),
        display_name: "Files".to_owned(),
        scopes: vec![scope("files:read", true), scope("files:write", false)],
        policy: ResourcePolicy::default(),
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn client(client_id: &str, source: ClientSource) -> Client {
    Client {
        client_id: client_id.to_owned(),
        source,
        metadata: r#"{"client_name":"App"}"#.to_owned(),
        secrets: Vec::new(),
        fingerprint: "fingerprint-1".to_owned(),
        resource_server: None,
        registration_token: None,
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn person(email: &str) -> User {
    User {
        id: UserId(Uuid::from_u128(u128::from(fresh()))),
        email: email.to_owned(),
        name: "Ada".to_owned(),
        password_hash: Some("$argon2id$stub".to_owned()),
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn session(user: UserId) -> Session {
    Session {
        id: digest(1, fresh()),
        user,
        authenticated_at: at(0),
        methods: vec!["pwd".to_owned(), "otp".to_owned()],
        last_seen_at: at(0),
        expires_at: at(12 * 3600),
    }
}

pub(crate) fn issuance(grant: GrantId, now: UnixSeconds) -> Issuance {
    Issuance {
        jti: format!("jti-{}", fresh()),
        grant,
        client_id: APP.to_owned(),
        subject: "subject".to_owned(),
        resource: RESOURCE.to_owned(),
        scopes: scopes("files:read"),
        issued_at: now,
        expires_at: now + Duration::from_mins(5),
        revoked_at: None,
        parent: None,
    }
}

/// A store with one person, signed in, one client and one resource.
pub(crate) struct Scene {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) user: User,
    pub(crate) session: Session,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Scene {
    pub(crate) async fn new(opened: Opened) -> Self {
        let store = opened.store;
        let user = person("ada@example.com");
        let session = session(user.id);
        store.create_resource(resource("files", RESOURCE)).await.unwrap();
        store
            .create_client(client(APP, ClientSource::Dynamic))
            .await
            .unwrap();
        store.create_user(user.clone()).await.unwrap();
        store.create_session(session.clone(), None).await.unwrap();
        Self {
            store,
            user,
            session,
            _keep: opened.keep,
        }
    }

    /// The scene of a store where [`Scene::new`] was called before; the person signs in again.
    pub(crate) async fn again(opened: Opened) -> Self {
        let store = opened.store;
        let user = store.user_by_email("ada@example.com").await.unwrap().unwrap();
        let session = session(user.id);
        store.create_session(session.clone(), None).await.unwrap();
        Self {
            store,
            user,
            session,
            _keep: opened.keep,
        }
    }

    /// A fresh approval of the client by the person.
    pub(crate) fn approval(&self) -> Approval {
        self.approval_of(APP, RESOURCE)
    }

    pub(crate) fn approval_of(&self, client_id: &str, resource: &str) -> Approval {
        let number = fresh();
        // Version 7: the time first, so that later grants have greater ids.
        let id = GrantId(Uuid::new_v7(uuid::Timestamp::from_unix_time(
            1_800_000_000 + u64::from(number),
            0,
            0,
            0,
        )));
        let mut refresh_salt = [7; 16];
        refresh_salt[..4].copy_from_slice(&number.to_be_bytes());
        let grant = Grant {
            id,
            user: self.user.id,
            subject: "subject".to_owned(),
            client_id: client_id.to_owned(),
            resource: resource.to_owned(),
            scopes: scopes("files:read files:write"),
            state: GrantState::Pending,
            end_reason: None,
            ended_at: None,
            created_at: at(0),
            authenticated_at: at(0),
            methods: vec!["pwd".to_owned()],
            generation: 0,
            generation_at: at(0),
            refresh_salt,
            refresh_expires_at: None,
            last_used_at: at(0),
            dpop_jkt: None,
            more_resources: Vec::new(),
            trusted_issuer: None,
        };
        let code = Code {
            digest: digest(2, number),
            grant: id,
            client_id: client_id.to_owned(),
            redirect_uri: "http://127.0.0.1:5000/cb".to_owned(),
            code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
            stay_connected: true,
            dpop_jkt: None,
            expires_at: at(60),
            redeemed_at: None,
        };
        Approval {
            request_id: digest(3, number),
            grant,
            code,
            session: self.session.id,
            asked: true,
            consent: None,
            declined: ScopeSet::new(),
            fingerprint: client(client_id, ClientSource::Dynamic).fingerprint,
            client: None,
            now: at(0),
        }
    }

    pub(crate) async fn approve(&self, approval: &Approval) -> ApprovalOutcome {
        self.store.approve(approval.clone()).await.unwrap()
    }

    /// An approval that was recorded.
    pub(crate) async fn approved(&self) -> Approval {
        let approval = self.approval();
        assert!(matches!(
            self.approve(&approval).await,
            ApprovalOutcome::Approved(_)
        ));
        approval
    }

    pub(crate) async fn redeem(&self, approval: &Approval, now: UnixSeconds) -> RedeemOutcome {
        self.store.redeem_code(redemption(approval, now)).await.unwrap()
    }

    /// A grant in use: its refresh token has generation 1 since `at(0)`.
    pub(crate) async fn active(&self) -> GrantId {
        let approval = self.approved().await;
        assert!(matches!(
            self.redeem(&approval, at(0)).await,
            RedeemOutcome::Redeemed(_)
        ));
        approval.grant.id
    }

    pub(crate) async fn rotate(&self, grant: GrantId, generation: u32, now: UnixSeconds) -> RotateOutcome {
        self.store
            .rotate_refresh(rotation(grant, generation, now))
            .await
            .unwrap()
    }

    /// Rotates and gives the successor's generation and whether it was a retry.
    pub(crate) async fn rotated(&self, grant: GrantId, generation: u32, now: UnixSeconds) -> (u32, bool) {
        match self.rotate(grant, generation, now).await {
            RotateOutcome::Rotated { successor, retry, .. } => (successor, retry),
            other => panic!("generation {generation}: {other:?}"),
        }
    }

    pub(crate) async fn grant(&self, id: GrantId) -> Grant {
        self.store.grant(id).await.unwrap().unwrap()
    }

    pub(crate) async fn state(&self, id: GrantId) -> GrantState {
        self.grant(id).await.state
    }

    pub(crate) async fn consent(&self) -> Option<Consent> {
        self.store.consent(self.user.id, APP, RESOURCE).await.unwrap()
    }
}

pub(crate) fn redemption(approval: &Approval, now: UnixSeconds) -> RedeemCode {
    let issuance = issuance(approval.grant.id, now);
    RedeemCode {
        digest: approval.code.digest,
        replay_ends_grant: true,
        refresh: Some(POLICY),
        dpop_jkt: None,
        issuance,
        now,
    }
}

pub(crate) fn rotation(grant: GrantId, generation: u32, now: UnixSeconds) -> RotateRefresh {
    RotateRefresh {
        grant,
        generation,
        policy: POLICY,
        issuance: issuance(grant, now),
        now,
    }
}

pub(crate) fn consent(fingerprint: &str, allowed: &str, redirect_uri: &str) -> Consent {
    Consent {
        scopes: scopes(allowed),
        fingerprint: fingerprint.to_owned(),
        redirect_uris: vec![redirect_uri.to_owned()],
        granted_at: at(0),
    }
}

/// Runs the callers at the same moment, each on a task of its own.
pub(crate) async fn at_once<T, F>(callers: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(callers));
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (barrier, call) = (Arc::clone(&barrier), call(caller));
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(callers);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

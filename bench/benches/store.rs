//! The operations of a token request on the embedded database, on disk and durable, beside bare durable
//! transactions of `SQLite` in the same folder.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]
#![expect(clippy::print_stdout, reason = "the ratios are the point")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use doorward_bench::beside;
use doorward_bench::floor::RawDatabase;
use doorward_bench::spread::Spread;
use doorward_oauth::scope::ScopeSet;
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use doorward_store::{
    Approval, ApprovalOutcome, Client, ClientSource, Code, Grant, GrantId, GrantState, Issuance, RedeemCode,
    RedeemOutcome, RefreshPolicy, Resource, RotateOutcome, RotateRefresh, Session, Store, UnixSeconds, User,
    UserId,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::{Builder, Uuid};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const RESOURCE: &str = "https://mcp.example.com/mcp";
const CLIENT: &str = "dwc_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE";
/// Seconds between two uses of a refresh token: more than the retry window.
const PAUSE: u64 = 300;
const POLICY: RefreshPolicy = RefreshPolicy {
    idle_ttl: Duration::from_hours(30 * 24),
    absolute_ttl: Duration::from_hours(100 * 365 * 24),
    retry_window: Duration::from_mins(2),
};
const CALLERS: [u32; 3] = [1, 32, 256];
const ROUNDS: usize = 9;

/// A store with a person, signed in, a client and a resource.
struct Scene {
    store: SqliteStore,
    user: UserId,
    session: [u8; 32],
}

impl Scene {
    async fn open(folder: &std::path::Path) -> Arc<Self> {
        let url = folder.join("doorward.db").display().to_string();
        let store = SqliteStore::open(&url, &SqliteOptions::default()).unwrap();
        let (user, session) = (UserId(Uuid::from_bytes([4; 16])), [1; 32]);
        store.create_resource(resource()).await.unwrap();
        store.create_client(client()).await.unwrap();
        store.create_user(person(user)).await.unwrap();
        let expires_at = NOW + Duration::from_hours(365 * 24);
        let methods = vec!["pwd".to_owned()];
        let of_person = Session {
            id: session,
            user,
            authenticated_at: NOW,
            methods,
            last_seen_at: NOW,
            expires_at,
        };
        store.create_session(of_person, None).await.unwrap();
        Arc::new(Self { store, user, session })
    }

    async fn approve(&self) -> ([u8; 32], GrantId) {
        let (id, digest) = (next_grant_id(), random());
        let approval = Approval {
            request_id: random(),
            grant: grant(id, self.user),
            code: code(digest, id),
            session: self.session,
            asked: true,
            consent: None,
            declined: ScopeSet::new(),
            fingerprint: client().fingerprint,
            client: None,
            now: NOW,
        };
        let outcome = self.store.approve(approval).await.unwrap();
        assert!(matches!(outcome, ApprovalOutcome::Approved(_)));
        (digest, id)
    }

    async fn redeem(&self, digest: [u8; 32], id: GrantId) {
        let redeem = RedeemCode {
            digest,
            replay_ends_grant: true,
            refresh: Some(POLICY),
            dpop_jkt: None,
            issuance: issuance(id, NOW),
            now: NOW,
        };
        let outcome = self.store.redeem_code(redeem).await.unwrap();
        assert!(matches!(outcome, RedeemOutcome::Redeemed(_)));
    }

    async fn rotate(&self, id: GrantId, generation: u32) {
        let now = NOW + Duration::from_secs(PAUSE * u64::from(generation));
        let rotate = RotateRefresh {
            grant: id,
            generation,
            policy: POLICY,
            issuance: issuance(id, now),
            now,
        };
        let outcome = self.store.rotate_refresh(rotate).await.unwrap();
        assert!(matches!(outcome, RotateOutcome::Rotated { retry: false, .. }));
    }
}

/// A refresh token in use: a grant and its present generation.
struct Chain {
    grant: GrantId,
    generation: u32,
}

async fn chains(scene: &Scene, count: u32) -> Vec<Chain> {
    let mut chains = Vec::new();
    for _ in 0..count {
        let (digest, grant) = scene.approve().await;
        scene.redeem(digest, grant).await;
        chains.push(Chain { grant, generation: 1 });
    }
    chains
}

/// `times` rotations by one caller for each chain, all at the same time; each caller goes on when it has its answer.
async fn rotate(scene: &Arc<Scene>, chains: &mut Vec<Chain>, times: u64) -> Duration {
    let callers = chains.len() as u64;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (index, mut chain) in (0_u64..).zip(chains.drain(..)) {
        let scene = Arc::clone(scene);
        let share = times / callers + u64::from(index < times % callers);
        tasks.spawn(async move {
            for _ in 0..share {
                scene.rotate(chain.grant, chain.generation).await;
                chain.generation += 1;
            }
            chain
        });
    }
    chains.extend(tasks.join_all().await);
    started.elapsed()
}

fn operations(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let scene = runtime.block_on(Scene::open(folder.path()));
    let mut raw = RawDatabase::create(folder.path()).unwrap();

    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare_commit_of_1", |b| b.iter(|| raw.commit(1).unwrap()));
    group.bench_function("bare_commit_of_100", |b| b.iter(|| raw.commit(100).unwrap()));
    group.bench_function("approve_and_redeem", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let (digest, id) = scene.approve().await;
                scene.redeem(digest, id).await;
            });
        });
    });
    for callers in CALLERS {
        let mut chains = runtime.block_on(chains(&scene, callers));
        group.bench_function(format!("rotate_refresh/{callers}"), |b| {
            b.iter_custom(|times| runtime.block_on(rotate(&scene, &mut chains, times)));
        });
    }
    group.finish();
    if beside::is_wanted() {
        print_ratios(&runtime, &scene, &mut raw);
    }
}

/// Rotations a second beside bare durable transactions a second, round by round.
fn print_ratios(runtime: &Runtime, scene: &Arc<Scene>, raw: &mut RawDatabase) {
    let time = Duration::from_millis(200);
    for callers in CALLERS {
        let mut chains = runtime.block_on(chains(scene, callers));
        let times = u64::from(callers) * 16 + 200;
        let rounds: Vec<[f64; 3]> = (0..ROUNDS)
            .map(|_| {
                let of_one = raw.commits(time, 1).unwrap().per_second();
                let of_hundred = raw.commits(time, 100).unwrap().per_second() * 100.0;
                #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
                let rotations =
                    times as f64 / runtime.block_on(rotate(scene, &mut chains, times)).as_secs_f64();
                [rotations, rotations / of_one, rotations / of_hundred]
            })
            .collect();
        let [rotations, to_one, to_hundred] =
            [0, 1, 2].map(|column| Spread::of(rounds.iter().map(|round| round[column])));
        println!(
            "rotate_refresh, {callers} callers: {rotations:.0} a second; {to_one:.2} of bare commits of one row, {to_hundred:.2} of rows in bare commits of 100"
        );
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// Version 7, a millisecond after the one before: the order in which grants come.
fn next_grant_id() -> GrantId {
    static MILLISECONDS: AtomicU64 = AtomicU64::new(1_800_000_000_000);
    let milliseconds = MILLISECONDS.fetch_add(1, Ordering::Relaxed);
    GrantId(Builder::from_unix_timestamp_millis(milliseconds, &random()).into_uuid())
}

fn resource() -> Resource {
    Resource {
        slug: "mcp".to_owned(),
        uri: RESOURCE.to_owned(),
        display_name: "MCP".to_owned(),
        scopes: Vec::new(),
        policy: doorward_store::ResourcePolicy::default(),
        created_at: NOW,
        updated_at: NOW,
    }
}

fn client() -> Client {
    Client {
        client_id: CLIENT.to_owned(),
        source: ClientSource::Dynamic,
        metadata: "{}".to_owned(),
        secrets: Vec::new(),
        fingerprint: "fingerprint".to_owned(),
        resource_server: None,
        registration_token: None,
        disabled: false,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn person(id: UserId) -> User {
    User {
        id,
        email: "ada@example.com".to_owned(),
        name: "Ada".to_owned(),
        password_hash: None,
        disabled: false,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn scopes() -> ScopeSet {
    ScopeSet::parse("tools/read tools/write").unwrap()
}

fn grant(id: GrantId, user: UserId) -> Grant {
    Grant {
        id,
        user,
        subject: user.0.to_string(),
        client_id: CLIENT.to_owned(),
        resource: RESOURCE.to_owned(),
        scopes: scopes(),
        state: GrantState::Pending,
        end_reason: None,
        ended_at: None,
        created_at: NOW,
        authenticated_at: NOW,
        methods: vec!["pwd".to_owned()],
        generation: 0,
        generation_at: NOW,
        refresh_salt: [7; 16],
        refresh_expires_at: None,
        last_used_at: NOW,
        dpop_jkt: None,
        more_resources: Vec::new(),
        trusted_issuer: None,
    }
}

fn code(digest: [u8; 32], grant: GrantId) -> Code {
    Code {
        digest,
        grant,
        client_id: CLIENT.to_owned(),
        redirect_uri: "http://127.0.0.1:7777/callback".to_owned(),
        code_challenge: "x".repeat(43),
        stay_connected: true,
        dpop_jkt: None,
        expires_at: NOW + Duration::from_mins(1),
        redeemed_at: None,
    }
}

fn issuance(grant: GrantId, now: UnixSeconds) -> Issuance {
    Issuance {
        jti: Builder::from_random_bytes(random()).into_uuid().to_string(),
        grant,
        client_id: CLIENT.to_owned(),
        subject: "5d0c3f0a-9c1e-4a0e-9d0a-6d1c2f3b4a5e".to_owned(),
        resource: RESOURCE.to_owned(),
        scopes: scopes(),
        issued_at: now,
        expires_at: now + Duration::from_mins(5),
        revoked_at: None,
        parent: None,
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(3));
    targets = operations
}
criterion_main!(benches);

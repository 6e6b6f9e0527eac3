use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use doorward_oauth::time::{ManualClock, UnixSeconds};
use doorward_store::{AuditEntry, AuditFilter, PageRequest, UserId};

use super::*;
use crate::AuthorizationServer;
use crate::config::Settings;
use crate::context::Parts;
use crate::login::Passwords;
use crate::random::OsRandom;
use crate::test_engine as engine;

const EMAIL: &str = "ada@example.com";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What lives as long as the server: its folder, and its database.
type Home = (tempfile::TempDir, engine::Engine);

/// A server with one person who has no password, and with room for so many hashes, none of which is computed.
async fn context(places: usize) -> (Arc<Context>, Home) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    let database = engine::Engine::for_a_test(&mut settings, folder.path()).await;
    settings.login.free_attempts = 1;
    let parts = Parts {
        clock: Arc::new(ManualClock::new(UnixSeconds(1_800_000_000))),
        random: Arc::new(OsRandom::default()),
    };
    let server = AuthorizationServer::open(settings, parts).await.unwrap();
    let mut context = server.context();
    drop(server);
    let random = Arc::clone(&context.random);
    Arc::get_mut(&mut context).unwrap().passwords = Passwords::with_limits(random, 0, places);
    let user = User {
        id: UserId(context.random.uuid_v4()),
        email: EMAIL.to_owned(),
        name: "Ada".to_owned(),
        password_hash: None,
        disabled: false,
        created_at: context.now(),
        updated_at: context.now(),
    };
    context.store.create_user(user).await.unwrap();
    (context, (folder, database))
}

async fn attempt(ctx: &Arc<Context>) -> Result<Outcome, PageError> {
    let headers = HeaderMap::new();
    let info = RequestInfo::new("0707070707070707".into(), &headers, ADDRESS);
    let browser = BrowserId::generate(ctx.random.as_ref());
    sign_in(ctx, &info, &headers, &browser, EMAIL, "not her password").await
}

/// Why sign-ins were refused, as the audit list has it, once all has been written.
async fn told(ctx: &Context) -> Vec<String> {
    ctx.sign_ins.close();
    let minute = Duration::from_mins(1);
    tokio::time::timeout(minute, ctx.sign_ins.wait()).await.unwrap();
    ctx.audit.settled().await;
    let page = ctx
        .store
        .audit_entries(AuditFilter::default(), PageRequest::default());
    let reason = |entry| match entry {
        AuditEntry::Event(event) => event.refusal,
        AuditEntry::Issued(_) => None,
    };
    page.await.unwrap().items.into_iter().filter_map(reason).collect()
}

#[tokio::test]
async fn who_finds_no_room_for_a_hash_is_not_counted() {
    let (ctx, _home) = context(0).await;
    // More often than an account or an address may be tried.
    for _ in 0..30 {
        let refused = attempt(&ctx).await.err().unwrap();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(told(&ctx).await, [""; 0]);
}

/// [RATE-001]
#[tokio::test]
async fn an_attempt_is_told_to_its_end_when_the_client_hangs_up() {
    let (ctx, _home) = context(1).await;
    let mut hung_up = Box::pin(attempt(&ctx));
    while ctx.passwords.place(ADDRESS, false).is_ok() {
        assert!(futures_util::poll!(hung_up.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(hung_up);
    ctx.passwords.add_worker();
    assert_eq!(told(&ctx).await, ["wrong_password"]);
    // And it was counted: the next one waits.
    assert!(matches!(attempt(&ctx).await, Ok(Outcome::Wait(_))));
}

#[tokio::test]
async fn who_has_to_wait_takes_nobodys_place() {
    let (ctx, _home) = context(1).await;
    ctx.passwords.add_worker();
    assert!(matches!(attempt(&ctx).await, Ok(Outcome::Refused)));
    let _taken = ctx.passwords.place(ADDRESS, false).ok().unwrap();
    assert!(matches!(attempt(&ctx).await, Ok(Outcome::Wait(_))));
}

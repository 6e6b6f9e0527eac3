//! What a request waits for: rotation, redemption, a token of a program's own and a proof are one question to the database each.
//! What looks at things before it changes others waits twice: for what it looks at, and for what it changes.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{
    Approval, ApprovalOutcome, AssertedOutcome, AuditFilter, ClientSource, ExchangeOutcome, IdJagOutcome,
    LoginThrottle, OwnOutcome, PageRequest, PollOutcome, RedeemOutcome, RotateOutcome, SpendOutcome, Store,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::template::database;
use crate::conformance::audit::{operator, origin};
use crate::conformance::own::own;
use crate::conformance::scene::{
    Opened, Scene, at, client, consent, digest, fresh, redemption, rotation, session,
};
use crate::conformance::spent::one;
use crate::conformance::{asserted, devices, exchange, id_jag, throttle};

/// What a node asked on one connection.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// A `Query`, or what a `Sync` ends.
    questions: u32,
    /// Those that are not answered yet.
    open: u32,
    /// How often the node had all answers and asked again: what it asks meanwhile goes in the same round trip.
    waits: u32,
}

type Connections = Arc<Mutex<Vec<Asked>>>;

/// Between a node and its server, counting.
async fn counting_proxy(socket: std::path::PathBuf) -> (u16, Connections) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Connections::default();
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((node, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            let number = {
                let mut all = counted.lock().unwrap();
                all.push(Asked::default());
                all.len() - 1
            };
            tokio::spawn(forward(node, server, number, Arc::clone(&counted)));
        }
    });
    (port, connections)
}

async fn forward(node: TcpStream, server: UnixStream, number: usize, connections: Connections) {
    let (from_node, to_node) = node.into_split();
    let (from_server, to_server) = server.into_split();
    let answered = Arc::clone(&connections);
    let answers = tokio::spawn(pass(from_server, to_node, true, move |kind| {
        // ReadyForQuery
        if kind == b'Z' {
            let asked = &mut answered.lock().unwrap()[number];
            asked.open = asked.open.saturating_sub(1);
        }
    }));
    // The first message has no kind.
    pass(from_node, to_server, false, |kind| {
        if [b'Q', b'S'].contains(&kind) {
            let asked = &mut connections.lock().unwrap()[number];
            asked.questions += 1;
            asked.waits += u32::from(asked.open == 0);
            asked.open += 1;
        }
    })
    .await;
    answers.abort();
}

/// Passes on what comes, as it comes, and tells the kind of each message: a kind and a length that counts itself.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut has_kind: bool,
    tell: impl Fn(u8),
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut unread = Vec::new();
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        unread.extend_from_slice(&buffer[..read]);
        loop {
            let head = if has_kind { 5 } else { 4 };
            let Some(length) = unread[..unread.len().min(head)]
                .last_chunk()
                .filter(|_| unread.len() >= head)
            else {
                break;
            };
            let whole = head - 4 + u32::from_be_bytes(*length) as usize;
            if unread.len() < whole {
                break;
            }
            if has_kind {
                tell(unread[0]);
            }
            has_kind = true;
            unread.drain(..whole);
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// A store with one connection, through the proxy.
async fn counted() -> Option<(Arc<PostgresStore>, Opened, Connections)> {
    let database = database().await?;
    let (port, connections) = counting_proxy(database.cluster.directory.join(".s.PGSQL.5432")).await;
    let options = PostgresOptions {
        connections: 1,
        ..PostgresOptions::default()
    };
    let url = format!("postgres://doorward@127.0.0.1:{port}/{}", database.name);
    let store = Arc::new(PostgresStore::open(&url, &options).await.unwrap());
    let opened = Opened {
        store: Arc::clone(&store) as Arc<dyn Store>,
        keep: Box::new(database),
    };
    Some((store, opened, connections))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_busiest_operations_are_one_question_each() {
    let Some((store, opened, connections)) = counted().await else {
        return;
    };
    let scene = Scene::new(opened).await;
    // The first connection is the pool's; the one that hears of changes comes after it.
    let asked = || connections.lock().unwrap()[0].questions;
    // The first time statements are prepared.
    for round in 0..3 {
        let approval = scene.approved().await;
        let id = approval.grant.id;

        let before = asked();
        let redeemed = store.redeem_code(redemption(&approval, at(0))).await;
        let redemption = asked() - before;
        assert!(matches!(redeemed, Ok(RedeemOutcome::Redeemed(_))), "{redeemed:?}");

        let before = asked();
        let rotated = store.rotate_refresh(rotation(id, 1, at(10))).await;
        let rotation_alone = asked() - before;
        assert!(
            matches!(rotated, Ok(RotateOutcome::Rotated { retry: false, .. })),
            "{rotated:?}"
        );

        // As the token endpoint does it: with a look at the grant. The node knows it from the second time on.
        let mut refreshes = Vec::new();
        for generation in 2..5 {
            let before = asked();
            let decide = Box::new(move |_: &_| Some(rotation(id, generation, at(10))));
            let used = store.use_refresh(id, decide).await;
            refreshes.push(asked() - before);
            assert!(
                matches!(used, Ok(Some(RotateOutcome::Rotated { retry: false, .. }))),
                "{used:?}"
            );
        }

        let before = asked();
        let issued = store.issue_own(own(0)).await;
        let own_token = asked() - before;
        assert!(matches!(issued, Ok(OwnOutcome::Issued(_))), "{issued:?}");

        // A proof, and the same again.
        let proof = [one(60)];
        let before = asked();
        assert_eq!(store.spend(&proof).await, Ok(SpendOutcome::Spent));
        let spent = asked() - before;
        let before = asked();
        assert_eq!(store.spend(&proof).await, Ok(SpendOutcome::UsedBefore(0)));
        let refused = asked() - before;

        if round > 0 {
            assert_eq!(
                [redemption, rotation_alone, own_token, spent, refused],
                [1; 5],
                "round {round}"
            );
            assert_eq!(refreshes[1..], [1, 1], "round {round}: {refreshes:?}");
        }
    }
}

/// Waits of operations, by name.
struct Waits {
    connections: Connections,
    counted: BTreeMap<&'static str, u32>,
}

impl Waits {
    async fn of<T>(&mut self, name: &'static str, operation: impl Future<Output = T>) -> T {
        let waits = |connections: &Connections| connections.lock().unwrap()[0].waits;
        let before = waits(&self.connections);
        let done = operation.await;
        self.counted.insert(name, waits(&self.connections) - before);
        done
    }
}

fn is_approved(outcome: &doorward_store::Result<ApprovalOutcome>) {
    assert!(matches!(outcome, Ok(ApprovalOutcome::Approved(_))), "{outcome:?}");
}

/// Of one person, who is asked again or not, and what is remembered of it.
async fn count_approvals(scene: &Scene, waits: &mut Waits) {
    let store = &scene.store;
    let remembered = |client_id: &str| Approval {
        consent: Some(consent(
            &client(client_id, ClientSource::Dynamic).fingerprint,
            "files:read files:write",
            "http://127.0.0.1:5000/cb",
        )),
        ..scene.approval()
    };
    is_approved(&waits.of("approve", store.approve(scene.approval())).await);
    // A client of its own each time: nothing is remembered of it.
    let unknown = format!("client-{}", fresh());
    store
        .create_client(client(&unknown, ClientSource::Dynamic))
        .await
        .unwrap();
    let mut first = remembered(&unknown);
    first.grant.client_id.clone_from(&unknown);
    first.code.client_id.clone_from(&unknown);
    first.fingerprint = client(&unknown, ClientSource::Dynamic).fingerprint;
    let mut again = first.clone();
    let fresh_one = scene.approval_of(&unknown, &first.grant.resource);
    (again.grant, again.code, again.request_id) = (fresh_one.grant, fresh_one.code, fresh_one.request_id);
    let mut silent = scene.approval_of(&unknown, &first.grant.resource);
    silent.asked = false;
    silent.fingerprint.clone_from(&first.fingerprint);
    is_approved(&waits.of("approve, first consent", store.approve(first)).await);
    is_approved(&waits.of("approve, consent again", store.approve(again)).await);
    is_approved(&waits.of("approve, nobody asked", store.approve(silent)).await);
    let written = store.acting(origin(operator(), 0));
    let audited = waits.of("approve, written down", written.approve(scene.approval()));
    is_approved(&audited.await);
    let mut snapshot = client("https://app.example/client.json", ClientSource::MetadataDocument);
    r#"{"client_name":"App"}"#.clone_into(&mut snapshot.metadata);
    let mut of_document = scene.approval_of(&snapshot.client_id, &scene.approval().grant.resource);
    of_document.fingerprint.clone_from(&snapshot.fingerprint);
    of_document.client = Some(snapshot);
    is_approved(
        &waits
            .of("approve, metadata document", store.approve(of_document))
            .await,
    );
}

async fn count_signing_in(scene: &Scene, waits: &mut Waits) {
    let store = &scene.store;
    let keys = ["address", "site", "account"].map(str::to_owned);
    let begun = store.begin_login(&keys, throttle::POLICY, at(0));
    assert_eq!(waits.of("begin_login", begun).await, Ok(LoginThrottle::Allowed));
    let cleared = store.clear_login(&keys[2..], &keys[..2]);
    assert_eq!(waits.of("clear_login", cleared).await, Ok(()));
    let signed_in = store.create_session(session(scene.user.id), None);
    assert_eq!(waits.of("create_session", signed_in).await, Ok(()));
}

async fn count_devices(scene: &Scene, waits: &mut Waits) {
    let store = &scene.store;
    let device = devices::device(digest(21, fresh()));
    let begun = store.begin_device(device.clone());
    assert_eq!(waits.of("begin_device", begun).await, Ok(()));
    let poll = |second| store.poll_device(&device.digest, &device.client_id, 5, at(second));
    assert_eq!(waits.of("poll_device", poll(1)).await, Ok(PollOutcome::Pending));
    assert_eq!(
        waits.of("poll_device, too soon", poll(1)).await,
        Ok(PollOutcome::SlowDown)
    );
    let denied = store.deny_device(&device.digest, at(2));
    assert_eq!(waits.of("deny_device", denied).await, Ok(true));
    assert_eq!(
        waits.of("poll_device, denied", poll(20)).await,
        Ok(PollOutcome::Denied)
    );
}

/// On one thread: what is asked together is sent together.
#[tokio::test]
async fn an_operation_waits_for_what_it_looks_at_and_for_what_it_changes() {
    let Some((_, opened, connections)) = counted().await else {
        return;
    };
    let scene = asserted::scene(opened).await;
    let store = &scene.store;
    let token = exchange::token(&scene).await;
    store
        .create_assertion_audience(id_jag::audience("other", "https://other.example"))
        .await
        .unwrap();
    let mut waits = Waits {
        connections,
        counted: BTreeMap::new(),
    };
    // The first time statements are prepared.
    for _ in 0..2 {
        count_approvals(&scene, &mut waits).await;
        count_signing_in(&scene, &mut waits).await;
        count_devices(&scene, &mut waits).await;
        let exchanged = store.exchange_token(exchange::of(&token));
        assert_eq!(
            waits.of("exchange_token", exchanged).await,
            Ok(ExchangeOutcome::Issued)
        );
        let asserted_elsewhere = store.issue_id_jag(id_jag::of(&token));
        assert_eq!(
            waits.of("issue_id_jag", asserted_elsewhere).await,
            Ok(IdJagOutcome::Issued)
        );
        for (name, slug, spends) in [
            ("issue_asserted, workload", "ci", Vec::new()),
            ("issue_asserted, person", "idp", Vec::new()),
            ("issue_asserted, once", "ci", vec![one(60)]),
        ] {
            let mut issue = asserted::asserted(&scene, slug, 1);
            issue.spends = spends;
            let issued = waits.of(name, store.issue_asserted(issue)).await;
            assert!(matches!(issued, Ok(AssertedOutcome::Issued(_))), "{issued:?}");
        }
    }
    let expected = [
        ("approve", 2),
        ("approve, consent again", 2),
        ("approve, first consent", 2),
        // How the client is locked depends on what is stored of it.
        ("approve, metadata document", 3),
        ("approve, nobody asked", 2),
        ("approve, written down", 2),
        ("begin_device", 2),
        ("begin_login", 2),
        ("clear_login", 2),
        ("create_session", 2),
        // Whose device it is comes with the change, and is written down.
        ("deny_device", 3),
        ("exchange_token", 2),
        ("issue_asserted, once", 3),
        ("issue_asserted, person", 2),
        ("issue_asserted, workload", 2),
        ("issue_id_jag", 2),
        ("poll_device", 2),
        ("poll_device, denied", 2),
        ("poll_device, too soon", 2),
    ];
    assert_eq!(waits.counted, BTreeMap::from(expected));
}

/// Until the operation is done, which is told, or was polled so often.
async fn polled<T>(times: u32, operation: impl Future<Output = T>) -> Option<T> {
    let mut operation = pin!(operation);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        match operation.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls == times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// [CRASH] Whoever goes away at any point leaves all of an approval or nothing, and no transaction to the next one.
#[tokio::test]
async fn an_abandoned_approval_is_there_whole_or_not_at_all() {
    let Some((store, opened, _)) = counted().await else {
        return;
    };
    let scene = Scene::new(opened).await;
    let mut left = Vec::new();
    // From the second time on everything is prepared, and sent together.
    for prepared in [false, true] {
        for times in 1.. {
            let approval = scene.approval();
            let written = store.acting(origin(operator(), 0));
            let done = polled(times, written.approve(approval.clone())).await;
            // On the only connection there is, behind whatever was left on it.
            let grant = store.grant(approval.grant.id).await.unwrap();
            let code = store.code(&approval.code.digest).await.unwrap();
            let filter = AuditFilter {
                grant: Some(approval.grant.id),
                ..AuditFilter::default()
            };
            let page = PageRequest {
                after: None,
                limit: 5,
            };
            let lines = store.audit_entries(filter, page).await.unwrap().items.len();
            let there = [grant.is_some(), code.is_some(), lines == 1];
            assert!(
                there == [true; 3] || there == [false; 3],
                "{prepared} {times} {there:?}"
            );
            if let Some(outcome) = done {
                is_approved(&outcome);
                assert!(there[0]);
                break;
            }
            left.push(there[0]);
        }
    }
    assert!(left.contains(&false), "{left:?}");
}

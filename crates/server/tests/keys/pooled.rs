//! Two nodes behind one `PgBouncer` in transaction mode, with the lines of the book: what nodes promise holds as without it.
//! Only PostgreSQL has poolers.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use doorward_store::{CLOCK_ERROR, Digest, Spend, SpendOutcome};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use crate::kept::{End, assert_refused_elsewhere_in_time, assert_withdrawn_elsewhere_in_time, two, until};
use crate::nodes::{Node, Place};
use crate::support::log::Log;
use crate::support::{Authorization, Browser, EMAIL, Engine, REDIRECT, Reply, VERIFIER, cluster, new_user};

#[path = "../../../store/tests/engines/postgres/pooler.rs"]
mod pooler;

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(30);
/// As the book has it for roles, so that each test has its own.
const LIMIT: &str = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''10s''', current_database()); END $$";

/// A place whose nodes are behind the pooler, and the database's own URL.
struct Pooled {
    place: Place,
    direct: String,
}

impl Pooled {
    /// Without the limit of time that the book wants set.
    async fn unlimited() -> Option<Self> {
        if !Engine::is_postgres() {
            return None;
        }
        let mut place = Place::new().await;
        let pooler = tokio::task::spawn_blocking(pooler::pooler).await.unwrap()?;
        let direct = (*place.settings.storage.url).to_owned();
        let (_, name) = direct.rsplit_once('/').unwrap();
        place.settings.storage.url = pooler.url(name).into();
        place.settings.storage.transaction_pooler = true;
        Some(Self { place, direct })
    }

    async fn new() -> Option<Self> {
        let pooled = Self::unlimited().await?;
        pooled.stranger().await.batch_execute(LIMIT).await.unwrap();
        Some(pooled)
    }

    /// A connection past the pooler.
    async fn stranger(&self) -> Client {
        connect(&self.direct).await
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The first row, as text.
async fn row(db: &Client, sql: &str) -> Vec<String> {
    let messages = db.simple_query(sql).await.unwrap();
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.unwrap();
    (0..row.len())
        .map(|column| row.get(column).unwrap_or_default().to_owned())
        .collect()
}

/// A person's client, which has no secret.
struct App {
    client_id: String,
}

impl App {
    async fn new(node: &Node) -> Self {
        let metadata = json!({
            "client_name": "Desk",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let reply = node.admin("POST", "/admin/clients", metadata).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        let client_id = reply.json()["client_id"].as_str().unwrap().to_owned();
        Self { client_id }
    }

    /// The code that the person allows it.
    async fn code(&self, node: &Node) -> String {
        let browser: Browser = node.browser();
        let page = browser
            .open(&Authorization::new(&self.client_id, REDIRECT).path())
            .await;
        let page = browser.sign_in_on(&page, EMAIL).await;
        let reply = browser
            .submit(&page.form("/consent"), Some(("decision", "allow")))
            .await;
        reply
            .param("code")
            .unwrap_or_else(|| panic!("no code in {reply:?}"))
    }

    async fn redeem(&self, node: &Node, code: &str) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &*self.client_id),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        node.browser().post_pairs("/oauth/token", &[], &form).await
    }

    async fn refresh(&self, node: &Node, token: &str) -> Reply {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &*self.client_id),
            ("refresh_token", token),
        ];
        node.browser().post_pairs("/oauth/token", &[], &form).await
    }
}

#[track_caller]
fn refresh_token(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_a_flow_of_one_node_goes_on_at_another_one() {
    let Some(pooled) = Pooled::new().await else { return };
    let [here, there] = two(&pooled.place).await;
    here.program().await;
    here.context
        .store
        .create_user(new_user(&here.context, EMAIL))
        .await
        .unwrap();
    let app = App::new(&here).await;
    let code = app.code(&here).await;
    let first = refresh_token(&app.redeem(&here, &code).await);
    let second = refresh_token(&app.refresh(&there, &first).await);
    let third = refresh_token(&app.refresh(&here, &second).await);
    // What counts once counted at the other node too, and the end is everywhere.
    app.redeem(&there, &code).await.assert_error("invalid_grant");
    app.refresh(&here, &third).await.assert_error("invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_what_one_node_ends_another_one_refuses_within_a_second() {
    for end in [End::Token, End::Grant, End::Client] {
        let Some(pooled) = Pooled::new().await else { return };
        assert_refused_elsewhere_in_time(&pooled.place, end).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_a_key_that_one_node_withdraws_another_one_publishes_no_more_within_a_second() {
    let Some(pooled) = Pooled::new().await else { return };
    assert_withdrawn_elsewhere_in_time(&pooled.place).await;
}

/// What the node's metrics say.
fn count(node: &Node, name: &str) -> u64 {
    let text = node.context.metrics.encode().unwrap();
    let number = text.lines().find_map(|line| line.strip_prefix(name));
    number.map_or(0, |number| number.trim().parse().unwrap())
}

const REMOVED: &str = "doorward_rows_removed_total{kind=\"spent\"}";

/// The node's jobs, until what is past its use was looked for once more.
async fn jobs(node: &Node) {
    let looked = || count(node, "doorward_job_runs_total{job=\"retention\",outcome=\"ok\"}");
    let before = looked();
    let stop = CancellationToken::new();
    tokio::select! {
        () = node.server.run_jobs(stop) => panic!("the jobs have ended"),
        _ = until(async || looked() > before) => {}
    }
}

/// What counts once, for a minute from now.
async fn spend(node: &Node, number: u8) {
    for number in 0..number {
        let mut digest = Digest::default();
        digest[0] = number;
        let spend = Spend {
            digest,
            until: node.context.now() + Duration::from_mins(1),
            made_at: node.context.now(),
        };
        assert_eq!(node.context.store.spend(&[spend]).await, Ok(SpendOutcome::Spent));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_one_node_at_a_time_removes_what_is_past_its_use() {
    let Some(pooled) = Pooled::new().await else { return };
    let [here, there] = two(&pooled.place).await;
    spend(&here, 3).await;
    pooled.place.clock.advance(Duration::from_mins(2) + CLOCK_ERROR);
    let turn = here.context.store.turn("retention").await.unwrap();
    jobs(&there).await;
    assert_eq!(count(&there, REMOVED), 0);
    drop(turn);
    // PostgreSQL ends the turn a moment after it was dropped.
    let removed = async {
        while count(&there, REMOVED) == 0 {
            jobs(&there).await;
        }
    };
    timeout(PATIENCE, removed).await.unwrap();
    jobs(&here).await;
    assert_eq!([&here, &there].map(|node| count(node, REMOVED)), [0, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_a_change_waits_for_that_of_another_node() {
    let Some(pooled) = Pooled::new().await else { return };
    let [here, there] = two(&pooled.place).await;
    let watcher = pooled.stranger().await;
    let turn = here.context.store.turn("admin").await.unwrap();
    let mut change = pin!(there.admin("POST", "/admin/admin-keys", json!({"name": "ada"})));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
    tokio::select! {
        reply = &mut change => panic!("it did not wait: {reply:?}"),
        _ = until(async || row(&watcher, waiting).await == ["1"]) => {}
    }
    drop(turn);
    let reply = timeout(PATIENCE, change).await.unwrap();
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
}

/// What of a session outlives its transactions: settings (the pooler sets the name of whoever comes), names of
/// statements, channels, locks, tables of its own.
const LEFT: &str = "SELECT concat_ws(', ', \
     (SELECT string_agg(name || ' = ' || setting, ', ') FROM pg_settings \
         WHERE source = 'session' AND setting IS DISTINCT FROM reset_val AND name <> 'application_name'), \
     (SELECT string_agg(name, ', ') FROM pg_prepared_statements), \
     (SELECT string_agg(channel, ', ') FROM pg_listening_channels() AS channel), \
     (SELECT string_agg(locktype, ', ') FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'), \
     (SELECT 'a temporary table' WHERE pg_my_temp_schema() <> 0)), pg_backend_pid()";
const SESSIONS: &str = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity \
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_nothing_of_a_transaction_stays_in_its_session() {
    let Some(pooled) = Pooled::new().await else { return };
    let [here, there] = two(&pooled.place).await;
    let program = here.program().await;
    // Turns, jobs with limits of time of their own, and requests in many sessions at once.
    jobs(&here).await;
    there.context.keys.rotate().await.unwrap();
    let tokens = (0..20).map(|number| [&here, &there][number % 2].token(&program));
    join_all(tokens).await;

    let sessions = row(&pooled.stranger().await, SESSIONS).await;
    let sessions: BTreeSet<_> = sessions[0].split(' ').map(str::to_owned).collect();
    assert!(sessions.len() > 1, "{sessions:?}");
    // Whoever is in a transaction keeps its session: the next one gets another.
    let (mut visitors, mut seen) = (Vec::new(), BTreeSet::new());
    let visit = async {
        while !seen.is_superset(&sessions) {
            let visitor = connect(&pooled.place.settings.storage.url).await;
            visitor.batch_execute("BEGIN").await.unwrap();
            let found = row(&visitor, LEFT).await;
            assert_eq!(found[0], "", "in session {}", found[1]);
            seen.insert(found[1].clone());
            visitors.push(visitor);
        }
    };
    timeout(PATIENCE, visit).await.unwrap();
}

/// Statements outside of transactions run under the limits of the role alone.
#[tokio::test]
async fn behind_a_pooler_a_start_without_a_limit_of_time_says_what_to_set() {
    let Some(pooled) = Pooled::unlimited().await else {
        return;
    };
    let log = Log::start();
    let told = || {
        log.lines()
            .iter()
            .filter(|line| line.to_string().contains("ALTER ROLE"))
            .count()
    };
    let node = pooled.place.node().await;
    assert_eq!(told(), 1);
    drop(node);
    // The pooler's sessions with that limit are new ones.
    let Some(limited) = Pooled::new().await else {
        return;
    };
    let _node = limited.place.node().await;
    assert_eq!(told(), 0);
}

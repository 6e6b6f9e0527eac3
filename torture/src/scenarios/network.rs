//! The network between a node and its database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use doorward_jose::JoseError;
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Machine, Plan, in_time, judge, settle};
use crate::balancer::{Answer, Ask};
use crate::ledger::{Tally, Tokens, is_invalid_grant};
use crate::load::{Rules, Shared};
use crate::pages::{basic, text};
use crate::proxy::Proxy;
use crate::site::{Engine, Site};
use crate::world::{Admin, REVOKE, World};

/// How soon a change is seen at every node, whatever was lost.
const SOON: Duration = Duration::from_secs(1);
/// The same of keys, which a node that hears nothing looks at every second.
const KEYS: Duration = Duration::from_secs(2);
/// What a machine may add to that, for each process that wants a processor: less than to what waits for a fault to pass.
const BUSY: Duration = Duration::from_secs(1);
/// However busy it is.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// What waits on a connection that says nothing any more: `storage.statement_timeout`, and two seconds; and when it is tried
/// again, as long as a new connection may take.
const SILENCE: Duration = Duration::from_secs(12 + 5);

/// Where the server tells of the load's resource.
const RESOURCE_PAGE: &str = "/.well-known/oauth-protected-resource/mcp";

/// Two nodes, the second one behind a network that can fail.
async fn behind_proxy(plan: &Plan) -> anyhow::Result<(Site, Proxy)> {
    let mut site = Site::new(&plan.program, Engine::Postgres)?;
    site.add_nodes(1).await?;
    let database = site.database()?;
    let proxy = Proxy::start(database.address).await?;
    let url = database
        .url()
        .replace(&database.address.to_string(), &proxy.address.to_string());
    site.set("DOORWARD_STORAGE_URL", &url);
    site.add_nodes(1).await?;
    Ok((site, proxy))
}

/// Connections are cut, and cut again.
pub(super) async fn cut(mut plan: Plan) -> anyhow::Result<Tally> {
    let (site, proxy) = behind_proxy(&plan).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    for _ in 0..plan.number(40, 10) {
        // The node makes new ones each time, and uses them.
        let began = Instant::now();
        while proxy.cut() == 0 {
            ensure!(
                began.elapsed() < Duration::from_mins(1),
                "the node makes no new connections"
            );
            sleep(Duration::from_millis(20)).await;
        }
        plan.some_time(50, 400).await;
    }
    settle(load, &site).await
}

/// Half-open: connections stay and say nothing any more. First those that are there; then also new ones.
pub(super) async fn silence(plan: Plan) -> anyhow::Result<Tally> {
    let (site, proxy) = behind_proxy(&plan).await?;
    let load = plan.load(&site, 12, Rules::every_grant()).await?;
    ensure!(proxy.silence() > 0, "there was no connection to go silent");
    load.progress(500, Duration::from_mins(1)).await?;
    sleep(Duration::from_secs(15)).await;
    proxy.mute(true);
    ensure!(
        proxy.silence() > 0,
        "the node has made no connection since the others went silent"
    );
    load.progress(500, Duration::from_mins(1)).await?;
    sleep(Duration::from_secs(20)).await;
    proxy.mute(false);
    // The node comes back by itself, on new connections.
    let began = Instant::now();
    while !ready(&load.shared.balancer, 1).await {
        ensure!(
            began.elapsed() < Duration::from_secs(40),
            "the node does not come back"
        );
        sleep(Duration::from_millis(200)).await;
    }
    let tally = settle(load, &site).await?;
    in_time(tally, SILENCE)
}

async fn ready(balancer: &crate::balancer::Balancer, node: usize) -> bool {
    let answer = balancer.send_to(node, &Ask::get("/readyz")).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}

/// What is changed at one node is seen at the other within the bound, also when its notifications get lost.
pub(super) async fn notifications(plan: Plan) -> anyhow::Result<Tally> {
    let (site, proxy) = behind_proxy(&plan).await?;
    let load = plan.load(&site, 4, Rules::default()).await?;
    let mut other = OtherNode::of(&load.shared);
    change_and_see(&site, &mut other)
        .await
        .context("with a whole network")?;
    let silenced = proxy.silence_listeners();
    ensure!(silenced > 0, "no connection waits for notifications");
    change_and_see(&site, &mut other)
        .await
        .with_context(|| format!("with {silenced} connections for notifications gone silent"))?;
    proxy.cut();
    change_and_see(&site, &mut other).await.context("after a cut")?;
    let not_judged = other.not_judged;
    let tally = settle(load, &site).await?;
    Ok(Tally { not_judged, ..tally })
}

/// A client, a token, a resource, an issuer's word and a key change at the first node; the second one is asked.
async fn change_and_see(site: &Site, other: &mut OtherNode) -> anyhow::Result<()> {
    let admin = Admin::of(site, 0)?;
    let (shared, change) = (Arc::clone(&other.shared), Method::PATCH);
    let client = admin
        .call(Method::POST, "/admin/clients", World::program())
        .await?;
    let (id, credentials) = (text(&client, "client_id")?, basic(&client)?);
    let ask = || Ok(World::client_credentials(&credentials));
    let token = other.sees("a new client", SOON, ask, is_ok).await?;
    let tokens = Tokens::of(&token).context("no token")?;
    let introspection = || Ok(shared.world.introspection(&tokens.access));
    // Which the second node remembers then.
    let is_active = |active: bool| move |answer: &Answer| answer.json()["active"] == active;
    other
        .sees("a token", SOON, introspection, is_active(true))
        .await?;
    let revocation = Ask::form(REVOKE, &[("token", &tokens.access)]).with(AUTHORIZATION, &credentials);
    let revoked = shared.balancer.send_to(0, &revocation).await;
    ensure!(
        matches!(&revoked, Ok(answer) if is_ok(answer)),
        "a token is not revoked: {revoked:?}"
    );
    other
        .sees("a revoked token", SOON, introspection, is_active(false))
        .await?;
    let path = format!("/admin/clients/{id}");
    admin
        .call(change.clone(), &path, json!({ "disabled": true }))
        .await?;
    other
        .sees("a disabled client", SOON, ask, |answer| {
            answer.status == StatusCode::UNAUTHORIZED
        })
        .await?;
    admin
        .call(change.clone(), &path, json!({ "disabled": false }))
        .await?;
    other.sees("an enabled client", SOON, ask, is_ok).await?;
    let name = format!("Changed for {}", tokens.jti);
    let renamed = json!({ "display_name": name });
    admin
        .call(change.clone(), "/admin/resources/mcp", renamed)
        .await?;
    let page = || Ok(Ask::get(RESOURCE_PAGE));
    other
        .sees("a renamed resource", SOON, page, |answer| {
            answer.text().contains(&name)
        })
        .await?;
    trust_and_see(&admin, other, &tokens.jti.to_lowercase()).await?;
    let key = admin.call(Method::POST, "/admin/keys/rotate", json!({})).await?;
    let key = text(&key, "key_id")?;
    let keys = || Ok(Ask::get("/.well-known/jwks.json"));
    other
        .sees("a new key", KEYS, keys, |answer| answer.text().contains(&key))
        .await?;
    Ok(())
}

/// An identity provider of this name is trusted, and no more, and again.
async fn trust_and_see(admin: &Admin, other: &mut OtherNode, name: &str) -> anyhow::Result<()> {
    let (shared, issuer) = (Arc::clone(&other.shared), format!("https://{name}.example.com"));
    let provider = shared.world.another_provider(name, &issuer);
    admin
        .call(Method::POST, "/admin/trusted-issuers", provider)
        .await?;
    let word = || shared.world.by_word_of(&issuer, "somebody");
    other.sees("a new trusted issuer", SOON, word, is_ok).await?;
    let path = format!("/admin/trusted-issuers/{name}");
    admin
        .call(Method::PATCH, &path, json!({ "disabled": true }))
        .await?;
    other
        .sees("an issuer that is trusted no more", SOON, word, is_invalid_grant)
        .await?;
    admin
        .call(Method::PATCH, &path, json!({ "disabled": false }))
        .await?;
    // About whose grant that ended a word must be newer than its end, by any clock.
    let word = || shared.world.by_word_of(&issuer, "somebody else");
    other
        .sees("an issuer that is trusted again", SOON, word, is_ok)
        .await?;
    Ok(())
}

fn is_ok(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
}

/// The second node, as those see it who wait for what was changed at the first.
struct OtherNode {
    shared: Arc<Shared>,
    not_judged: Option<f64>,
}

impl OtherNode {
    fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            not_judged: None,
        }
    }

    /// Asks until it answers as it should. A request that was sent later than is promised must not be answered otherwise.
    async fn sees(
        &mut self,
        what: &str,
        promised: Duration,
        ask: impl Fn() -> Result<Ask, JoseError>,
        good: impl Fn(&Answer) -> bool,
    ) -> anyhow::Result<Answer> {
        let began = Instant::now();
        loop {
            let sent = began.elapsed();
            match self.shared.balancer.send_to(1, &ask()?).await {
                Ok(answer) if good(&answer) => return Ok(answer),
                other => {
                    let late = judge(sent, promised, BUSY, Machine::now());
                    let not_judged =
                        late.with_context(|| format!("{what} is not seen at the other node: {other:?}"))?;
                    self.not_judged = self.not_judged.or(not_judged);
                    ensure!(
                        sent < GIVEN_UP,
                        "{what} is not seen at the other node after {} s: {other:?}",
                        GIVEN_UP.as_secs()
                    );
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

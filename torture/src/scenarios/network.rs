//! The network between a node and its database.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Plan, in_time, settle};
use crate::balancer::Ask;
use crate::ledger::{Tally, Tokens};
use crate::load::{Rules, Shared};
use crate::pages::{basic, text};
use crate::proxy::Proxy;
use crate::site::{Engine, Site};
use crate::world::{Admin, REVOKE, World};

/// How soon a change is seen at every node, whatever was lost: a second, one more for keys, which a node that hears nothing
/// looks at every second, and two because the machine is busy.
const BOUND: Duration = Duration::from_secs(4);

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
    in_time(&tally, SILENCE)?;
    Ok(tally)
}

async fn ready(balancer: &crate::balancer::Balancer, node: usize) -> bool {
    let answer = balancer.send_to(node, &Ask::get("/readyz")).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}

/// What is changed at one node is seen at the other within the bound, also when its notifications get lost.
pub(super) async fn notifications(plan: Plan) -> anyhow::Result<Tally> {
    let (site, proxy) = behind_proxy(&plan).await?;
    let load = plan.load(&site, 4, Rules::default()).await?;
    change_and_see(&site, &load.shared)
        .await
        .context("with a whole network")?;
    let silenced = proxy.silence_listeners();
    ensure!(silenced > 0, "no connection waits for notifications");
    change_and_see(&site, &load.shared)
        .await
        .with_context(|| format!("with {silenced} connections for notifications gone silent"))?;
    proxy.cut();
    change_and_see(&site, &load.shared).await.context("after a cut")?;
    settle(load, &site).await
}

/// A client, a token, a resource and a key change at the first node; the second one is asked.
async fn change_and_see(site: &Site, shared: &Shared) -> anyhow::Result<()> {
    let (admin, balancer) = (Admin::of(site, 0)?, &shared.balancer);
    let client = admin
        .call(Method::POST, "/admin/clients", World::program())
        .await?;
    let (id, credentials) = (text(&client, "client_id")?, basic(&client)?);
    let ask = World::client_credentials(&credentials);
    let token = seen("a new client", balancer, &ask, |answer| {
        answer.status == StatusCode::OK
    })
    .await?;
    let tokens = Tokens::of(&token).context("no token")?;
    let introspection = shared.world.introspection(&tokens.access);
    // Which the second node remembers then.
    seen("a token", balancer, &introspection, |answer| {
        answer.json()["active"] == true
    })
    .await?;
    let revocation = Ask::form(REVOKE, &[("token", &tokens.access)]).with(AUTHORIZATION, &credentials);
    let revoked = balancer.send_to(0, &revocation).await;
    ensure!(
        matches!(&revoked, Ok(answer) if answer.status == StatusCode::OK),
        "a token is not revoked: {revoked:?}"
    );
    seen("a revoked token", balancer, &introspection, |answer| {
        answer.json()["active"] == false
    })
    .await?;
    let path = format!("/admin/clients/{id}");
    admin
        .call(Method::PATCH, &path, json!({ "disabled": true }))
        .await?;
    seen("a disabled client", balancer, &ask, |answer| {
        answer.status == StatusCode::UNAUTHORIZED
    })
    .await?;
    admin
        .call(Method::PATCH, &path, json!({ "disabled": false }))
        .await?;
    seen("an enabled client", balancer, &ask, |answer| {
        answer.status == StatusCode::OK
    })
    .await?;
    let name = format!("Changed for {}", tokens.jti);
    admin
        .call(
            Method::PATCH,
            "/admin/resources/mcp",
            json!({ "display_name": name }),
        )
        .await?;
    let page = Ask::get(RESOURCE_PAGE);
    seen("a renamed resource", balancer, &page, |answer| {
        answer.text().contains(&name)
    })
    .await?;
    let key = admin.call(Method::POST, "/admin/keys/rotate", json!({})).await?;
    let key = text(&key, "key_id")?;
    let keys = Ask::get("/.well-known/jwks.json");
    seen("a new key", balancer, &keys, |answer| {
        answer.text().contains(&key)
    })
    .await?;
    Ok(())
}

/// Asks the second node until it answers as it should.
async fn seen(
    what: &str,
    balancer: &crate::balancer::Balancer,
    ask: &Ask,
    good: impl Fn(&crate::balancer::Answer) -> bool,
) -> anyhow::Result<crate::balancer::Answer> {
    let began = Instant::now();
    loop {
        let answer = balancer.send_to(1, ask).await;
        match answer {
            Ok(answer) if good(&answer) => return Ok(answer),
            other if began.elapsed() > BOUND => {
                bail!(
                    "{what} is not seen at the other node after {} s: {other:?}",
                    BOUND.as_secs()
                )
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

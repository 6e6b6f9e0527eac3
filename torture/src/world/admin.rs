//! The operators' API.

use anyhow::ensure;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use serde_json::Value;

use crate::balancer::{Answer, Ask, Balancer, Failure};
use crate::node::Node;
use crate::random::Random;
use crate::site::Site;

/// The operators' API of one node, or of all of them.
pub struct Admin {
    balancer: Balancer,
    key: HeaderValue,
}

impl Admin {
    /// Of the node at this place.
    pub fn of(site: &Site, node: usize) -> anyhow::Result<Self> {
        Self::of_nodes(site, &site.nodes[node..=node])
    }

    /// Of all nodes: one that is ready answers.
    pub fn everywhere(site: &Site) -> anyhow::Result<Self> {
        Self::of_nodes(site, &site.nodes)
    }

    fn of_nodes(site: &Site, nodes: &[Node]) -> anyhow::Result<Self> {
        let addresses: Vec<_> = nodes.iter().map(|node| node.admin).collect();
        // Each of them answers by the name of the issuer.
        Ok(Self {
            balancer: Balancer::new(&addresses, &site.host),
            key: HeaderValue::from_str(&format!("Bearer {}", site.admin_key))?,
        })
    }

    /// One request, with its answer whatever it is.
    pub async fn ask(
        &self,
        random: &mut Random,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answer, Failure> {
        let ask = if body.is_null() {
            Ask::get(path)
        } else {
            Ask::json(method, path, body)
        };
        self.balancer
            .send(&ask.with(AUTHORIZATION, &self.key), random)
            .await
    }

    /// One request that must be answered well.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.ask(&mut Random::new(0, 0), method, path, &body).await;
        let answer = answer.map_err(|failure| anyhow::anyhow!("{path}: {failure:?}"))?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.summary());
        Ok(answer.json())
    }
}

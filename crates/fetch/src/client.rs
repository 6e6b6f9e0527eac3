//! The HTTP clients: one that connects to vetted addresses itself and, where there is a proxy, one that goes through it.

use std::sync::Arc;

use reqwest::Client;
use reqwest::dns::Resolve;
use reqwest::redirect::Policy as RedirectPolicy;

use crate::error::FetchError;
use crate::policy::{FetchPolicy, Proxy};
use crate::resolver::{Guarded, ProxyNames, Resolver};
use crate::target::Target;
use crate::tls;

/// More response headers than this end a request.
const MAX_HEADERS: usize = 64;

pub(crate) struct Clients {
    direct: Client,
    proxied: Option<Client>,
    guarded: Guarded,
}

/// How one request travels.
#[derive(Clone, Copy)]
pub(crate) struct Route<'c> {
    pub(crate) client: &'c Client,
    /// The peer of the connection is the proxy, not the target.
    pub(crate) through_proxy: bool,
}

impl Clients {
    pub(crate) fn new(policy: &Arc<FetchPolicy>, resolver: Arc<dyn Resolver>) -> Result<Self, FetchError> {
        let guarded = Guarded {
            resolver: resolver.clone(),
            policy: policy.clone(),
        };
        let proxied = match &policy.proxy {
            Some(proxy) => Some(client(policy, Arc::new(ProxyNames(resolver)), Some(proxy))?),
            None => None,
        };
        Ok(Self {
            direct: client(policy, Arc::new(guarded.clone()), None)?,
            proxied,
            guarded,
        })
    }

    /// The way to a target. What is on loopback is never asked for at a proxy, where it would be another loopback. A name
    /// that a proxy will resolve is resolved here as well and refused like any other: the proxy's answer may differ, so it is
    /// the proxy that must keep strangers' names out of the network behind it. The operator's own hosts need no vetting.
    pub(crate) async fn route(&self, target: &Target) -> Result<Route<'_>, FetchError> {
        match &self.proxied {
            Some(client) if !target.is_loopback() => {
                if target.is_name() && !self.guarded.policy.allows(&target.host) {
                    self.guarded.addresses(target.host.clone()).await?;
                }
                Ok(Route {
                    client,
                    through_proxy: true,
                })
            }
            _ => Ok(Route {
                client: &self.direct,
                through_proxy: false,
            }),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place for what others chose to have fetched"
)]
fn client(
    policy: &FetchPolicy,
    resolver: Arc<dyn Resolve>,
    proxy: Option<&Proxy>,
) -> Result<Client, FetchError> {
    let setup = |error: reqwest::Error| FetchError::Setup(error.without_url().to_string());
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls::client_config(policy)?)
        .dns_resolver(resolver)
        .redirect(RedirectPolicy::none())
        .retry(reqwest::retry::never())
        // Nothing from the environment.
        .no_proxy()
        .referer(false)
        // On by default where another crate of the program has turned on reqwest's features.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .user_agent(&policy.user_agent)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        // A connection that is kept would be reused for a name without asking where the name points now.
        .pool_max_idle_per_host(0);
    if let Some(proxy) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy.as_str()).map_err(setup)?);
    }
    builder.build().map_err(setup)
}

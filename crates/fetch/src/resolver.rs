//! Names become addresses here, and are checked in the same breath.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::error::FetchError;
use crate::policy::FetchPolicy;
use crate::target::address_is_allowed;

/// Turns a host name into its addresses. The fetcher checks what it answers.
pub trait Resolver: Send + Sync + 'static {
    /// Every address of `host`.
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver: respects the hosts file and the name service switch.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

/// Look-ups of the system's resolver at a time. One cannot be called off: it holds a thread of the runtime's blocking pool
/// (512 by default) until the name server's last time-out, long after the fetch that wanted it has ended. Whoever runs
/// slow name servers must not take all threads from the program.
static LOOKUPS: Semaphore = Semaphore::const_new(128);

impl Resolver for SystemResolver {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
            // On its own, so that the permit lives as long as the look-up.
            let lookup = tokio::spawn(async move {
                let addresses = tokio::net::lookup_host((host, 0)).await;
                drop(permit);
                addresses.map(|addresses| addresses.map(|address| address.ip()).collect())
            });
            lookup.await?
        })
    }
}

/// The HTTP client's resolver: the addresses that it lets through are the ones that are connected to, so
/// that a second, different answer (DNS rebinding) is never asked for.
#[derive(Clone)]
pub(crate) struct Guarded {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) policy: Arc<FetchPolicy>,
}

impl Guarded {
    /// The addresses of a host, all of which are allowed.
    pub(crate) fn addresses(&self, host: String) -> BoxFuture<'static, Result<Vec<IpAddr>, FetchError>> {
        let (lookup, policy) = (self.resolver.resolve(host.clone()), self.policy.clone());
        Box::pin(async move {
            let addresses = lookup.await.map_err(|_| FetchError::Dns)?;
            if addresses.is_empty() {
                return Err(FetchError::Dns);
            }
            // One private answer among public ones is an attack or a mistake: refuse the name, not the answer.
            if !addresses
                .iter()
                .all(|address| address_is_allowed(&host, *address, &policy))
            {
                return Err(FetchError::Blocked(host));
            }
            Ok(addresses)
        })
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.addresses(name.as_str().to_owned());
        Box::pin(async move { Ok(sockets(lookup.await?)) })
    }
}

/// The resolver of a client that talks to a proxy alone. Where that is, the operator says.
pub(crate) struct ProxyNames(pub(crate) Arc<dyn Resolver>);

impl Resolve for ProxyNames {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.0.resolve(name.as_str().to_owned());
        Box::pin(async move { Ok(sockets(lookup.await.map_err(|_| FetchError::Dns)?)) })
    }
}

fn sockets(addresses: Vec<IpAddr>) -> Addrs {
    Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers from a list, one after the other.
    struct Script(Mutex<Vec<IpAddr>>);

    impl Resolver for Script {
        fn resolve(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let answer = self.0.lock().unwrap().remove(0);
            Box::pin(async move { Ok(vec![answer]) })
        }
    }

    #[tokio::test]
    async fn a_name_that_turns_private_between_two_answers_is_refused() {
        let answers = ["93.184.216.34", "127.0.0.1", "93.184.216.34"].map(|address| address.parse().unwrap());
        let resolver = Arc::new(Script(Mutex::new(answers.into())));
        let guarded = Guarded {
            resolver,
            policy: Arc::default(),
        };
        let mut verdicts = Vec::new();
        for _ in 0..3 {
            verdicts.push(
                guarded
                    .addresses("rebind.example".to_owned())
                    .await
                    .map(|addresses| addresses.len()),
            );
        }
        assert!(
            matches!(&verdicts[..], [Ok(1), Err(_), Ok(1)]),
            "what is let through is what is connected to"
        );
    }
}

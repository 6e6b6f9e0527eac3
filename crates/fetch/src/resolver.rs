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

/// Turns a host name into its addresses. The fetcher checks what it answers. An error that holds a [`FetchError`] is
/// answered as that one, any other as [`FetchError::Dns`].
pub trait Resolver: Send + Sync + 'static {
    /// Every address of `host`.
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Look-ups of one resolver at a time. One cannot be called off: it holds a thread of the runtime's blocking pool
/// (512 by default) until the name server's last time-out, long after the fetch that wanted it has ended. Whoever runs
/// slow name servers must not take all threads from the program.
const LOOKUPS: usize = 128;

/// The system's resolver: respects the hosts file and the name service switch. Clones share their look-ups.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let permit = Arc::clone(&self.lookups).try_acquire_owned();
        Box::pin(async move {
            // The name was not looked for, so nothing is known about it.
            let permit = permit.map_err(|_| io::Error::other(FetchError::Busy))?;
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
            let addresses = lookup.await.map_err(|error| unresolved(&error))?;
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
        Box::pin(async move { Ok(sockets(lookup.await.map_err(|error| unresolved(&error))?)) })
    }
}

fn unresolved(error: &io::Error) -> FetchError {
    let known = error.get_ref().and_then(|error| error.downcast_ref());
    known.cloned().unwrap_or(FetchError::Dns)
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

    /// Names of strangers can hold all look-ups: it says nothing about another name, and nothing of another resolver.
    #[tokio::test]
    async fn a_look_up_that_finds_no_room_is_busy() {
        let guarded = |lookups: usize| Guarded {
            resolver: Arc::new(SystemResolver {
                lookups: Arc::new(Semaphore::new(lookups)),
            }),
            policy: Arc::new(FetchPolicy {
                allow_loopback_http: true,
                ..FetchPolicy::default()
            }),
        };
        let (full, other) = (guarded(0), guarded(1));
        let lookup = |guarded: &Guarded| guarded.addresses("localhost".to_owned());
        assert_eq!(lookup(&full).await, Err(FetchError::Busy));
        assert!(lookup(&other).await.is_ok());
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

//! How fast passwords can be tried: for an account, for an address, and for the network of an IPv6 address. Waits double
//! and are bounded, so nobody is locked out for good; and a browser in which the person signed in before has a count of
//! its own, so that strangers who try an account, or other accounts from the same network, do not make its owner wait.

use std::net::IpAddr;
use std::{iter, slice};

use doorward_jose::{base64url, sha256};
use doorward_oauth::time::UnixSeconds;
use doorward_store::{LoginThrottle, StoreError, ThrottlePolicy};

use crate::context::Context;
use crate::http::address;

/// An address has this many times the free attempts of an account: many people can share one.
const ADDRESS_FACTOR: u32 = 20;
/// The /48 of an IPv6 address has this many times the free attempts of an address.
const SITE_FACTOR: u32 = 4;
/// Attempts of an address are counted in windows of this many seconds. A right password gives one back, its own: an office
/// signs in from one address, and whoever has one account must not be free to try all others.
const ADDRESS_WINDOW: i64 = 15 * 60;

/// One attempt to sign in.
pub(crate) struct Attempt {
    from: Option<Origin>,
    account: String,
}

/// Where an attempt comes from.
struct Origin {
    address: String,
    site: Option<String>,
}

impl Attempt {
    /// An attempt on an account, from an address. `known_browser` names the browser if the account's owner
    /// signed in there before: it can try that account alone, so its address is not asked for.
    pub(crate) fn new(email: &str, address: IpAddr, known_browser: Option<&str>, now: UnixSeconds) -> Self {
        let window = now.seconds().div_euclid(ADDRESS_WINDOW);
        let from = || Origin {
            address: format!("login:address:{}:{window}", address::bucket(address)),
            site: address::site(address).map(|site| format!("login:site:{site}:{window}")),
        };
        // Digests: a key has one length, and the store holds no list of who was tried.
        let account = [email.to_lowercase().as_str(), known_browser.unwrap_or_default()].join("\n");
        Self {
            from: known_browser.is_none().then(from),
            account: format!("login:account:{}", base64url::encode(&sha256(account.as_bytes()))),
        }
    }

    /// Takes the attempt, before the password is looked at.
    pub(crate) async fn begin(&self, ctx: &Context) -> Result<LoginThrottle, StoreError> {
        let of_account = policy(ctx);
        let of_address = times(of_account, ADDRESS_FACTOR);
        let of_site = times(of_address, SITE_FACTOR);
        let mut counts = Vec::with_capacity(3);
        if let Some(Origin { address, site }) = &self.from {
            // An address that has to wait takes nothing from its neighbours.
            counts.push((address, of_address));
            counts.extend(site.iter().map(|site| (site, of_site)));
        }
        counts.push((&self.account, of_account));
        take(ctx, &counts).await
    }

    /// Gives the account's attempts back after a right password, and the others this one.
    pub(crate) async fn succeeded(&self, ctx: &Context) -> Result<(), StoreError> {
        let account = slice::from_ref(&self.account);
        ctx.store.clear_login(account, &self.origins()).await
    }

    /// Gives this attempt back, whose password was not looked at.
    pub(crate) async fn given_back(&self, ctx: &Context) -> Result<(), StoreError> {
        let mut counted = self.origins();
        counted.push(self.account.clone());
        ctx.store.clear_login(&[], &counted).await
    }

    fn origins(&self) -> Vec<String> {
        let origin = self.from.iter();
        origin
            .flat_map(|Origin { address, site }| iter::once(address).chain(site))
            .cloned()
            .collect()
    }
}

/// Counts one attempt for each, up to the first that has to wait.
pub(super) async fn take(
    ctx: &Context,
    counts: &[(&String, ThrottlePolicy)],
) -> Result<LoginThrottle, StoreError> {
    let now = ctx.now();
    for (key, policy) in counts {
        let outcome = ctx.store.begin_login(slice::from_ref(*key), *policy, now).await?;
        if outcome != LoginThrottle::Allowed {
            return Ok(outcome);
        }
    }
    Ok(LoginThrottle::Allowed)
}

/// So many times the free attempts.
pub(super) fn times(policy: ThrottlePolicy, factor: u32) -> ThrottlePolicy {
    ThrottlePolicy {
        free_attempts: policy.free_attempts.saturating_mul(factor),
        ..policy
    }
}

pub(super) fn policy(ctx: &Context) -> ThrottlePolicy {
    let settings = &ctx.settings.login;
    ThrottlePolicy {
        free_attempts: settings.free_attempts,
        first_wait: settings.first_wait.duration(),
        longest_wait: settings.longest_wait.duration(),
        forget_after: settings.forget_after.duration(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(email: &str, address: &str, known: Option<&str>, now: i64) -> Attempt {
        Attempt::new(email, address.parse().unwrap(), known, UnixSeconds(now))
    }

    fn address(attempt: &Attempt) -> &str {
        &attempt.from.as_ref().unwrap().address
    }

    #[test]
    fn an_account_is_one_whatever_the_case_and_the_address() {
        let one = attempt("Ada@Example.com", "192.0.2.1", None, 0);
        let other = attempt("ada@example.COM", "192.0.2.2", None, 0);
        assert_eq!(one.account, other.account);
        assert_ne!(address(&one), address(&other));
    }

    #[test]
    fn a_known_browser_is_counted_apart() {
        let stranger = attempt("ada@example.com", "192.0.2.1", None, 0);
        let known = attempt("ada@example.com", "192.0.2.1", Some("browser"), 0);
        assert_ne!(stranger.account, known.account);
        assert!(known.from.is_none() && stranger.from.is_some());
    }

    #[test]
    fn addresses_of_one_network_share_a_window_and_only_a_window() {
        let one = attempt("a@example.com", "2001:db8:1:2::1", None, 899);
        assert_eq!(
            address(&one),
            address(&attempt("b@example.com", "2001:db8:1:2:ff::9", None, 0))
        );
        assert_ne!(
            address(&one),
            address(&attempt("a@example.com", "2001:db8:1:2::1", None, 900))
        );
    }

    #[test]
    fn a_key_does_not_grow_with_its_input() {
        assert!(attempt(&"x".repeat(60_000), "192.0.2.1", None, 0).account.len() < 64);
    }
}

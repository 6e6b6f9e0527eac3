//! How fast passwords can be tried: for an account, and for an address. Waits double and are bounded, so
//! nobody is locked out for good; and a browser in which the person signed in before has a count of its
//! own, so that a stranger who tries an account does not make its owner wait.

use std::net::IpAddr;

use doorward_jose::{base64url, sha256};
use doorward_oauth::time::UnixSeconds;
use doorward_store::{LoginThrottle, StoreError, ThrottlePolicy};

use crate::context::Context;
use crate::http::address;

/// An address has this many times the free attempts of an account: many people can share one.
const ADDRESS_FACTOR: u32 = 20;
/// Attempts of an address are counted in windows of this many seconds, and a right password does not give
/// them back: else whoever has one account could try all others.
const ADDRESS_WINDOW: i64 = 15 * 60;

/// One attempt to sign in.
pub(crate) struct Attempt {
    address: String,
    account: String,
}

impl Attempt {
    /// An attempt on an account, from an address. `known_browser` names the browser if the account's owner
    /// signed in there before.
    pub(crate) fn new(email: &str, address: IpAddr, known_browser: Option<&str>, now: UnixSeconds) -> Self {
        let address = address::bucket(address);
        let window = now.seconds().div_euclid(ADDRESS_WINDOW);
        // Digests: a key has one length, and the store holds no list of who was tried.
        let account = [email.to_lowercase().as_str(), known_browser.unwrap_or_default()].join("\n");
        Self {
            address: format!("login:address:{address}:{window}"),
            account: format!("login:account:{}", base64url::encode(&sha256(account.as_bytes()))),
        }
    }

    /// Takes the attempt, before the password is looked at.
    pub(crate) async fn begin(&self, ctx: &Context) -> Result<LoginThrottle, StoreError> {
        let account = policy(ctx);
        let address = ThrottlePolicy {
            free_attempts: account.free_attempts.saturating_mul(ADDRESS_FACTOR),
            ..account
        };
        let now = ctx.now();
        let outcome = ctx
            .store
            .begin_login(std::slice::from_ref(&self.address), address, now)
            .await?;
        if outcome != LoginThrottle::Allowed {
            return Ok(outcome);
        }
        ctx.store
            .begin_login(std::slice::from_ref(&self.account), account, now)
            .await
    }

    /// Gives the account's attempts back, after a right password.
    pub(crate) async fn succeeded(&self, ctx: &Context) -> Result<(), StoreError> {
        ctx.store.clear_login(std::slice::from_ref(&self.account)).await
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

    #[test]
    fn an_account_is_one_whatever_the_case_and_the_address() {
        let one = attempt("Ada@Example.com", "192.0.2.1", None, 0);
        let other = attempt("ada@example.COM", "192.0.2.2", None, 0);
        assert_eq!(one.account, other.account);
        assert_ne!(one.address, other.address);
    }

    #[test]
    fn a_known_browser_is_counted_apart() {
        let stranger = attempt("ada@example.com", "192.0.2.1", None, 0);
        let known = attempt("ada@example.com", "192.0.2.1", Some("browser"), 0);
        assert_ne!(stranger.account, known.account);
        assert_eq!(stranger.address, known.address);
    }

    #[test]
    fn addresses_of_one_network_share_a_window_and_only_a_window() {
        let one = attempt("a@example.com", "2001:db8:1:2::1", None, 899);
        assert_eq!(
            one.address,
            attempt("b@example.com", "2001:db8:1:2:ff::9", None, 0).address
        );
        assert_ne!(
            one.address,
            attempt("a@example.com", "2001:db8:1:2::1", None, 900).address
        );
    }

    #[test]
    fn a_key_does_not_grow_with_its_input() {
        assert!(attempt(&"x".repeat(60_000), "192.0.2.1", None, 0).account.len() < 64);
    }
}

//! How fast user codes can be tried (RFC 8628 §5.1): by the rules of signing in, for an address and for a browser. A
//! right code gives the browser's attempts back, never the address's.

use std::net::IpAddr;
use std::slice;

use doorward_jose::{base64url, sha256};
use doorward_oauth::time::UnixSeconds;
use doorward_store::{LoginThrottle, StoreError};

use super::throttle::{policy, take, times};
use crate::context::Context;
use crate::http::address;
use crate::http::csrf::BrowserId;

/// An address has this many times the free attempts of a browser.
const ADDRESS_FACTOR: u32 = 6;
/// The /48 of an IPv6 address has this many times the free attempts of an address.
const SITE_FACTOR: u32 = 16;
/// Attempts of an address are counted in windows of this many seconds.
const ADDRESS_WINDOW: i64 = 15 * 60;

/// One attempt to name a device.
pub(crate) struct Guess {
    site: Option<String>,
    address: String,
    browser: String,
}

impl Guess {
    /// An attempt from a browser at an address.
    pub(crate) fn new(browser: &BrowserId, address: IpAddr, now: UnixSeconds) -> Self {
        let window = now.seconds().div_euclid(ADDRESS_WINDOW);
        let browser = base64url::encode(&sha256(browser.as_str().as_bytes()));
        Self {
            site: address::site(address).map(|site| format!("device:site:{site}:{window}")),
            address: format!("device:address:{}:{window}", address::bucket(address)),
            browser: format!("device:browser:{browser}"),
        }
    }

    /// Takes the attempt, before the code is looked at.
    pub(crate) async fn begin(&self, ctx: &Context) -> Result<LoginThrottle, StoreError> {
        let of_browser = policy(ctx);
        let of_address = times(of_browser, ADDRESS_FACTOR);
        let of_site = times(of_address, SITE_FACTOR);
        let mut counts = vec![(&self.address, of_address)];
        counts.extend(self.site.iter().map(|site| (site, of_site)));
        counts.push((&self.browser, of_browser));
        let outcome = take(ctx, &counts).await?;
        if outcome != LoginThrottle::Allowed {
            ctx.metrics.limited("user_code");
        }
        Ok(outcome)
    }

    /// Gives the browser's attempts back.
    pub(crate) async fn was_right(&self, ctx: &Context) -> Result<(), StoreError> {
        ctx.store.clear_login(slice::from_ref(&self.browser), &[]).await
    }
}

//! What there is so much of for everybody, and so much for each address: one that takes all it can get leaves the others
//! theirs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::address::{bucket, site};

/// A site has this many times the share of a subscriber.
const SITE_FACTOR: usize = 4;

/// What is shared.
#[derive(Debug)]
pub(crate) struct Shares {
    together: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    together: usize,
    buckets: HashMap<IpAddr, usize>,
    sites: HashMap<IpAddr, usize>,
}

impl Shares {
    /// So much for all, and of it so much for an address.
    pub(crate) fn new(together: usize, each: usize) -> Self {
        Self {
            together,
            each,
            taken: Mutex::default(),
        }
    }

    fn take(&self, address: IpAddr, amount: usize) -> bool {
        let mut taken = self.taken();
        let of_bucket = amount_of(&taken.buckets, bucket(address));
        let of_site = site(address).map_or(0, |site| amount_of(&taken.sites, site));
        let fits = amount.saturating_add(taken.together) <= self.together
            && amount.saturating_add(of_bucket) <= self.each
            && amount.saturating_add(of_site) <= self.each.saturating_mul(SITE_FACTOR);
        if fits {
            taken.add(address, amount);
        }
        fits
    }

    /// Also beyond what there is.
    fn count(&self, address: IpAddr, amount: usize) {
        self.taken().add(address, amount);
    }

    fn give_back(&self, address: IpAddr, amount: usize) {
        let mut taken = self.taken();
        taken.together = taken.together.saturating_sub(amount);
        lessen(&mut taken.buckets, bucket(address), amount);
        if let Some(site) = site(address) {
            lessen(&mut taken.sites, site, amount);
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn add(&mut self, address: IpAddr, amount: usize) {
        self.together = self.together.saturating_add(amount);
        add(&mut self.buckets, bucket(address), amount);
        if let Some(site) = site(address) {
            add(&mut self.sites, site, amount);
        }
    }
}

fn amount_of(amounts: &HashMap<IpAddr, usize>, key: IpAddr) -> usize {
    amounts.get(&key).copied().unwrap_or_default()
}

fn add(amounts: &mut HashMap<IpAddr, usize>, key: IpAddr, amount: usize) {
    let held = amounts.entry(key).or_default();
    *held = held.saturating_add(amount);
}

fn lessen(amounts: &mut HashMap<IpAddr, usize>, key: IpAddr, by: usize) {
    let left = amount_of(amounts, key).saturating_sub(by);
    if left == 0 {
        amounts.remove(&key);
    } else {
        amounts.insert(key, left);
    }
}

/// What an address has of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share<S: Deref<Target = Shares>> {
    shares: S,
    address: IpAddr,
    amount: usize,
}

impl<S: Deref<Target = Shares>> Share<S> {
    /// Nothing yet.
    pub(crate) fn new(shares: S, address: IpAddr) -> Self {
        Self {
            shares,
            address,
            amount: 0,
        }
    }

    /// Makes it as large as this, if there is so much left.
    pub(crate) fn grow_to(&mut self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        let fits = more == 0 || self.shares.take(self.address, more);
        if fits {
            self.amount += more;
        }
        fits
    }

    /// Makes it larger, whatever is left: it counts when there is little left for others.
    pub(crate) fn grow_by(&mut self, amount: usize) {
        self.shares.count(self.address, amount);
        self.amount += amount;
    }
}

impl<S: Deref<Target = Shares>> Drop for Share<S> {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.shares.give_back(self.address, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share<'a>(shares: &'a Shares, address: &str, amount: usize) -> Option<Share<&'a Shares>> {
        let mut share = Share::new(shares, address.parse().unwrap());
        share.grow_to(amount).then_some(share)
    }

    #[test]
    fn an_address_gets_its_share_and_leaves_the_others_theirs() {
        let shares = Shares::new(10, 4);
        let first = share(&shares, "192.0.2.1", 4).unwrap();
        assert!(share(&shares, "192.0.2.1", 1).is_none());
        let _second = share(&shares, "192.0.2.2", 4).unwrap();
        assert!(share(&shares, "192.0.2.3", 3).is_none(), "all have ten together");
        let third = share(&shares, "192.0.2.3", 2).unwrap();
        drop((first, third));
        assert!(
            share(&shares, "192.0.2.1", 4).is_some(),
            "what was given back is there again"
        );
    }

    #[test]
    fn a_share_that_cannot_grow_stays_as_it_is() {
        let shares = Shares::new(10, 4);
        let mut share = Share::new(&shares, "192.0.2.1".parse().unwrap());
        assert!(share.grow_to(3) && !share.grow_to(5) && share.grow_to(2) && share.grow_to(4));
        drop(share);
        let taken = shares.taken();
        assert!(taken.together == 0 && taken.buckets.is_empty() && taken.sites.is_empty());
    }

    #[test]
    fn a_site_has_no_share_for_each_of_its_networks() {
        let shares = Shares::new(100, 4);
        let mut held = Vec::new();
        for network in 0..SITE_FACTOR {
            held.push(share(&shares, &format!("2001:db8:1:{network}::1"), 4).unwrap());
        }
        assert!(share(&shares, "2001:db8:1:ffff::1", 1).is_none());
        assert!(share(&shares, "2001:db8:2::1", 4).is_some());
    }
}

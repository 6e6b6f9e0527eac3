//! Room for password hashes, those that run and those that wait. One network cannot hold all of it; and some is kept for
//! people who signed in here before, whoever else comes in whatever number.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::address;

/// One network has one in so many of the places for all.
const NETWORKS: usize = 8;

pub(super) struct Places {
    for_all: Arc<Semaphore>,
    for_known: Arc<Semaphore>,
    /// Places for all that one network may hold.
    of_network: usize,
    held: Arc<Held>,
}

/// How many places each network holds.
#[derive(Default)]
struct Held(Mutex<HashMap<IpAddr, usize>>);

/// Room for one hash, which runs or waits for a worker.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// What a place takes of its network's part.
struct Share {
    network: IpAddr,
    held: Arc<Held>,
}

impl Places {
    pub(super) fn new(for_all: usize, for_known: usize) -> Self {
        Self {
            for_all: Arc::new(Semaphore::new(for_all)),
            for_known: Arc::new(Semaphore::new(for_known)),
            of_network: (for_all / NETWORKS).max(1),
            held: Arc::default(),
        }
    }

    /// A place, if there is one. `is_known`: the request proves that its sender signed in here before.
    pub(super) fn take(&self, address: IpAddr, is_known: bool) -> Option<Place> {
        let network = address::site(address).unwrap_or_else(|| address::bucket(address));
        let share = Share::take(&self.held, network, self.of_network);
        share
            .and_then(|share| place(&self.for_all, Some(share)))
            .or_else(|| is_known.then(|| place(&self.for_known, None)).flatten())
    }

    /// A place for what an operator asks for.
    pub(super) fn take_for_operator(&self) -> Option<Place> {
        place(&self.for_all, None).or_else(|| place(&self.for_known, None))
    }
}

fn place(places: &Arc<Semaphore>, share: Option<Share>) -> Option<Place> {
    let permit = Arc::clone(places).try_acquire_owned().ok()?;
    Some(Place {
        _permit: permit,
        _share: share,
    })
}

impl Held {
    /// The table is whole after every statement.
    fn table(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn take(held: &Arc<Held>, network: IpAddr, most: usize) -> Option<Self> {
        let mut table = held.table();
        let number = table.entry(network).or_default();
        if *number >= most {
            return None;
        }
        *number += 1;
        Some(Self {
            network,
            held: Arc::clone(held),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Entry::Occupied(mut held) = self.held.table().entry(self.network) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Places, address: &str) -> Option<Place> {
        places.take(address.parse().unwrap(), false)
    }

    #[test]
    fn one_network_holds_an_eighth() {
        let places = Places::new(32, 1);
        let of_one: Vec<_> = (0..100)
            .filter_map(|index| take(&places, &format!("2001:db8:1:{index}::1")))
            .collect();
        assert_eq!(of_one.len(), 4);
        assert!(take(&places, "2001:db8:2::1").is_some());
        let of_other: Vec<_> = (0..100).filter_map(|_| take(&places, "192.0.2.1")).collect();
        assert_eq!(of_other.len(), 4);
        drop(of_one);
        assert!(take(&places, "2001:db8:1:7::1").is_some());
        drop(of_other);
        assert!(places.held.table().is_empty(), "nothing is remembered");
    }

    #[test]
    fn who_signed_in_before_finds_room_among_any_number_of_strangers() {
        let places = Places::new(32, 2);
        let strangers: Vec<_> = (0..100)
            .filter_map(|index| take(&places, &format!("192.0.2.{index}")))
            .collect();
        assert_eq!(strangers.len(), 32);
        let known = || places.take("192.0.2.200".parse().unwrap(), true);
        let two = (known(), known());
        assert!(two.0.is_some() && two.1.is_some());
        assert!(known().is_none() && places.take_for_operator().is_none());
        drop(two);
        // In a network that strangers fill as well.
        drop(strangers);
        let strangers: Vec<_> = (0..100).filter_map(|_| take(&places, "192.0.2.200")).collect();
        assert_eq!(strangers.len(), 4);
        assert!(known().is_some());
    }

    #[test]
    fn who_finds_no_room_holds_none() {
        let places = Places::new(0, 0);
        assert!(take(&places, "192.0.2.1").is_none());
        assert!(places.take_for_operator().is_none());
        assert!(places.held.table().is_empty());
    }
}

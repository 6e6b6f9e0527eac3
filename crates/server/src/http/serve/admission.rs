//! Who may come in: as many connections as there are slots and open files for; and when half of them are taken, of strangers
//! so many of an address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::{Peers, ServeLimits};
use crate::http::address::bucket;
use crate::http::shares::{Share, Shares};

/// How long to wait for an open file to be given back.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether there are as many connections as there may be.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    is_there: AtomicBool,
    came: Notify,
}

impl Crowd {
    /// Whether connections that are idle have to go.
    pub(super) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Until it comes.
    pub(super) async fn comes(&self) {
        self.came.notified().await;
    }

    fn set(&self, is_there: bool) {
        if self.is_there.swap(is_there, Ordering::AcqRel) != is_there && is_there {
            self.came.notify_waiters();
        }
    }
}

/// What a connection holds until its end: its slot, and a stranger's is one of its address.
pub(super) type Place = (OwnedSemaphorePermit, Share<Arc<Shares>>);

/// The way into one listener.
pub(super) struct Admission {
    slots: Arc<Semaphore>,
    /// Fewer free ones are few.
    half: usize,
    strangers: Arc<Shares>,
    peers: Peers,
    crowd: Arc<Crowd>,
    /// The last connection could not be accepted for want of an open file.
    is_out_of_files: bool,
    out_of_files_told: Seldom,
    refusal_told: Seldom,
}

impl Admission {
    pub(super) fn new(limits: &ServeLimits, peers: Peers) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(limits.connections)),
            half: limits.connections / 2,
            strangers: Arc::new(Shares::new(limits.connections, limits.connections_of_address)),
            peers,
            crowd: Arc::default(),
            is_out_of_files: false,
            out_of_files_told: Seldom::default(),
            refusal_told: Seldom::default(),
        }
    }

    /// Tells connections when there are too many.
    pub(super) fn crowd(&self) -> Arc<Crowd> {
        Arc::clone(&self.crowd)
    }

    /// The next connection, with its place; `None` when nothing came of it.
    pub(super) async fn next(&mut self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, Place)> {
        // The last slot is kept free for who comes next: a few strangers that only hold connections open must not shut
        // everybody else out.
        self.crowd
            .set(self.is_out_of_files || self.slots.available_permits() <= 1);
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, peer)) => {
                self.is_out_of_files = false;
                let share = self.share(peer.ip())?;
                Some((stream, peer, (slot, share)))
            }
            Err(error) if is_of_one_connection(&error) => None,
            Err(error) => {
                // Out of file descriptors, most likely. Connections that are idle give theirs back at once.
                self.is_out_of_files = true;
                self.crowd.set(true);
                if self.out_of_files_told.is_due(Instant::now()) {
                    tracing::warn!(%error, "cannot accept a connection; idle ones are closed (told once a minute)");
                }
                sleep(PAUSE).await;
                None
            }
        }
    }

    /// One of the connections that a stranger's address may hold; `None` when it holds them all and others may need the rest:
    /// a proxy that nobody has named holds many, and they hurt nobody as long as there is room. Who is known needs none.
    fn share(&mut self, address: IpAddr) -> Option<Share<Arc<Shares>>> {
        let mut share = Share::new(Arc::clone(&self.strangers), address);
        if self.peers.know(address) {
            return Some(share);
        }
        if self.slots.available_permits() >= self.half {
            share.grow_by(1);
            return Some(share);
        }
        if share.grow_to(1) {
            return Some(share);
        }
        self.peers.metrics.connection_refused();
        if self.refusal_told.is_due(Instant::now()) {
            tracing::warn!(
                address = %bucket(address),
                "an address holds as many connections as one may, and further ones are closed; a proxy belongs into server.trusted_proxies (told once a minute)",
            );
        }
        None
    }
}

/// Whether only this connection failed, before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// What is told at most once a minute.
#[derive(Debug, Default)]
struct Seldom {
    told: Option<Instant>,
}

impl Seldom {
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self
            .told
            .is_none_or(|told| now.duration_since(told) >= Duration::from_mins(1));
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happens_often_is_told_once_a_minute() {
        let mut seldom = Seldom::default();
        assert!(seldom.is_due(Instant::now()));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!seldom.is_due(Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(seldom.is_due(Instant::now()) && !seldom.is_due(Instant::now()));
    }
}

//! A network that fails: between a node and its database.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::node::free_address;

/// Passes bytes on, as long as it is told to.
pub struct Proxy {
    pub address: SocketAddr,
    wires: Arc<Mutex<Vec<Arc<Wire>>>>,
    /// New connections are taken and then left alone.
    mute: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

/// One connection.
#[derive(Default)]
struct Wire {
    /// Says nothing any more, in either direction, and stays open.
    silent: AtomicBool,
    /// Has asked to be notified (`LISTEN`).
    listens: AtomicBool,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Proxy {
    /// In front of this address.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let address = free_address();
        let listener = TcpListener::bind(address).await?;
        let wires: Arc<Mutex<Vec<Arc<Wire>>>> = Arc::default();
        let mute: Arc<AtomicBool> = Arc::default();
        let (all, muted) = (Arc::clone(&wires), Arc::clone(&mute));
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let wire = Arc::new(Wire::default());
                wire.silent
                    .store(muted.load(Ordering::Relaxed), Ordering::Relaxed);
                let carried = Arc::clone(&wire);
                let running = tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(target).await {
                        carry(near, far, &carried).await;
                    }
                });
                *wire.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
                all.lock().unwrap_or_else(PoisonError::into_inner).push(wire);
            }
        });
        Ok(Self {
            address,
            wires,
            mute,
            accepting,
        })
    }

    /// All connections that are open go silent, and nobody is told that they are of no use; how many there were.
    pub fn silence(&self) -> usize {
        self.count(|wire| wire.is_open() && !wire.silent.swap(true, Ordering::Relaxed))
    }

    /// So do those that are made from now on, or not.
    pub fn mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::Relaxed);
    }

    /// Silences the connections that wait for notifications, and says how many there were.
    pub fn silence_listeners(&self) -> usize {
        self.count(|wire| {
            let listens = wire.is_open() && wire.listens.load(Ordering::Relaxed);
            listens && !wire.silent.swap(true, Ordering::Relaxed)
        })
    }

    /// Cuts every connection, and says how many there were.
    pub fn cut(&self) -> usize {
        let cut = self.count(Wire::end);
        self.wires.lock().unwrap_or_else(PoisonError::into_inner).clear();
        cut
    }

    /// Of how many it is so.
    fn count(&self, is_so: impl Fn(&Wire) -> bool) -> usize {
        let wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        wires.iter().filter(|wire| is_so(wire)).count()
    }
}

impl Wire {
    /// Whether neither side has ended it.
    fn is_open(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().is_some_and(|running| !running.is_finished())
    }

    /// Ends it, if it was open.
    fn end(&self) -> bool {
        let was_open = self.is_open();
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.abort();
        }
        was_open
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// Both ways, until one side ends.
async fn carry(near: TcpStream, far: TcpStream, wire: &Wire) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    tokio::select! {
        () = pass(from_near, to_far, wire) => {}
        () = pass(from_far, to_near, wire) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wire: &Wire) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..length];
        if bytes.windows(7).any(|word| word == b"LISTEN ") {
            wire.listens.store(true, Ordering::Relaxed);
        }
        if wire.silent.load(Ordering::Relaxed) {
            // Swallowed, and the connection stays open for ever.
            std::future::pending::<()>().await;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

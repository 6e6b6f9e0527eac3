//! Our own server loop: every wait on a client is bounded.
//!
//! hyper bounds the headers only when it has a timer, and nothing bounds a connection that is silent before
//! it has chosen a protocol; so each connection is watched from here.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::{BoxError, Router};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use self::activity::{Activity, Overdue, Watched};
use self::admission::{Admission, Crowd};
pub use self::peers::Peers;
use crate::http::metrics::Metrics;

mod activity;
mod admission;
mod peers;
#[cfg(test)]
mod tests;

/// The bounds on connections of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// The longest time for the headers of a request, and for the first byte of a new connection.
    pub header_time: Duration,
    /// The longest pause between two requests of a connection.
    pub idle_time: Duration,
    /// The longest time without progress of any request that runs: longer than a handler may take. HTTP/2 lets a client
    /// ask and then take nothing.
    pub answer_time: Duration,
    /// The most bytes that the headers of a request may have; at least 8 KiB.
    pub header_bytes: usize,
    /// The most headers of a request.
    pub header_count: usize,
    /// The most connections at a time. When they are reached, those that are idle make room, and further ones wait to
    /// be accepted. Each is an open file of the process: its limit (`ulimit -n`) has to be higher.
    pub connections: usize,
    /// The most of them that a stranger's address may hold (a /64 of IPv6; a /48 may hold four times as many). Further ones
    /// are closed at once.
    pub connections_of_address: usize,
    /// How long running requests have to finish after the shutdown signal.
    pub drain_time: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self::with_connections(8192)
    }
}

impl ServeLimits {
    /// The defaults, with so many connections. When half of them are taken, an address may hold an eighth.
    pub fn with_connections(connections: usize) -> Self {
        Self {
            header_time: Duration::from_secs(8),
            idle_time: Duration::from_secs(75),
            answer_time: Duration::from_mins(1),
            header_bytes: 32 * 1024,
            header_count: HYPERS_HEADER_COUNT,
            connections,
            connections_of_address: (connections / 8).max(1),
            drain_time: Duration::from_secs(8),
        }
    }
}

/// The most headers that hyper takes when it is not told.
const HYPERS_HEADER_COUNT: usize = 100;

/// Requests at a time on one HTTP/2 connection. A client needs few; a proxy opens another connection.
const STREAMS: u32 = 16;

/// The bytes of a body, and of all bodies of an HTTP/2 connection, that may come before they are read.
const WINDOW_OF_STREAM: u32 = 64 * 1024;
const WINDOW_OF_CONNECTION: u32 = 2 * WINDOW_OF_STREAM;

/// How long a connection that is told to go has to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves the router until `shutdown`, then lets running requests finish, at most `drain_time` long.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    peers: Peers,
    shutdown: CancellationToken,
) {
    let (metrics, open) = (peers.metrics.clone(), peers.connections.clone());
    let mut admission = Admission::new(&limits, peers);
    let connections = TaskTracker::new();
    let builder = Arc::new(builder(&limits));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = admission.next(&listener) => accepted,
        };
        let Some((stream, peer, place)) = accepted else {
            continue;
        };
        let (builder, router, shutdown) = (Arc::clone(&builder), router.clone(), shutdown.clone());
        let (crowd, metrics, open) = (admission.crowd(), metrics.clone(), Open::new(open.clone()));
        connections.spawn(async move {
            let ended = connection(stream, peer, &builder, router, limits, &crowd, &shutdown).await;
            if let Err(error) = ended {
                tell_unreadable(peer, error.as_ref(), &metrics);
            }
            drop((place, open));
        });
    }
    drop(listener);
    connections.close();
    // A connection ends by itself within the time; the margin is for its farewell.
    if timeout(limits.drain_time + FAREWELL, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!("some connections did not end in time");
    }
}

fn builder(limits: &ServeLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The watch below is stricter than hyper's clock, which costs a timer for each request.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.max(8192));
    // Room for a number of its own costs hyper more than for this one, with every request.
    if limits.header_count != HYPERS_HEADER_COUNT {
        builder.http1().max_headers(limits.header_count);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW_OF_STREAM)
        .initial_connection_window_size(WINDOW_OF_CONNECTION)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.idle_time)
        .keep_alive_timeout(limits.header_time);
    builder
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    builder: &Builder<TokioExecutor>,
    router: Router,
    limits: ServeLimits,
    crowd: &Crowd,
    shutdown: &CancellationToken,
) -> Result<(), BoxError> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let activity = Arc::new(Activity::default());
    let io = Watched::new(TokioIo::new(stream), Arc::clone(&activity));
    let service = service_fn(|request: Request<Incoming>| {
        let running = activity.request_started();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().call(request);
        async move {
            answer
                .await
                .map(|response| response.map(|body| running.until_end_of(body)))
        }
    });
    let mut conversation = pin!(builder.serve_connection(io, service));
    let mut overdue = Overdue::new(Arc::clone(&activity), limits);
    // A connection is polled with every request, and these are asked only when they have something to say.
    let mut news = FuturesUnordered::from_iter([told_to_go(crowd, shutdown)]);
    let farewell = tokio::select! {
        biased;
        ended = conversation.as_mut() => return ended,
        Some(()) = news.next() => limits.drain_time,
        () = poll_fn(|context| match overdue.poll_unpin(context) {
            Poll::Pending if crowd.is_there() && activity.is_idle() => Poll::Ready(()),
            poll => poll,
        }) => FAREWELL,
    };
    conversation.as_mut().graceful_shutdown();
    timeout(farewell, conversation).await.unwrap_or_else(|_| {
        tracing::debug!("a connection was cut off");
        Ok(())
    })
}

/// What hyper refuses by itself comes to no endpoint and has no line as a request. Other faults of the client's side of the
/// wire tell an operator nothing.
fn tell_unreadable(peer: SocketAddr, error: &(dyn Error + 'static), metrics: &Metrics) {
    if error.downcast_ref().is_some_and(hyper::Error::is_parse) {
        metrics.unreadable();
        tracing::debug!(address = %peer.ip(), %error, "a request could not be read");
    }
}

/// A connection, counted as long as the value lives.
struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Until the shutdown. Wakes the connection when there are too many, so that it looks whether it is idle.
async fn told_to_go(crowd: &Crowd, shutdown: &CancellationToken) {
    let mut shutdown = pin!(shutdown.cancelled());
    loop {
        tokio::select! {
            () = shutdown.as_mut() => return,
            () = crowd.comes() => {}
        }
    }
}

//! Our own server loop: every wait on a client is bounded.
//!
//! hyper bounds the headers only when it has a timer, and nothing bounds a connection that is silent before
//! it has chosen a protocol; so each connection is watched from here.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use self::activity::{Activity, Watched};

mod activity;
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
    /// be accepted.
    pub connections: usize,
    /// How long running requests have to finish after the shutdown signal.
    pub drain_time: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            header_time: Duration::from_secs(8),
            idle_time: Duration::from_secs(75),
            answer_time: Duration::from_mins(1),
            header_bytes: 32 * 1024,
            header_count: 100,
            connections: 8192,
            drain_time: Duration::from_secs(8),
        }
    }
}

/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 100;

/// How long a connection that is told to go has to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves the router until `shutdown`, then lets running requests finish, at most `drain_time` long.
pub async fn serve(listener: TcpListener, router: Router, limits: ServeLimits, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let builder = Arc::new(builder(&limits));
    let crowd = watch::Sender::new(false);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots, &crowd) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else {
            continue;
        };
        let (builder, router, shutdown) = (Arc::clone(&builder), router.clone(), shutdown.clone());
        let crowded = crowd.subscribe();
        connections.spawn(async move {
            connection(stream, peer, &builder, router, limits, crowded, shutdown).await;
            drop(slot);
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

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    crowd: &watch::Sender<bool>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    // The last slot is kept free for who comes next: a few strangers that only hold connections open must not shut
    // everybody else out.
    crowd.send_replace(slots.available_permits() <= 1);
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            // Out of file descriptors, most likely: connections that end give them back.
            tracing::warn!(%error, "cannot accept a connection");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn builder(limits: &ServeLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper starts this clock when a connection falls idle; the watch below is the stricter one.
        .header_read_timeout(limits.idle_time)
        .max_buf_size(limits.header_bytes.max(8192))
        .max_headers(limits.header_count);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
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
    crowded: watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
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
    let farewell = tokio::select! {
        // Faults of the client's side of the wire; there is nobody to tell.
        _ = conversation.as_mut() => return,
        () = shutdown.cancelled() => limits.drain_time,
        () = activity.overdue(&limits, crowded) => FAREWELL,
    };
    conversation.as_mut().graceful_shutdown();
    if timeout(farewell, conversation).await.is_err() {
        tracing::debug!("a connection was cut off");
    }
}

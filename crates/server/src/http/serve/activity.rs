//! Whether a connection owes us a request, and since when.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::ServeLimits;

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    running: AtomicUsize,
    /// Bytes came (or the connection is new) and have not become a request yet.
    request_is_due: AtomicBool,
    changed: Notify,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            running: AtomicUsize::new(0),
            request_is_due: AtomicBool::new(true),
            changed: Notify::new(),
        }
    }
}

impl Activity {
    /// Returns when the client has let us wait too long: for the rest of a request, or for the next one. The next one
    /// is not waited for at all while it is crowded. While requests run, for it to take something of their answers.
    pub(super) async fn overdue(&self, limits: &ServeLimits, mut crowded: watch::Receiver<bool>) {
        loop {
            let changed = self.changed.notified();
            let is_running = self.running.load(Ordering::Acquire) > 0;
            let request_is_due = self.request_is_due.load(Ordering::Acquire);
            if is_running {
                if timeout(limits.answer_time, changed).await.is_err() {
                    return;
                }
            } else if request_is_due {
                if timeout(limits.header_time, changed).await.is_err() {
                    return;
                }
            } else {
                tokio::select! {
                    () = changed => {}
                    () = sleep(limits.idle_time) => return,
                    // Whoever crowds may be gone with the listener; then the drain ends this connection.
                    Ok(_) = crowded.wait_for(|is_crowded| *is_crowded) => return,
                }
            }
        }
    }

    /// A whole request head has come.
    pub(super) fn request_started(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        self.request_is_due.store(false, Ordering::Release);
        self.changed.notify_one();
        Running(Arc::clone(self))
    }

    fn bytes_came(&self) {
        let idle = self.running.load(Ordering::Acquire) == 0;
        // Only the first bytes start the clock: a byte now and then does not buy time.
        if idle && !self.request_is_due.swap(true, Ordering::AcqRel) {
            self.changed.notify_one();
        }
    }
}

/// A request that is being answered, until its last byte is handed over.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Running {
    /// Keeps the request running until the body is sent.
    pub(super) fn until_end_of(self, body: Body) -> Body {
        Body::new(Tracked { body, running: self })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

struct Tracked {
    body: Body,
    running: Running,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.running.0.changed.notify_one();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells when bytes come.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TokioIo<TcpStream>,
    activity: Arc<Activity>,
}

impl Watched {
    pub(super) fn new(stream: TokioIo<TcpStream>, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.activity.bytes_came();
        }
        read
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}

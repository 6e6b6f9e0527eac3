//! Whether a connection owes us a request, and since when.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::ServeLimits;

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    running: AtomicUsize,
    /// Bytes came (or the connection is new) and have not become a request yet.
    request_is_due: AtomicBool,
    /// Another number after everything that happens.
    changes: AtomicUsize,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            running: AtomicUsize::new(0),
            request_is_due: AtomicBool::new(true),
            changes: AtomicUsize::new(0),
        }
    }
}

impl Activity {
    /// A whole request head has come.
    pub(super) fn request_started(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        self.request_is_due.store(false, Ordering::Release);
        self.changed();
        Running(Arc::clone(self))
    }

    /// Nothing runs and nothing is due.
    pub(super) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0 && !self.request_is_due.load(Ordering::Acquire)
    }

    fn bytes_came(&self) {
        let nothing_runs = self.running.load(Ordering::Acquire) == 0;
        // Only the first bytes start the clock: a byte now and then does not buy time.
        if nothing_runs && !self.request_is_due.swap(true, Ordering::AcqRel) {
            self.changed();
        }
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// How long the client may leave it at this.
    fn patience(&self, limits: &ServeLimits) -> std::time::Duration {
        if self.running.load(Ordering::Acquire) > 0 {
            limits.answer_time
        } else if self.request_is_due.load(Ordering::Acquire) {
            limits.header_time
        } else {
            limits.idle_time
        }
    }
}

/// Ready when the client has let us wait too long: for the rest of a request, or for the next one. While requests run, for
/// it to take something of their answers.
///
/// It is polled in one task with the connection, after it, so that it sees what has changed without being woken. The
/// timer is moved only when it would ring too late: a connection that is busy moves it once in a while, and not with every
/// request.
#[derive(Debug)]
pub(super) struct Overdue {
    activity: Arc<Activity>,
    limits: ServeLimits,
    seen: usize,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Overdue {
    pub(super) fn new(activity: Arc<Activity>, limits: ServeLimits) -> Self {
        let seen = activity.changes.load(Ordering::Acquire);
        let timer = Box::pin(sleep(activity.patience(&limits)));
        Self {
            activity,
            limits,
            seen,
            deadline: timer.deadline(),
            timer,
        }
    }
}

impl Future for Overdue {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let now_seen = this.activity.changes.load(Ordering::Acquire);
        if this.seen != now_seen {
            this.seen = now_seen;
            this.deadline = Instant::now() + this.activity.patience(&this.limits);
            if this.deadline < this.timer.deadline() {
                this.timer.as_mut().reset(this.deadline);
            }
        }
        loop {
            ready!(this.timer.as_mut().poll(context));
            if this.timer.deadline() >= this.deadline {
                return Poll::Ready(());
            }
            this.timer.as_mut().reset(this.deadline);
        }
    }
}

/// A request that is being answered, until its last byte is handed over.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Running {
    /// Keeps the request running until the body is sent.
    pub(super) fn until_end_of(self, body: Body) -> Tracked {
        Tracked { body, running: self }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.changed();
    }
}

/// The body of an answer that is under way.
#[derive(Debug)]
pub(super) struct Tracked {
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
            self.running.0.changed();
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

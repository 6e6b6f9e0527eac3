//! The bodies of answers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError};
use pin_project_lite::pin_project;

use super::BoxError;
use crate::lists::EventFilter;
use crate::visit::BodyFault;

pin_project! {
    /// The body of an answer: the guard's own, or that of the service behind it.
    pub struct GuardBody<R> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<R> {
        Whole { body: Bytes },
        Through { #[pin] body: R },
        Stream { #[pin] body: R, watch: Box<Watch> },
        Ended,
    }
}

/// What happens to an event stream on its way.
struct Watch {
    /// Completes when the stream must end.
    ended: Option<BoxFuture<'static, ()>>,
    filter: Option<EventFilter>,
}

/// What has come in of a body of at most `max` bytes. One that comes in one piece, as most do, is not copied.
pub(super) struct Partly {
    max: usize,
    whole: Bytes,
    pieces: BytesMut,
}

impl Partly {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            whole: Bytes::new(),
            pieces: BytesMut::new(),
        }
    }

    /// The body, when the rest of it has come in. Can be dropped before, and called again.
    pub(super) async fn rest<B>(&mut self, mut body: Pin<&mut B>) -> Result<Bytes, BodyFault>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        while !body.is_end_stream()
            && let Some(frame) = body.frame().await
        {
            // Trailers say nothing that counts.
            if let Ok(piece) = frame.map_err(fault)?.into_data() {
                self.add(piece)?;
            }
        }
        let pieces = std::mem::take(&mut self.pieces);
        Ok(if pieces.is_empty() {
            std::mem::take(&mut self.whole)
        } else {
            pieces.freeze()
        })
    }

    fn add(&mut self, mut piece: impl Buf) -> Result<(), BodyFault> {
        let length = piece.remaining();
        if length > self.max - self.whole.len() - self.pieces.len() {
            return Err(BodyFault::TooLarge);
        }
        if self.whole.is_empty() && self.pieces.is_empty() {
            self.whole = piece.copy_to_bytes(length);
        } else {
            self.pieces.put(std::mem::take(&mut self.whole));
            self.pieces.put(piece);
        }
        Ok(())
    }
}

/// What is before the guard may have a limit of its own.
fn fault(error: impl Into<BoxError>) -> BodyFault {
    if error.into().is::<LengthLimitError>() {
        BodyFault::TooLarge
    } else {
        BodyFault::Unreadable
    }
}

impl<R> GuardBody<R> {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self {
            kind: Kind::Whole { body },
        }
    }

    pub(crate) fn through(
        body: R,
        ended: Option<BoxFuture<'static, ()>>,
        filter: Option<EventFilter>,
    ) -> Self {
        let kind = if ended.is_none() && filter.is_none() {
            Kind::Through { body }
        } else {
            let watch = Box::new(Watch { ended, filter });
            Kind::Stream { body, watch }
        };
        Self { kind }
    }
}

impl<R> fmt::Debug for GuardBody<R> {
    /// Whose it is, and nothing of what it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardBody")
            .field(&match self.kind {
                Kind::Whole { .. } => format_args!("Whole"),
                Kind::Through { .. } => format_args!("Through"),
                Kind::Stream { .. } => format_args!("Stream"),
                Kind::Ended => format_args!("Ended"),
            })
            .finish()
    }
}

/// An empty one.
impl<R> Default for GuardBody<R> {
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl<R: Body<Data = Bytes>> Body for GuardBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let mut kind = self.project().kind;
        let next = match kind.as_mut().project() {
            KindProjection::Whole { body } => {
                let body = std::mem::take(body);
                return Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))));
            }
            KindProjection::Through { body } => return body.poll_frame(context),
            KindProjection::Stream { body, watch } => watch.poll(body, context),
            KindProjection::Ended => return Poll::Ready(None),
        };
        if let Poll::Ready(None) = next {
            // What the service holds for the stream is let go at once.
            kind.set(Kind::Ended);
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole { body } => body.is_empty(),
            Kind::Through { body } | Kind::Stream { body, .. } => body.is_end_stream(),
            Kind::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { body } => SizeHint::with_exact(body.len() as u64),
            Kind::Through { body } => body.size_hint(),
            Kind::Stream { .. } => SizeHint::default(),
            Kind::Ended => SizeHint::with_exact(0),
        }
    }
}

impl Watch {
    fn poll<R: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut R>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        if let Some(ended) = &mut self.ended
            && ended.as_mut().poll(context).is_ready()
        {
            tracing::debug!("an event stream ends with its token");
            return Poll::Ready(None);
        }
        loop {
            let frame = match body.as_mut().poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            let Some(filter) = &mut self.filter else {
                return Poll::Ready(Some(Ok(frame)));
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            };
            match filter.push(&data) {
                Ok(events) if events.is_empty() => {}
                Ok(events) => return Poll::Ready(Some(Ok(Frame::data(events)))),
                Err(error) => {
                    tracing::error!(%error, "an event stream ends");
                    return Poll::Ready(None);
                }
            }
        }
    }
}

//! The task: connects, reads, and comes back where it was.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use doorward_jose::json;
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

use super::events::{Event, Parser};
use super::feed::Shared;
use super::memory::{Noted, Notice};
use super::status::FeedFault;
use crate::client::{ClientError, OAuthClient};
use crate::wait::shortened;

/// Discovery and the head of the answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The server gives a sign of life every 10 s; without one for this long the connection is dead, whatever TCP says.
pub(super) const SILENCE: Duration = Duration::from_secs(25);
/// The first pause after a connection that could not be made.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest `id` that is sent back.
const MAX_CURSOR: usize = 256;

pub(super) async fn run(shared: Arc<Shared>, client: OAuthClient, seed: u64) {
    let mut follower = Follower {
        shared,
        client,
        cursor: None,
        ready: false,
        attempts: 0,
        failures: 0,
        seed,
    };
    loop {
        let end = AssertUnwindSafe(follower.follow()).catch_unwind().await;
        let end = end.unwrap_or_else(|_| End::new(FeedFault::Unreachable, "the transport panicked"));
        let pause = follower.after(&end);
        tokio::time::sleep(pause).await;
    }
}

struct Follower {
    shared: Arc<Shared>,
    client: OAuthClient,
    /// Where to go on.
    cursor: Option<String>,
    /// Whether this connection has told everything that was missed.
    ready: bool,
    attempts: u64,
    /// Attempts since the last connection that came to `ready`.
    failures: u32,
    seed: u64,
}

/// How a connection ended, and what to say of it in the log.
struct End {
    fault: FeedFault,
    detail: String,
}

impl End {
    fn new(fault: FeedFault, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { fault, detail }
    }
}

impl Follower {
    /// One connection, from beginning to end.
    async fn follow(&mut self) -> End {
        self.ready = false;
        self.attempts += 1;
        self.shared.forget_the_past();
        let opening = self.client.revocation_events(self.cursor.as_deref());
        let mut stream = match timeout(CONNECT_TIMEOUT, opening).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return refusal(&error),
            Err(_) => return End::new(FeedFault::Unreachable, "no answer in time"),
        };
        if self.attempts == 1 {
            self.shared.hear_of_keys();
        }
        self.shared.disconnect(FeedFault::CatchingUp);
        let mut parser = Parser::default();
        let mut events = Vec::new();
        loop {
            let bytes = match timeout(SILENCE, stream.next()).await {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(failure))) => return End::new(FeedFault::Unreachable, failure.to_string()),
                Ok(None) => return End::new(FeedFault::Ended, "the server ended the connection"),
                Err(_) => return End::new(FeedFault::Silent, "no sign of life"),
            };
            self.shared.hear();
            let read = parser.push(&bytes, &mut events);
            // What came whole counts, whatever came behind it.
            for event in events.drain(..) {
                if let Err(end) = self.take(event) {
                    return end;
                }
            }
            if read.is_err() {
                return End::new(FeedFault::Malformed, "this is no event stream");
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), End> {
        match event.kind.as_str() {
            "revocation" => {
                let notice: Notice = json::from_slice(event.data.as_bytes())
                    .map_err(|_| End::new(FeedFault::Malformed, "a revocation cannot be read"))?;
                match self.shared.note(notice) {
                    Noted::Remembered | Noted::Past => {}
                    Noted::Unknown => {
                        tracing::warn!(
                            "the authorization server revoked something that this guard does not know; update it"
                        );
                    }
                    Noted::Full => {
                        return Err(End::new(
                            FeedFault::Full,
                            "more was revoked than `max_entries` lets be remembered",
                        ));
                    }
                }
            }
            // What was heard stays true; what was missed follows, or is asked about while the guard is blind.
            "reset" => {
                tracing::warn!(
                    "the feed of revocations begins anew: the server does not know where this guard was"
                );
                self.cursor = None;
                self.ready = false;
                self.shared.disconnect(FeedFault::CatchingUp);
            }
            "ready" if !self.ready => self.become_ready(),
            "keys" => self.shared.renew_keys(),
            _ => {}
        }
        if !event.id.is_empty() && event.id.len() <= MAX_CURSOR {
            self.cursor = Some(event.id);
        }
        Ok(())
    }

    fn become_ready(&mut self) {
        self.ready = true;
        self.shared.connect();
        if self.attempts > 1 {
            // They may have changed while nobody could tell.
            self.shared.renew_keys();
        }
        if self.failures > 0 || self.attempts == 1 {
            tracing::info!(
                issuer = self.client.issuer(),
                "following the authorization server's revocations"
            );
        }
        self.failures = 0;
    }

    /// Tells of the end, and how long to wait.
    fn after(&mut self, end: &End) -> Duration {
        self.shared.disconnect(end.fault);
        self.shared.count_disconnect();
        // Servers end connections from time to time, and are restarted: the next attempt says more.
        if self.ready && end.fault == FeedFault::Ended {
            tracing::debug!(
                reason = end.fault.as_str(),
                "the feed of revocations ended; connecting again"
            );
            return self.vary(FIRST_PAUSE / 2);
        }
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_PAUSE
            .saturating_mul(1 << (self.failures - 1).min(10))
            .min(LONGEST_PAUSE);
        let pause = self.vary(pause);
        tracing::warn!(
            issuer = self.client.issuer(),
            reason = end.fault.as_str(),
            detail = end.detail,
            failures = self.failures,
            again_in = pause.as_secs_f32(),
            "not connected to the feed of revocations: revoked tokens may count until they expire",
        );
        pause
    }

    /// Shortens a pause by up to a half, so that the guards of a server that comes back do not come together.
    fn vary(&self, pause: Duration) -> Duration {
        shortened(pause, 0.5, self.seed, self.attempts)
    }
}

fn refusal(error: &ClientError) -> End {
    let fault = match error {
        ClientError::NoEndpoint(_) => FeedFault::NotOffered,
        ClientError::Transport(failure) if failure.is_temporary() => FeedFault::Unreachable,
        ClientError::Metadata(_) => FeedFault::Unreachable,
        _ => FeedFault::Refused,
    };
    End::new(fault, error.to_string())
}

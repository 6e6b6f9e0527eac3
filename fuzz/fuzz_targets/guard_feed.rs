//! Any bytes as the feed of revocations, in pieces: a plain reader of event streams and the guard's follower agree about what
//! was revoked. The first byte says how large the pieces are; `NOW` is the time.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use doorward_fuzz::keys::replaced;
use doorward_fuzz::world::{NOW, World};
use doorward_guard::client::ClientAuth;
use doorward_guard::{FeedFault, Revocation, RevocationStatus};
use doorward_jose::json::from_slice;
use futures_util::StreamExt;
use futures_util::stream;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How long a revocation is remembered by default: a token's lifetime, and an hour and seven minutes for clocks that are wrong.
const KEEP: i64 = 3_600 + 67 * 60;
/// Lines and events that are longer are refused, which the reader here does not know.
const MAX: usize = 4 * 1024;

#[derive(Deserialize)]
struct Notice {
    gid: Option<String>,
    jti: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    revoked_at: Option<i64>,
}

impl Notice {
    /// An object, and nothing that could be taken for one.
    fn read(data: &str) -> Option<Self> {
        let members = from_slice::<Map<String, Value>>(data.as_bytes()).ok()?;
        serde_json::from_value(Value::Object(members)).ok()
    }
}

/// What a plain reader learns.
#[derive(Debug, Default, PartialEq)]
struct Learned {
    heard: u64,
    connected: bool,
    malformed: bool,
    /// Whether the token that is asked about was revoked.
    revoked: bool,
}

impl Learned {
    /// WHATWG HTML §9.2.6.
    fn read(feed: &[u8]) -> Self {
        let mut learned = Self::default();
        let (mut kind, mut data) = (String::new(), None::<String>);
        let mut lines = split_lines(feed);
        // What nothing ends is no line.
        lines.pop();
        for (index, line) in lines.iter().enumerate() {
            let Ok(mut line) = std::str::from_utf8(line) else {
                learned.stop();
                return learned;
            };
            if index == 0 {
                line = line.strip_prefix('\u{feff}').unwrap_or(line);
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                _ if line.is_empty() => {
                    let kind = std::mem::take(&mut kind);
                    if let Some(data) = data.take() {
                        learned.take(&kind, &data);
                    }
                    if learned.malformed {
                        return learned;
                    }
                }
                "event" => value.clone_into(&mut kind),
                "data" => match &mut data {
                    Some(data) => *data += &format!("\n{value}"),
                    None => data = Some(value.to_owned()),
                },
                _ => {}
            }
        }
        learned
    }

    fn take(&mut self, kind: &str, data: &str) {
        match kind {
            "ready" => self.connected = true,
            "reset" => self.connected = false,
            "revocation" => match Notice::read(data) {
                Some(notice) => self.note(&notice),
                None => self.stop(),
            },
            _ => {}
        }
    }

    fn note(&mut self, notice: &Notice) {
        self.heard += 1;
        let revoked_at = notice.revoked_at.unwrap_or(NOW).min(NOW + KEEP);
        if revoked_at.min(NOW).saturating_add(KEEP) < NOW {
            return;
        }
        // The first of these that is there is what the notice is about; people and clients are revoked up to a time, and a minute
        // more.
        let issued_at = NOW - 60;
        self.revoked |= match (&notice.gid, &notice.jti, &notice.sub, &notice.client_id) {
            (Some(id), ..) => id == "g",
            (None, Some(id), ..) => id == "j",
            (None, None, Some(id), _) => id == "s" && issued_at <= revoked_at.saturating_add(60),
            (None, None, None, Some(id)) => id == "c" && issued_at <= revoked_at.saturating_add(60),
            _ => false,
        };
    }

    fn stop(&mut self) {
        self.malformed = true;
        self.connected = false;
    }
}

fn split_lines(feed: &[u8]) -> Vec<Vec<u8>> {
    let unix = replaced(&replaced(feed, b"\r\n", b"\n"), b"\r", b"\n");
    unix.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// What the guard learns.
fn follow(feed: &[u8], size: usize) -> Learned {
    let world = World::new(|builder| {
        builder
            .client_auth(ClientAuth::basic("guard", "secret"))
            .revocation(Revocation::feed())
    });
    let all_read = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&all_read);
    let pieces: Vec<_> = feed.chunks(size).map(Bytes::copy_from_slice).map(Ok).collect();
    let end = stream::once(async move {
        done.store(true, Ordering::Relaxed);
        std::future::pending().await
    });
    let feed = stream::iter(pieces).chain(end).boxed();
    *world.server.feed.lock().expect("not poisoned") = Some(feed);
    world.runtime.block_on(async {
        world.guard.start();
        let is_malformed = || {
            let status = world.guard.revocation_status();
            matches!(
                status,
                RevocationStatus::Disconnected {
                    reason: FeedFault::Malformed,
                    ..
                }
            )
        };
        while !all_read.load(Ordering::Relaxed) && !is_malformed() {
            tokio::task::yield_now().await;
        }
        let token = world.token_with(&[("gid", json!("g"))]);
        let revoked = world.guard.verify(&token).await.is_err();
        let metrics = world.guard.metrics().feed.expect("it follows");
        Learned {
            heard: metrics.heard,
            connected: metrics.connected,
            malformed: is_malformed(),
            revoked,
        }
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((size, feed)) = input.split_first() else {
        return;
    };
    let feed = replaced(feed, b"NOW", NOW.to_string().as_bytes());
    if feed.len() <= MAX {
        assert_eq!(follow(&feed, usize::from(*size) + 1), Learned::read(&feed));
    }
});

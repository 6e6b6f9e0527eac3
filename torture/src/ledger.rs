//! What was asked, what was answered, and what follows from it.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::balancer::Answer;
use crate::world::{Who, claims};

/// Lines of a story at most; the middle of a longer one is left out.
const LINES: usize = 80;

/// One grant, as its client lived through it.
#[derive(Debug, Default)]
pub struct Story {
    pub name: String,
    lines: Vec<String>,
    /// Whose it is.
    pub client: Who,
    /// The code, once it was used.
    pub code: Option<String>,
    /// The grant, as its first token names it.
    pub grant: Option<String>,
    /// Access tokens that were answered.
    pub access: Vec<String>,
    /// Refresh tokens that were answered, oldest first.
    pub refresh: Vec<String>,
    /// Access tokens that were had in exchange for one of these.
    pub exchanged: Vec<String>,
    pub ending: Ending,
}

/// Whether a grant still works, as far as its client was told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    #[default]
    Live,
    /// Revoked, and that was answered.
    Revoked,
    /// It came to nothing, and rightly so: an answer was lost at a place where that may happen.
    Void,
}

/// What must not happen.
#[derive(Debug)]
pub struct Violation(pub String);

impl Story {
    /// A new one.
    pub fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Adds a line.
    pub fn tell(&mut self, at: Duration, what: &str) {
        if self.lines.len() >= LINES {
            self.lines.remove(LINES / 2);
        }
        self.lines.push(format!("  +{:8.3} s  {what}", at.as_secs_f64()));
    }

    /// What went wrong, with all that went before.
    pub fn violation(&self, what: &str) -> Violation {
        let mut text = format!("{}: {what}\n", self.name);
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        Violation(text)
    }
}

/// The tokens of an answer of the token endpoint.
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
    pub grant: Option<String>,
    pub jti: String,
}

impl Tokens {
    /// Reads them; `None` when it is no such answer.
    pub fn of(answer: &Answer) -> Option<Self> {
        let body = answer.json();
        let access = body["access_token"].as_str()?.to_owned();
        let claims = claims(&access)?;
        Some(Self {
            refresh: body["refresh_token"].as_str().map(str::to_owned),
            grant: claims["gid"].as_str().map(str::to_owned),
            jti: claims["jti"].as_str()?.to_owned(),
            access,
        })
    }
}

/// Names that must never come twice, by their digests.
#[derive(Debug, Default)]
pub struct Once(HashSet<[u8; 16]>);

impl Once {
    /// Whether it is new.
    pub fn add(&mut self, kind: &str, name: &str) -> bool {
        let digest = doorward_jose::sha256(format!("{kind} {name}").as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        self.0.insert(half)
    }
}

/// Whether the answer says that grant, code or token is over.
pub fn is_invalid_grant(answer: &Answer) -> bool {
    answer.status.as_u16() == 400 && answer.json()["error"] == "invalid_grant"
}

/// What was counted.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Requests that were answered, 503 not among them.
    pub answered: u64,
    /// 503.
    pub unavailable: u64,
    /// Sent, and never answered.
    pub lost: u64,
    /// Nobody there to send it to.
    pub unsent: u64,
    /// Grants that were walked to their end.
    pub flows: u64,
    /// The ways on which tokens were had.
    pub roads: BTreeSet<&'static str>,
    /// Things that count once and were accepted, sent a second time.
    pub again: u64,
    /// Everything between the first try and the answer, at most.
    pub slowest: Duration,
    /// The slowest single answer, 503 not among them.
    pub slowest_answer: Duration,
    /// The slowest 503.
    pub slowest_unavailable: Duration,
    /// The load of a machine that was too busy to say who was late.
    pub not_judged: Option<f64>,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.unavailable += other.unavailable;
        self.lost += other.lost;
        self.unsent += other.unsent;
        self.flows += other.flows;
        self.roads.extend(&other.roads);
        self.again += other.again;
        self.slowest = self.slowest.max(other.slowest);
        self.slowest_answer = self.slowest_answer.max(other.slowest_answer);
        self.slowest_unavailable = self.slowest_unavailable.max(other.slowest_unavailable);
        self.not_judged = self.not_judged.or(other.not_judged);
    }

    /// A request was answered after this time.
    pub fn count_answer(&mut self, took: Duration) {
        self.answered += 1;
        self.slowest_answer = self.slowest_answer.max(took);
    }

    /// A request was answered with 503 after this time.
    pub fn count_unavailable(&mut self, took: Duration) {
        self.unavailable += 1;
        self.slowest_unavailable = self.slowest_unavailable.max(took);
    }

    /// The longest that a client waited for an answer, whatever it was.
    pub fn longest(&self) -> Duration {
        self.slowest_answer.max(self.slowest_unavailable)
    }

    /// Requests that a client had to send again.
    pub fn troubled(&self) -> u64 {
        self.unavailable + self.lost + self.unsent
    }
}

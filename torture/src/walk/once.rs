//! What counts once: proofs of possession, assertions, device codes, requests that were pushed. Each is accepted at most
//! once, whatever was lost; and what was accepted is refused ever after.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::{Step, Walker};
use crate::balancer::{Answer, Ask};
use crate::ledger::Story;
use crate::load::Insisted;
use crate::world::{JWT_BEARER, RESOURCE, TOKEN, Who};

/// So many are remembered; older ones go at random.
const KEPT: usize = 40;

/// Later a proof or an assertion is refused for its age alone.
const FRESH: Duration = Duration::from_mins(4);

/// Why the server refuses what was used (RFC 6749 §5.2, RFC 9449 §5).
const REFUSALS: [&str; 3] = ["invalid_grant", "invalid_client", "invalid_dpop_proof"];

/// Something that counts once, and was accepted.
pub(super) struct Used {
    what: String,
    again: Again,
    at: Instant,
}

/// How it is sent again.
enum Again {
    /// The whole request, as it was.
    Request(Ask),
    /// The same of an exchange, whose subject may have ended meanwhile.
    Exchange(Ask),
    /// A refresh with its proof. It is refused for the proof, or else the old token would end its grant.
    Refresh(Ask),
    /// Another client's word for a person, with a new assertion of the client itself.
    Word(String),
}

impl Walker {
    /// A request of a client. What the client proves itself with counts once: a request that got no answer may have used
    /// it up, and then the client makes it anew. So it does where it may have been made at another time than the node's.
    pub(crate) async fn request(
        &mut self,
        who: Who,
        story: &mut Story,
        what: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Step<Insisted> {
        let mut unsure = false;
        loop {
            let jumps = self.shared.jumps();
            let made = self.shared.world.request(who, path, fields);
            let (ask, ahead) = made.map_err(|error| story.violation(&format!("{what}: {error}")))?;
            let said = self.ask(story, what, &ask).await?;
            if let Some(ahead) = ahead
                && is_refused_proof(&said.answer)
            {
                if !said.unsure && !self.shared.is_untimely(ahead, said.answer.node, jumps) {
                    let what = format!("{what}: what is new was refused: {}", said.answer.summary());
                    return Err(story.violation(&what));
                }
                unsure |= said.unsure;
                continue;
            }
            // A code that comes again ends its grant, and its story tries that at its end.
            let has = |field| fields.iter().any(|(name, _)| *name == field);
            if ahead.is_some() && said.answer.status.is_success() && !has("code") {
                let again = if has("subject_token") {
                    Again::Exchange
                } else if who == Who::Bound {
                    Again::Refresh
                } else {
                    Again::Request
                };
                self.remember_as(what, again(ask));
            }
            return Ok(Insisted {
                unsure: unsure || said.unsure,
                ..said
            });
        }
    }

    /// The request was accepted, and must not be again.
    pub(super) fn remember(&mut self, what: &str, ask: Ask) {
        self.remember_as(what, Again::Request(ask));
    }

    /// The word of an identity provider was accepted.
    pub(super) fn remember_word(&mut self, what: &str, assertion: String) {
        self.remember_as(what, Again::Word(assertion));
    }

    fn remember_as(&mut self, what: &str, again: Again) {
        if self.used.len() >= KEPT {
            let place = self.random.below(self.used.len());
            self.used.swap_remove(place);
        }
        self.used.push(Used {
            what: format!("{what} (+{:.3} s)", self.shared.at().as_secs_f64()),
            again,
            at: Instant::now(),
        });
    }

    /// Sends one of those that were used.
    pub(super) async fn use_one_again(&mut self) {
        if self.used.is_empty() {
            return;
        }
        let place = self.random.below(self.used.len());
        let used = self.used.swap_remove(place);
        if self.is_refused(&used).await {
            self.used.push(used);
        }
    }

    /// Sends all of those that are remembered.
    pub(crate) async fn use_all_again(&mut self) {
        for used in std::mem::take(&mut self.used) {
            self.is_refused(&used).await;
        }
    }

    async fn is_refused(&mut self, used: &Used) -> bool {
        let mut story = Story::new(format!("client {}, again: {}", self.number, used.what));
        let refused = self.refuses(&mut story, used).await;
        refused.map_err(|violation| self.shared.report(violation)).is_ok()
    }

    async fn refuses(&mut self, story: &mut Story, used: &Used) -> Step<()> {
        let answer = match &used.again {
            Again::Request(ask) | Again::Exchange(ask) | Again::Refresh(ask) => {
                self.ask(story, "again", ask).await?.answer
            }
            Again::Word(assertion) => {
                let fields = word(assertion);
                let asked = self.request(Who::Agent, story, "again", TOKEN, &fields);
                asked.await?.answer
            }
        };
        if used.at.elapsed() < FRESH {
            self.tally.again += 1;
        }
        let is_refusal = match answer.json()["error"].as_str() {
            // Its subject is looked at before the assertion is used up (RFC 8693 §2.2.2).
            Some("invalid_request") => matches!(used.again, Again::Exchange(_)),
            Some(error) if matches!(used.again, Again::Refresh(_)) => error == "invalid_dpop_proof",
            Some(error) => REFUSALS.contains(&error),
            // The page that a pushed request gets.
            None => answer.status == StatusCode::BAD_REQUEST,
        };
        if answer.status.is_client_error() && is_refusal {
            return Ok(());
        }
        let what = if answer.status.is_client_error() {
            "what was used is refused for another reason"
        } else {
            "what counts once was taken twice"
        };
        Err(story.violation(&format!("{what}: {}", answer.summary())))
    }
}

/// The fields of a request that shows an identity provider's word.
pub(super) fn word(assertion: &str) -> [(&str, &str); 3] {
    [
        ("grant_type", JWT_BEARER),
        ("assertion", assertion),
        ("resource", RESOURCE),
    ]
}

/// Whether proof or assertion of the client was refused.
fn is_refused_proof(answer: &Answer) -> bool {
    match answer.status {
        StatusCode::BAD_REQUEST => answer.json()["error"] == "invalid_dpop_proof",
        StatusCode::UNAUTHORIZED => answer.json()["error"] == "invalid_client",
        _ => false,
    }
}

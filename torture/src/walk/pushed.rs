//! Authorization requests that are pushed (RFC 9126), by a client that signs assertions: each can be used once.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::{Step, Walker};
use crate::ledger::Story;
use crate::load::Insisted;
use crate::world::{PAR, Who, authorization_fields, challenge, code_of};

/// When a pushed request may have expired: `par.request_ttl` is a minute and a half.
const REQUEST_AGES: Duration = Duration::from_secs(80);

impl Walker {
    /// From the pushed request to its tokens.
    pub(super) async fn by_pushed_request(&mut self, story: &mut Story) -> Step<bool> {
        story.client = Who::Agent;
        let jumps = self.shared.jumps();
        let code = loop {
            let pushed = Instant::now();
            let request_uri = self.push(story).await?;
            let ask = self
                .shared
                .world
                .pushed_authorization(story.client, &request_uri, &self.person);
            let Insisted { answer, unsure } = self.ask(story, "authorize", &ask).await?;
            if let Some(code) = code_of(&answer) {
                self.remember("a pushed request", ask);
                break code;
            }
            let may_be_gone = unsure || pushed.elapsed() > REQUEST_AGES;
            if answer.status != StatusCode::BAD_REQUEST || !may_be_gone {
                return Err(story.violation(&format!("no code: {}", answer.summary())));
            }
        };
        self.redeem(story, code, jumps).await
    }

    async fn push(&mut self, story: &mut Story) -> Step<String> {
        let challenge = challenge();
        let fields = authorization_fields(&challenge);
        let asked = self.request(story.client, story, "push", PAR, &fields);
        let answer = asked.await?.answer;
        let request_uri = answer.json()["request_uri"].as_str().map(str::to_owned);
        let pushed = request_uri.filter(|_| answer.status == StatusCode::CREATED);
        pushed.ok_or_else(|| story.violation(&format!("push: {}", answer.summary())))
    }
}

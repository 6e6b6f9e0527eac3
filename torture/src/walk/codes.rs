//! A person's code, and the chain of refresh tokens that begins with it. Public clients, with and without a key that their
//! tokens are bound to (RFC 9449).

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::{Step, Walker};
use crate::balancer::Answer;
use crate::ledger::{Story, Tokens, is_invalid_grant};
use crate::load::Insisted;
use crate::world::{TOKEN, Who, code_of, redemption, refresh};

/// When a code may have expired: `tokens.code_ttl` is a minute.
const CODE_AGES: Duration = Duration::from_secs(50);

impl Walker {
    /// From the authorization request to its tokens.
    pub(super) async fn by_code(&mut self, story: &mut Story, who: Who) -> Step<bool> {
        story.client = who;
        let jumps = self.shared.jumps();
        let ask = self.shared.world.authorization(who, &self.person);
        let answer = self.ask(story, "authorize", &ask).await?.answer;
        let Some(code) = code_of(&answer) else {
            let location = answer.location().unwrap_or_default();
            return Err(story.violation(&format!("no code: {} {location}", answer.summary())));
        };
        self.redeem(story, code, jumps).await
    }

    /// Whether the code, which was asked for after so many jumps of the clock, gave tokens. It need not when an answer was lost:
    /// what was redeemed may be gone.
    pub(super) async fn redeem(&mut self, story: &mut Story, code: String, jumps: u64) -> Step<bool> {
        let given = Instant::now();
        let asked = self.use_code(story, "redeem", &code);
        let Insisted { answer, unsure } = asked.await?;
        story.code = Some(code);
        let late = given.elapsed() > CODE_AGES;
        if is_invalid_grant(&answer) && (unsure || late || self.shared.may_be_of_another_time(jumps)) {
            return Ok(false);
        }
        self.take(story, &answer, "redeem")?;
        Ok(true)
    }

    /// A request with a code.
    pub(crate) async fn use_code(&mut self, story: &mut Story, what: &str, code: &str) -> Step<Insisted> {
        self.request(story.client, story, what, TOKEN, &redemption(code))
            .await
    }

    /// A request with a refresh token.
    pub(crate) async fn refresh_with(
        &mut self,
        story: &mut Story,
        what: &str,
        token: &str,
    ) -> Step<Insisted> {
        self.request(story.client, story, what, TOKEN, &refresh(token))
            .await
    }

    /// Refreshes, where there is a refresh token.
    pub(super) async fn renew(&mut self, story: &mut Story) -> Step<()> {
        if story.refresh.is_empty() {
            return Ok(());
        }
        self.refresh(story).await
    }

    pub(crate) async fn refresh(&mut self, story: &mut Story) -> Step<()> {
        let Some(token) = story.refresh.last().cloned() else {
            return Err(story.violation("no refresh token to use"));
        };
        let what = format!("refresh {}", story.refresh.len());
        // Whatever was lost on the way, the client gets its successor.
        let answer = self.refresh_with(story, &what, &token).await?.answer;
        self.take(story, &answer, &what)
    }

    /// Takes the tokens of an answer into the ledger.
    pub(super) fn take(&mut self, story: &mut Story, answer: &Answer, what: &str) -> Step<()> {
        let tokens = Tokens::of(answer).filter(|_| answer.status == StatusCode::OK);
        let Some(Tokens {
            access,
            refresh: Some(refresh),
            grant: Some(grant),
            jti,
        }) = tokens
        else {
            return Err(story.violation(&format!("{what}: {}", answer.summary())));
        };
        if !self.shared.is_new("jti", &jti) {
            return Err(story.violation(&format!("{what}: the jti {jti} was given before")));
        }
        if story.grant.is_none() && !self.shared.is_new("gid", &grant) {
            return Err(story.violation(&format!("{what}: the grant {grant} is another code's")));
        }
        if story.grant.get_or_insert_with(|| grant.clone()) != &grant {
            return Err(story.violation(&format!("{what}: the grant is {grant} now")));
        }
        if !self.shared.is_new("refresh", &refresh) {
            return Err(story.violation(&format!("{what}: a refresh token that was given before")));
        }
        story.access.push(access);
        story.refresh.push(refresh);
        Ok(())
    }
}

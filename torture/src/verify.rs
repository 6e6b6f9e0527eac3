//! After the fault: the server is held to what it answered.

use std::collections::HashSet;

use doorward_jose::{JwkSet, Jws};

use crate::balancer::Ask;
use crate::ledger::{Ending, Story, Violation, is_invalid_grant};
use crate::walk::Walker;

/// Of a hundred grants, how many are ended by a second use of their code.
const REPLAYED: usize = 40;

impl Walker {
    /// Every grant and program of this client, and all that counts once and was used; how many grants and programs there were.
    pub async fn verify_all(&mut self) -> usize {
        let mut verified = 0;
        for mut story in std::mem::take(&mut self.stories) {
            if let Err(violation) = self.verify(&mut story).await {
                self.shared.report(violation);
            }
            verified += 1;
        }
        for (id, credentials) in std::mem::take(&mut self.programs) {
            let mut story = Story::new(format!("program {id}, which was created"));
            if let Err(violation) = self.use_program(&mut story, &credentials).await {
                self.shared.report(violation);
            }
            verified += 1;
        }
        self.use_all_again().await;
        verified
    }

    /// One grant: its keys, its tokens, its chain, its code, its end.
    pub(crate) async fn verify(&mut self, story: &mut Story) -> Result<(), Violation> {
        story.tell(self.shared.at(), "verification");
        self.signatures(story).await?;
        if story.ending == Ending::Live {
            if !story.refresh.is_empty() {
                self.chain(story).await?;
            }
            self.all_are(story, true).await?;
        }
        // Without a code there is nothing whose second use would end the grant.
        let replayed = story.code.is_some() && self.random.percent(REPLAYED);
        if story.ending == Ending::Revoked || replayed {
            self.replay(story).await?;
            self.all_are(story, false).await?;
        }
        Ok(())
    }

    /// Every token of the grant works, or none does.
    async fn all_are(&mut self, story: &mut Story, active: bool) -> Result<(), Violation> {
        for token in story.access.clone() {
            self.introspect(story, &token, active).await?;
        }
        for token in story.exchanged.clone() {
            self.introspect_exchanged(story, &token, active).await?;
        }
        Ok(())
    }

    /// Every token that was answered is signed by a key that is published.
    async fn signatures(&mut self, story: &mut Story) -> Result<(), Violation> {
        let answer = self
            .ask(story, "key set", &Ask::get("/.well-known/jwks.json"))
            .await?
            .answer;
        let Ok(keys) = JwkSet::parse(&answer.body) else {
            return Err(story.violation(&format!("no key set: {}", answer.summary())));
        };
        for token in story.access.iter().chain(&story.exchanged) {
            // A key goes when its last token has expired.
            if self.shared.may_have_expired(token) {
                continue;
            }
            let jws = Jws::parse(token).ok();
            let key = jws
                .as_ref()
                .and_then(|jws| keys.find(jws.header().key_id.as_deref()?));
            let good = jws
                .as_ref()
                .zip(key)
                .is_some_and(|(jws, key)| jws.verify_signature(key).is_ok());
            if !good {
                return Err(story.violation("an access token that no published key verifies"));
            }
        }
        Ok(())
    }

    /// The chain goes on, and where it was is where it is: the token before the last one gives the last one again.
    async fn chain(&mut self, story: &mut Story) -> Result<(), Violation> {
        if let [.., before, last] = story.refresh.as_slice() {
            let (before, last) = (before.clone(), last.clone());
            let asked = self.refresh_with(story, "refresh with the one before", &before);
            let answer = asked.await?.answer;
            if answer.json()["refresh_token"].as_str() != Some(&last) {
                let what = format!(
                    "the token before the last one has another successor now: {}",
                    answer.summary()
                );
                return Err(story.violation(&what));
            }
        }
        self.refresh(story).await?;
        let distinct: HashSet<_> = story.refresh.iter().collect();
        if distinct.len() != story.refresh.len() {
            return Err(story.violation("a refresh token came twice"));
        }
        Ok(())
    }

    /// A code that was answered with tokens is spent; to try ends the grant, and nothing of it works afterwards.
    async fn replay(&mut self, story: &mut Story) -> Result<(), Violation> {
        if let Some(code) = story.code.clone() {
            let answer = self.use_code(story, "redeem again", &code).await?.answer;
            if !is_invalid_grant(&answer) {
                return Err(story.violation(&format!("the code was taken twice: {}", answer.summary())));
            }
        }
        story.ending = Ending::Revoked;
        self.is_over(story).await
    }
}

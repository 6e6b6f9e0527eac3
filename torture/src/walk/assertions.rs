//! A client that signs assertions (RFC 7523): tokens of its own, and tokens for people whom an identity provider vouches for
//! (ID-JAG). Each assertion counts once.

use super::once::word;
use super::{Step, Walker};
use crate::ledger::{Story, is_invalid_grant};
use crate::load::Insisted;
use crate::world::{RESOURCE, TOKEN, Who};

impl Walker {
    /// A token of its own.
    pub(super) async fn by_itself(&mut self, story: &mut Story) -> Step<bool> {
        story.client = Who::Agent;
        let fields = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
        let asked = self.request(story.client, story, "client_credentials", TOKEN, &fields);
        let answer = asked.await?.answer;
        let token = self.take_alone(story, &answer, "client_credentials")?;
        story.access.push(token);
        Ok(true)
    }

    /// A token for a person. Where the word may have been used up without an answer, or given at another time than the
    /// node's, the provider gives it anew.
    pub(super) async fn by_word_of_another(&mut self, story: &mut Story) -> Step<bool> {
        story.client = Who::Agent;
        loop {
            let jumps = self.shared.jumps();
            let signed = self.shared.world.id_jag(&self.person);
            let (assertion, ahead) = signed.map_err(|error| story.violation(&error.to_string()))?;
            let fields = word(&assertion);
            let asked = self.request(story.client, story, "vouch", TOKEN, &fields);
            let Insisted { answer, unsure } = asked.await?;
            let untimely = self.shared.is_untimely(ahead, answer.node, jumps);
            if is_invalid_grant(&answer) && (unsure || untimely) {
                continue;
            }
            let token = self.take_alone(story, &answer, "vouch")?;
            story.access.push(token);
            self.remember_word("an identity provider's word", assertion);
            return Ok(true);
        }
    }
}

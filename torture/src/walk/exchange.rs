//! Token exchange (RFC 8693): the agent gets a token for another resource from a person's, and it ends with that one's grant.

use super::{EXCHANGE as ROAD, Step, Walker};
use crate::ledger::Story;
use crate::world::{ACCESS_TOKEN, EXCHANGE, OTHER_RESOURCE, TOKEN, Who};

impl Walker {
    /// Exchanges the last token.
    pub(super) async fn exchange(&mut self, story: &mut Story) -> Step<()> {
        let Some(subject) = story.access.last().cloned() else {
            return Ok(());
        };
        let fields = [
            ("grant_type", EXCHANGE),
            ("subject_token", &*subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", OTHER_RESOURCE),
            ("scope", "tools/read"),
        ];
        let asked = self.request(Who::Agent, story, "exchange", TOKEN, &fields);
        let answer = asked.await?.answer;
        let token = self.take_alone(story, &answer, "exchange")?;
        self.introspect_exchanged(story, &token, true).await?;
        story.exchanged.push(token);
        self.tally.roads.insert(ROAD);
        Ok(())
    }

    /// Whether a token that was had in exchange works.
    pub(crate) async fn introspect_exchanged(
        &mut self,
        story: &mut Story,
        token: &str,
        active: bool,
    ) -> Step<()> {
        let ask = self.shared.world.introspection_of_exchanged(token);
        self.is_active(story, token, &ask, active).await
    }
}

//! Operators, who create programs, and the programs, which have a secret.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, StatusCode};
use tokio::time::Instant;

use super::{Step, Walker};
use crate::balancer::{Answer, Failure};
use crate::ledger::Story;
use crate::pages::{basic, text};
use crate::world::World;

impl Walker {
    /// Creates a program's client, and lets it have a token.
    pub(super) async fn program(&mut self) {
        let mut story = Story::new(format!("client {} program {}", self.number, self.programs.len()));
        let created = match self.create_program(&mut story).await {
            Ok(Some((id, credentials))) => {
                let used = self.use_program(&mut story, &credentials).await;
                used.map(|()| self.programs.push((id, credentials)))
            }
            other => other.map(|_| ()),
        };
        if let Err(violation) = created {
            self.shared.report(violation);
        }
    }

    /// An operator does not insist: what was not answered may be there or not. But it is counted, as for everybody else.
    async fn create_program(&mut self, story: &mut Story) -> Step<Option<(String, HeaderValue)>> {
        let (operators, program) = (self.shared.world.operators(), World::program());
        let sent = Instant::now();
        let asked = operators.ask(&mut self.random, Method::POST, "/admin/clients", &program);
        let client = match asked.await {
            Ok(answer) => self.answered_operator(story, &answer, sent.elapsed())?,
            Err(Failure::Lost(_)) => {
                self.tally.lost += 1;
                None
            }
            Err(Failure::Unsent(_)) => {
                self.tally.unsent += 1;
                None
            }
        };
        let Some(client) = client else { return Ok(None) };
        let (Ok(id), Ok(credentials)) = (text(&client, "client_id"), basic(&client)) else {
            return Err(story.violation(&format!("no client: {client}")));
        };
        story.tell(self.shared.at(), &format!("created {id}"));
        Ok(Some((id, credentials)))
    }

    /// What the server said; `None` when it could not do it now.
    fn answered_operator(
        &mut self,
        story: &Story,
        answer: &Answer,
        took: Duration,
    ) -> Step<Option<serde_json::Value>> {
        match answer.status {
            StatusCode::CREATED => {
                self.tally.count_answer(took);
                Ok(Some(answer.json()))
            }
            StatusCode::SERVICE_UNAVAILABLE if answer.headers.contains_key(RETRY_AFTER) => {
                self.tally.count_unavailable(took);
                Ok(None)
            }
            _ => Err(story.violation(&format!("an operator was answered {}", answer.summary()))),
        }
    }

    pub(crate) async fn use_program(&mut self, story: &mut Story, credentials: &HeaderValue) -> Step<()> {
        let ask = World::client_credentials(credentials);
        let answer = self.ask(story, "client_credentials", &ask).await?.answer;
        let token = self.take_alone(story, &answer, "client_credentials")?;
        self.introspect(story, &token, true).await
    }
}

//! Ends any number of grants, some at a time: a statement for all of them would take longer than a statement may, and
//! everybody who writes would wait for its commit.

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::statements::Sql;
use super::{PostgresStore, grants};
use crate::rules::audit;
use crate::rules::grants::{SOME, Whose};
use crate::{Change, EndReason, Result};

impl PostgresStore {
    /// Ends all of them. Stopped in the middle, some have ended, each with what goes with it.
    pub(super) async fn end_all(&self, whose: &Whose, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        self.end_while(whose, 1, reason, now).await
    }

    /// Ends most of them, where there are many; the rest is left to the caller's own transaction.
    pub(super) async fn end_most(&self, whose: &Whose, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        self.end_while(whose, SOME, reason, now).await
    }

    /// Ends them while there are at least so many, each way.
    async fn end_while(&self, whose: &Whose, least: u32, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        let mut ended = 0;
        for &way in grants::ways_to(whose) {
            let mut after = Uuid::nil();
            loop {
                let some = self.end_some(way, whose, after, least, reason, now).await?;
                ended += some.len() as u64;
                match some.last() {
                    Some(id) if some.len() >= SOME as usize => after = *id,
                    _ => break,
                }
            }
        }
        Ok(ended)
    }

    async fn end_some(
        &self,
        way: Sql,
        whose: &Whose,
        after: Uuid,
        least: u32,
        reason: EndReason,
        now: UnixSeconds,
    ) -> Result<Vec<Uuid>> {
        let outcome = self
            .act(|db| async move {
                let one = match whose {
                    Whose::Matching(filter) => match filter.id {
                        Some(id) => grants::find(&db, id).await?,
                        None => None,
                    },
                    Whose::OfIssuer(_) => None,
                };
                let some = grants::live(&db, way, whose, after).await?;
                if some.len() < least as usize {
                    return Ok((Vec::new(), None));
                }
                grants::end_these(&db, &some, reason, now).await?;
                let draft = audit::grants_ended(whose, one.as_ref(), reason, some.len() as u64);
                Ok((some, draft))
            })
            .await;
        self.changes.after(Change::Revocations, outcome)
    }
}

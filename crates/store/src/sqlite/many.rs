//! Ends any number of grants, some at a time: the one writer would keep everybody waiting for all of them.

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::statements::Sql;
use super::{SqliteStore, grants};
use crate::rules::audit;
use crate::rules::grants::{SOME, Whose};
use crate::{EndReason, GrantId, Result};

impl SqliteStore {
    /// Ends all of them. Stopped in the middle, some have ended, each with what goes with it.
    pub(super) async fn end_all(&self, whose: Whose, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        self.end_while(whose, 1, reason, now).await
    }

    /// Ends most of them, where there are many; the rest is left to the caller's own transaction.
    pub(super) async fn end_most(&self, whose: Whose, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        self.end_while(whose, SOME, reason, now).await
    }

    /// Ends them while there are at least so many, each way.
    async fn end_while(&self, whose: Whose, least: u32, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        let mut ended = 0;
        for &way in grants::ways_to(&whose) {
            let mut after = GrantId(Uuid::nil());
            loop {
                let some = self
                    .end_some(way, whose.clone(), after, least, reason, now)
                    .await?;
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
        whose: Whose,
        after: GrantId,
        least: u32,
        reason: EndReason,
        now: UnixSeconds,
    ) -> Result<Vec<GrantId>> {
        self.act(move |db| {
            let one = match &whose {
                Whose::Matching(filter) => filter.id.map(|id| grants::find(db, id)).transpose()?.flatten(),
                Whose::OfIssuer(_) => None,
            };
            let some = grants::live(db, way, &whose, after)?;
            if some.len() < least as usize {
                return Ok((Vec::new(), None));
            }
            grants::end_these(db, &some, reason, now)?;
            let draft = audit::grants_ended(&whose, one.as_ref(), reason, some.len() as u64);
            Ok((some, draft))
        })
        .await
    }
}

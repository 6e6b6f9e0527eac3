//! What any number of grants and consents hang on is changed or removed: they end some at a time, since a statement for all of
//! them would take longer than a statement may, and everybody who writes would wait for its commit. Whoever the grants hang
//! on can do nothing any more before the first of them ends.

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::statements::Sql;
use super::{PostgresStore, clients, consents, grants, resources, trusted_issuers};
use crate::rules::audit;
use crate::rules::consents::ConsentsOf;
use crate::rules::grants::{Forgets, Whose, is_full, loses_its_uri, some_at_a_time};
use crate::{Change, EndReason, GrantFilter, GrantId, Resource, Result, Store as _, TrustedIssuer};

impl PostgresStore {
    pub(super) async fn change_resource(&self, resource: Resource) -> Result<()> {
        let (resource, mut ended_before) = (&resource, 0);
        if let Some(before) = loses_its_uri(&self.resources().await?, resource) {
            ended_before = self.end_many_on(before, resource.updated_at).await?;
        }
        let outcome = self
            .act(|db| async move {
                let before = resources::find(&db, &resource.slug).await?;
                let ended = resources::update(&db, resource).await?;
                let draft = audit::resource_updated(before.as_ref(), resource, ended_before + ended);
                Ok(((), draft))
            })
            .await;
        self.changes.tell(Change::Resources);
        self.changes.after(Change::Revocations, outcome)
    }

    pub(super) async fn remove_resource(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        let mut ended_before = 0;
        if let Some(resource) = self.resource(slug).await? {
            ended_before = self.end_many_on(&resource.uri, now).await?;
        }
        let outcome = self
            .act(|db| async move {
                let before = resources::find(&db, slug).await?;
                let (ended, servers) = resources::delete(&db, slug, now).await?;
                let drafts = audit::resource_deleted(before.as_ref(), &servers, ended_before + ended);
                Ok((ended, drafts))
            })
            .await;
        self.changes.tell(Change::Resources);
        self.changes.tell(Change::Clients);
        Ok(ended_before + self.changes.after(Change::Revocations, outcome)?)
    }

    pub(super) async fn remove_client(&self, client_id: &str, now: UnixSeconds) -> Result<u64> {
        let (whose, mut ended_before) = (Whose::of_client(client_id), 0);
        if self.are_many(&whose).await? {
            // First it can do nothing any more, whatever becomes of the rest.
            self.disable_client(client_id, now).await?;
            ended_before = self.end_all(&whose, EndReason::ClientDeleted, now).await?;
        }
        self.forget_many(&ConsentsOf::client(client_id)).await?;
        let outcome = self
            .act(|db| async move {
                // Two at once: the second one finds it gone.
                clients::hold(&db, client_id, true).await?;
                let before = clients::find(&db, client_id).await?;
                let ended = clients::delete(&db, client_id, now).await?;
                Ok((
                    ended,
                    audit::client_deleted(client_id, before.is_some(), ended_before + ended),
                ))
            })
            .await;
        self.changes.tell(Change::Clients);
        Ok(ended_before + self.changes.after(Change::Revocations, outcome)?)
    }

    pub(super) async fn change_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()> {
        let whose = Whose::OfIssuer(issuer.slug.clone());
        if !issuer.disabled
            && self
                .trusted_issuer(&issuer.slug)
                .await?
                .is_some_and(|it| it.disabled)
        {
            // What was cut off when it was disabled, and left some, must not let them come back.
            self.end_all(&whose, EndReason::TrustEnded, issuer.updated_at)
                .await?;
        }
        let many = issuer.disabled && self.are_many(&whose).await?;
        self.write_trusted_issuer(&issuer, issuer.disabled && !many)
            .await?;
        if many {
            self.end_all(&whose, EndReason::TrustEnded, issuer.updated_at)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn remove_trusted_issuer(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        let (whose, mut ended_before) = (Whose::OfIssuer(slug.to_owned()), 0);
        if self.are_many(&whose).await? {
            // First its word counts no more, whatever becomes of the rest.
            if let Some(issuer) = self.trusted_issuer(slug).await?.filter(|issuer| !issuer.disabled) {
                let disabled = issuer.disabled_at(now);
                self.write_trusted_issuer(&disabled, false).await?;
            }
            ended_before = self.end_all(&whose, EndReason::TrustEnded, now).await?;
        }
        let outcome = self
            .act(|db| async move {
                let before = trusted_issuers::find(&db, slug).await?;
                let ended = trusted_issuers::delete(&db, slug, now).await?;
                Ok((
                    ended,
                    audit::trusted_issuer_deleted(before.as_ref(), ended_before + ended),
                ))
            })
            .await;
        self.changes.tell(Change::Policies);
        Ok(ended_before + self.changes.after(Change::Revocations, outcome)?)
    }

    /// The client can do nothing any more.
    async fn disable_client(&self, client_id: &str, now: UnixSeconds) -> Result<()> {
        let outcome = self
            .act(|db| async move {
                let before = clients::find(&db, client_id).await?;
                clients::disable(&db, client_id, now).await?;
                Ok(((), audit::client_disabled(before)))
            })
            .await;
        self.changes.tell(Change::Clients);
        self.changes.after(Change::Revocations, outcome)
    }

    /// Changes an issuer, and ends the grants on its word where that is asked for.
    async fn write_trusted_issuer(&self, issuer: &TrustedIssuer, ends: bool) -> Result<()> {
        let outcome = self
            .act(|db| async move {
                let before = trusted_issuers::find(&db, &issuer.slug).await?;
                // Enabled by somebody who did not see that it was disabled: nothing comes back.
                let enabled = before.as_ref().is_some_and(|it| it.disabled) && !issuer.disabled;
                let ended = trusted_issuers::update(&db, issuer, ends || enabled).await?;
                let draft = audit::trusted_issuer_updated(before.as_ref(), issuer, ended);
                Ok(((), draft))
            })
            .await;
        self.changes.tell(Change::Policies);
        self.changes.after(Change::Revocations, outcome)
    }

    /// Whether more of them are alive than end in the transaction of what they end with.
    async fn are_many(&self, whose: &Whose) -> Result<bool> {
        for &way in grants::ways_to(whose) {
            let some = self.repeatable(|db| async move { grants::live(&db, way, whose, Uuid::nil()).await });
            if is_full(&some.await?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends all of them. Stopped in the middle, some have ended, each with what goes with it.
    pub(super) async fn end_all(&self, whose: &Whose, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        let end_some = |way, after| self.end_some(way, whose, after, reason, now);
        some_at_a_time(grants::ways_to(whose), Uuid::nil(), end_some).await
    }

    /// What hangs on this URI, if it is more than ends together with the resource; how many grants.
    async fn end_many_on(&self, uri: &str, now: UnixSeconds) -> Result<u64> {
        let (whose, mut ended) = (Whose::on_resource(uri), 0);
        if self.are_many(&whose).await? {
            ended = self.end_all(&whose, EndReason::ResourceDeleted, now).await?;
        }
        self.forget_many(&ConsentsOf::resource(uri)).await?;
        Ok(ended)
    }

    /// What people allowed it, if that is more than is forgotten together with it. Stopped in the middle, those whose consent
    /// is gone are asked again.
    async fn forget_many(&self, of: &ConsentsOf) -> Result<()> {
        let are_many = self.repeatable(|db| async move { consents::are_many(&db, of).await });
        let mut more = are_many.await?;
        while more {
            let filter = &of.filter();
            let some = self.transaction(|db| async move { consents::forget_some(&db, filter).await });
            more = some.await? > 0;
        }
        Ok(())
    }

    /// Ends those that match, with what is remembered for them where the reason wants that.
    pub(super) async fn revoke_matching(
        &self,
        filter: GrantFilter,
        reason: EndReason,
        now: UnixSeconds,
    ) -> Result<u64> {
        let forgets = Forgets::of(&filter, reason);
        if forgets == Forgets::Matching {
            self.forget_matching(&filter).await?;
        }
        let whose = Whose::Matching(filter.clone());
        let ended = self.end_all(&whose, reason, now).await?;
        if let (0, Forgets::OfEnded(grant)) = (ended, forgets) {
            self.forget_of_ended(&filter, grant).await?;
        }
        Ok(ended)
    }

    async fn forget_matching(&self, filter: &GrantFilter) -> Result<()> {
        let mut more = true;
        while more {
            let some = self.act(|db| async move {
                let forgotten = consents::forget_some(&db, filter).await?;
                Ok((forgotten, audit::consents_forgotten(filter, None, forgotten)))
            });
            more = some.await? > 0;
        }
        Ok(())
    }

    async fn forget_of_ended(&self, filter: &GrantFilter, grant: GrantId) -> Result<()> {
        self.act(|db| async move {
            let one = grants::find(&db, grant).await?;
            let forgotten = consents::forget_grants(&db, &[grant.0]).await?;
            Ok(((), audit::consents_forgotten(filter, one.as_ref(), forgotten)))
        })
        .await
    }

    async fn end_some(
        &self,
        way: Sql,
        whose: &Whose,
        after: Uuid,
        reason: EndReason,
        now: UnixSeconds,
    ) -> Result<Vec<Uuid>> {
        let outcome = self
            .act(|db| async move {
                let one = match whose.one() {
                    Some(id) => grants::find(&db, id).await?,
                    None => None,
                };
                let some = grants::live(&db, way, whose, after).await?;
                grants::end_these(&db, &some, reason, now).await?;
                let draft = audit::grants_ended(whose, one.as_ref(), reason, some.len() as u64);
                Ok((some, draft))
            })
            .await;
        self.changes.after(Change::Revocations, outcome)
    }
}

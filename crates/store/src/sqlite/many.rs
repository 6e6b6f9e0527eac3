//! What any number of grants and consents hang on is changed or removed: they end some at a time, since the one writer would
//! keep everybody waiting for all of them. Whoever the grants hang on can do nothing any more before the first of them ends.

use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::statements::Sql;
use super::{SqliteStore, clients, consents, grants, resources, trusted_issuers};
use crate::rules::audit;
use crate::rules::consents::ConsentsOf;
use crate::rules::grants::{AT_A_TIME, Forgets, Whose, is_full, loses_its_uri, some_at_a_time};
use crate::{EndReason, GrantFilter, GrantId, Resource, Result, Store as _, TrustedIssuer};

impl SqliteStore {
    pub(super) async fn change_resource(&self, resource: Resource) -> Result<()> {
        let mut ended_before = 0;
        if let Some(before) = loses_its_uri(&self.resources().await?, &resource) {
            ended_before = self.end_many_on(before, resource.updated_at).await?;
        }
        self.act(move |db| {
            let before = resources::find(db, &resource.slug)?;
            let ended = resources::update(db, &resource)?;
            let draft = audit::resource_updated(before.as_ref(), &resource, ended_before + ended);
            Ok(((), draft))
        })
        .await
    }

    pub(super) async fn remove_resource(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        let mut ended_before = 0;
        if let Some(resource) = self.resource(slug).await? {
            ended_before = self.end_many_on(&resource.uri, now).await?;
        }
        let slug = slug.to_owned();
        let rest = self.act(move |db| {
            let before = resources::find(db, &slug)?;
            let (ended, servers) = resources::delete(db, &slug, now)?;
            let drafts = audit::resource_deleted(before.as_ref(), &servers, ended_before + ended);
            Ok((ended, drafts))
        });
        Ok(ended_before + rest.await?)
    }

    pub(super) async fn remove_client(&self, client_id: &str, now: UnixSeconds) -> Result<u64> {
        let (whose, mut ended_before) = (Whose::of_client(client_id), 0);
        if self.are_many(&whose).await? {
            // First it can do nothing any more, whatever becomes of the rest.
            self.disable_client(client_id, now).await?;
            ended_before = self.end_all(whose, EndReason::ClientDeleted, now).await?;
        }
        self.forget_many(&ConsentsOf::client(client_id)).await?;
        let client_id = client_id.to_owned();
        let rest = self.act(move |db| {
            let before = clients::find(db, &client_id)?;
            let ended = clients::delete(db, &client_id, now)?;
            Ok((
                ended,
                audit::client_deleted(&client_id, before.is_some(), ended_before + ended),
            ))
        });
        Ok(ended_before + rest.await?)
    }

    pub(super) async fn change_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()> {
        let whose = Whose::OfIssuer(issuer.slug.clone());
        let now = issuer.updated_at;
        if !issuer.disabled
            && self
                .trusted_issuer(&issuer.slug)
                .await?
                .is_some_and(|it| it.disabled)
        {
            // What was cut off when it was disabled, and left some, must not let them come back.
            self.end_all(whose.clone(), EndReason::TrustEnded, now).await?;
        }
        let many = issuer.disabled && self.are_many(&whose).await?;
        let ends = issuer.disabled && !many;
        self.write_trusted_issuer(issuer, ends).await?;
        if many {
            self.end_all(whose, EndReason::TrustEnded, now).await?;
        }
        Ok(())
    }

    pub(super) async fn remove_trusted_issuer(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        let (whose, mut ended_before) = (Whose::OfIssuer(slug.to_owned()), 0);
        if self.are_many(&whose).await? {
            // First its word counts no more, whatever becomes of the rest.
            if let Some(issuer) = self.trusted_issuer(slug).await?.filter(|issuer| !issuer.disabled) {
                let disabled = issuer.disabled_at(now);
                self.write_trusted_issuer(disabled, false).await?;
            }
            ended_before = self.end_all(whose, EndReason::TrustEnded, now).await?;
        }
        let slug = slug.to_owned();
        let rest = self.act(move |db| {
            let before = trusted_issuers::find(db, &slug)?;
            let ended = trusted_issuers::delete(db, &slug, now)?;
            Ok((
                ended,
                audit::trusted_issuer_deleted(before.as_ref(), ended_before + ended),
            ))
        });
        Ok(ended_before + rest.await?)
    }

    /// The client can do nothing any more.
    async fn disable_client(&self, client_id: &str, now: UnixSeconds) -> Result<()> {
        let client_id = client_id.to_owned();
        self.act(move |db| {
            let before = clients::find(db, &client_id)?;
            clients::disable(db, &client_id, now)?;
            Ok(((), audit::client_disabled(before)))
        })
        .await
    }

    /// Changes an issuer, and ends the grants on its word where that is asked for.
    async fn write_trusted_issuer(&self, issuer: TrustedIssuer, ends: bool) -> Result<()> {
        self.act(move |db| {
            let before = trusted_issuers::find(db, &issuer.slug)?;
            // Enabled by somebody who did not see that it was disabled: nothing comes back.
            let enabled = before.as_ref().is_some_and(|it| it.disabled) && !issuer.disabled;
            let ended = trusted_issuers::update(db, &issuer, ends || enabled)?;
            let draft = audit::trusted_issuer_updated(before.as_ref(), &issuer, ended);
            Ok(((), draft))
        })
        .await
    }

    /// Whether more of them are alive than end in the transaction of what they end with.
    async fn are_many(&self, whose: &Whose) -> Result<bool> {
        for &way in grants::ways_to(whose) {
            let whose = whose.clone();
            let some = self.read(move |db| grants::live(db, way, &whose, GrantId(Uuid::nil())));
            if is_full(&some.await?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends all of them. Stopped in the middle, some have ended, each with what goes with it.
    pub(super) async fn end_all(&self, whose: Whose, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        let end_some = |way, after| self.end_some(way, whose.clone(), after, reason, now);
        some_at_a_time(grants::ways_to(&whose), GrantId(Uuid::nil()), end_some).await
    }

    /// What hangs on this URI, if it is more than ends together with the resource; how many grants.
    async fn end_many_on(&self, uri: &str, now: UnixSeconds) -> Result<u64> {
        let (whose, mut ended) = (Whose::on_resource(uri), 0);
        if self.are_many(&whose).await? {
            ended = self.end_all(whose, EndReason::ResourceDeleted, now).await?;
        }
        self.forget_many(&ConsentsOf::resource(uri)).await?;
        Ok(ended)
    }

    /// What people allowed it, if that is more than is forgotten together with it. Stopped in the middle, those whose consent
    /// is gone are asked again.
    async fn forget_many(&self, of: &ConsentsOf) -> Result<()> {
        let which = of.clone();
        let mut more = self.read(move |db| consents::are_many(db, &which)).await?;
        while more {
            let which = of.clone();
            let some = self.write(move |db| consents::forget_some(db, &which.filter()));
            more = some.await? >= u64::from(AT_A_TIME);
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
        let ended = self.end_all(whose, reason, now).await?;
        if let (0, Forgets::OfEnded(grant)) = (ended, forgets) {
            self.forget_of_ended(filter, grant).await?;
        }
        Ok(ended)
    }

    async fn forget_matching(&self, filter: &GrantFilter) -> Result<()> {
        loop {
            let filter = filter.clone();
            let some = self.act(move |db| {
                let forgotten = consents::forget_some(db, &filter)?;
                Ok((forgotten, audit::consents_forgotten(&filter, None, forgotten)))
            });
            if some.await? < u64::from(AT_A_TIME) {
                return Ok(());
            }
        }
    }

    async fn forget_of_ended(&self, filter: GrantFilter, grant: GrantId) -> Result<()> {
        self.act(move |db| {
            let one = grants::find(db, grant)?;
            let forgotten = consents::forget_grant(db, grant)?;
            let draft = audit::consents_forgotten(&filter, one.as_ref(), u64::from(forgotten));
            Ok(((), draft))
        })
        .await
    }

    async fn end_some(
        &self,
        way: Sql,
        whose: Whose,
        after: GrantId,
        reason: EndReason,
        now: UnixSeconds,
    ) -> Result<Vec<GrantId>> {
        self.act(move |db| {
            let one = whose.one().map(|id| grants::find(db, id)).transpose()?.flatten();
            let some = grants::live(db, way, &whose, after)?;
            grants::end_these(db, &some, reason, now)?;
            let draft = audit::grants_ended(&whose, one.as_ref(), reason, some.len() as u64);
            Ok((some, draft))
        })
        .await
    }
}

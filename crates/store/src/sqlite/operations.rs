//! The operations, each handed to the writer or to a reader.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::{
    SqliteStore, approvals, asserted, assertion_audiences, audit as events, clients, codes, consents,
    devices, ending, exchange, grants, id_jag, issuances, join, keys, own, refresh, registration, resources,
    revocations, served, sessions, spent, sweep, throttle, trusted_issuers, users, writer,
};
use crate::rules::audit;
use crate::rules::clients::is_touched;
use crate::rules::sweep::{Kind, kinds};
use crate::{
    AdminKey, Approval, ApprovalOutcome, AssertedOutcome, AssertionAudience, AuditAction, AuditEntry,
    AuditEvent, AuditFilter, Change, Changes, Client, ClientFilter, Code, Consent, DeviceAuthorization,
    Digest, EndReason, Ended, ExchangeOutcome, ExchangeToken, Grant, GrantFilter, GrantId, IdJagOutcome,
    InitialAccessToken, Issuance, IssueAsserted, IssueIdJag, IssueOwn, LinkedSubject, LoginThrottle, Origin,
    OwnOutcome, Page, PageRequest, Partitioned, PartitionsKept, PollOutcome, RedeemCode, RedeemOutcome,
    RegisterOutcome, Reseal, Resource, Result, RevocationPage, RotateOutcome, RotateRefresh, Sealed,
    SealedKind, SealedSecret, SecretsForgotten, Session, SigningKeyRecord, Spend, SpendOutcome, Store,
    StoreError, SweepKinds, Swept, TellIndex, ThrottlePolicy, TokenStanding, TrustedIssuer,
    TrustedIssuerKind, Turn, UseRefresh, User, UserId,
};

#[async_trait]
impl Store for SqliteStore {
    async fn create_resource(&self, resource: Resource) -> Result<()> {
        self.act(move |db| {
            resources::create(db, &resource)?;
            Ok(((), audit::resource(AuditAction::ResourceCreated, &resource)))
        })
        .await
    }

    async fn resource(&self, slug: &str) -> Result<Option<Resource>> {
        let slug = slug.to_owned();
        self.read(move |db| resources::find(db, &slug)).await
    }

    async fn resources(&self) -> Result<Vec<Resource>> {
        self.read(resources::list).await
    }

    async fn update_resource(&self, resource: Resource) -> Result<()> {
        self.change_resource(resource).await
    }

    async fn delete_resource(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        self.remove_resource(slug, now).await
    }

    async fn create_client(&self, client: Client) -> Result<()> {
        self.act(move |db| {
            clients::create(db, &client)?;
            Ok(((), audit::client_created(&client)))
        })
        .await
    }

    async fn register_client(&self, client: Client) -> Result<Client> {
        // Most registrations repeat an earlier one, and a reader can answer them.
        let stored = self.client(&client.client_id).await?;
        if let Some(stored) = stored.filter(|stored| !is_touched(stored, client.updated_at)) {
            return Ok(stored);
        }
        self.act(move |db| {
            let existed = clients::standing(db, &client.client_id)?.is_some();
            let stored = clients::register(db, &client)?;
            let draft = audit::registered(existed, &stored);
            Ok((stored, draft))
        })
        .await
    }

    async fn client(&self, client_id: &str) -> Result<Option<Client>> {
        let client_id = client_id.to_owned();
        self.read(move |db| clients::find(db, &client_id)).await
    }

    async fn clients(&self, filter: ClientFilter, page: PageRequest) -> Result<Page<Client>> {
        self.read(move |db| clients::list(db, &filter, &page)).await
    }

    async fn update_client(&self, client: Client) -> Result<()> {
        self.act(move |db| {
            let (before, after) = registration::update_by_operator(db, &client)?;
            Ok(((), audit::client_updated(Some(&before), &after)))
        })
        .await
    }

    async fn update_registration(&self, client: Client, presented: &Digest, now: UnixSeconds) -> Result<()> {
        let presented = *presented;
        self.act(move |db| {
            let (before, after) = registration::update(db, &client, &presented, now)?;
            Ok(((), audit::client_updated(Some(&before), &after)))
        })
        .await
    }

    async fn register_with_token(
        &self,
        client: Client,
        token: &Digest,
        now: UnixSeconds,
    ) -> Result<RegisterOutcome> {
        let token = *token;
        self.act(move |db| {
            let Some(token) = registration::register(db, &client, &token, now)? else {
                return Ok((RegisterOutcome::TokenRefused, None));
            };
            let draft = audit::registered_with_token(token, &client);
            Ok((RegisterOutcome::Registered, Some(draft)))
        })
        .await
    }

    async fn create_initial_token(&self, token: InitialAccessToken) -> Result<()> {
        self.act(move |db| {
            registration::create_token(db, &token)?;
            Ok(((), audit::initial_token(AuditAction::InitialTokenCreated, &token)))
        })
        .await
    }

    async fn initial_token(&self, id: Uuid) -> Result<Option<InitialAccessToken>> {
        self.read(move |db| registration::find_token(db, id)).await
    }

    async fn initial_tokens(&self, page: PageRequest) -> Result<Page<InitialAccessToken>> {
        self.read(move |db| registration::tokens(db, &page)).await
    }

    async fn delete_initial_token(&self, id: Uuid) -> Result<bool> {
        self.act(move |db| {
            let existed = registration::delete_token(db, id)?;
            Ok((existed, audit::initial_token_deleted(id, existed)))
        })
        .await
    }

    async fn delete_client(&self, client_id: &str, now: UnixSeconds) -> Result<u64> {
        self.remove_client(client_id, now).await
    }

    async fn create_user(&self, user: User) -> Result<()> {
        self.act(move |db| {
            users::create(db, &user)?;
            Ok(((), audit::user(AuditAction::UserCreated, &user)))
        })
        .await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.read(move |db| users::find(db, id)).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        let email = email.to_owned();
        self.read(move |db| users::find_by_email(db, &email)).await
    }

    async fn users(&self, page: PageRequest) -> Result<Page<User>> {
        self.read(move |db| users::list(db, &page)).await
    }

    async fn update_user(&self, user: User, now: UnixSeconds) -> Result<()> {
        self.act(move |db| {
            let before = users::find(db, user.id)?;
            let ended = users::update(db, &user, now)?;
            Ok(((), audit::user_updated(before.as_ref(), &user, ended)))
        })
        .await
    }

    async fn delete_user(&self, id: UserId, now: UnixSeconds) -> Result<()> {
        self.act(move |db| {
            let before = users::find(db, id)?;
            let ended = users::delete(db, id, now)?;
            Ok(((), audit::user_deleted(before.as_ref(), ended)))
        })
        .await
    }

    async fn begin_login(
        &self,
        keys: &[String],
        policy: ThrottlePolicy,
        now: UnixSeconds,
    ) -> Result<LoginThrottle> {
        let keys = keys.to_vec();
        self.write(move |db| throttle::begin(db, &keys, policy, now))
            .await
    }

    async fn clear_login(&self, all_of: &[String], one_of: &[String]) -> Result<()> {
        let (all_of, one_of) = (all_of.to_vec(), one_of.to_vec());
        self.write(move |db| throttle::clear(db, &all_of, &one_of)).await
    }

    async fn create_session(&self, session: Session, replaces: Option<Digest>) -> Result<()> {
        self.act(move |db| {
            let person_before = sessions::create(db, &session, replaces.as_ref())?;
            let started = Some(audit::session_started(&session));
            Ok(((), [audit::session_ended(person_before), started]))
        })
        .await
    }

    async fn session(
        &self,
        id: &Digest,
        idle: Duration,
        now: UnixSeconds,
    ) -> Result<Option<(Session, User)>> {
        let id = *id;
        let Some((session, user, touch)) = self.read(move |db| sessions::find(db, &id, idle, now)).await?
        else {
            return Ok(None);
        };
        if touch {
            self.writer.run_detached(move |db| sessions::touch(db, &id, now));
        }
        Ok(Some((session, user)))
    }

    async fn end_session(&self, id: &Digest, now: UnixSeconds) -> Result<()> {
        let id = *id;
        self.act(move |db| {
            let user = sessions::end(db, &id, now)?;
            Ok(((), audit::session_ended(user)))
        })
        .await
    }

    async fn create_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()> {
        self.act(move |db| {
            trusted_issuers::create(db, &issuer)?;
            Ok((
                (),
                audit::trusted_issuer(AuditAction::TrustedIssuerCreated, &issuer),
            ))
        })
        .await
    }

    async fn trusted_issuer(&self, slug: &str) -> Result<Option<TrustedIssuer>> {
        let slug = slug.to_owned();
        self.read(move |db| trusted_issuers::find(db, &slug)).await
    }

    async fn trusted_issuer_by_url(
        &self,
        issuer: &str,
        kind: TrustedIssuerKind,
    ) -> Result<Option<TrustedIssuer>> {
        let issuer = issuer.to_owned();
        self.read(move |db| trusted_issuers::find_by_url(db, &issuer, kind))
            .await
    }

    async fn trusted_issuers(&self) -> Result<Vec<TrustedIssuer>> {
        self.read(trusted_issuers::list).await
    }

    async fn update_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()> {
        self.change_trusted_issuer(issuer).await
    }

    async fn delete_trusted_issuer(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        self.remove_trusted_issuer(slug, now).await
    }

    async fn link_subject(&self, link: LinkedSubject, person: Option<User>) -> Result<()> {
        self.act(move |db| {
            trusted_issuers::link(db, &link, person.as_ref())?;
            Ok(((), audit::subject_linked(&link, person.is_some())))
        })
        .await
    }

    async fn linked_subject(&self, slug: &str, subject: &str) -> Result<Option<LinkedSubject>> {
        let (slug, subject) = (slug.to_owned(), subject.to_owned());
        self.read(move |db| trusted_issuers::find_link(db, &slug, &subject))
            .await
    }

    async fn linked_subjects(&self, slug: &str, page: PageRequest) -> Result<Page<LinkedSubject>> {
        let slug = slug.to_owned();
        self.read(move |db| trusted_issuers::links(db, &slug, &page))
            .await
    }

    async fn unlink_subject(&self, slug: &str, subject: &str, now: UnixSeconds) -> Result<bool> {
        let (slug, subject) = (slug.to_owned(), subject.to_owned());
        self.act(move |db| {
            let before = trusted_issuers::find_link(db, &slug, &subject)?;
            let existed = trusted_issuers::unlink(db, &slug, &subject, now)?;
            Ok((existed, audit::subject_unlinked(&slug, &subject, before.as_ref())))
        })
        .await
    }

    async fn create_assertion_audience(&self, audience: AssertionAudience) -> Result<()> {
        self.act(move |db| {
            assertion_audiences::create(db, &audience)?;
            Ok((
                (),
                audit::assertion_audience(AuditAction::AssertionAudienceCreated, &audience),
            ))
        })
        .await
    }

    async fn assertion_audience(&self, slug: &str) -> Result<Option<AssertionAudience>> {
        let slug = slug.to_owned();
        self.read(move |db| assertion_audiences::find(db, &slug)).await
    }

    async fn assertion_audience_by_url(&self, issuer: &str) -> Result<Option<AssertionAudience>> {
        let issuer = issuer.to_owned();
        self.read(move |db| assertion_audiences::find_by_url(db, &issuer))
            .await
    }

    async fn assertion_audiences(&self) -> Result<Vec<AssertionAudience>> {
        self.read(assertion_audiences::list).await
    }

    async fn update_assertion_audience(&self, audience: AssertionAudience) -> Result<()> {
        self.act(move |db| {
            let before = assertion_audiences::find(db, &audience.slug)?;
            assertion_audiences::update(db, &audience)?;
            Ok(((), audit::assertion_audience_updated(before.as_ref(), &audience)))
        })
        .await
    }

    async fn delete_assertion_audience(&self, slug: &str) -> Result<bool> {
        let slug = slug.to_owned();
        self.act(move |db| {
            let existed = assertion_audiences::delete(db, &slug)?;
            Ok((existed, audit::assertion_audience_deleted(&slug, existed)))
        })
        .await
    }

    async fn consent(&self, user: UserId, client_id: &str, resource: &str) -> Result<Option<Consent>> {
        let (client_id, resource) = (client_id.to_owned(), resource.to_owned());
        self.read(move |db| consents::find(db, user, &client_id, &resource))
            .await
    }

    async fn approve(&self, approval: Approval) -> Result<ApprovalOutcome> {
        self.act(move |db| {
            let outcome = approvals::approve(db, &approval)?;
            let draft = audit::approved(&approval, &outcome);
            Ok((outcome, draft))
        })
        .await
    }

    async fn code(&self, digest: &Digest) -> Result<Option<(Code, Grant)>> {
        let digest = *digest;
        self.read(move |db| codes::find(db, &digest)).await
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<RedeemOutcome> {
        self.act(move |db| {
            let outcome = codes::redeem(db, &redeem)?;
            let draft = audit::redeemed(&redeem, &outcome);
            Ok((outcome, draft))
        })
        .await
    }

    async fn burn_code(&self, digest: &Digest, now: UnixSeconds) -> Result<()> {
        let digest = *digest;
        self.act(move |db| {
            let ended = codes::burn(db, &digest, now)?;
            Ok(((), audit::burned(ended.as_ref())))
        })
        .await
    }

    async fn begin_device(&self, device: DeviceAuthorization) -> Result<()> {
        self.write(move |db| devices::begin(db, &device)).await
    }

    async fn device_by_user_code(
        &self,
        user_code: &Digest,
        now: UnixSeconds,
    ) -> Result<Option<DeviceAuthorization>> {
        let user_code = *user_code;
        self.read(move |db| devices::by_user_code(db, &user_code, now))
            .await
    }

    async fn deny_device(&self, digest: &Digest, now: UnixSeconds) -> Result<bool> {
        let digest = *digest;
        self.act(move |db| {
            let client_id = devices::deny(db, &digest, now)?;
            Ok((client_id.is_some(), audit::device_denied(client_id.as_deref())))
        })
        .await
    }

    async fn poll_device(
        &self,
        digest: &Digest,
        client_id: &str,
        slower: u32,
        now: UnixSeconds,
    ) -> Result<PollOutcome> {
        let (digest, client_id) = (*digest, client_id.to_owned());
        self.write(move |db| devices::poll(db, &digest, &client_id, slower, now))
            .await
    }

    async fn grant(&self, id: GrantId) -> Result<Option<Grant>> {
        self.read(move |db| grants::find(db, id)).await
    }

    async fn rotate_refresh(&self, rotate: RotateRefresh) -> Result<RotateOutcome> {
        self.act(move |db| {
            let outcome = refresh::rotate(db, &rotate)?;
            let draft = audit::rotated(&rotate, &outcome);
            Ok((outcome, draft))
        })
        .await
    }

    async fn use_refresh(&self, grant: GrantId, decide: UseRefresh) -> Result<Option<RotateOutcome>> {
        self.act(move |db| {
            let Some((rotate, outcome)) = refresh::rotate_as(db, grant, decide)? else {
                return Ok((None, None));
            };
            let draft = audit::rotated(&rotate, &outcome);
            Ok((Some(outcome), draft))
        })
        .await
    }

    async fn grants(&self, filter: GrantFilter, page: PageRequest) -> Result<Page<Grant>> {
        self.read(move |db| grants::list(db, &filter, &page)).await
    }

    async fn revoke_grants(&self, filter: GrantFilter, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        self.revoke_matching(filter, reason, now).await
    }

    async fn issuance(&self, jti: &str) -> Result<Option<Issuance>> {
        let jti = jti.to_owned();
        self.read(move |db| issuances::find(db, &jti)).await
    }

    async fn token_standing(&self, jti: &str) -> Result<Option<TokenStanding>> {
        let jti = jti.to_owned();
        self.read(move |db| issuances::standing(db, &jti)).await
    }

    async fn issue_own(&self, issue: IssueOwn) -> Result<OwnOutcome> {
        self.write(move |db| own::issue(db, &issue)).await
    }

    async fn issue_asserted(&self, issue: IssueAsserted) -> Result<AssertedOutcome> {
        self.write(move |db| asserted::issue(db, &issue)).await
    }

    async fn exchange_token(&self, exchange: ExchangeToken) -> Result<ExchangeOutcome> {
        self.write(move |db| exchange::exchange(db, &exchange)).await
    }

    async fn issue_id_jag(&self, issue: IssueIdJag) -> Result<IdJagOutcome> {
        self.write(move |db| id_jag::issue(db, &issue)).await
    }

    async fn spend(&self, spends: &[Spend]) -> Result<SpendOutcome> {
        let spends = spends.to_vec();
        self.act(move |db| {
            let spent = spent::spend(db, &spends)?;
            Ok((spent, audit::spent(spent)))
        })
        .await
    }

    async fn end_everything(&self, now: UnixSeconds) -> Result<Ended> {
        let mut ended = self
            .act(move |db| Ok((ending::begin(db, now)?, audit::everything_ended())))
            .await?;
        ended.grants = self.end_every_grant(now).await?;
        self.changes.tell(Change::Revocations);
        Ok(ended)
    }

    async fn forget_secrets(&self, now: UnixSeconds) -> Result<SecretsForgotten> {
        let mut forgotten = self
            .act(move |db| {
                let mut forgotten = keys::forget(db)?;
                forgotten.ended = ending::begin(db, now)?;
                Ok((forgotten, audit::secrets_replaced(&forgotten)))
            })
            .await?;
        forgotten.ended.grants = self.end_every_grant(now).await?;
        self.changes.tell(Change::Revocations);
        Ok(forgotten)
    }

    async fn revoke_issuance(&self, jti: &str, now: UnixSeconds) -> Result<bool> {
        let jti = jti.to_owned();
        self.act(move |db| {
            let before = issuances::revoke(db, &jti, now)?;
            Ok((before.is_some(), audit::token_revoked(before.as_ref())))
        })
        .await
    }

    async fn revocations(&self, after: u64, limit: u32) -> Result<RevocationPage> {
        self.read(move |db| revocations::list(db, after, limit)).await
    }

    async fn forget_revocations(&self, before: UnixSeconds, limit: u32) -> Result<u64> {
        self.write(move |db| revocations::forget(db, before, limit)).await
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>> {
        self.read(keys::signing_keys).await
    }

    async fn add_signing_key(
        &self,
        key: SigningKeyRecord,
        newest: Option<&str>,
    ) -> Result<Vec<SigningKeyRecord>> {
        let newest = newest.map(str::to_owned);
        self.act(move |db| {
            let keys = keys::add_signing_key(db, &key, newest.as_deref())?;
            let draft = audit::signing_key_added(&key, &keys);
            Ok((keys, draft))
        })
        .await
    }

    async fn replace_signing_key(
        &self,
        revoked: Option<&str>,
        spare: SigningKeyRecord,
        now: UnixSeconds,
    ) -> Result<Vec<SigningKeyRecord>> {
        let revoked = revoked.map(str::to_owned);
        self.act(move |db| {
            let replaced = keys::replace_signing_key(db, revoked.as_deref(), &spare, now)?;
            let draft = audit::signing_key_replaced(revoked.as_deref(), &spare, &replaced, now);
            Ok((replaced.after, draft))
        })
        .await
    }

    async fn sealed(&self, kind: SealedKind, after: &str, limit: u32) -> Result<Vec<Sealed>> {
        let after = after.to_owned();
        self.read(move |db| keys::sealed(db, kind, &after, limit)).await
    }

    async fn reseal(&self, changes: Vec<Reseal>) -> Result<u64> {
        self.act(move |db| {
            let resealed = keys::reseal(db, &changes)?;
            Ok((resealed, audit::resealed(resealed)))
        })
        .await
    }

    async fn delete_signing_keys(&self, before: UnixSeconds) -> Result<u64> {
        self.act(move |db| {
            let removed = keys::delete_signing_keys(db, before)?;
            Ok((removed, audit::signing_keys_deleted(removed)))
        })
        .await
    }

    async fn secret(&self, purpose: &str, proposed: SealedSecret) -> Result<SealedSecret> {
        let purpose = purpose.to_owned();
        self.act(move |db| {
            let secret = keys::secret(db, &purpose, &proposed)?;
            let draft = audit::secret_created(&purpose, secret == proposed);
            Ok((secret, draft))
        })
        .await
    }

    async fn find_secret(&self, purpose: &str) -> Result<Option<SealedSecret>> {
        let purpose = purpose.to_owned();
        self.read(move |db| keys::find_secret(db, &purpose)).await
    }

    async fn add_admin_key(&self, key: AdminKey, only_if_none: bool) -> Result<bool> {
        self.act(move |db| {
            let added = keys::add_admin_key(db, &key, only_if_none)?;
            Ok((added, audit::admin_key_added(&key, added)))
        })
        .await
    }

    async fn admin_key(&self, digest: &Digest) -> Result<Option<AdminKey>> {
        let digest = *digest;
        self.read(move |db| keys::admin_key(db, &digest)).await
    }

    async fn admin_keys(&self) -> Result<Vec<AdminKey>> {
        self.read(keys::admin_keys).await
    }

    async fn delete_admin_key(&self, id: Uuid, all: bool) -> Result<bool> {
        self.act(move |db| {
            let deleted = keys::delete_admin_key(db, id, all)?;
            Ok((deleted.is_some(), audit::admin_key_deleted(deleted.as_ref())))
        })
        .await
    }

    async fn turn(&self, name: &'static str) -> Result<Turn> {
        // One process: nobody else has this file.
        Ok(Arc::new(self.turns.take(name).await))
    }

    async fn try_turn(&self, name: &'static str) -> Result<Option<Turn>> {
        Ok(self.turns.try_take(name).map(|turn| Arc::new(turn) as Turn))
    }

    fn acting(&self, origin: Origin) -> Box<dyn Store> {
        self.in_the_hands_of(origin, self.turn.clone())
    }

    fn acting_in_turn(&self, turn: &Turn, origin: Origin) -> Box<dyn Store> {
        // One process: whoever has a turn keeps it, until what was begun in it is done.
        self.in_the_hands_of(origin, Some(Turn::clone(turn)))
    }

    async fn record(&self, event: AuditEvent) -> Result<()> {
        let event = audit::checked(event);
        self.write(move |db| events::record(db, &event)).await
    }

    async fn audit_entries(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<AuditEntry>> {
        self.read(move |db| events::list(db, &filter, &page)).await
    }

    async fn audit_event(&self, id: Uuid) -> Result<Option<AuditEvent>> {
        self.read(move |db| events::find(db, id)).await
    }

    async fn forget_audit_events(&self, before: UnixSeconds, limit: u32) -> Result<u64> {
        self.write(move |db| events::forget(db, before, limit)).await
    }

    async fn sweep_kinds(&self, of: SweepKinds, now: UnixSeconds, retain: Duration, limit: u32) -> Swept {
        let mut swept = Swept::default();
        for (kind, past) in kinds(of, now, retain) {
            let round = Arc::clone(&self.clients_looked_at);
            let removed = self
                .act(move |db| {
                    let removed = sweep::remove(db, kind, past, limit, &round)?;
                    Ok((removed, audit::removed(kind, removed)))
                })
                .await;
            let is_under_way = kind == Kind::UnusedClients && self.clients_looked_at.is_under_way();
            swept.add(kind, removed, limit, is_under_way);
        }
        swept
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }

    async fn keep_partitions(&self, _: Partitioned, _: UnixSeconds, _: Duration) -> Result<PartitionsKept> {
        Ok(PartitionsKept::default())
    }

    async fn make_indexes(&self, _: TellIndex<'_>) -> Result<bool> {
        Ok(true)
    }

    async fn serve_as(&self, issuer: &str) -> Result<Option<String>> {
        let issuer = issuer.to_owned();
        self.act(move |db| {
            let before = served::serve_as(db, &issuer)?;
            let draft = before
                .as_deref()
                .map(|before| audit::issuer_changed(before, &issuer));
            Ok((before, draft))
        })
        .await
    }

    fn read_files_again(&self) -> Result<Vec<&'static str>> {
        Ok(Vec::new())
    }

    async fn ping(&self) -> Result<()> {
        self.read(writer::can_read).await?;
        self.write(writer::beat).await
    }

    async fn close(&self) -> Result<()> {
        let threads = self.stop();
        let joined = tokio::task::spawn_blocking(move || join(threads)).await;
        joined.map_err(|error| StoreError::Internal(error.to_string()))
    }
}

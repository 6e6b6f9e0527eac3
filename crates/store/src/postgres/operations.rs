//! The operations, each run as its kind needs: what may run twice, and what is a transaction.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_oauth::time::UnixSeconds;
use uuid::Uuid;

use super::work::Db;
use super::writes::Writes;
use super::{
    PostgresStore, approvals, asserted, assertion_audiences, audit as events, clients, codes, consents,
    devices, ending, exchange, grants, id_jag, indexes, issuances, keys, own, partitions, refresh,
    registration, resources, revocations, served, sessions, spent, sweep, throttle, trusted_issuers, users,
    work,
};
use crate::rules::audit;
use crate::rules::clients::is_touched;
use crate::rules::devices::poll;
use crate::rules::sweep::kinds;
use crate::rules::throttle::{Attempt, attempt};
use crate::{
    AdminKey, Approval, ApprovalOutcome, AssertedOutcome, AssertionAudience, AuditAction, AuditEntry,
    AuditEvent, AuditFilter, Change, Changes, Client, ClientFilter, Code, Consent, DeviceAuthorization,
    Digest, EndReason, Ended, ExchangeOutcome, ExchangeToken, Grant, GrantFilter, GrantId, IdJagOutcome,
    InitialAccessToken, Issuance, IssueAsserted, IssueIdJag, IssueOwn, LinkedSubject, LoginThrottle, Origin,
    OwnOutcome, Page, PageRequest, Partitioned, PartitionsKept, PollOutcome, RedeemCode, RedeemOutcome,
    RegisterOutcome, Reseal, Resource, Result, RevocationPage, RotateOutcome, RotateRefresh, Sealed,
    SealedKind, SealedSecret, SecretsForgotten, Session, SigningKeyRecord, Spend, SpendOutcome, Store,
    SweepKinds, Swept, TellIndex, ThrottlePolicy, TokenStanding, TrustedIssuer, TrustedIssuerKind, Turn,
    UseRefresh, User, UserId,
};

#[async_trait]
impl Store for PostgresStore {
    async fn create_resource(&self, resource: Resource) -> Result<()> {
        let resource = &resource;
        let outcome = self
            .act(|db| async move {
                resources::create(&db, resource).await?;
                Ok(((), audit::resource(AuditAction::ResourceCreated, resource)))
            })
            .await;
        self.changes.after(Change::Resources, outcome)
    }

    async fn resource(&self, slug: &str) -> Result<Option<Resource>> {
        self.repeatable(|db| async move { resources::find(&db, slug).await })
            .await
    }

    async fn resources(&self) -> Result<Vec<Resource>> {
        self.repeatable(|db| async move { resources::list(&db).await })
            .await
    }

    async fn update_resource(&self, resource: Resource) -> Result<()> {
        self.change_resource(resource).await
    }

    async fn delete_resource(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        self.remove_resource(slug, now).await
    }

    async fn create_client(&self, client: Client) -> Result<()> {
        let client = &client;
        self.act(|db| async move {
            clients::create(&db, client).await?;
            Ok(((), audit::client_created(client)))
        })
        .await
    }

    async fn register_client(&self, client: Client) -> Result<Client> {
        let client = &client;
        // Most registrations repeat an earlier one.
        let stored = self.client(&client.client_id).await?;
        if let Some(stored) = stored.filter(|stored| !is_touched(stored, client.updated_at)) {
            return Ok(stored);
        }
        self.act(|db| async move {
            let (stored, is_new) = clients::register(&db, client).await?;
            let draft = audit::registered(!is_new, &stored);
            Ok((stored, draft))
        })
        .await
    }

    async fn client(&self, client_id: &str) -> Result<Option<Client>> {
        self.repeatable(|db| async move { clients::find(&db, client_id).await })
            .await
    }

    async fn clients(&self, filter: ClientFilter, page: PageRequest) -> Result<Page<Client>> {
        let (filter, page) = (&filter, &page);
        self.repeatable(|db| async move { clients::list(&db, filter, page).await })
            .await
    }

    async fn update_client(&self, client: Client) -> Result<()> {
        let client = &client;
        let outcome = self
            .act(|db| async move {
                let (before, after) = registration::update_by_operator(&db, client).await?;
                Ok(((), audit::client_updated(Some(&before), &after)))
            })
            .await;
        self.changes.tell(Change::Clients);
        self.changes.after(Change::Revocations, outcome)
    }

    async fn update_registration(&self, client: Client, presented: &Digest, now: UnixSeconds) -> Result<()> {
        let client = &client;
        let outcome = self
            .act(|db| async move {
                let (before, after) = registration::update(&db, client, presented, now).await?;
                Ok(((), audit::client_updated(Some(&before), &after)))
            })
            .await;
        self.changes.after(Change::Clients, outcome)
    }

    async fn register_with_token(
        &self,
        client: Client,
        token: &Digest,
        now: UnixSeconds,
    ) -> Result<RegisterOutcome> {
        let client = &client;
        self.act(|db| async move {
            let Some(token) = registration::register(&db, client, token, now).await? else {
                return Ok((RegisterOutcome::TokenRefused, None));
            };
            let draft = audit::registered_with_token(token, client);
            Ok((RegisterOutcome::Registered, Some(draft)))
        })
        .await
    }

    async fn create_initial_token(&self, token: InitialAccessToken) -> Result<()> {
        let token = &token;
        self.act(|db| async move {
            registration::create_token(&db, token).await?;
            Ok(((), audit::initial_token(AuditAction::InitialTokenCreated, token)))
        })
        .await
    }

    async fn initial_token(&self, id: Uuid) -> Result<Option<InitialAccessToken>> {
        self.repeatable(|db| async move { registration::find_token(&db, id).await })
            .await
    }

    async fn initial_tokens(&self, page: PageRequest) -> Result<Page<InitialAccessToken>> {
        let page = &page;
        self.repeatable(|db| async move { registration::tokens(&db, page).await })
            .await
    }

    async fn delete_initial_token(&self, id: Uuid) -> Result<bool> {
        self.act(|db| async move {
            let existed = registration::delete_token(&db, id).await?;
            Ok((existed, audit::initial_token_deleted(id, existed)))
        })
        .await
    }

    async fn delete_client(&self, client_id: &str, now: UnixSeconds) -> Result<u64> {
        self.remove_client(client_id, now).await
    }

    async fn create_user(&self, user: User) -> Result<()> {
        let user = &user;
        self.act(|db| async move {
            users::create(&db, user).await?;
            Ok(((), audit::user(AuditAction::UserCreated, user)))
        })
        .await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.repeatable(|db| async move { users::find(&db, id).await })
            .await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        self.repeatable(|db| async move { users::find_by_email(&db, email).await })
            .await
    }

    async fn users(&self, page: PageRequest) -> Result<Page<User>> {
        let page = &page;
        self.repeatable(|db| async move { users::list(&db, page).await })
            .await
    }

    async fn update_user(&self, user: User, now: UnixSeconds) -> Result<()> {
        let user = &user;
        let outcome = self
            .act(|db| async move {
                let before = users::find(&db, user.id).await?;
                let ended = users::update(&db, user, now).await?;
                Ok(((), audit::user_updated(before.as_ref(), user, ended)))
            })
            .await;
        self.changes.after(Change::Revocations, outcome)
    }

    async fn delete_user(&self, id: UserId, now: UnixSeconds) -> Result<()> {
        let outcome = self
            .act(|db| async move {
                let before = users::find(&db, id).await?;
                let ended = users::delete(&db, id, now).await?;
                Ok(((), audit::user_deleted(before.as_ref(), ended)))
            })
            .await;
        self.changes.after(Change::Revocations, outcome)
    }

    async fn begin_login(
        &self,
        keys: &[String],
        policy: ThrottlePolicy,
        now: UnixSeconds,
    ) -> Result<LoginThrottle> {
        let look = |db: Db| async move { throttle::hold(&db, keys).await };
        self.transaction_on(look, |_, stored| async move {
            let Attempt {
                answer,
                changed,
                forget_at,
            } = attempt(stored, policy, now);
            Ok((answer, throttle::counts(changed, forget_at)))
        })
        .await
    }

    async fn clear_login(&self, all_of: &[String], one_of: &[String]) -> Result<()> {
        let look = |db: Db| async move { throttle::hold_all(&db, all_of, one_of).await };
        self.transaction_on(
            look,
            |_, ()| async move { Ok(((), throttle::clear(all_of, one_of))) },
        )
        .await
    }

    async fn create_session(&self, session: Session, replaces: Option<Digest>) -> Result<()> {
        let session = &session;
        let replaces = replaces.as_ref();
        let look = |db: Db| async move { users::hold(&db, session.user).await };
        self.act_on(look, |db, person| async move {
            let (person_before, created) = sessions::create(&db, session, replaces, person).await?;
            let started = Some(audit::session_started(session));
            let drafts = [audit::session_ended(person_before), started];
            Ok(((), created.into(), drafts))
        })
        .await
    }

    async fn session(
        &self,
        id: &Digest,
        idle: Duration,
        now: UnixSeconds,
    ) -> Result<Option<(Session, User)>> {
        let Some((session, user, touch)) = self
            .repeatable(|db| async move { sessions::find(&db, id, idle, now).await })
            .await?
        else {
            return Ok(None);
        };
        if touch {
            let touched = self
                .repeatable(|db| async move { sessions::touch(&db, id, now).await })
                .await;
            if let Err(error) = touched {
                tracing::debug!(%error, "the use of a session was not written down");
            }
        }
        Ok(Some((session, user)))
    }

    async fn end_session(&self, id: &Digest, now: UnixSeconds) -> Result<()> {
        self.act(|db| async move {
            let user = sessions::end(&db, id, now).await?;
            Ok(((), audit::session_ended(user)))
        })
        .await
    }

    async fn create_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()> {
        let issuer = &issuer;
        let outcome = self
            .act(|db| async move {
                trusted_issuers::create(&db, issuer).await?;
                Ok((
                    (),
                    audit::trusted_issuer(AuditAction::TrustedIssuerCreated, issuer),
                ))
            })
            .await;
        self.changes.after(Change::Policies, outcome)
    }

    async fn trusted_issuer(&self, slug: &str) -> Result<Option<TrustedIssuer>> {
        self.repeatable(|db| async move { trusted_issuers::find(&db, slug).await })
            .await
    }

    async fn trusted_issuer_by_url(
        &self,
        issuer: &str,
        kind: TrustedIssuerKind,
    ) -> Result<Option<TrustedIssuer>> {
        self.repeatable(|db| async move { trusted_issuers::find_by_url(&db, issuer, kind).await })
            .await
    }

    async fn trusted_issuers(&self) -> Result<Vec<TrustedIssuer>> {
        self.repeatable(|db| async move { trusted_issuers::list(&db).await })
            .await
    }

    async fn update_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()> {
        self.change_trusted_issuer(issuer).await
    }

    async fn delete_trusted_issuer(&self, slug: &str, now: UnixSeconds) -> Result<u64> {
        self.remove_trusted_issuer(slug, now).await
    }

    async fn link_subject(&self, link: LinkedSubject, person: Option<User>) -> Result<()> {
        let (link, person) = (&link, person.as_ref());
        self.act(|db| async move {
            trusted_issuers::link(&db, link, person).await?;
            Ok(((), audit::subject_linked(link, person.is_some())))
        })
        .await
    }

    async fn linked_subject(&self, slug: &str, subject: &str) -> Result<Option<LinkedSubject>> {
        self.repeatable(|db| async move { trusted_issuers::find_link(&db, slug, subject).await })
            .await
    }

    async fn linked_subjects(&self, slug: &str, page: PageRequest) -> Result<Page<LinkedSubject>> {
        let page = &page;
        self.repeatable(|db| async move { trusted_issuers::links(&db, slug, page).await })
            .await
    }

    async fn unlink_subject(&self, slug: &str, subject: &str, now: UnixSeconds) -> Result<bool> {
        let outcome = self
            .act(|db| async move {
                let before = trusted_issuers::find_link(&db, slug, subject).await?;
                let existed = trusted_issuers::unlink(&db, slug, subject, now).await?;
                let before = before.filter(|_| existed);
                Ok((existed, audit::subject_unlinked(slug, subject, before.as_ref())))
            })
            .await;
        self.changes.after(Change::Revocations, outcome)
    }

    async fn create_assertion_audience(&self, audience: AssertionAudience) -> Result<()> {
        let audience = &audience;
        let outcome = self
            .act(|db| async move {
                assertion_audiences::create(&db, audience).await?;
                Ok((
                    (),
                    audit::assertion_audience(AuditAction::AssertionAudienceCreated, audience),
                ))
            })
            .await;
        self.changes.after(Change::Policies, outcome)
    }

    async fn assertion_audience(&self, slug: &str) -> Result<Option<AssertionAudience>> {
        self.repeatable(|db| async move { assertion_audiences::find(&db, slug).await })
            .await
    }

    async fn assertion_audience_by_url(&self, issuer: &str) -> Result<Option<AssertionAudience>> {
        self.repeatable(|db| async move { assertion_audiences::find_by_url(&db, issuer).await })
            .await
    }

    async fn assertion_audiences(&self) -> Result<Vec<AssertionAudience>> {
        self.repeatable(|db| async move { assertion_audiences::list(&db).await })
            .await
    }

    async fn update_assertion_audience(&self, audience: AssertionAudience) -> Result<()> {
        let audience = &audience;
        let outcome = self
            .act(|db| async move {
                let before = assertion_audiences::find(&db, &audience.slug).await?;
                assertion_audiences::update(&db, audience).await?;
                Ok(((), audit::assertion_audience_updated(before.as_ref(), audience)))
            })
            .await;
        self.changes.after(Change::Policies, outcome)
    }

    async fn delete_assertion_audience(&self, slug: &str) -> Result<bool> {
        let outcome = self
            .act(|db| async move {
                let existed = assertion_audiences::delete(&db, slug).await?;
                Ok((existed, audit::assertion_audience_deleted(slug, existed)))
            })
            .await;
        self.changes.after(Change::Policies, outcome)
    }

    async fn consent(&self, user: UserId, client_id: &str, resource: &str) -> Result<Option<Consent>> {
        self.repeatable(|db| async move { consents::find(&db, user, client_id, resource).await })
            .await
    }

    async fn approve(&self, approval: Approval) -> Result<ApprovalOutcome> {
        let approval = &approval;
        let look = |db: Db| async move { approvals::hold(&db, approval).await };
        self.act_on(look, |db, held| async move {
            let (outcome, writes) = approvals::approve(&db, approval, held).await?;
            let draft = audit::approved(approval, &outcome);
            Ok((outcome, writes, draft))
        })
        .await
    }

    async fn code(&self, digest: &Digest) -> Result<Option<(Code, Grant)>> {
        self.repeatable(|db| async move { codes::find(&db, digest).await })
            .await
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<RedeemOutcome> {
        let outcome = codes::redeem(self, &redeem).await;
        match &outcome {
            Ok(RedeemOutcome::Redeemed(grant)) => self.used_grants.note(grant),
            Ok(RedeemOutcome::Replayed) => self.changes.tell(Change::Revocations),
            _ => {}
        }
        outcome
    }

    async fn burn_code(&self, digest: &Digest, now: UnixSeconds) -> Result<()> {
        let outcome = self
            .act(|db| async move {
                let ended = codes::burn(&db, digest, now).await?;
                Ok(((), audit::burned(ended.as_ref())))
            })
            .await;
        self.changes.after(Change::Revocations, outcome)
    }

    async fn begin_device(&self, device: DeviceAuthorization) -> Result<()> {
        let device = &device;
        let nothing = |_| async { Ok(()) };
        self.transaction_on(nothing, |_, ()| async move { Ok(((), devices::begin(device)?)) })
            .await
    }

    async fn device_by_user_code(
        &self,
        user_code: &Digest,
        now: UnixSeconds,
    ) -> Result<Option<DeviceAuthorization>> {
        self.repeatable(|db| async move { devices::by_user_code(&db, user_code, now).await })
            .await
    }

    async fn deny_device(&self, digest: &Digest, now: UnixSeconds) -> Result<bool> {
        let look = |db: Db| async move { devices::hold_denied(&db, digest).await };
        self.act_on(look, |db, _| async move {
            let client_id = devices::deny(&db, digest, now).await?;
            let draft = audit::device_denied(client_id.as_deref());
            Ok((client_id.is_some(), Writes::default(), draft))
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
        let look = |db: Db| async move { devices::hold_waiting(&db, digest).await };
        self.transaction_on(look, |_, waiting| async move {
            let (outcome, wait) = poll(waiting, client_id, slower, now);
            let polled = wait.map(|wait| devices::polled(digest, now, wait));
            Ok((outcome, polled.into_iter().collect()))
        })
        .await
    }

    async fn grant(&self, id: GrantId) -> Result<Option<Grant>> {
        let grant = grants::read_with_others(&self.engine, id).await?;
        if let Some(grant) = &grant {
            // Whoever looks at a grant by itself is often about to use it.
            self.used_grants.note(grant);
        }
        Ok(grant)
    }

    async fn rotate_refresh(&self, rotate: RotateRefresh) -> Result<RotateOutcome> {
        refresh::rotate(self, rotate).await
    }

    async fn use_refresh(&self, grant: GrantId, decide: UseRefresh) -> Result<Option<RotateOutcome>> {
        refresh::use_token(self, grant, decide).await
    }

    async fn grants(&self, filter: GrantFilter, page: PageRequest) -> Result<Page<Grant>> {
        let filter = &filter;
        let page = &page;
        self.repeatable(|db| async move { grants::list(&db, filter, page).await })
            .await
    }

    async fn revoke_grants(&self, filter: GrantFilter, reason: EndReason, now: UnixSeconds) -> Result<u64> {
        self.revoke_matching(filter, reason, now).await
    }

    async fn issuance(&self, jti: &str) -> Result<Option<Issuance>> {
        self.repeatable(|db| async move { issuances::find(&db, jti).await })
            .await
    }

    async fn token_standing(&self, jti: &str) -> Result<Option<TokenStanding>> {
        issuances::standing(&self.engine, jti).await
    }

    async fn issue_own(&self, issue: IssueOwn) -> Result<OwnOutcome> {
        own::issue(self, Arc::new(issue)).await
    }

    async fn issue_asserted(&self, issue: IssueAsserted) -> Result<AssertedOutcome> {
        let issue = &issue;
        let look = |db: Db| async move { asserted::hold(&db, issue).await };
        self.transaction_on(
            look,
            |db, held| async move { asserted::issue(&db, issue, held).await },
        )
        .await
    }

    async fn exchange_token(&self, exchange: ExchangeToken) -> Result<ExchangeOutcome> {
        let exchange = &exchange;
        let look = |db: Db| async move { exchange::hold(&db, exchange).await };
        self.transaction_on(look, |_, subject| async move {
            exchange::exchange(subject.as_ref(), exchange)
        })
        .await
    }

    async fn issue_id_jag(&self, issue: IssueIdJag) -> Result<IdJagOutcome> {
        let issue = &issue;
        let look = |db: Db| async move { id_jag::hold(&db, issue).await };
        self.transaction_on(look, |_, subject| async move {
            id_jag::issue(subject.as_ref(), issue)
        })
        .await
    }

    async fn spend(&self, spends: &[Spend]) -> Result<SpendOutcome> {
        spent::spend(self, spends).await
    }

    async fn end_everything(&self, now: UnixSeconds) -> Result<Ended> {
        let mut ended = self
            .act(|db| async move { Ok((ending::begin(&db, now).await?, audit::everything_ended())) })
            .await?;
        ended.grants = self.end_every_grant(now).await?;
        self.changes.tell(Change::Revocations);
        Ok(ended)
    }

    async fn forget_secrets(&self, now: UnixSeconds) -> Result<SecretsForgotten> {
        let outcome = self
            .act(|db| async move {
                let mut forgotten = keys::forget(&db).await?;
                forgotten.ended = ending::begin(&db, now).await?;
                Ok((forgotten, audit::secrets_replaced(&forgotten)))
            })
            .await;
        let mut forgotten = self.changes.after(Change::SigningKeys, outcome)?;
        forgotten.ended.grants = self.end_every_grant(now).await?;
        self.changes.tell(Change::Revocations);
        Ok(forgotten)
    }

    async fn revoke_issuance(&self, jti: &str, now: UnixSeconds) -> Result<bool> {
        let outcome = self
            .act(|db| async move {
                let before = issuances::revoke(&db, jti, now).await?;
                Ok((before.is_some(), audit::token_revoked(before.as_ref())))
            })
            .await;
        self.changes.after(Change::Revocations, outcome)
    }

    async fn revocations(&self, after: u64, limit: u32) -> Result<RevocationPage> {
        self.repeatable(|db| async move { revocations::list(&db, after, limit).await })
            .await
    }

    async fn forget_revocations(&self, before: UnixSeconds, limit: u32) -> Result<u64> {
        self.transaction(|db| async move { revocations::forget(&db, before, limit).await })
            .await
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>> {
        self.repeatable(|db| async move { keys::signing_keys(&db).await })
            .await
    }

    async fn add_signing_key(
        &self,
        key: SigningKeyRecord,
        newest: Option<&str>,
    ) -> Result<Vec<SigningKeyRecord>> {
        let key = &key;
        let outcome = self
            .act(|db| async move {
                let keys = keys::add_signing_key(&db, key, newest).await?;
                let draft = audit::signing_key_added(key, &keys);
                Ok((keys, draft))
            })
            .await;
        self.changes.after(Change::SigningKeys, outcome)
    }

    async fn replace_signing_key(
        &self,
        revoked: Option<&str>,
        spare: SigningKeyRecord,
        now: UnixSeconds,
    ) -> Result<Vec<SigningKeyRecord>> {
        let spare = &spare;
        let outcome = self
            .act(|db| async move {
                let replaced = keys::replace_signing_key(&db, revoked, spare, now).await?;
                let draft = audit::signing_key_replaced(revoked, spare, &replaced, now);
                Ok((replaced.after, draft))
            })
            .await;
        self.changes.after(Change::SigningKeys, outcome)
    }

    async fn sealed(&self, kind: SealedKind, after: &str, limit: u32) -> Result<Vec<Sealed>> {
        self.repeatable(|db| async move { keys::sealed(&db, kind, after, limit).await })
            .await
    }

    async fn reseal(&self, changes: Vec<Reseal>) -> Result<u64> {
        let changes = &changes;
        let outcome = self
            .act(|db| async move {
                let resealed = keys::reseal(&db, changes).await?;
                Ok((resealed, audit::resealed(resealed)))
            })
            .await;
        self.changes.after_any(Change::SigningKeys, outcome)
    }

    async fn delete_signing_keys(&self, before: UnixSeconds) -> Result<u64> {
        let outcome = self
            .act(|db| async move {
                let removed = keys::delete_signing_keys(&db, before).await?;
                Ok((removed, audit::signing_keys_deleted(removed)))
            })
            .await;
        self.changes.after_any(Change::SigningKeys, outcome)
    }

    async fn secret(&self, purpose: &str, proposed: SealedSecret) -> Result<SealedSecret> {
        let proposed = &proposed;
        self.act(|db| async move {
            let secret = keys::secret(&db, purpose, proposed).await?;
            let draft = audit::secret_created(purpose, secret == *proposed);
            Ok((secret, draft))
        })
        .await
    }

    async fn find_secret(&self, purpose: &str) -> Result<Option<SealedSecret>> {
        self.repeatable(|db| async move { keys::find_secret(&db, purpose).await })
            .await
    }

    async fn add_admin_key(&self, key: AdminKey, only_if_none: bool) -> Result<bool> {
        let key = &key;
        self.act(|db| async move {
            let added = keys::add_admin_key(&db, key, only_if_none).await?;
            Ok((added, audit::admin_key_added(key, added)))
        })
        .await
    }

    async fn admin_key(&self, digest: &Digest) -> Result<Option<AdminKey>> {
        self.repeatable(|db| async move { keys::admin_key(&db, digest).await })
            .await
    }

    async fn admin_keys(&self) -> Result<Vec<AdminKey>> {
        self.repeatable(|db| async move { keys::admin_keys(&db).await })
            .await
    }

    async fn delete_admin_key(&self, id: Uuid, all: bool) -> Result<bool> {
        self.act(|db| async move {
            let deleted = keys::delete_admin_key(&db, id, all).await?;
            Ok((deleted.is_some(), audit::admin_key_deleted(deleted.as_ref())))
        })
        .await
    }

    async fn turn(&self, name: &'static str) -> Result<Turn> {
        self.take_turn(name).await
    }

    async fn try_turn(&self, name: &'static str) -> Result<Option<Turn>> {
        self.try_take_turn(name).await
    }

    fn acting(&self, origin: Origin) -> Box<dyn Store> {
        self.in_the_hands_of(origin, self.fence.clone())
    }

    fn acting_in_turn(&self, turn: &Turn, origin: Origin) -> Box<dyn Store> {
        self.in_turn(turn, origin)
    }

    async fn record(&self, event: AuditEvent) -> Result<()> {
        let event = &audit::checked(event);
        self.repeatable(|db| async move { events::record(&db, event).await })
            .await
    }

    async fn audit_entries(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<AuditEntry>> {
        let (filter, page) = (&filter, &page);
        self.repeatable(|db| async move { events::list(&db, filter, page).await })
            .await
    }

    async fn audit_event(&self, id: Uuid) -> Result<Option<AuditEvent>> {
        self.repeatable(|db| async move { events::find(&db, id).await })
            .await
    }

    async fn forget_audit_events(&self, before: UnixSeconds, limit: u32) -> Result<u64> {
        self.transaction(|db| async move { events::forget(&db, before, limit).await })
            .await
    }

    async fn sweep_kinds(&self, of: SweepKinds, now: UnixSeconds, retain: Duration, limit: u32) -> Swept {
        let mut swept = Swept::default();
        let rounds = &self.rounds;
        for (kind, past) in kinds(of, now, retain) {
            let removed = self
                .act(|db| async move {
                    let removed = sweep::remove(&db, kind, past, limit, rounds).await?;
                    Ok((removed, audit::removed(kind, removed)))
                })
                .await;
            swept.add(kind, removed, limit, rounds.are_under_way(kind));
        }
        swept
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }

    async fn keep_partitions(
        &self,
        of: Partitioned,
        now: UnixSeconds,
        retain: Duration,
    ) -> Result<PartitionsKept> {
        partitions::keep(self, of, now, retain).await
    }

    async fn make_indexes(&self, tell: TellIndex<'_>) -> Result<bool> {
        indexes::make(self, tell).await
    }

    async fn serve_as(&self, issuer: &str) -> Result<Option<String>> {
        self.act(|db| async move {
            let before = served::serve_as(&db, issuer).await?;
            let draft = before
                .as_deref()
                .map(|before| audit::issuer_changed(before, issuer));
            Ok((before, draft))
        })
        .await
    }

    fn read_files_again(&self) -> Result<Vec<&'static str>> {
        self.tls.read_again()
    }

    async fn ping(&self) -> Result<()> {
        self.repeatable(|db| async move { work::beat(&db).await }).await
    }

    async fn close(&self) -> Result<()> {
        self.listener.stop();
        self.shut().await;
        Ok(())
    }
}

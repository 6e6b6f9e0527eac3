//! What the Doorward authorization server remembers.
//!
//! The store speaks in whole operations, not rows: [`Store::redeem_code`], [`Store::rotate_refresh`],
//! [`Store::revoke_grants`]. Each is one transaction, safe under any number of parallel callers on any
//! number of nodes, and durable when it answers. There is no read-modify-write above this trait: what a
//! caller read before is only used to refuse early, and the operation checks it again.
//!
//! The grant is the centre: "this subject lets this client use this resource with these scopes". Codes,
//! refresh tokens and issuances hang on it; to revoke it ends them all.

#![deny(missing_docs)]

mod audit;
mod changes;
mod error;
#[cfg(test)]
mod log_of_tests;
#[cfg(feature = "postgres")]
pub mod moving;
mod operations;
#[cfg(feature = "postgres")]
pub mod postgres;
mod records;
mod revocations;
mod rules;
pub mod signing_keys;
mod sql;
pub mod sqlite;
mod turns;

use async_trait::async_trait;
pub use audit::{Actor, ActorKind, AuditAction, AuditEntry, AuditEvent, AuditFilter, Origin, Stored};
pub use changes::{Change, Changes, STALE_AFTER, Version};
pub use doorward_oauth::time::UnixSeconds;
pub use error::StoreError;
pub use operations::{
    Approval, ApprovalOutcome, Approved, AssertedOutcome, ClientFilter, Ended, ExchangeOutcome,
    ExchangeToken, GrantFilter, IdJagOutcome, IssueAsserted, IssueIdJag, IssueOwn, LoginThrottle, OwnOutcome,
    Page, PageRequest, PollOutcome, RedeemCode, RedeemOutcome, RefreshPolicy, RefreshShown, RegisterOutcome,
    RotateOutcome, RotateRefresh, SecretsForgotten, Spend, SpendOutcome, ThrottlePolicy, UseRefresh,
};
pub use records::{
    AdminKey, AssertionAudience, Client, ClientId, ClientSecret, ClientSource, Code, Consent,
    DeviceAuthorization, Digest, EndReason, Grant, GrantId, GrantState, InitialAccessToken, Issuance,
    LinkedSubject, Look, Reseal, Resource, ResourcePolicy, ResourceScope, Schema, Sealed, SealedKind,
    SealedSecret, SecretsInUse, Session, SigningKeyRecord, TokenStanding, TrustedIssuer, TrustedIssuerKind,
    User, UserId,
};
pub use revocations::{Revocation, RevocationPage, Revoked};
pub use rules::partitions::{Partitioned, PartitionsKept};
pub use rules::schema::{IndexWork, TellIndex};
pub use rules::sweep::{CLOCK_ERROR, SweepKinds, Swept};

/// The result of every operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The longest id of a client, in bytes. One, a resource and a subject share a row of an index, which PostgreSQL bounds to
/// 2,704 bytes.
pub const MAX_CLIENT_ID: usize = 1024;
/// The longest URI of a resource, in bytes.
pub const MAX_RESOURCE: usize = 1024;

/// Holds what [`Store::turn`] gave; it ends when the last clone is dropped.
pub type Turn = std::sync::Arc<dyn std::any::Any + Send + Sync>;

/// What the authorization server remembers. Implementations: [`sqlite::SqliteStore`] for one process, and with
/// the cargo feature `postgres` `postgres::PostgresStore` for several.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // --- resources -----------------------------------------------------------------------------
    /// Adds a resource. [`StoreError::Conflict`] if its slug or URI is taken.
    async fn create_resource(&self, resource: Resource) -> Result<()>;
    /// The resource with this slug.
    async fn resource(&self, slug: &str) -> Result<Option<Resource>>;
    /// Every resource, ordered by slug.
    async fn resources(&self) -> Result<Vec<Resource>>;
    /// Replaces the resource with the same slug. [`StoreError::NotFound`] if there is none. A changed URI is
    /// another resource to everybody outside: the grants on the old one end.
    async fn update_resource(&self, resource: Resource) -> Result<()>;
    /// Removes a resource, ends the grants on it and forgets the consents. Clients that only introspect its tokens go with it;
    /// others stay, and introspect no more. Returns the number of grants ended.
    async fn delete_resource(&self, slug: &str, now: UnixSeconds) -> Result<u64>;

    // --- clients -------------------------------------------------------------------------------
    /// Adds a client under a fresh id. [`StoreError::Conflict`] if the id is taken.
    async fn create_client(&self, client: Client) -> Result<()>;
    /// Adds a client or, when the id exists, leaves the stored one as it is but for `updated_at`, which says to the
    /// day when it last registered; returns what is stored. Idempotent registration (RFC 7591 with derived ids) rests on it.
    async fn register_client(&self, client: Client) -> Result<Client>;
    /// The client with this id.
    async fn client(&self, client_id: &str) -> Result<Option<Client>>;
    /// A page of clients that match, ordered by id. A search reads as many as it takes to fill the page.
    async fn clients(&self, filter: ClientFilter, page: PageRequest) -> Result<Page<Client>>;
    /// Replaces the client with the same id, as an operator does; what a client with a registration access token says of itself,
    /// and that token, stay. When the fingerprint is another one, what it has not redeemed yet ends.
    /// [`StoreError::NotFound`] if there is none.
    async fn update_client(&self, client: Client) -> Result<()>;
    /// Replaces a client that changed its own registration (RFC 7592); what operators alone change stays. When the
    /// fingerprint is another one, what it has not redeemed yet ends. [`StoreError::NotFound`] when the client is gone,
    /// [`StoreError::Conflict`] when its registration token is not `presented` any more.
    async fn update_registration(&self, client: Client, presented: &Digest, now: UnixSeconds) -> Result<()>;
    /// Adds a client under a fresh id for one use of an initial access token.
    async fn register_with_token(
        &self,
        client: Client,
        token: &Digest,
        now: UnixSeconds,
    ) -> Result<RegisterOutcome>;
    /// Adds an initial access token.
    async fn create_initial_token(&self, token: InitialAccessToken) -> Result<()>;
    /// The initial access token with this id.
    async fn initial_token(&self, id: uuid::Uuid) -> Result<Option<InitialAccessToken>>;
    /// Initial access tokens, newest first (by id); those that expired or are used up, too.
    async fn initial_tokens(&self, page: PageRequest) -> Result<Page<InitialAccessToken>>;
    /// Removes an initial access token. Returns whether there was one.
    async fn delete_initial_token(&self, id: uuid::Uuid) -> Result<bool>;
    /// Removes a client, ends its grants and forgets the consents. Returns the number of grants ended.
    async fn delete_client(&self, client_id: &str, now: UnixSeconds) -> Result<u64>;

    // --- people --------------------------------------------------------------------------------
    /// Adds a person. [`StoreError::Conflict`] if the e-mail address is taken (compared in lower case).
    async fn create_user(&self, user: User) -> Result<()>;
    /// The person with this id.
    async fn user(&self, id: UserId) -> Result<Option<User>>;
    /// The person with this e-mail address (compared in lower case).
    async fn user_by_email(&self, email: &str) -> Result<Option<User>>;
    /// A page of people, ordered by id.
    async fn users(&self, page: PageRequest) -> Result<Page<User>>;
    /// Replaces the person with the same id. Disabling or a changed password ends the person's sessions;
    /// disabling also ends the grants, and forgets what the person allowed.
    async fn update_user(&self, user: User, now: UnixSeconds) -> Result<()>;
    /// Removes a person with sessions and consents, and ends the grants. Those are remembered as ended
    /// until they are swept.
    async fn delete_user(&self, id: UserId, now: UnixSeconds) -> Result<()>;

    // --- signing in ----------------------------------------------------------------------------
    /// Takes one attempt from the throttle of each key (an account, an address) before the password is
    /// looked at; all or none. The answer says whether the attempt may go on.
    async fn begin_login(
        &self,
        keys: &[String],
        policy: ThrottlePolicy,
        now: UnixSeconds,
    ) -> Result<LoginThrottle>;
    /// After a right password: forgets the attempts of the keys in `all_of`, and one attempt of each key in `one_of`. An
    /// address belongs to the latter: it must not pay for those who get in, but what others failed there stays counted.
    async fn clear_login(&self, all_of: &[String], one_of: &[String]) -> Result<()>;
    /// Adds a session and ends the one it replaces, if any (session fixation). [`StoreError::NotFound`] when
    /// the person was removed or disabled meanwhile.
    async fn create_session(&self, session: Session, replaces: Option<Digest>) -> Result<()>;
    /// The live session with this id digest; `None` when ended, idle too long, past its limit, or when
    /// the person is disabled. Moves `last_seen_at` (written at most once a minute).
    async fn session(
        &self,
        id: &Digest,
        idle: std::time::Duration,
        now: UnixSeconds,
    ) -> Result<Option<(Session, User)>>;
    /// Ends a session and the unredeemed codes made in it.
    async fn end_session(&self, id: &Digest, now: UnixSeconds) -> Result<()>;

    // --- trusted issuers -----------------------------------------------------------------------
    /// Adds an issuer. [`StoreError::Conflict`] if its slug, or its URL for this kind, is taken.
    async fn create_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()>;
    /// The issuer with this slug.
    async fn trusted_issuer(&self, slug: &str) -> Result<Option<TrustedIssuer>>;
    /// The issuer with this URL, byte for byte, whether disabled or not.
    async fn trusted_issuer_by_url(
        &self,
        issuer: &str,
        kind: TrustedIssuerKind,
    ) -> Result<Option<TrustedIssuer>>;
    /// Every issuer, ordered by slug.
    async fn trusted_issuers(&self) -> Result<Vec<TrustedIssuer>>;
    /// Replaces terms and standing of the issuer with the same slug. Disabling ends the grants on its word.
    /// [`StoreError::NotFound`] if there is none.
    async fn update_trusted_issuer(&self, issuer: TrustedIssuer) -> Result<()>;
    /// Removes an issuer with its links and ends the grants on its word. Returns how many.
    async fn delete_trusted_issuer(&self, slug: &str, now: UnixSeconds) -> Result<u64>;
    /// Remembers whom an issuer means by a subject; `person`: who is added with the link, with the same id.
    /// [`StoreError::Conflict`] when the subject is linked or the e-mail address taken, [`StoreError::NotFound`] when
    /// there is no such issuer or person.
    async fn link_subject(&self, link: LinkedSubject, person: Option<User>) -> Result<()>;
    /// Whom an issuer means by a subject.
    async fn linked_subject(&self, slug: &str, subject: &str) -> Result<Option<LinkedSubject>>;
    /// A page of an issuer's links, ordered by subject.
    async fn linked_subjects(&self, slug: &str, page: PageRequest) -> Result<Page<LinkedSubject>>;
    /// Forgets a link and ends the person's grants on the word of this issuer. Returns whether there was one.
    async fn unlink_subject(&self, slug: &str, subject: &str, now: UnixSeconds) -> Result<bool>;

    // --- assertion audiences -------------------------------------------------------------------
    /// Adds an audience. [`StoreError::Conflict`] if its slug or its issuer is taken.
    async fn create_assertion_audience(&self, audience: AssertionAudience) -> Result<()>;
    /// The audience with this slug.
    async fn assertion_audience(&self, slug: &str) -> Result<Option<AssertionAudience>>;
    /// The audience with this issuer, byte for byte, whether disabled or not.
    async fn assertion_audience_by_url(&self, issuer: &str) -> Result<Option<AssertionAudience>>;
    /// Every audience, ordered by slug.
    async fn assertion_audiences(&self) -> Result<Vec<AssertionAudience>>;
    /// Replaces terms and standing of the audience with the same slug. [`StoreError::NotFound`] if there is none.
    async fn update_assertion_audience(&self, audience: AssertionAudience) -> Result<()>;
    /// Removes an audience. Returns whether there was one.
    async fn delete_assertion_audience(&self, slug: &str) -> Result<bool>;

    // --- grants --------------------------------------------------------------------------------
    /// What this person allowed this client on this resource before.
    async fn consent(&self, user: UserId, client_id: &str, resource: &str) -> Result<Option<Consent>>;
    /// Records a person's approval: a pending grant and its code, the remembered consent if asked for, and
    /// (for CIMD clients) a snapshot of the client. The same `request_id` twice makes one grant and code.
    /// Re-checks that person, client and resource still stand.
    async fn approve(&self, approval: Approval) -> Result<ApprovalOutcome>;
    /// The code with this digest, as long as it is remembered (also after it was redeemed).
    async fn code(&self, digest: &Digest) -> Result<Option<(Code, Grant)>>;
    /// Redeems a code once. A second redemption ends the grant and everything under it.
    async fn redeem_code(&self, redeem: RedeemCode) -> Result<RedeemOutcome>;
    /// Ends the grant of a code that was presented wrongly by its own client (a wrong `code_verifier`).
    /// An unknown code changes nothing.
    async fn burn_code(&self, digest: &Digest, now: UnixSeconds) -> Result<()>;
    /// Remembers a device that waits. [`StoreError::Conflict`] when a live one has the same user code.
    async fn begin_device(&self, device: DeviceAuthorization) -> Result<()>;
    /// The device that waits under this user code; `None` when there is none, or when it expired.
    async fn device_by_user_code(
        &self,
        user_code: &Digest,
        now: UnixSeconds,
    ) -> Result<Option<DeviceAuthorization>>;
    /// The person says no. Returns whether that still counts: nobody has approved it before.
    async fn deny_device(&self, digest: &Digest, now: UnixSeconds) -> Result<bool>;
    /// A device asks whether somebody has decided; it has no code yet. `slower` is added to its wait when it asks too
    /// soon.
    async fn poll_device(
        &self,
        digest: &Digest,
        client_id: &str,
        slower: u32,
        now: UnixSeconds,
    ) -> Result<PollOutcome>;
    /// The grant with this id.
    async fn grant(&self, id: GrantId) -> Result<Option<Grant>>;
    /// Exchanges a refresh token generation for its successor, as `RefreshPolicy` says.
    async fn rotate_refresh(&self, rotate: RotateRefresh) -> Result<RotateOutcome>;
    /// Lets `decide` look at a grant, and does [`Self::rotate_refresh`] as that says; `None` when there is no such grant
    /// (and `decide` was not asked) or `decide` wants nothing. One operation with the database, as a rule.
    /// [`StoreError::Invalid`] when the rotation is of another grant.
    async fn use_refresh(&self, grant: GrantId, decide: UseRefresh) -> Result<Option<RotateOutcome>>;
    /// Grants that match, newest first.
    async fn grants(&self, filter: GrantFilter, page: PageRequest) -> Result<Page<Grant>>;
    /// Ends every live grant that matches, with its codes and refresh tokens. Returns how many. When the
    /// person or an operator does it, what is remembered goes too, also of grants that ended before: the client has to
    /// ask again. It goes first, and nothing is given on it behind those that end.
    ///
    /// Up to 500 in one transaction. Where there are more, as on a resource or of a client, they end in several, so that
    /// nobody waits for all of them; a call that is stopped in the middle is made again. So it is with those that end with
    /// their client, resource or trusted issuer: a client is disabled before, and an issuer disabled.
    async fn revoke_grants(&self, filter: GrantFilter, reason: EndReason, now: UnixSeconds) -> Result<u64>;
    /// Ends everything that was given out: every grant with its codes and refresh tokens, every session, every device
    /// that waits; forgets consents, and initial access tokens that count their uses; refuses from now on what counts
    /// once and was made before `now`; begins another log of revocations. For a database that was put back to an
    /// earlier state: it does not know what was used and revoked since. In several transactions, the grants last: a call
    /// that is stopped in the middle is made again.
    async fn end_everything(&self, now: UnixSeconds) -> Result<Ended>;
    /// Forgets every signing key and every secret of the server, so that whoever knows them can do nothing with them, and ends
    /// everything that was given out ([`Self::end_everything`]). Nothing has to be opened for it: the master key may be lost.
    /// Who starts next makes others. What keeps them in memory goes on with them: no server may run. In several
    /// transactions, keys and secrets in the first one; a call that is stopped in the middle is made again.
    async fn forget_secrets(&self, now: UnixSeconds) -> Result<SecretsForgotten>;
    /// The record of an issued access token.
    async fn issuance(&self, jti: &str) -> Result<Option<Issuance>>;
    /// What an issued access token rests on, read at once from its record and its grant; `None` when one of them is not
    /// there.
    async fn token_standing(&self, jti: &str) -> Result<Option<TokenStanding>>;
    /// Records a token that a client gets for itself, under the client's own grant for that resource, which is made when
    /// there is none. Re-checks that client and resource still stand.
    async fn issue_own(&self, issue: IssueOwn) -> Result<OwnOutcome>;
    /// Records a token on the word of a trusted issuer, under the grant for the same issuer, client, subject and resource,
    /// which is made when there is none. Re-checks that issuer, person, client and resource still stand.
    async fn issue_asserted(&self, issue: IssueAsserted) -> Result<AssertedOutcome>;
    /// Records a token that was exchanged for another one, under the grant of that one. Re-checks everything that the
    /// subject token rests on, and the client that exchanges.
    async fn exchange_token(&self, exchange: ExchangeToken) -> Result<ExchangeOutcome>;
    /// Records an identity assertion for another server, under the grant of the token that was shown for it. Re-checks
    /// everything that this token rests on, the client that asks, and the audience.
    async fn issue_id_jag(&self, issue: IssueIdJag) -> Result<IdJagOutcome>;
    /// Uses up things that count once, all or none. One that was used up before counts as that as long as it is remembered,
    /// whatever the time is now: whoever looked whether it is too old may have looked a moment ago, or at another clock.
    /// After [`StoreError::Unavailable`] they may be used up.
    async fn spend(&self, spends: &[Spend]) -> Result<SpendOutcome>;
    /// Revokes one access token and those that were exchanged from it, not its grant. Returns whether there was one.
    async fn revoke_issuance(&self, jti: &str, now: UnixSeconds) -> Result<bool>;

    // --- revocations ---------------------------------------------------------------------------
    /// What was revoked after a position of the log, in order, at most `limit` entries; 0 is its beginning. An entry is
    /// there as soon as the operation that revoked has answered, on every node.
    async fn revocations(&self, after: u64, limit: u32) -> Result<RevocationPage>;
    /// Forgets the beginning of the log up to the first entry that is not older than `before`, at most `limit` entries.
    /// Returns how many. Pass a time before which every token has expired by now.
    async fn forget_revocations(&self, before: UnixSeconds, limit: u32) -> Result<u64>;

    // --- keys and secrets ----------------------------------------------------------------------
    /// Every signing key, newest first.
    async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>>;
    /// Adds a signing key if `newest` is still the newest one (`None`: there is none): of several callers who decided on
    /// what they read, one adds. Returns every key, newest first.
    async fn add_signing_key(
        &self,
        key: SigningKeyRecord,
        newest: Option<&str>,
    ) -> Result<Vec<SigningKeyRecord>>;
    /// Withdraws a signing key, if one is named, and when that is the one that signs, or none is named, lets another
    /// one sign from now on: the one that waits, else `spare`. Returns every key, newest first.
    /// [`StoreError::NotFound`] when there is no such key.
    async fn replace_signing_key(
        &self,
        revoked: Option<&str>,
        spare: SigningKeyRecord,
        now: UnixSeconds,
    ) -> Result<Vec<SigningKeyRecord>>;
    /// Removes keys that stopped signing, or were withdrawn, before `before`. Returns how many.
    async fn delete_signing_keys(&self, before: UnixSeconds) -> Result<u64>;
    /// What is encrypted under the master key, in the order of the names, at most `limit`, after this name.
    async fn sealed(&self, kind: SealedKind, after: &str, limit: u32) -> Result<Vec<Sealed>>;
    /// Stores other ciphertexts, each only where the one before is still stored. Returns how many.
    async fn reseal(&self, changes: Vec<Reseal>) -> Result<u64>;
    /// The server secret of this purpose; stores `proposed` when there is none. Every node gets the same.
    async fn secret(&self, purpose: &str, proposed: SealedSecret) -> Result<SealedSecret>;
    /// The secret of this purpose, if it is there.
    async fn find_secret(&self, purpose: &str) -> Result<Option<SealedSecret>>;

    // --- operators -----------------------------------------------------------------------------
    /// Adds an admin key; with `only_if_none`, only when no admin key exists. Returns whether it was added.
    /// [`StoreError::Conflict`] if another one has its name, in capital letters or small ones.
    async fn add_admin_key(&self, key: AdminKey, only_if_none: bool) -> Result<bool>;
    /// The admin key with this digest.
    async fn admin_key(&self, digest: &Digest) -> Result<Option<AdminKey>>;
    /// Every admin key, newest first, those of one second by name.
    async fn admin_keys(&self) -> Result<Vec<AdminKey>>;
    /// Removes an admin key. Returns whether there was one. [`StoreError::Conflict`] if it is the last one, unless `all` of
    /// them may go: of those who delete each other's at once, one stays.
    async fn delete_admin_key(&self, id: uuid::Uuid, all: bool) -> Result<bool>;

    /// Waits until nobody else on any node does something under this name, and holds it as long as the value lives: for
    /// changes that read a record, check the whole of it and write it back. Not to be taken again by who holds it.
    ///
    /// Among several nodes, who says nothing any more (a process that was stopped) loses it after a while to the next one.
    /// What must not be changed then is changed by [`Self::acting_in_turn`].
    async fn turn(&self, name: &'static str) -> Result<Turn>;
    /// The same, when nobody else has it now; `None` when somebody does: for jobs that one node at a time does.
    async fn try_turn(&self, name: &'static str) -> Result<Option<Turn>>;

    // --- audit ---------------------------------------------------------------------------------
    /// This store as somebody uses it: what changes through it is written down as `origin`'s doing, in the transaction of
    /// the change. What changes through the store itself is not written down.
    fn acting(&self, origin: Origin) -> Box<dyn Store>;
    /// The same, by who has this turn: as long as it is not lost. Else nothing is changed, and it is
    /// [`StoreError::Unavailable`].
    fn acting_in_turn(&self, turn: &Turn, origin: Origin) -> Box<dyn Store>;
    /// Writes down what is no operation of the store: a refusal, after the fact. The same event again, after a lost answer, is
    /// one line.
    async fn record(&self, event: AuditEvent) -> Result<()>;
    /// What was changed, refused and issued, newest first.
    async fn audit_entries(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<AuditEntry>>;
    /// The event with this id.
    async fn audit_event(&self, id: uuid::Uuid) -> Result<Option<AuditEvent>>;
    /// Forgets at most `limit` events from before this time. Returns how many. Where there are partitions, events in them
    /// stay: they go with the whole of it, by [`Self::keep_partitions`].
    async fn forget_audit_events(&self, before: UnixSeconds, limit: u32) -> Result<u64>;

    // --- life ----------------------------------------------------------------------------------
    /// Remembers under which issuer's name this database is served. Returns the name before, if it was another one: then
    /// somebody renamed the issuer, or two servers with different names share the database.
    async fn serve_as(&self, issuer: &str) -> Result<Option<String>>;
    /// What has changed: for those who keep in memory what they have read.
    fn changes(&self) -> &Changes;
    /// Removes what is past its use (codes, sessions, pending grants, throttles, issuances, clients
    /// that registered themselves and that nobody allowed anything), at most
    /// `limit` rows a kind. Returns what it removed. `retain` says how long what has ended is
    /// remembered (replays are noticed that long): longer than access tokens live. A kind that fails stops no other one.
    /// Clients, and grants that nobody ended, are told of by their number.
    async fn sweep_kinds(
        &self,
        kinds: SweepKinds,
        now: UnixSeconds,
        retain: std::time::Duration,
        limit: u32,
    ) -> Swept;
    /// Sweeps every kind once.
    async fn sweep(&self, now: UnixSeconds, retain: std::time::Duration, limit: u32) -> Result<Swept> {
        let swept = self.sweep_kinds(SweepKinds::ALL, now, retain, limit).await;
        swept.failed().map_or(Ok(()), |error| Err(error.clone()))?;
        Ok(swept)
    }
    /// For a table that is cut by time: makes partitions for the time to come, and drops those in which everything is past
    /// its use for `retain`. What cannot be done without making others wait is left to the next call. Call it on one
    /// node at a time. An engine without partitions has nothing to do.
    async fn keep_partitions(
        &self,
        of: Partitioned,
        now: UnixSeconds,
        retain: std::time::Duration,
    ) -> Result<PartitionsKept>;
    /// Makes the indexes that this version has and the database has not got yet, one after the other, while everybody works on;
    /// however long that takes. What a call left that was stopped in the middle is made anew by the next one. Whether all are
    /// there: `false` when another node is at it. An engine that makes them at its start has nothing to do.
    /// [`StoreError::Unusable`] behind a pooler.
    async fn make_indexes(&self, tell: TellIndex<'_>) -> Result<bool>;
    /// Reads the files of certificates and keys again that the URL names, for connections from now on; those that stand go on.
    /// Which of them hold something else than before, by the URL's names (`sslcert`). When one of them cannot be used
    /// ([`StoreError::Unusable`]), all stay as they were read before. An engine without such files answers with an empty list.
    fn read_files_again(&self) -> Result<Vec<&'static str>>;
    /// Answers when the store can read and write.
    async fn ping(&self) -> Result<()>;
    /// Waits for running writes and closes.
    async fn close(&self) -> Result<()>;
}

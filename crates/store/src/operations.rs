//! What goes into an operation, and what comes out of it.

use std::time::Duration;

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;

use crate::records::{
    Client, ClientSource, Code, Consent, Digest, Grant, GrantId, GrantState, Issuance, UserId,
};

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The `next` of the page before; `None` for the first page.
    pub after: Option<String>,
    /// Rows on the page, 1 to 200; what lies outside counts as the nearest of these. Default: 50.
    pub limit: u32,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            after: None,
            limit: 50,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give it back as `after` to get the next page; `None` on the last one.
    pub next: Option<String>,
}

/// How many sign-in attempts are free, and how the wait grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottlePolicy {
    /// Attempts without a wait.
    pub free_attempts: u32,
    /// The first wait; it doubles with every further attempt.
    pub first_wait: Duration,
    /// The longest wait: nobody is ever locked out for good.
    pub longest_wait: Duration,
    /// Attempts are forgotten after this long without one.
    pub forget_after: Duration,
}

/// Whether a sign-in attempt may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginThrottle {
    /// It may.
    Allowed,
    /// Not before this many seconds have passed.
    Wait(u64),
}

/// A person's approval of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Names the authorization request; the same one twice makes one grant and one code.
    pub request_id: Digest,
    /// The grant to be: [`GrantState::Pending`], generation 0.
    pub grant: Grant,
    /// Its code.
    pub code: Code,
    /// The session in which it was approved: the code dies with it.
    pub session: Digest,
    /// Whether the person was asked. Otherwise it rests on what is remembered, which has to be there still.
    pub asked: bool,
    /// What to remember: merged with what was remembered before when the fingerprint is the same.
    pub consent: Option<Consent>,
    /// What the person was asked about and left out: no longer remembered, if it was allowed before.
    pub declined: ScopeSet,
    /// The client's, when the person was asked.
    pub fingerprint: String,
    /// For CIMD clients: the snapshot to keep.
    pub client: Option<Client>,
    /// Now.
    pub now: UnixSeconds,
}

/// What came of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalOutcome {
    /// Recorded, now or by an earlier identical post: the code of the request works.
    Approved(Approved),
    /// The same request was approved before and its code is used up: redeemed, expired, or its grant ended.
    AlreadyRedeemed,
    /// The session ended, or the person was disabled or removed, in the meantime.
    SignInAgain,
    /// The client was disabled, removed or changed in the meantime.
    ClientGone,
    /// The resource was removed in the meantime.
    ResourceGone,
    /// What it rests on was forgotten in the meantime: the person has to be asked.
    ConsentGone,
}

/// The grant of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approved {
    /// The grant.
    pub grant: GrantId,
    /// Whether this call made it (`false`: the same request was approved before).
    pub fresh: bool,
}

/// How refresh tokens live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// Ends when unused for this long.
    pub idle_ttl: Duration,
    /// Ends this long after the first.
    pub absolute_ttl: Duration,
    /// An old token inside this window gets the same successor again.
    pub retry_window: Duration,
}

/// Redemption of a code, after every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeemCode {
    /// The code's digest.
    pub digest: Digest,
    /// Whether a second redemption ends the grant (RFC 6749 §4.1.2). Not for a device code, which only its device has
    /// seen: a device that polls again has lost an answer.
    pub replay_ends_grant: bool,
    /// Whether the grant gets a refresh token (generation 1).
    pub refresh: Option<RefreshPolicy>,
    /// The `DPoP` key that the grant's refresh tokens are bound to from now on.
    pub dpop_jkt: Option<String>,
    /// The access token to be signed afterwards.
    pub issuance: Issuance,
    /// Now.
    pub now: UnixSeconds,
}

/// What came of a redemption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedeemOutcome {
    /// Once only. The grant as it stands now.
    Redeemed(Box<Grant>),
    /// It was redeemed before; see [`RedeemCode::replay_ends_grant`].
    Replayed,
    /// Expired, or its grant (in this state), person, client or resource is gone or disabled.
    Refused(GrantState),
    /// No such code.
    Unknown,
}

/// Use of a refresh token, after every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateRefresh {
    /// The grant that the token names.
    pub grant: GrantId,
    /// The generation that the token names.
    pub generation: u32,
    /// How refresh tokens live.
    pub policy: RefreshPolicy,
    /// The access token to be signed afterwards.
    pub issuance: Issuance,
    /// Now.
    pub now: UnixSeconds,
}

/// What came of using a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotateOutcome {
    /// The same successor for every caller with the same token.
    Rotated {
        /// The grant as it stands now.
        grant: Box<Grant>,
        /// The successor's generation.
        successor: u32,
        /// Whether the successor had been handed out before.
        retry: bool,
    },
    /// Older than the retry window allows: the grant has been ended.
    Reused,
    /// Idle too long, or past the absolute end.
    Expired,
    /// The grant ended before, or its person, client or resource is gone or disabled.
    Ended,
    /// No such grant or generation.
    Unknown,
}

/// Looks at the grant that a refresh token names, and says how the token is used; `None`: not at all. It runs where the
/// grant was read, which may be the thread of the one writer: it does little, and waits for no input or output. What
/// it may rest on is what never changes of a grant that has refresh tokens: who, for whom, for what, with which scopes, key
/// and salt. State, generation and times may be those of before, and are looked at when the token is used.
pub type UseRefresh = Box<dyn FnOnce(&Grant) -> Option<RotateRefresh> + Send>;

/// Something that counts once: a proof of possession, a client assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// Names it, and what it is.
    pub digest: Digest,
    /// From this second on it would be refused anyway. It is remembered [`CLOCK_ERROR`](crate::CLOCK_ERROR) longer at least.
    pub until: UnixSeconds,
    /// When it was made, at the earliest. What was made before everything was ended ([`Store::end_everything`]) counts
    /// as used up: nobody knows any more.
    ///
    /// [`Store::end_everything`]: crate::Store::end_everything
    pub made_at: UnixSeconds,
}

/// What came of using up things that count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpendOutcome {
    /// They are used up, all of them.
    Spent,
    /// None of them is: the one at this place in the list, from 0, was used up before, or stands there a second time.
    UsedBefore(usize),
}

/// What [`Store::end_everything`](crate::Store::end_everything) ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Grants that were pending or active.
    pub grants: u64,
    /// Sessions of people.
    pub sessions: u64,
    /// Devices that waited for a person.
    pub devices: u64,
    /// What people had allowed before, and would not have been asked again.
    pub consents: u64,
    /// Initial access tokens that count their uses.
    pub initial_tokens: u64,
}

/// What [`Store::forget_secrets`](crate::Store::forget_secrets) forgot and ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecretsForgotten {
    /// Signing keys.
    pub signing_keys: u64,
    /// Secrets of the server.
    pub server_secrets: u64,
    /// What ended with them.
    pub ended: Ended,
}

/// A token that a client gets for itself, after every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueOwn {
    /// The client's own grant as it has to be: [`GrantState::Active`], of [`UserId::NOBODY`]. When there is one for the
    /// same client, subject and resource, that one is used, with the scopes of this one.
    pub grant: Grant,
    /// The access token to be signed afterwards; its grant becomes the one that is used.
    pub issuance: Issuance,
    /// Now.
    pub now: UnixSeconds,
}

/// What came of a token that a client gets for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnOutcome {
    /// Recorded, under this grant.
    Issued(GrantId),
    /// The client was disabled or removed in the meantime.
    ClientGone,
    /// The resource was removed in the meantime.
    ResourceGone,
}

/// A token on the word of a trusted issuer (RFC 7523 §2.1), after every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueAsserted {
    /// The grant as it has to be: [`GrantState::Active`], with its trusted issuer, of a person and a client, or of
    /// nobody and of no client. When there is one for the same issuer, client, subject and resource, that one is used,
    /// with the scopes, the time and the methods of this one.
    pub grant: Grant,
    /// The access token to be signed afterwards; its grant becomes the one that is used.
    pub issuance: Issuance,
    /// For CIMD clients: the snapshot to keep.
    pub client: Option<Client>,
    /// The terms by which its issuer's word was taken.
    pub terms: String,
    /// What counts once and is used up with it: the assertion, and what came with it.
    pub spends: Vec<Spend>,
    /// By which subject of the issuer the person was found, if the grant is a person's.
    pub linked: Option<String>,
    /// When the issuer gave its word, at the earliest: a grant that ended since, or everything that was ended since
    /// ([`Store::end_everything`](crate::Store::end_everything)), cannot be had again by it.
    pub made_at: UnixSeconds,
    /// Now.
    pub now: UnixSeconds,
}

/// What came of a token on the word of a trusted issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertedOutcome {
    /// Recorded, under this grant.
    Issued(GrantId),
    /// A grant for the same ended, or everything was ended, after the issuer had given its word.
    EndedSince,
    /// The thing at this place in [`IssueAsserted::spends`] was used up before; the others are not.
    UsedBefore(usize),
    /// The issuer was disabled, removed or got other terms in the meantime.
    IssuerGone,
    /// The person was disabled or removed, or the issuer means another one, in the meantime.
    PersonGone,
    /// The client was disabled or removed in the meantime.
    ClientGone,
    /// The resource was removed in the meantime.
    ResourceGone,
}

/// An exchange of a token (RFC 8693), after every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeToken {
    /// The access token to be signed afterwards. Its `parent` is the subject token; subject and grant are the same,
    /// and it ends no later.
    pub issuance: Issuance,
    /// Now.
    pub now: UnixSeconds,
}

/// What came of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// Recorded.
    Issued,
    /// The subject token was revoked or expired, or its grant ended, or the grant's person, client or resource is gone.
    SubjectGone,
    /// The client that exchanges was disabled or removed.
    ClientGone,
    /// The resource of the new token was removed.
    ResourceGone,
}

/// An identity assertion (ID-JAG) for another authorization server, after every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueIdJag {
    /// The assertion to be signed afterwards; its resource is the other server's issuer. Its `parent` is the access token
    /// that was shown for it, or there is none and a refresh token was. Subject and grant are the same, and it ends no
    /// later.
    pub issuance: Issuance,
    /// The refresh token that was shown for it.
    pub refresh: Option<RefreshShown>,
    /// The slug of the [`AssertionAudience`](crate::AssertionAudience).
    pub audience: String,
    /// Now.
    pub now: UnixSeconds,
}

/// A refresh token that is shown and stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshShown {
    /// The generation that the token names; only the present one counts.
    pub generation: u32,
    /// How refresh tokens live.
    pub policy: RefreshPolicy,
}

/// What came of an identity assertion for another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdJagOutcome {
    /// Recorded.
    Issued,
    /// What was shown was revoked, replaced or expired, or its grant ended, or the grant's person, client or resource is
    /// gone.
    SubjectGone,
    /// The client that asks was disabled or removed.
    ClientGone,
    /// The other server was disabled or removed.
    AudienceGone,
}

/// What a device that polls is told (RFC 8628 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollOutcome {
    /// Nobody has decided yet.
    Pending,
    /// Nobody has decided yet, and the device asked too soon: from now on it has to wait longer.
    SlowDown,
    /// The person said no.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// No such code, or one of another client.
    Unknown,
}

/// What came of a registration with an initial access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// The client is there.
    Registered,
    /// The token is unknown, expired or used up.
    TokenRefused,
}

/// Which clients. Empty matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientFilter {
    /// Whose name or `client_id` has this in it, whatever the case.
    pub search: Option<String>,
    /// That became known so.
    pub source: Option<ClientSource>,
    /// That are disabled, or that are not.
    pub disabled: Option<bool>,
}

/// Which grants. Empty matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantFilter {
    /// This grant.
    pub id: Option<GrantId>,
    /// Of this person.
    pub user: Option<UserId>,
    /// Of this client.
    pub client_id: Option<String>,
    /// On this resource (its URI).
    pub resource: Option<String>,
    /// In this state.
    pub state: Option<GrantState>,
}

impl GrantFilter {
    /// This grant alone.
    pub fn one(id: GrantId) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }
}

//! The hot operations of the server, through the interface of the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use doorward_oauth::scope::ScopeSet;
use doorward_store::{
    Approval, ApprovalOutcome, Code, EndReason, ExchangeOutcome, ExchangeToken, Grant, GrantFilter, GrantId,
    GrantState, Issuance, IssueOwn, OwnOutcome, PageRequest, RedeemCode, RedeemOutcome, RefreshPolicy,
    RotateOutcome, RotateRefresh, Spend, SpendOutcome, Store, UnixSeconds, UserId,
};
use uuid::{Builder, Uuid};

use crate::rows::{SCOPES, session};
use crate::world::{NOW, World, bytes, client, hash, resource, token_id};

const POLICY: RefreshPolicy = RefreshPolicy {
    idle_ttl: Duration::from_hours(365 * 24),
    absolute_ttl: Duration::from_hours(365 * 24),
    retry_window: Duration::from_mins(2),
};
/// Between two uses of a refresh token: more than the retry window.
const PAUSE: u64 = 300;
/// Longer than this ended: past its use.
const RETENTION: Duration = Duration::from_hours(30 * 24);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// A refresh token for the next one, and its access token's record.
    RotateRefresh,
    /// The same as the token endpoint asks for it: the grant is read and looked at, then its refresh token is used.
    Refresh,
    /// The same, when something has to be used up in between: the grant is read first, by itself.
    RefreshBySteps,
    /// A person's approval: a grant and its code.
    Approve,
    /// A code for a token.
    RedeemCode,
    /// A client's own token.
    IssueOwn,
    /// A token for another one (RFC 8693).
    Exchange,
    /// What introspection reads of a token that was not seen before: its record and its grant.
    Introspect,
    /// A signed-in person by the cookie.
    Session,
    /// A client by its id.
    Client,
    /// A proof or an assertion counts once.
    Spend,
    /// A page of a person's grants.
    GrantsOfPerson,
    /// One grant is revoked.
    Revoke,
    /// A page of the log of revocations, from near its end.
    Revocations,
    /// A sweep of at most 50 rows a kind; a row removed counts as one operation.
    Sweep,
}

/// A filled store, and what was done to it.
pub struct Scene {
    pub world: World,
    pub store: Box<dyn Store>,
    next: AtomicU64,
    rotations: Mutex<HashMap<u64, u32>>,
    codes: Mutex<Vec<([u8; 32], GrantId)>>,
    redeemed: Mutex<Vec<GrantId>>,
}

impl Scene {
    pub fn new(world: World, store: Box<dyn Store>) -> Self {
        let (rotations, codes, redeemed) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self {
            world,
            store,
            next: AtomicU64::new(0),
            rotations,
            codes,
            redeemed,
        }
    }

    /// Once; how many of it were done.
    pub async fn once(&self, operation: Operation) -> Result<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        match operation {
            Operation::RotateRefresh => self.rotate(number).await?,
            Operation::Refresh => self.refresh(number).await?,
            Operation::RefreshBySteps => self.refresh_by_steps(number).await?,
            Operation::Approve => self.approve(number).await?,
            Operation::RedeemCode => self.redeem(number).await?,
            Operation::IssueOwn => self.issue_own(number).await?,
            Operation::Exchange => self.exchange(number).await?,
            Operation::Introspect => self.introspect(number).await?,
            Operation::Session => self.session(number).await?,
            Operation::Client => self.client(number).await?,
            Operation::Spend => self.spend(number).await?,
            Operation::GrantsOfPerson => self.grants_of_person(number).await?,
            Operation::Revoke => self.revoke().await?,
            Operation::Revocations => self.revocations().await?,
            Operation::Sweep => return Ok(self.store.sweep(NOW, RETENTION, 50).await?.total()),
        }
        Ok(1)
    }

    /// Any grant that is in use.
    fn any_grant(&self, number: u64) -> u64 {
        let grant = hash(20, number) % self.world.grants;
        grant + u64::from(grant.is_multiple_of(50))
    }

    async fn rotate(&self, number: u64) -> Result<()> {
        is_rotation(&self.store.rotate_refresh(self.rotation(number)).await?)
    }

    async fn refresh(&self, number: u64) -> Result<()> {
        let rotate = self.rotation(number);
        let used = self
            .store
            .use_refresh(rotate.grant, Box::new(|_| Some(rotate)))
            .await?;
        is_rotation(&used.context("no such grant")?)
    }

    async fn refresh_by_steps(&self, number: u64) -> Result<()> {
        let rotate = self.rotation(number);
        self.store.grant(rotate.grant).await?.context("no such grant")?;
        is_rotation(&self.store.rotate_refresh(rotate).await?)
    }

    /// The next use of the refresh token of any grant.
    fn rotation(&self, number: u64) -> RotateRefresh {
        let number = self.any_grant(number);
        let grant = self.world.grant(number);
        let before = {
            let mut rotations = self.rotations.lock().unwrap_or_else(PoisonError::into_inner);
            let count = rotations.entry(number).or_default();
            *count += 1;
            *count - 1
        };
        let now = NOW + Duration::from_secs(PAUSE * u64::from(before));
        RotateRefresh {
            grant: grant.id,
            generation: grant.generation + before,
            policy: POLICY,
            issuance: issuance(grant.id, grant.client, grant.resource, now),
            now,
        }
    }

    async fn approve(&self, number: u64) -> Result<()> {
        let people = self.world.people.len() as u64;
        let person = hash(21, number) % people;
        let person = if person % 20 == 7 {
            (person + 1) % people
        } else {
            person
        };
        let digest = bytes(22, number);
        let grant = self.pending(number, person)?;
        let id = grant.id;
        let code = Code {
            digest,
            grant: id,
            client_id: grant.client_id.clone(),
            redirect_uri: "http://127.0.0.1:7777/callback".to_owned(),
            code_challenge: "x".repeat(43),
            stay_connected: true,
            dpop_jkt: None,
            expires_at: NOW + Duration::from_mins(1),
            redeemed_at: None,
        };
        let approval = Approval {
            request_id: bytes(23, number),
            grant,
            code,
            session: session(person),
            asked: true,
            consent: None,
            declined: ScopeSet::new(),
            fingerprint: "fingerprint".to_owned(),
            client: None,
            now: NOW,
        };
        let outcome = self.store.approve(approval).await?;
        ensure!(matches!(outcome, ApprovalOutcome::Approved(_)), "{outcome:?}");
        lock(&self.codes).push((digest, id));
        Ok(())
    }

    async fn redeem(&self, number: u64) -> Result<()> {
        let (digest, id) = lock(&self.codes).pop().context("nothing was approved before")?;
        let redeem = RedeemCode {
            digest,
            replay_ends_grant: true,
            refresh: Some(POLICY),
            dpop_jkt: None,
            issuance: issuance(id, number % self.world.clients, 0, NOW),
            now: NOW,
        };
        let outcome = self.store.redeem_code(redeem).await?;
        ensure!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome:?}");
        lock(&self.redeemed).push(id);
        Ok(())
    }

    async fn issue_own(&self, number: u64) -> Result<()> {
        let client_number = hash(24, number) % self.world.clients;
        let pending = self.pending(number, 0)?;
        let grant = Grant {
            user: UserId::NOBODY,
            subject: client(client_number),
            client_id: client(client_number),
            resource: resource(0),
            state: GrantState::Active,
            ..pending
        };
        let issuance = Issuance {
            subject: grant.subject.clone(),
            ..issuance(grant.id, client_number, 0, NOW)
        };
        let outcome = self
            .store
            .issue_own(IssueOwn {
                grant,
                issuance,
                now: NOW,
            })
            .await?;
        ensure!(matches!(outcome, OwnOutcome::Issued(_)), "{outcome:?}");
        Ok(())
    }

    /// A token of the last hours, of a grant that is in use.
    fn recent(&self, number: u64) -> u64 {
        let recent = (self.world.grants / 40).max(1);
        let token = self.world.grants - 1 - hash(25, number) % recent;
        token - u64::from(token.is_multiple_of(50))
    }

    async fn exchange(&self, number: u64) -> Result<()> {
        let token = self.recent(number);
        let (parent, issued_at) = self.world.token(token);
        let grant = self.world.grant(token);
        let issuance = Issuance {
            parent: Some(parent),
            subject: self.world.person(grant.person).to_string(),
            expires_at: UnixSeconds(issued_at + 3600).max(NOW),
            ..issuance(grant.id, hash(26, number) % self.world.clients, 1, NOW)
        };
        let outcome = self
            .store
            .exchange_token(ExchangeToken { issuance, now: NOW })
            .await?;
        ensure!(outcome == ExchangeOutcome::Issued, "{outcome:?}");
        Ok(())
    }

    async fn introspect(&self, number: u64) -> Result<()> {
        let (jti, _) = self.world.token(self.recent(number));
        let standing = self.store.token_standing(&jti).await?;
        standing.context("no such token")?;
        Ok(())
    }

    async fn session(&self, number: u64) -> Result<()> {
        let people = self.world.people.len() as u64;
        let id = session(hash(27, number) % people);
        self.store.session(&id, RETENTION, NOW).await?;
        Ok(())
    }

    async fn client(&self, number: u64) -> Result<()> {
        let id = client(hash(28, number) % self.world.clients);
        self.store.client(&id).await?.context("no such client")?;
        Ok(())
    }

    async fn spend(&self, number: u64) -> Result<()> {
        let spend = Spend {
            digest: bytes(29, number),
            until: NOW + Duration::from_mins(5),
            made_at: NOW,
        };
        let outcome = self.store.spend(&[spend]).await?;
        ensure!(outcome == SpendOutcome::Spent, "spent before");
        Ok(())
    }

    async fn grants_of_person(&self, number: u64) -> Result<()> {
        let person = self
            .world
            .person(hash(30, number) % self.world.people.len() as u64);
        let filter = GrantFilter {
            user: Some(UserId(person)),
            ..GrantFilter::default()
        };
        let page = self
            .store
            .grants(
                filter,
                PageRequest {
                    after: None,
                    limit: 5,
                },
            )
            .await?;
        ensure!(!page.items.is_empty(), "no grants");
        Ok(())
    }

    async fn revoke(&self) -> Result<()> {
        let id = lock(&self.redeemed)
            .pop()
            .context("nothing was redeemed before")?;
        let ended = self
            .store
            .revoke_grants(GrantFilter::one(id), EndReason::RevokedByClient, NOW)
            .await?;
        ensure!(ended == 1, "not revoked");
        Ok(())
    }

    async fn revocations(&self) -> Result<()> {
        let page = self.store.revocations(100, 100).await?;
        ensure!(page.last > 0, "nothing was revoked before");
        Ok(())
    }

    fn pending(&self, number: u64, person: u64) -> Result<Grant> {
        let millis = u64::try_from(NOW.0)? * 1000;
        let user = self.world.person(person);
        Ok(Grant {
            id: GrantId(Builder::from_unix_timestamp_millis(millis, &bytes(31, number)).into_uuid()),
            user: UserId(user),
            subject: user.to_string(),
            client_id: client(number % self.world.clients),
            resource: resource(0),
            more_resources: Vec::new(),
            scopes: ScopeSet::parse(SCOPES)?,
            state: GrantState::Pending,
            end_reason: None,
            ended_at: None,
            created_at: NOW,
            authenticated_at: NOW,
            methods: vec!["pwd".to_owned()],
            generation: 0,
            generation_at: NOW,
            refresh_salt: [7; 16],
            refresh_expires_at: None,
            last_used_at: NOW,
            dpop_jkt: None,
            trusted_issuer: None,
        })
    }
}

fn issuance(grant: GrantId, of: u64, on: u64, now: UnixSeconds) -> Issuance {
    Issuance {
        jti: token_id(NOW.0, place(), &random()),
        grant,
        client_id: client(of),
        subject: Uuid::nil().to_string(),
        resource: resource(on),
        scopes: ScopeSet::parse(SCOPES).unwrap_or_default(),
        issued_at: now,
        expires_at: now + Duration::from_mins(5),
        revoked_at: None,
        parent: None,
    }
}

/// As the server puts them: in a second, each token's behind those before.
fn place() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of randomness: names of tokens that no run before has used"
)]
fn random() -> [u8; 10] {
    bytes(Uuid::new_v4().as_u64_pair().0, 32)
}

/// Two callers may have met at the same grant.
fn is_rotation(outcome: &RotateOutcome) -> Result<()> {
    let expected = matches!(outcome, RotateOutcome::Rotated { .. } | RotateOutcome::Unknown);
    ensure!(expected, "{outcome:?}");
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

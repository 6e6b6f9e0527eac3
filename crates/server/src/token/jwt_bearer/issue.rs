//! Tokens on an issuer's word: their grant, their record, and assertions that count once.

use doorward_jose::Signer;
use doorward_oauth::bearer::Allowed;
use doorward_oauth::dpop::Proof;
use doorward_oauth::scope::ScopeSet;
use doorward_store::{
    Actor, AssertedOutcome, Client, Grant, GrantId, GrantState, IssueAsserted, Resource, Spend, UserId,
};

use super::NOT_TAKEN;
use crate::clients::authentication::AuthenticatedClient;
use crate::clients::spending::{refuse_assertion, tell_replay, with_assertion};
use crate::context::Context;
use crate::dpop;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;
use crate::issue::Draft;
use crate::resources::Targets;
use crate::token::{TokenResponse, unusable};
use crate::trust::Trusted;

const REPLAYED: &str = "The assertion was used before, and each counts once; get a new one.";
/// Methods of an `amr` that are taken over, and their longest name.
const MOST_METHODS: usize = 16;
const LONGEST_METHOD: usize = 64;

/// The grant as it has to be. When there is one already, the store uses that.
pub(in crate::token) fn new_grant(
    ctx: &Context,
    trusted: &Trusted,
    user: UserId,
    subject: String,
    client_id: &str,
    resource: &Resource,
    scopes: &ScopeSet,
) -> Grant {
    let now = ctx.now();
    let asserted = &trusted.assertion;
    let about = asserted.person.as_ref();
    let signed_in_at = about.and_then(|about| about.auth_time).or(asserted.issued_at);
    let methods = about.and_then(|about| about.amr.clone()).unwrap_or_default();
    let harmless = |method: &String| {
        !method.is_empty() && method.len() <= LONGEST_METHOD && method.chars().all(|c| c.is_ascii_graphic())
    };
    Grant {
        id: GrantId(ctx.random.uuid_v7(ctx.clock.as_ref())),
        user,
        subject,
        client_id: client_id.to_owned(),
        resource: resource.uri.clone(),
        more_resources: Vec::new(),
        scopes: scopes.clone(),
        state: GrantState::Active,
        end_reason: None,
        ended_at: None,
        created_at: now,
        authenticated_at: signed_in_at.unwrap_or(now),
        methods: methods.into_iter().filter(harmless).take(MOST_METHODS).collect(),
        generation: 0,
        generation_at: now,
        refresh_salt: ctx.random.bytes(),
        refresh_expires_at: None,
        last_used_at: now,
        dpop_jkt: None,
        trusted_issuer: Some(trusted.issuer.slug.clone()),
    }
}

/// Who shows an assertion, and what is used up with it.
pub(in crate::token) struct Shown<'r> {
    pub(in crate::token) info: &'r RequestInfo,
    /// `None`: the workload itself.
    pub(in crate::token) client: Option<&'r AuthenticatedClient>,
    pub(in crate::token) actor: Actor,
    pub(in crate::token) proof: Option<&'r Proof>,
    pub(in crate::token) signer: &'r dyn Signer,
}

impl Shown<'_> {
    /// What counts once: what the client signed, the assertion, the proof.
    fn spends(&self, trusted: &Trusted) -> Vec<Spend> {
        let assertion = single_use(trusted);
        let others: Vec<Spend> = assertion.into_iter().chain(self.proof.map(dpop::spend)).collect();
        match self.client {
            Some(client) => with_assertion(client, &others),
            None => others,
        }
    }

    /// Why nothing is given, when the one at this place was used up before.
    fn used_before(&self, ctx: &Context, trusted: &Trusted, place: usize) -> Result<TokenError, TokenError> {
        if let Some(client) = self.client {
            refuse_assertion(ctx, self.info, client, place)?;
        }
        let used_before = self.spends(trusted).get(place).copied();
        match single_use(trusted).filter(|assertion| used_before == Some(*assertion)) {
            Some(assertion) => {
                tell_replay(ctx, self.info, &self.actor, assertion);
                Ok(unusable(REPLAYED, "the assertion was used before"))
            }
            None => Ok(dpop::replayed()),
        }
    }
}

/// A token that is not signed, and what the store has to record before it is.
pub(in crate::token) struct Issue {
    pub(in crate::token) draft: Draft,
    pub(in crate::token) record: IssueAsserted,
}

impl Issue {
    pub(in crate::token) fn draft(
        ctx: &Context,
        trusted: &Trusted,
        grant: Grant,
        targets: &Targets,
        scopes: ScopeSet,
        key_thumbprint: Option<&str>,
        allowed: &Allowed,
    ) -> Self {
        let now = ctx.now();
        let linked = (!grant.user.is_nobody()).then(|| trusted.assertion.subject.clone());
        let (mut draft, mut issuance) = Draft::for_grant(ctx, &grant, targets, scopes, key_thumbprint, now);
        if let Some(lifetime) = allowed.token_lifetime {
            draft = draft.ending_by(&mut issuance, now + lifetime);
        }
        Self {
            draft,
            record: IssueAsserted {
                grant,
                issuance,
                client: None,
                terms: trusted.issuer.terms.clone(),
                spends: Vec::new(),
                linked,
                made_at: trusted.assertion.made_at(&trusted.terms),
                now,
            },
        }
    }

    /// With what is to be remembered of a client that has a metadata document and may not be known yet.
    pub(in crate::token) fn with_snapshot(mut self, client: Option<Client>) -> Self {
        self.record.client = client;
        self
    }
}

/// What makes an assertion count once, where it does.
fn single_use(trusted: &Trusted) -> Option<Spend> {
    let replay_id = trusted
        .assertion
        .replay_id()
        .filter(|_| trusted.terms.single_use)?;
    Some(Spend {
        digest: doorward_jose::sha256(&[b"assertion-grant\0", replay_id.as_slice()].concat()),
        until: trusted.assertion.expires_at,
        made_at: trusted.assertion.made_at(&trusted.terms),
    })
}

/// Uses up what counts once, records, and signs.
pub(in crate::token) async fn record(
    ctx: &Context,
    shown: &Shown<'_>,
    trusted: &Trusted,
    allowed: &Allowed,
    draft: Draft,
    mut issue: IssueAsserted,
) -> Result<TokenResponse, TokenError> {
    draft.check_size()?;
    let (client_id, subject) = (issue.grant.client_id.clone(), issue.grant.subject.clone());
    let resource = issue.grant.resource.clone();
    issue.spends = shown.spends(trusted);
    let why = match ctx.store.issue_asserted(issue).await? {
        AssertedOutcome::Issued(id) => {
            tracing::info!(
                request_id = &*shown.info.id, trusted_issuer = trusted.issuer.slug, rules = ?allowed.rules, client_id, subject,
                grant = %id.0, resource, "issued a token on an issuer's word"
            );
            let token = draft.under(id).sign(ctx, shown.signer).await?;
            return Ok(TokenResponse::new(token, None));
        }
        AssertedOutcome::UsedBefore(place) => {
            return Err(shown.used_before(ctx, trusted, place)?);
        }
        AssertedOutcome::EndedSince => {
            "a grant for the same, or everything, ended after the assertion was made"
        }
        AssertedOutcome::IssuerGone => "the issuer has been disabled or removed, or has other terms",
        AssertedOutcome::PersonGone => "the person has been disabled, removed or unlinked",
        AssertedOutcome::ClientGone => "the client has been disabled or removed",
        AssertedOutcome::ResourceGone => "the resource has been removed",
    };
    Err(unusable(NOT_TAKEN, why))
}

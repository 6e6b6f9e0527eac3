//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 §2.1): an issuer that the operator trusts says who
//! somebody is. An ID-JAG (Identity Assertion Authorization Grant) speaks of a person and is shown by a client that
//! authenticates; the token of a platform speaks of a workload, which needs no client. No refresh token: whoever has an
//! assertion shows it again, or gets a new one.

use doorward_oauth::bearer::{Allowed, Assertion, Kind, Person, narrow};
use doorward_oauth::client::GrantType;
use doorward_oauth::dpop::Proof;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_store::{
    AssertedOutcome, Grant, GrantId, GrantState, IssueAsserted, LinkedSubject, Resource, Spend, StoreError,
    User, UserId,
};
use http::{HeaderMap, StatusCode, header};

use super::{TokenRequest, TokenResponse, about_person, unusable};
use crate::clients::keys::NoKey;
use crate::context::Context;
use crate::dpop;
use crate::http::address::bucket;
use crate::http::error::TokenError;
use crate::http::request::RequestInfo;
use crate::issue::Draft;
use crate::resources::Targets;
use crate::routes;
use crate::trust::{self, NotTrusted, Trusted};

/// One sentence for everything that is wrong with an assertion.
const NOT_TAKEN: &str = "The assertion is not taken: its issuer has to be trusted here, its signature and times valid, its aud this server alone, its subject allowed. Get a new one; the operator finds the reason in the log.";
const REPLAYED: &str = "The assertion was used before, and each counts once; get a new one.";
/// Methods of an `amr` that are taken over, and their longest name.
const MOST_METHODS: usize = 16;
const LONGEST_METHOD: usize = 64;

/// An ID-JAG, shown by a client that authenticated itself.
pub(super) async fn grant(request: &TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
    let TokenRequest {
        ctx,
        client,
        parameters,
        ..
    } = *request;
    let trusted = verified(ctx, parameters, Kind::IdJag).await?;
    let asserted = &trusted.assertion;
    if !client.is_confidential() && !trusted.terms.public_clients {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "Assertions about people are for clients that authenticate; register this one with a secret or keys.",
        )
        .into());
    }
    let about = asserted
        .person
        .as_ref()
        .ok_or_else(|| TokenError::internal("an ID-JAG without a person"))?;
    if about.client_id != client.client_id() {
        return Err(unusable(NOT_TAKEN, "its client_id is another client"));
    }
    check_key(asserted, request.proof)?;
    let resource = resource_of_person(ctx, about, parameters).await?;
    request.check_bound(Some(&resource))?;
    let targets = one_target(&resource)?;
    check_recent(ctx, &targets, about)?;
    let allowed = allowed(&trusted, Some(client.client_id()), &resource)?;
    let scopes = scopes(&allowed, about.scope.as_ref(), parameters, &resource)?;
    let person = person(ctx, &trusted, about).await?;

    let subject = person.id.0.to_string();
    let grant = new_grant(
        ctx,
        &trusted,
        person.id,
        subject,
        client.client_id(),
        &resource,
        &scopes,
    );
    let issue = Issue::draft(ctx, grant, &targets, scopes, request.key_thumbprint(), &allowed);
    let draft = issue.draft.authenticated_at(about.auth_time);
    let draft = about_person(ctx, draft, &targets, &issue.record.grant).await?;
    if !request.spend_with(single_use(&trusted)).await? {
        return Err(spent(ctx, &trusted).await?);
    }
    record(ctx, &trusted, &allowed, draft, issue.record).await
}

/// Whether a request is of somebody who has no client and means to have none.
pub(super) fn is_of_workload(
    ctx: &Context,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<bool, TokenError> {
    let is_grant = parameters.get("grant_type")? == Some(GrantType::JwtBearer.as_str());
    if !is_grant || !ctx.settings.jwt_bearer.enabled || headers.contains_key(header::AUTHORIZATION) {
        return Ok(false);
    }
    for credential in [
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    ] {
        if parameters.get(credential)?.is_some() {
            return Ok(false);
        }
    }
    // Who shows an assertion about a person has to be a client.
    let assertion = parameters.require("assertion")?;
    Ok(!matches!(trust::kind(assertion), Ok(Kind::IdJag)))
}

/// The token of a platform, shown by the workload itself.
pub(super) async fn of_workload(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<TokenResponse, TokenError> {
    let trusted = verified(ctx, parameters, Kind::Workload).await?;
    let client_id = format!("workload:{}", trusted.issuer.slug);
    info.note_client(&client_id);
    ctx.limits
        .token_client
        .take((client_id.as_str(), Some(bucket(info.address))))?;
    let proof = dpop::read(ctx, headers, routes::TOKEN)?;
    check_key(&trusted.assertion, proof.as_ref())?;
    let requested: Vec<&str> = parameters.get_all("resource").collect();
    let resource = ctx.resources.resolve(&requested).await?;
    if proof.is_none() && resource.policy.dpop_bound_access_tokens_required {
        return Err(dpop::invalid(
            "The resource takes tokens that are bound to a key; send a DPoP proof.",
        ));
    }
    let targets = one_target(&resource)?;
    let allowed = allowed(&trusted, None, &resource)?;
    let scopes = scopes(&allowed, None, parameters, &resource)?;

    // Nobody else's: people are UUIDs, and no client is called so.
    let subject = format!("{client_id}:{}", trusted.assertion.subject);
    let grant = new_grant(
        ctx,
        &trusted,
        UserId::NOBODY,
        subject,
        &client_id,
        &resource,
        &scopes,
    );
    let thumbprint = proof.as_ref().map(Proof::key_thumbprint);
    let issue = Issue::draft(ctx, grant, &targets, scopes, thumbprint, &allowed);
    let spends: Vec<Spend> = proof
        .as_ref()
        .map(dpop::spend)
        .into_iter()
        .chain(single_use(&trusted))
        .collect();
    if !spends.is_empty() && !ctx.store.spend(&spends, ctx.now()).await? {
        return Err(spent(ctx, &trusted).await?);
    }
    let response = record(ctx, &trusted, &allowed, issue.draft, issue.record).await?;
    ctx.metrics.token_issued(GrantType::JwtBearer.as_str());
    Ok(response)
}

async fn verified(ctx: &Context, parameters: &Parameters, kind: Kind) -> Result<Trusted, TokenError> {
    let assertion = parameters.require("assertion")?;
    trust::verify(ctx, assertion, kind)
        .await
        .map_err(|error| match error {
            NotTrusted::Store(error) => error.into(),
            NotTrusted::Terms(_) => TokenError::internal(error),
            // Nothing is wrong with the assertion: a client must not throw it away.
            NotTrusted::Key(NoKey::Unreachable) => TokenError::with_status(
                StatusCode::SERVICE_UNAVAILABLE,
                OAuthError::new(
                    ErrorCode::TemporarilyUnavailable,
                    "The keys of the assertion's issuer cannot be had at the moment; try again in a moment.",
                )
                .with_internal(error),
            ),
            error => unusable(NOT_TAKEN, error),
        })
}

/// An assertion that is bound to a key is of use to nobody else.
fn check_key(assertion: &Assertion, proof: Option<&Proof>) -> Result<(), TokenError> {
    let proven = proof.map(Proof::key_thumbprint);
    match &assertion.key_thumbprint {
        Some(bound) if proven != Some(bound) => Err(dpop::invalid(
            "The assertion is bound to a key; send a DPoP proof made with that key.",
        )),
        _ => Ok(()),
    }
}

/// The one resource that assertion and request agree on. An assertion that names none will do where there is only one.
async fn resource_of_person(
    ctx: &Context,
    about: &Person,
    parameters: &Parameters,
) -> Result<Resource, TokenError> {
    let requested: Vec<&str> = parameters.get_all("resource").collect();
    let Some(asserted) = &about.resource else {
        if ctx.resources.all().await?.len() > 1 {
            return Err(no_target(
                "The assertion names no resource, and there are several here; get one that does.",
            ));
        }
        return Ok(ctx.resources.resolve(&requested).await?);
    };
    let asserted: Vec<&str> = asserted.iter().collect();
    let resource = match (requested.as_slice(), asserted.as_slice()) {
        ([], [one]) => ctx.resources.resolve(&[one]).await?,
        ([], _) => {
            return Err(no_target(
                "The assertion names several resources; send the one that is meant as resource.",
            ));
        }
        (requested, _) => ctx.resources.resolve(requested).await?,
    };
    let uri = ResourceUri::parse(&resource.uri).map_err(TokenError::internal)?;
    if asserted.iter().any(|named| uri.matches(named)) {
        return Ok(resource);
    }
    Err(no_target(
        "The assertion is for another resource; ask for that one, or get another assertion.",
    ))
}

fn no_target(description: &'static str) -> TokenError {
    OAuthError::new(ErrorCode::InvalidTarget, description).into()
}

fn one_target(resource: &Resource) -> Result<Targets, TokenError> {
    Targets::new(vec![resource.clone()]).ok_or_else(|| TokenError::internal("a request without a resource"))
}

/// RFC 9470: where the resource demands a recent sign-in, the provider has to say when it was.
fn check_recent(ctx: &Context, targets: &Targets, about: &Person) -> Result<(), TokenError> {
    let Some(max_age) = targets.max_auth_age() else {
        return Ok(());
    };
    let recent = about.auth_time.is_some_and(|signed_in| {
        let age = ctx.now().seconds().saturating_sub(signed_in.seconds());
        age <= i64::from(max_age)
    });
    if recent {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::InvalidGrant,
        "The resource demands a recent sign-in; sign in again at the identity provider and get an assertion with its auth_time.",
    )
    .into())
}

/// Denied by default.
fn allowed(trusted: &Trusted, client_id: Option<&str>, resource: &Resource) -> Result<Allowed, TokenError> {
    trusted
        .terms
        .allow(&trusted.assertion.claims, client_id, &resource.uri)
        .ok_or_else(|| {
            let why = format!("no rule of the issuer {} matches", trusted.issuer.slug);
            unusable(NOT_TAKEN, why)
        })
}

fn scopes(
    allowed: &Allowed,
    asserted: Option<&ScopeSet>,
    parameters: &Parameters,
    resource: &Resource,
) -> Result<ScopeSet, TokenError> {
    let refused = |description: String| OAuthError::new(ErrorCode::InvalidScope, description);
    let requested = parameters
        .get("scope")?
        .map(ScopeSet::parse)
        .transpose()
        .map_err(|_| {
            refused("The scope is malformed: scope tokens separated by single spaces.".to_owned())
        })?;
    let defined: ScopeSet = resource
        .scopes
        .iter()
        .filter_map(|scope| Scope::parse(&scope.name).ok())
        .collect();
    narrow(&allowed.scopes, asserted, requested.as_ref(), &defined)
        .map_err(|refusal| refused(refusal.to_string()).into())
}

/// Whom the issuer means: by its own name and subject, never by the e-mail address.
async fn person(ctx: &Context, trusted: &Trusted, about: &Person) -> Result<User, TokenError> {
    let (slug, subject) = (&trusted.issuer.slug, &trusted.assertion.subject);
    if let Some(user) = linked(ctx, slug, subject).await? {
        return enabled(user);
    }
    if !trusted.terms.provision {
        return Err(unusable(NOT_TAKEN, "the subject is linked to nobody"));
    }
    let now = ctx.now();
    let id = UserId(ctx.random.uuid_v4());
    let email = about
        .email
        .clone()
        .filter(|email| about.email_verified != Some(false) && is_address(email));
    let email = email.unwrap_or_else(|| format!("{}@{slug}.invalid", id.0));
    let usable =
        |name: &String| !name.trim().is_empty() && name.len() <= 200 && !name.contains(char::is_control);
    let user = User {
        id,
        name: about.name.clone().filter(usable).unwrap_or_else(|| email.clone()),
        email,
        password_hash: None,
        disabled: false,
        created_at: now,
        updated_at: now,
    };
    let link = LinkedSubject {
        trusted_issuer: slug.clone(),
        subject: subject.clone(),
        user: id,
        created_at: now,
    };
    match ctx.store.link_subject(link, Some(user.clone())).await {
        Ok(()) => {
            tracing::info!(user = %id.0, trusted_issuer = slug, "added a person on an issuer's word");
            Ok(user)
        }
        // Another request was faster; or somebody here has the address, which proves nothing.
        Err(StoreError::Conflict) => match linked(ctx, slug, subject).await? {
            Some(user) => enabled(user),
            None => Err(unusable(
                NOT_TAKEN,
                "the subject is linked to nobody, and somebody else has its e-mail address: link it by hand",
            )),
        },
        Err(StoreError::NotFound) => Err(unusable(NOT_TAKEN, "the issuer has been removed")),
        Err(error) => Err(error.into()),
    }
}

async fn linked(ctx: &Context, slug: &str, subject: &str) -> Result<Option<User>, TokenError> {
    let Some(link) = ctx.store.linked_subject(slug, subject).await? else {
        return Ok(None);
    };
    Ok(ctx.store.user(link.user).await?)
}

fn enabled(user: User) -> Result<User, TokenError> {
    if user.disabled {
        return Err(unusable(NOT_TAKEN, "the person is disabled"));
    }
    Ok(user)
}

fn is_address(email: &str) -> bool {
    let parts = email.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && email.len() <= 254
        && !email.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn new_grant(
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

/// A token that is not signed, and what the store has to record before it is.
struct Issue {
    draft: Draft,
    record: IssueAsserted,
}

impl Issue {
    fn draft(
        ctx: &Context,
        grant: Grant,
        targets: &Targets,
        scopes: ScopeSet,
        key_thumbprint: Option<&str>,
        allowed: &Allowed,
    ) -> Self {
        let now = ctx.now();
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
                asserted_at: None,
                now,
            },
        }
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
    })
}

/// Which of two things was used up before: the assertion, or else the proof.
async fn spent(ctx: &Context, trusted: &Trusted) -> Result<TokenError, TokenError> {
    match single_use(trusted) {
        Some(assertion) if !ctx.store.spend(&[assertion], ctx.now()).await? => {
            Ok(unusable(REPLAYED, "the assertion was used before"))
        }
        _ => Ok(dpop::replayed()),
    }
}

async fn record(
    ctx: &Context,
    trusted: &Trusted,
    allowed: &Allowed,
    draft: Draft,
    record: IssueAsserted,
) -> Result<TokenResponse, TokenError> {
    let issue = IssueAsserted {
        asserted_at: trusted.assertion.issued_at,
        ..record
    };
    let (client_id, subject) = (issue.grant.client_id.clone(), issue.grant.subject.clone());
    let resource = issue.grant.resource.clone();
    let why = match ctx.store.issue_asserted(issue).await? {
        AssertedOutcome::Issued(id) => {
            tracing::info!(
                trusted_issuer = trusted.issuer.slug, rules = ?allowed.rules, client_id, subject,
                grant = %id.0, resource, "issued a token on an issuer's word"
            );
            return Ok(TokenResponse::new(draft.under(id).sign(ctx)?, None));
        }
        AssertedOutcome::EndedSince => "a grant for the same ended after the assertion was made",
        AssertedOutcome::IssuerGone => "the issuer has been disabled or removed",
        AssertedOutcome::PersonGone => "the person has been disabled or removed",
        AssertedOutcome::ClientGone => "the client has been disabled or removed",
        AssertedOutcome::ResourceGone => "the resource has been removed",
    };
    Err(unusable(NOT_TAKEN, why))
}

//! Issuers whose assertions count here (RFC 7523 §2.1): their terms and their keys.

mod keys;

use doorward_jose::Jws;
use doorward_oauth::bearer::{self, Assertion, BearerError, Kind, Terms};
use doorward_store::{StoreError, TrustedIssuer, TrustedIssuerKind};

use crate::clients::keys::NoKey;
use crate::context::Context;
use crate::routes;

pub(crate) use keys::IssuerKeys;

/// Why an assertion is no grant. For the log alone, but for keys that may be there in a moment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTrusted {
    #[error("the assertion is no JWT that can be read")]
    Malformed,
    #[error("the assertion's typ is that of another kind of JWT")]
    Type,
    #[error("nobody trusts the assertion's issuer with this")]
    Issuer,
    #[error("this client may not exchange ID tokens of their issuer (id_token_clients)")]
    Client,
    #[error("the issuer's terms cannot be read: {0}")]
    Terms(String),
    #[error(transparent)]
    Key(#[from] NoKey),
    #[error(transparent)]
    Refused(#[from] BearerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An assertion that holds, and on what terms its issuer is trusted.
pub(crate) struct Trusted {
    pub(crate) issuer: TrustedIssuer,
    pub(crate) terms: Terms,
    pub(crate) assertion: Assertion,
}

/// What an assertion is about.
pub(crate) fn kind(assertion: &str) -> Result<Kind, NotTrusted> {
    let jws = Jws::parse(assertion).map_err(|_| NotTrusted::Malformed)?;
    Kind::of_typ(jws.header().typ.as_deref()).ok_or(NotTrusted::Type)
}

/// Checks an assertion of this kind. Nothing is fetched for an issuer that nobody trusts.
pub(crate) async fn verify(ctx: &Context, assertion: &str, kind: Kind) -> Result<Trusted, NotTrusted> {
    let jws = Jws::parse(assertion).map_err(|_| NotTrusted::Malformed)?;
    if Kind::of_typ(jws.header().typ.as_deref()) != Some(kind) {
        return Err(NotTrusted::Type);
    }
    let (issuer, terms) = trusted(ctx, &jws, kind).await?;
    let audiences = match terms.audiences.as_slice() {
        [] => own_names(ctx, kind),
        named => named.to_vec(),
    };
    check(ctx, &jws, kind, issuer, terms, &audiences).await
}

/// Checks an ID token that this client shows (RFC 8693). It was made for the client, and the issuer's terms let the client
/// exchange it.
pub(crate) async fn verify_id_token(
    ctx: &Context,
    token: &str,
    client_id: &str,
) -> Result<Trusted, NotTrusted> {
    let jws = Jws::parse(token).map_err(|_| NotTrusted::Malformed)?;
    // OpenID Connect says nothing of `typ`; what says that it is something else is something else.
    if Kind::of_typ(jws.header().typ.as_deref()) != Some(Kind::Workload) {
        return Err(NotTrusted::Type);
    }
    let (issuer, terms) = trusted(ctx, &jws, Kind::IdToken).await?;
    let Some(known_as) = terms.id_token_clients.get(client_id).cloned() else {
        return Err(NotTrusted::Client);
    };
    check(ctx, &jws, Kind::IdToken, issuer, terms, &[known_as]).await
}

/// The issuer that a JWT names, if it is trusted with this, and on what terms.
async fn trusted(ctx: &Context, jws: &Jws<'_>, kind: Kind) -> Result<(TrustedIssuer, Terms), NotTrusted> {
    let named = jws.peek_issuer().ok_or(NotTrusted::Issuer)?;
    let role = match kind {
        Kind::IdJag | Kind::IdToken => TrustedIssuerKind::IdentityProvider,
        Kind::Workload => TrustedIssuerKind::Workload,
    };
    let issuer = ctx.store.trusted_issuer_by_url(&named, role).await?;
    let issuer = issuer
        .filter(|issuer| !issuer.disabled)
        .ok_or(NotTrusted::Issuer)?;
    let terms = serde_json::from_str(&issuer.terms).map_err(|error| NotTrusted::Terms(error.to_string()))?;
    Ok((issuer, terms))
}

async fn check(
    ctx: &Context,
    jws: &Jws<'_>,
    kind: Kind,
    issuer: TrustedIssuer,
    terms: Terms,
    audiences: &[String],
) -> Result<Trusted, NotTrusted> {
    if !terms.algorithms.contains(&jws.header().algorithm) {
        return Err(BearerError::Algorithm.into());
    }
    let key = ctx
        .issuer_keys
        .find(&issuer.issuer, &terms.keys, jws.header())
        .await?;
    let audiences: Vec<&str> = audiences.iter().map(String::as_str).collect();
    let assertion = bearer::verify(jws, &key, kind, &issuer.issuer, &terms, &audiences, ctx.now())?;
    Ok(Trusted {
        issuer,
        terms,
        assertion,
    })
}

/// How an assertion may call this server, unless its issuer's terms say otherwise. Some libraries end every URL of a host
/// with a slash; the draft of workload identity federation names the token endpoint.
fn own_names(ctx: &Context, kind: Kind) -> Vec<String> {
    let issuer = ctx.issuer.as_str();
    let mut names = vec![issuer.to_owned(), format!("{issuer}/")];
    if kind == Kind::Workload {
        names.push(format!("{issuer}{}", routes::TOKEN));
    }
    names
}

//! The one place where tokens are made. A token is drafted before the store commits its record, and
//! signed after: nothing is signed that is not recorded, and nothing is recorded half.

pub(crate) mod id_jag;
pub(crate) mod live_tokens;
pub mod own_token;
pub(crate) mod signed_here;

use doorward_jose::{MAX_JWS_BYTES, Signer};
use doorward_oauth::claims::{AccessTokenClaims, Actor, Audience, Confirmation, TYP};
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::exchange::{Exchanged, MAY_ACT_CLAIM, PARENT_CLAIM};
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Grant, GrantId, Issuance, Resource, User};
use serde_json::Value;

use crate::context::Context;
use crate::keys::KeyError;
use crate::login::acr;
use crate::resources::Targets;

/// The longest claims, in bytes of JSON: base64url takes four for three; header, signature (RSA with 4096 bits) and a person's
/// name and address, which may be added later, take two thousand.
const LONGEST_CLAIMS: usize = (MAX_JWS_BYTES - 2048) / 4 * 3;

/// An access token that is not signed yet.
pub struct Draft(AccessTokenClaims);

/// A signed access token.
pub struct AccessToken {
    /// The JWT.
    pub text: String,
    /// Seconds until it expires, as told to the client.
    pub expires_in: i64,
    /// `scope`, as told to the client (RFC 6749 §5.1).
    pub scope: String,
    /// `token_type`: `DPoP` when it is bound to a key (RFC 9449 §5), else `Bearer`.
    pub token_type: &'static str,
    /// What it goes by.
    pub issued: Issued,
}

/// What a token goes by where it is spoken of: the names of its grant and of itself.
#[derive(Debug)]
pub struct Issued {
    /// `gid`
    pub grant: Option<String>,
    /// `jti`
    pub jti: String,
}

impl Draft {
    /// The access token of a grant (RFC 9068 §2.2), with these of its scopes, bound to this key if there is one; and its
    /// record, which the store has to commit before the token is signed.
    pub fn for_grant(
        ctx: &Context,
        grant: &Grant,
        targets: &Targets,
        scopes: ScopeSet,
        key_thumbprint: Option<&str>,
        now: UnixSeconds,
    ) -> (Self, Issuance) {
        // Nobody signed in to a client's own grant.
        let of_person = !grant.user.is_nobody();
        let issuance = Issuance {
            jti: ctx.random.uuid_v7(ctx.clock.as_ref()).to_string(),
            grant: grant.id,
            client_id: grant.client_id.clone(),
            subject: grant.subject.clone(),
            resource: targets.uris().join(" "),
            scopes,
            issued_at: now,
            expires_at: now + targets.access_ttl(ctx.settings.tokens.access_ttl.duration()),
            revoked_at: None,
            parent: None,
        };
        let claims = AccessTokenClaims {
            iss: ctx.issuer.as_str().to_owned(),
            sub: issuance.subject.clone(),
            aud: audience(targets),
            client_id: issuance.client_id.clone(),
            scope: Some(issuance.scopes.clone()).filter(|scopes| !scopes.is_empty()),
            jti: issuance.jti.clone(),
            iat: issuance.issued_at,
            exp: issuance.expires_at,
            nbf: None,
            gid: Some(grant.id.0.to_string()),
            cnf: confirmation(key_thumbprint),
            act: None,
            auth_time: of_person.then_some(grant.authenticated_at),
            amr: Some(grant.methods.clone()).filter(|methods| !methods.is_empty()),
            extra: policy_claims(grant, targets),
        };
        (Self(claims), issuance)
    }

    /// Adds what the policies of the resources want to be told of the person.
    #[must_use]
    pub fn about(mut self, targets: &Targets, person: &User) -> Self {
        for name in targets.iter().flat_map(|resource| &resource.policy.person_claims) {
            let value = match name.as_str() {
                "email" => &person.email,
                "name" => &person.name,
                _ => continue,
            };
            self.0.extra.insert(name.clone(), value.clone().into());
        }
        self
    }

    /// Adds the claims that an operator wants in every token of this resource.
    #[must_use]
    pub fn with_claims_of(mut self, resource: &Resource) -> Self {
        self.0.extra.extend(resource.policy.claims.clone());
        self
    }

    /// The access token that `client_id` gets in exchange for `subject` (RFC 8693), and its record. It hangs under the
    /// same grant, and names its parent, so that what acted for whom can be followed from token to token.
    pub fn exchanged(
        ctx: &Context,
        subject: &AccessTokenClaims,
        grant: GrantId,
        client_id: &str,
        exchanged: Exchanged,
        now: UnixSeconds,
    ) -> (Self, Issuance) {
        let issuance = Issuance {
            jti: ctx.random.uuid_v7(ctx.clock.as_ref()).to_string(),
            grant,
            client_id: client_id.to_owned(),
            subject: subject.sub.clone(),
            resource: exchanged.resource,
            scopes: exchanged.scopes,
            issued_at: now,
            expires_at: exchanged.expires_at,
            revoked_at: None,
            parent: Some(subject.jti.clone()),
        };
        // Who may act for the subject does not change because somebody does.
        let mut extra = serde_json::Map::new();
        extra.extend(
            subject
                .extra
                .get_key_value(MAY_ACT_CLAIM)
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        extra.insert(PARENT_CLAIM.to_owned(), subject.jti.clone().into());
        let claims = AccessTokenClaims {
            iss: ctx.issuer.as_str().to_owned(),
            sub: issuance.subject.clone(),
            aud: Audience::from(issuance.resource.clone()),
            client_id: issuance.client_id.clone(),
            scope: Some(issuance.scopes.clone()).filter(|scopes| !scopes.is_empty()),
            jti: issuance.jti.clone(),
            iat: issuance.issued_at,
            exp: issuance.expires_at,
            nbf: None,
            gid: Some(grant.0.to_string()),
            cnf: confirmation(exchanged.key_thumbprint.as_deref()),
            act: Some(exchanged.actor),
            auth_time: subject.auth_time,
            amr: subject.amr.clone(),
            extra,
        };
        (Self(claims), issuance)
    }

    /// The same token, and its record, with this end at the latest.
    #[must_use]
    pub fn ending_by(mut self, issuance: &mut Issuance, end: UnixSeconds) -> Self {
        self.0.exp = self.0.exp.min(end);
        issuance.expires_at = self.0.exp;
        self
    }

    /// The same token with what somebody else says of when the person signed in, if anything.
    #[must_use]
    pub const fn authenticated_at(mut self, auth_time: Option<UnixSeconds>) -> Self {
        self.0.auth_time = auth_time;
        self
    }

    /// The same token with who acts for its subject.
    #[must_use]
    pub fn acted_by(mut self, actor: Actor) -> Self {
        self.0.act = Some(actor);
        self
    }

    /// The same token under the grant that the store chose.
    #[must_use]
    pub fn under(mut self, grant: GrantId) -> Self {
        self.0.gid = Some(grant.0.to_string());
        self
    }

    /// Whether there is a verifier that takes it. To be asked before anything is used up for it.
    ///
    /// # Errors
    /// `invalid_scope`: of what is in a token, the client chooses the scopes.
    pub fn check_size(&self) -> Result<(), OAuthError> {
        let Self(claims) = self;
        let too_large = || {
            OAuthError::new(
                ErrorCode::InvalidScope,
                "The token would be larger than anybody reads (200 scopes, 16 KiB); ask for fewer scopes, or for one resource at a time.",
            )
        };
        if let Some(scopes) = &claims.scope {
            scopes.check_size().map_err(|_| too_large())?;
        }
        let scopes = claims.scope.iter().flat_map(|scopes| scopes.iter());
        let extra = claims.extra.iter().map(|(name, value)| match value {
            Value::String(text) => name.len() + text.len(),
            Value::Array(_) | Value::Object(_) => LONGEST_CLAIMS,
            Value::Null | Value::Bool(_) | Value::Number(_) => name.len(),
        });
        let length: usize = [&claims.iss, &claims.sub, &claims.client_id]
            .into_iter()
            .map(String::len)
            .chain(claims.aud.iter().map(str::len))
            .chain(scopes.map(|scope| scope.as_str().len()))
            .chain(extra)
            .sum();
        // Nearly all of them, without a look at how they are written.
        if length < LONGEST_CLAIMS / 3 && claims.act.is_none() {
            return Ok(());
        }
        let written = serde_json::to_vec(claims).map_or(usize::MAX, |written| written.len());
        if written > LONGEST_CLAIMS {
            return Err(too_large());
        }
        Ok(())
    }

    /// Signs. Call it after the store has committed the record, with the signer that was there before anything was used up.
    pub async fn sign(self, ctx: &Context, signer: &dyn Signer) -> Result<AccessToken, KeyError> {
        let Self(claims) = self;
        let text = doorward_jose::sign_by(signer, TYP, &claims).await?;
        ctx.signed_here.note(&text);
        Ok(AccessToken {
            text,
            expires_in: claims.exp.seconds() - claims.iat.seconds(),
            scope: claims.scope.map(|scopes| scopes.to_string()).unwrap_or_default(),
            token_type: token_type(claims.cnf.as_ref()),
            issued: Issued {
                grant: claims.gid,
                jti: claims.jti,
            },
        })
    }
}

/// How a token with this `cnf` is presented.
pub const fn token_type(cnf: Option<&Confirmation>) -> &'static str {
    match cnf {
        Some(_) => "DPoP",
        None => "Bearer",
    }
}

/// One resource is a string, several are an array (RFC 7519 §4.1.3).
fn audience(targets: &Targets) -> Audience {
    Audience::several(targets.uris()).unwrap_or_else(|| Audience::from(targets.first().uri.clone()))
}

/// `acr` (RFC 9470), and what the operator adds to every token of a resource.
fn policy_claims(grant: &Grant, targets: &Targets) -> serde_json::Map<String, serde_json::Value> {
    let mut claims = serde_json::Map::new();
    for resource in targets.iter() {
        claims.extend(resource.policy.claims.clone());
    }
    if let Some(acr) = acr::of_methods(&grant.methods) {
        claims.insert("acr".to_owned(), acr.into());
    }
    claims
}

fn confirmation(key_thumbprint: Option<&str>) -> Option<Confirmation> {
    key_thumbprint.map(|jkt| Confirmation { jkt: jkt.to_owned() })
}

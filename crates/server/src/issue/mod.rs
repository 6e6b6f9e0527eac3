//! The one place where tokens are made. A token is drafted before the store commits its record, and
//! signed after: nothing is signed that is not recorded, and nothing is recorded half.

pub mod own_token;

use doorward_jose::JoseError;
use doorward_oauth::claims::{AccessTokenClaims, Audience, TYP};
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use doorward_store::{Grant, Issuance};

use crate::context::Context;

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
}

impl Draft {
    /// The access token of a person's grant (RFC 9068 §2.2), with these of its scopes; and its record, which
    /// the store has to commit before the token is signed.
    pub fn for_grant(ctx: &Context, grant: &Grant, scopes: ScopeSet, now: UnixSeconds) -> (Self, Issuance) {
        let issuance = Issuance {
            jti: ctx.random.uuid_v4().to_string(),
            grant: grant.id,
            client_id: grant.client_id.clone(),
            subject: grant.subject.clone(),
            resource: grant.resource.clone(),
            scopes,
            issued_at: now,
            expires_at: now + ctx.settings.tokens.access_ttl.duration(),
            revoked_at: None,
            parent: None,
        };
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
            gid: Some(grant.id.0.to_string()),
            cnf: None,
            act: None,
            auth_time: Some(grant.authenticated_at),
            amr: Some(grant.methods.clone()).filter(|methods| !methods.is_empty()),
            extra: serde_json::Map::new(),
        };
        (Self(claims), issuance)
    }

    /// Signs. Call it after the store has committed the record.
    pub fn sign(self, ctx: &Context) -> Result<AccessToken, JoseError> {
        let Self(claims) = self;
        Ok(AccessToken {
            text: doorward_jose::sign(ctx.keys.signer().as_ref(), TYP, &claims)?,
            expires_in: claims.exp.seconds() - claims.iat.seconds(),
            scope: claims.scope.map(|scopes| scopes.to_string()).unwrap_or_default(),
        })
    }
}

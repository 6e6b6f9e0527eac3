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
pub struct Draft {
    claims: AccessTokenClaims,
    issuance: Issuance,
}

/// A signed access token.
pub struct AccessToken {
    /// The JWT.
    pub text: String,
    /// Seconds until it expires, as told to the client.
    pub expires_in: i64,
}

impl Draft {
    /// The access token of a person's grant (RFC 9068 §2.2), with these of its scopes.
    pub fn for_grant(ctx: &Context, grant: &Grant, scopes: ScopeSet, now: UnixSeconds) -> Self {
        let jti = ctx.random.uuid_v4().to_string();
        let expires_at = now + ctx.settings.tokens.access_ttl.duration();
        let claims = AccessTokenClaims {
            iss: ctx.issuer.as_str().to_owned(),
            sub: grant.subject.clone(),
            aud: Audience::from(grant.resource.clone()),
            client_id: grant.client_id.clone(),
            scope: Some(scopes.clone()).filter(|scopes| !scopes.is_empty()),
            jti: jti.clone(),
            iat: now,
            exp: expires_at,
            nbf: None,
            gid: Some(grant.id.0.to_string()),
            cnf: None,
            act: None,
            auth_time: Some(grant.authenticated_at),
            amr: Some(grant.methods.clone()).filter(|methods| !methods.is_empty()),
            extra: serde_json::Map::new(),
        };
        let issuance = Issuance {
            jti,
            grant: grant.id,
            client_id: grant.client_id.clone(),
            subject: grant.subject.clone(),
            resource: grant.resource.clone(),
            scopes,
            issued_at: now,
            expires_at,
            revoked_at: None,
        };
        Self { claims, issuance }
    }

    /// What the store records before the token is signed.
    pub fn issuance(&self) -> Issuance {
        self.issuance.clone()
    }

    /// The scopes of the token.
    pub fn scopes(&self) -> &ScopeSet {
        &self.issuance.scopes
    }

    /// Signs. Call it after the store has committed the issuance.
    pub fn sign(&self, ctx: &Context) -> Result<AccessToken, JoseError> {
        let text = doorward_jose::sign(ctx.keys.signer().as_ref(), TYP, &self.claims)?;
        Ok(AccessToken {
            text,
            expires_in: self.issuance.expires_at.seconds() - self.issuance.issued_at.seconds(),
        })
    }
}

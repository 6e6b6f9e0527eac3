//! Identity assertions for other authorization servers. Drafted, recorded and signed like an access token.

use doorward_jose::Signer;
use doorward_oauth::id_jag::{Allowed, IdJagClaims, NOT_APPLICABLE, TYP};
use doorward_store::{Grant, GrantId, Issuance, User};

use super::{AccessToken, Issued, confirmation};
use crate::context::Context;
use crate::keys::KeyError;
use crate::login::acr;

/// An ID-JAG that is not signed yet.
pub(crate) struct IdJagDraft {
    claims: IdJagClaims,
    grant: GrantId,
}

impl IdJagDraft {
    /// The ID-JAG for the server `audience` that `client_id` gets about the person of a grant, and its record, which the
    /// store has to commit before it is signed.
    pub(crate) fn new(
        ctx: &Context,
        grant: &Grant,
        audience: &str,
        allowed: Allowed,
        client_id: &str,
    ) -> (Self, Issuance) {
        let issuance = Issuance {
            jti: ctx.random.uuid_v7(ctx.clock.as_ref()).to_string(),
            grant: grant.id,
            client_id: client_id.to_owned(),
            subject: grant.subject.clone(),
            resource: audience.to_owned(),
            scopes: allowed.scopes,
            issued_at: ctx.now(),
            expires_at: allowed.expires_at,
            revoked_at: None,
            parent: None,
        };
        let claims = IdJagClaims {
            iss: ctx.issuer.as_str().to_owned(),
            sub: issuance.subject.clone(),
            aud: issuance.resource.clone(),
            client_id: allowed.client_id,
            jti: issuance.jti.clone(),
            iat: issuance.issued_at,
            exp: issuance.expires_at,
            resource: allowed.resource,
            scope: Some(issuance.scopes.clone()).filter(|scopes| !scopes.is_empty()),
            auth_time: grant.authenticated_at,
            amr: grant.methods.clone(),
            acr: acr::of_methods(&grant.methods).map(str::to_owned),
            email: None,
            name: None,
            cnf: confirmation(allowed.key_thumbprint.as_deref()),
            act: allowed.actor,
        };
        let grant = grant.id;
        (Self { claims, grant }, issuance)
    }

    /// Adds what the terms of the audience let it be told of the person.
    pub(crate) fn about(mut self, person_claims: &[String], person: &User) -> Self {
        let told = |name: &str| person_claims.iter().any(|told| told == name);
        self.claims.email = told("email").then(|| person.email.clone());
        self.claims.name = told("name").then(|| person.name.clone());
        self
    }

    /// Signs. Call it after the store has committed the record, with the signer that was there before anything was used up.
    pub(crate) async fn sign(self, signer: &dyn Signer) -> Result<AccessToken, KeyError> {
        let Self { claims, grant } = self;
        Ok(AccessToken {
            text: doorward_jose::sign_by(signer, TYP, &claims).await?,
            expires_in: claims.exp.seconds() - claims.iat.seconds(),
            scope: claims.scope.map(|scopes| scopes.to_string()).unwrap_or_default(),
            token_type: NOT_APPLICABLE,
            issued: Issued {
                grant: Some(grant.0.to_string()),
                jti: claims.jti,
            },
        })
    }
}

//! The claims that a verifier looks at, read from a payload in one pass.

use std::borrow::Cow;

use doorward_jose::json;
use doorward_oauth::claims::Actor;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;

use super::Rejection;
use super::claim::Claim;
use crate::claims::TokenClaims;
use crate::raw_claims::RawClaims;

/// Which claims a verifier understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 9068: scopes are a string in `scope`.
    AccessToken,
    /// Whatever an identity provider calls an access token: scopes are a string or a list, in `scope` or `scp`, and the
    /// client may be in `azp`.
    AnyJwt,
}

/// Claims of which nothing but the type was checked: a claim of the wrong type refuses the token, nothing is coerced.
#[derive(Debug, Default)]
pub(crate) struct Payload<'p> {
    /// Absent also when it is no string: then it is nobody's.
    pub(crate) issuer: Option<Cow<'p, str>>,
    pub(crate) subject: Option<Cow<'p, str>>,
    pub(crate) client_id: Option<Cow<'p, str>>,
    pub(crate) authorized_party: Option<Cow<'p, str>>,
    pub(crate) audience: Vec<String>,
    pub(crate) scope: Option<ScopeSet>,
    pub(crate) jti: Option<Cow<'p, str>>,
    pub(crate) expires_at: Option<UnixSeconds>,
    pub(crate) issued_at: Option<UnixSeconds>,
    pub(crate) not_before: Option<UnixSeconds>,
    auth_time: Option<UnixSeconds>,
    grant_id: Option<Cow<'p, str>>,
    key_thumbprint: Option<String>,
    actor: Option<Actor>,
    /// `scp`, which counts where there is no `scope`.
    other_scope: Option<ScopeSet>,
}

impl<'p> Payload<'p> {
    pub(crate) fn read(document: &'p [u8], dialect: Dialect) -> Result<Self, Rejection> {
        let mut payload = Self::default();
        json::members(document, |name, value| {
            payload.put(Claim::read(name, value, dialect)?);
            Ok(())
        })
        .map_err(|_| Rejection::Claims)?;
        payload.close();
        Ok(payload)
    }

    pub(super) fn put(&mut self, claim: Claim<'p>) {
        match claim {
            Claim::Issuer(issuer) => self.issuer = issuer,
            Claim::Subject(subject) => self.subject = Some(subject),
            Claim::ClientId(client_id) => self.client_id = Some(client_id),
            Claim::AuthorizedParty(party) => self.authorized_party = Some(party),
            Claim::TokenId(jti) => self.jti = Some(jti),
            Claim::GrantId(grant_id) => self.grant_id = Some(grant_id),
            Claim::Audience(audience) => self.audience = audience,
            Claim::Scope(scopes) => self.scope = Some(scopes),
            Claim::OtherScope(scopes) => self.other_scope = Some(scopes),
            Claim::ExpiresAt(date) => self.expires_at = Some(date),
            Claim::IssuedAt(date) => self.issued_at = Some(date),
            Claim::NotBefore(date) => self.not_before = Some(date),
            Claim::AuthTime(date) => self.auth_time = Some(date),
            Claim::KeyThumbprint(thumbprint) => self.key_thumbprint = Some(thumbprint),
            Claim::Actor(actor) => self.actor = Some(*actor),
            Claim::Checked | Claim::Other => {}
        }
    }

    /// When every claim was put in.
    pub(super) fn close(&mut self) {
        let other = self.other_scope.take();
        self.scope = self.scope.take().or(other);
    }

    /// Whether the token counts now.
    pub(crate) fn check_times(&self, now: UnixSeconds, skew: std::time::Duration) -> Result<(), Rejection> {
        if self.expires_at.is_some_and(|end| now >= end + skew) {
            return Err(Rejection::Expired);
        }
        if self.not_before.is_some_and(|start| start > now + skew) {
            return Err(Rejection::NotYetValid);
        }
        if self.issued_at.is_some_and(|issued| issued > now + skew) {
            return Err(Rejection::IssuedInFuture);
        }
        Ok(())
    }

    /// What the guard keeps. `subject` and `client_id` are the caller's choice where claims are optional; `raw` comes
    /// besides, since it is what this was read from.
    pub(crate) fn into_claims(self, subject: String, client_id: String) -> TokenClaims {
        TokenClaims {
            subject,
            client_id,
            scopes: self.scope.unwrap_or_default(),
            audience: self.audience,
            issuer: owned(self.issuer),
            expires_at: self.expires_at.unwrap_or(TokenClaims::NEVER),
            issued_at: self.issued_at.unwrap_or_default(),
            not_before: self.not_before,
            auth_time: self.auth_time,
            jti: owned(self.jti),
            grant_id: self.grant_id.map(Cow::into_owned),
            actor: self.actor,
            key_thumbprint: self.key_thumbprint,
            key_id: None,
            raw: RawClaims::default(),
        }
    }
}

pub(crate) fn owned(text: Option<Cow<'_, str>>) -> String {
    text.map(Cow::into_owned).unwrap_or_default()
}

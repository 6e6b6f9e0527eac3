//! The parameters of RFC 8693 §2.1, but for the target.

use doorward_oauth::exchange::{ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE, REFRESH_TOKEN_TYPE};
use doorward_oauth::id_jag::ID_JAG_TYPE;
use doorward_oauth::parameters::Parameters;
use doorward_oauth::scope::ScopeSet;

use super::invalid_request;
use crate::config::Settings;
use crate::http::error::TokenError;
use crate::token::requested_scope;

pub(super) struct Asked<'p> {
    pub(super) subject_token: &'p str,
    pub(super) shown: SubjectType,
    pub(super) actor_token: Option<&'p str>,
    pub(super) scope: Option<ScopeSet>,
    pub(super) wanted: RequestedType,
}

/// What may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the standard's own names")]
pub(crate) enum SubjectType {
    /// An access token of this server goes by two names: what it is, and how it is written (RFC 8693 §3).
    AccessToken,
    /// For an ID-JAG alone.
    RefreshToken,
    /// Of an identity provider that is trusted with this; for an access token alone.
    IdToken,
}

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestedType {
    /// By the name that the answer gives back.
    AccessToken(&'static str),
    IdJag,
}

impl SubjectType {
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            REFRESH_TOKEN_TYPE => Some(Self::RefreshToken),
            ID_TOKEN_TYPE => Some(Self::IdToken),
            name => own_token_type(name).map(|_| Self::AccessToken),
        }
    }
}

impl RequestedType {
    pub(crate) fn of(settings: &Settings, name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(Self::AccessToken(ACCESS_TOKEN_TYPE)),
            Some(ID_JAG_TYPE) if settings.token_exchange.id_jag => Some(Self::IdJag),
            Some(name) => own_token_type(name).map(Self::AccessToken),
        }
    }

    /// Whether this is given for that.
    pub(crate) fn is_for(self, shown: SubjectType) -> bool {
        match shown {
            SubjectType::AccessToken => true,
            SubjectType::RefreshToken => self == Self::IdJag,
            // The word of somebody else is not passed on.
            SubjectType::IdToken => self != Self::IdJag,
        }
    }
}

impl<'p> Asked<'p> {
    pub(super) fn read(settings: &Settings, parameters: &'p Parameters) -> Result<Self, TokenError> {
        let subject_token = parameters.require("subject_token")?;
        let shown = SubjectType::of(parameters.require("subject_token_type")?).ok_or_else(|| {
            invalid_request("The subject_token_type is not one that is exchanged here; send an access token of this server, as urn:ietf:params:oauth:token-type:access_token.")
        })?;
        let actor_token = parameters.get("actor_token")?;
        match (actor_token, parameters.get("actor_token_type")?) {
            (None, None) => {}
            (Some(_), Some(actor_token_type)) if own_token_type(actor_token_type).is_some() => {}
            _ => {
                return Err(invalid_request(
                    "Send actor_token together with actor_token_type=urn:ietf:params:oauth:token-type:access_token, or neither.",
                ));
            }
        }
        let wanted = RequestedType::of(settings, parameters.get("requested_token_type")?).ok_or_else(|| {
            invalid_request("The requested_token_type is not issued here; ask for urn:ietf:params:oauth:token-type:access_token, or leave it out.")
        })?;
        if !wanted.is_for(shown) {
            return Err(invalid_request(
                "A refresh token is exchanged for an ID-JAG alone, and an ID token for an access token; send an access token of this server.",
            ));
        }
        Ok(Self {
            subject_token,
            shown,
            actor_token,
            scope: requested_scope(parameters)?,
            wanted,
        })
    }
}

fn own_token_type(name: &str) -> Option<&'static str> {
    [ACCESS_TOKEN_TYPE, JWT_TYPE]
        .into_iter()
        .find(|known| *known == name)
}

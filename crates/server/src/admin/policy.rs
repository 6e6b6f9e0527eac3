//! The policy of a resource, as operators write it.

use doorward_oauth::id_jag::PERSON_CLAIMS;
use doorward_store::{MAX_CLIENT_ID, ResourcePolicy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::change::{Member, given};
use super::error::AdminError;
use super::{name, words};
use crate::config::Tokens;
use crate::context::Context;

/// What a token says about itself, which no policy may say otherwise (RFC 7519 §4.1, RFC 8693 §4, RFC 9068 §2.2).
const OWN_CLAIMS: [&str; 21] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "gid",
    "cnf",
    "act",
    "may_act",
    "auth_time",
    "amr",
    "acr",
    "azp",
    "sid",
    "parent_jti",
    "email",
    "name",
];
const MOST_CLAIMS: usize = 20;
const LONGEST_CLAIMS: usize = 2048;
const LONGEST_ACCESS_TTL: u64 = Tokens::LONGEST_ACCESS_TTL.duration().as_secs();
const YEAR: u64 = 366 * 86_400;
/// Below, a whole number never becomes a fraction: 2 to the 63rd.
const EXACT: f64 = 9_223_372_036_854_775_808.0;

/// What an operator demands of a resource's tokens.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PolicyBody {
    /// Whether every token is bound to a `DPoP` key (RFC 9449).
    dpop_bound_access_tokens_required: bool,
    /// Clients that may get tokens of this resource in exchange for tokens of others (RFC 8693), by `client_id`.
    exchange_clients: Vec<String>,
    /// How long access tokens are good, in seconds, 10 to 86400; `tokens.access_ttl` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 10, maximum = 86_400)]
    access_ttl: Option<u32>,
    /// How long refresh tokens stay good unused, in seconds; `tokens.refresh_idle_ttl` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 31_622_400)]
    refresh_idle_ttl: Option<u32>,
    /// How long a grant can be refreshed in all, in seconds; `tokens.refresh_absolute_ttl` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 31_622_400)]
    refresh_absolute_ttl: Option<u32>,
    /// How long ago a person may have signed in when they allow something (RFC 9470), in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31_622_400)]
    max_auth_age: Option<u32>,
    /// What of the person goes into the tokens: `email`, `name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = words::person_claims, required = false)]
    person_claims: Vec<String>,
    /// Claims that every token has, with their values; at most 20, together 2 KiB, none that a token has of its own.
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "Map::is_empty")]
    claims: Map<String, Value>,
}

impl From<ResourcePolicy> for PolicyBody {
    fn from(policy: ResourcePolicy) -> Self {
        Self {
            dpop_bound_access_tokens_required: policy.dpop_bound_access_tokens_required,
            exchange_clients: policy.exchange_clients,
            access_ttl: policy.access_ttl,
            refresh_idle_ttl: policy.refresh_idle_ttl,
            refresh_absolute_ttl: policy.refresh_absolute_ttl,
            max_auth_age: policy.max_auth_age,
            person_claims: policy.person_claims,
            claims: policy.claims,
        }
    }
}

/// What changes of a policy. Absent members stay; `null` takes a number back to the server's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    dpop_bound_access_tokens_required: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    exchange_clients: Option<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 10, maximum = 86_400)]
    access_ttl: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 60, maximum = 31_622_400)]
    refresh_idle_ttl: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 60, maximum = 31_622_400)]
    refresh_absolute_ttl: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 31_622_400)]
    max_auth_age: Member<u32>,
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = words::person_claims, required = false)]
    person_claims: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>, nullable = false)]
    claims: Option<Map<String, Value>>,
}

impl PolicyChange {
    /// The policy with the change.
    pub(super) fn of(self, policy: ResourcePolicy) -> PolicyBody {
        let before = PolicyBody::from(policy);
        PolicyBody {
            dpop_bound_access_tokens_required: self
                .dpop_bound_access_tokens_required
                .unwrap_or(before.dpop_bound_access_tokens_required),
            exchange_clients: self.exchange_clients.unwrap_or(before.exchange_clients),
            access_ttl: self.access_ttl.or(before.access_ttl),
            refresh_idle_ttl: self.refresh_idle_ttl.or(before.refresh_idle_ttl),
            refresh_absolute_ttl: self.refresh_absolute_ttl.or(before.refresh_absolute_ttl),
            max_auth_age: self.max_auth_age.or(before.max_auth_age),
            person_claims: self.person_claims.unwrap_or(before.person_claims),
            claims: self.claims.unwrap_or(before.claims),
        }
    }
}

/// Checks all of it.
pub(super) fn checked(ctx: &Context, body: PolicyBody) -> Result<ResourcePolicy, AdminError> {
    let refuse = |sentence: &str| Err(AdminError::Invalid(sentence.to_owned()));
    if body.dpop_bound_access_tokens_required && !ctx.settings.dpop.enabled {
        return refuse("No token is bound while dpop.enabled is false; switch it on first.");
    }
    let usable = |client_id: &String| name::is_client_id(client_id);
    if body.exchange_clients.len() > 100 || !body.exchange_clients.iter().all(usable) {
        return refuse(&format!(
            "exchange_clients must be at most 100 client ids, each of 1 to {MAX_CLIENT_ID} bytes without control characters."
        ));
    }
    let outside = |value: Option<u32>, least, most| {
        value.is_some_and(|value| !(least..=most).contains(&u64::from(value)))
    };
    if outside(body.access_ttl, 10, LONGEST_ACCESS_TTL) {
        return refuse(&format!(
            "access_ttl must be between 10 and {LONGEST_ACCESS_TTL} seconds."
        ));
    }
    if outside(body.refresh_idle_ttl, 60, YEAR) || outside(body.refresh_absolute_ttl, 60, YEAR) {
        return refuse("refresh_idle_ttl and refresh_absolute_ttl must be between 60 seconds and a year.");
    }
    if outside(body.max_auth_age, 1, YEAR) {
        return refuse("max_auth_age must be between a second and a year.");
    }
    check_person_claims(&body.person_claims)?;
    let length = Value::Object(body.claims.clone()).to_string().len();
    if body.claims.len() > MOST_CLAIMS || length > LONGEST_CLAIMS {
        return refuse("claims may be at most 20, and together 2 KiB.");
    }
    if !body.claims.values().all(is_exact) {
        return refuse("A whole number in claims is too large to be kept exactly; write it as a text.");
    }
    if let Some(own) = body
        .claims
        .keys()
        .find(|name| OWN_CLAIMS.contains(&name.as_str()))
    {
        return Err(AdminError::Invalid(format!(
            "The claim `{own}` is the token's own; choose another name."
        )));
    }
    Ok(ResourcePolicy {
        dpop_bound_access_tokens_required: body.dpop_bound_access_tokens_required,
        exchange_clients: body.exchange_clients,
        access_ttl: body.access_ttl,
        refresh_idle_ttl: body.refresh_idle_ttl,
        refresh_absolute_ttl: body.refresh_absolute_ttl,
        max_auth_age: body.max_auth_age,
        person_claims: body.person_claims,
        claims: body.claims,
    })
}

/// Whether every whole number in it is the one that was written. Those that 64 bits cannot hold have become fractions, which
/// hold their beginning.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().is_some_and(|number| number.abs() < EXACT)
        }
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

/// Checks what of a person is to be told.
pub(super) fn check_person_claims(names: &[String]) -> Result<(), AdminError> {
    let known = |name: &String| PERSON_CLAIMS.contains(&name.as_str());
    if names.len() > PERSON_CLAIMS.len() || !names.iter().all(known) {
        return Err(AdminError::invalid("person_claims may be `email` and `name`."));
    }
    Ok(())
}

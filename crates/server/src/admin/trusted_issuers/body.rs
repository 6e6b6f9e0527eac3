//! What operators send and are shown.

use std::collections::BTreeMap;

use doorward_jose::Algorithm;
use doorward_oauth::bearer::{KeySource, Pattern, Terms};
use doorward_store::{TrustedIssuer, TrustedIssuerKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::admin::change::{Member, given, given_objects};
use crate::admin::error::AdminError;
use crate::admin::other_servers::read_terms;
use crate::admin::words;

/// One thing that an issuer's word allows. What several rules allow adds up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct RuleBody {
    /// For logs.
    pub(super) name: String,
    /// The clients that may show the assertion, by `client_id`; `*` for any. For identity providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) client_ids: Vec<String>,
    /// What the claims have to be, all of them: a string, number or boolean for exactly this value, `{"glob": "…"}` with
    /// `*` for anything without `/` and `:` and `**` for anything. A name that begins with `/` is a JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Value>)]
    pub(super) claims: BTreeMap<String, Pattern>,
    /// The resource: its slug or its URI. Shown as its URI.
    pub(super) resource: String,
    /// The scopes that may be had, separated by spaces.
    pub(super) scope: String,
    /// Seconds that a token may be good for, where that is less than elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 10, maximum = 86_400)]
    pub(super) token_lifetime: Option<u32>,
}

/// An issuer to be trusted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct NewTrustedIssuer {
    /// Short name: lower-case letters, digits and hyphens.
    pub(super) slug: String,
    /// `identity_provider` (people, ID-JAG) or `workload` (programs).
    #[schema(schema_with = words::trusted_issuer_kind)]
    pub(super) kind: TrustedIssuerKind,
    /// The `iss` of its assertions, exactly.
    pub(super) issuer: String,
    /// The `tenant` of its assertions about people, where the issuer has several: an assertion of another tenant, or of none,
    /// is refused. Absent: one with a tenant is. For identity providers; stays what it is.
    #[serde(default)]
    pub(super) tenant: Option<String>,
    /// Its word does not count yet.
    #[serde(default)]
    pub(super) disabled: bool,
    /// On what terms.
    #[serde(flatten)]
    pub(super) terms: TermsChange,
}

/// On what terms an issuer is trusted. Absent members stay, or get their defaults; `null` takes its keys back to those of its
/// metadata, and can be nothing else.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(in crate::admin) struct TermsChange {
    /// Where its keys are. Without this and `jwks`: at the `jwks_uri` of its metadata.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) jwks_uri: Member<String>,
    /// Its keys (RFC 7517 §5).
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) jwks: Member<Value>,
    /// Signature algorithms. Default: `ES256`, `EdDSA`, `ES384`, `PS256`, `RS256`.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = words::algorithms, required = false)]
    pub(super) algorithms: Option<Vec<Algorithm>>,
    /// The `aud` values that mean this server. Default: its issuer URL, with or without a slash at the end; for
    /// workloads also its token endpoint.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) audiences: Option<Vec<String>>,
    /// Seconds that an assertion may be good for. Default: 600, for workloads 86400.
    #[serde(default, deserialize_with = "given")]
    #[schema(minimum = 30, maximum = 86_400, nullable = false)]
    pub(super) max_lifetime: Option<u32>,
    /// Whether each assertion counts once. Default: false.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) single_use: Option<bool>,
    /// Whether clients that cannot authenticate may show ID-JAGs. Default: false.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) public_clients: Option<bool>,
    /// Whether a person who is not known yet is added. Default: false.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) provision: Option<bool>,
    /// Clients that may exchange its ID tokens (RFC 8693), by their `client_id` here, each with the one that it has at the
    /// issuer. For identity providers. Default: none.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) id_token_clients: Option<BTreeMap<String, String>>,
    /// What is allowed; nothing without rules.
    #[serde(default, deserialize_with = "given_objects")]
    #[schema(nullable = false)]
    pub(super) rules: Option<Vec<RuleBody>>,
}

/// What changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct TrustedIssuerChange {
    /// Disabling ends the grants on its word.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) disabled: Option<bool>,
    #[serde(flatten)]
    pub(super) terms: TermsChange,
}

/// A trusted issuer.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the JSON")]
pub(in crate::admin) struct TrustedIssuerBody {
    slug: String,
    #[schema(schema_with = words::trusted_issuer_kind)]
    kind: TrustedIssuerKind,
    issuer: String,
    /// The `tenant` of its assertions.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// Its word does not count.
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[schema(schema_with = words::algorithms)]
    algorithms: Vec<Algorithm>,
    /// Empty: this server's own names.
    audiences: Vec<String>,
    max_lifetime: u32,
    single_use: bool,
    public_clients: bool,
    provision: bool,
    id_token_clients: BTreeMap<String, String>,
    rules: Vec<RuleBody>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

impl TrustedIssuerBody {
    pub(super) fn of(issuer: TrustedIssuer) -> Result<Self, AdminError> {
        let terms = read_terms::<Terms>(&issuer.terms)?;
        let (jwks_uri, jwks) = match terms.keys {
            KeySource::Discovery => (None, None),
            KeySource::JwksUri(url) => (Some(url), None),
            KeySource::Jwks(keys) => (None, Some(keys)),
        };
        let rules = terms.rules.into_iter().map(|rule| RuleBody {
            name: rule.name,
            client_ids: rule.client_ids,
            claims: rule.claims,
            resource: rule.resource,
            scope: rule.scopes.to_string(),
            token_lifetime: rule.token_lifetime,
        });
        Ok(Self {
            slug: issuer.slug,
            kind: issuer.kind,
            issuer: issuer.issuer,
            tenant: terms.tenant,
            disabled: issuer.disabled,
            jwks_uri,
            jwks,
            algorithms: terms.algorithms,
            audiences: terms.audiences,
            max_lifetime: terms.max_lifetime,
            single_use: terms.single_use,
            public_clients: terms.public_clients,
            provision: terms.provision,
            id_token_clients: terms.id_token_clients,
            rules: rules.collect(),
            created_at: issuer.created_at.seconds(),
            updated_at: issuer.updated_at.seconds(),
        })
    }
}

//! Whether the terms that an operator sends can be used.

use doorward_jose::JwkSet;
use doorward_oauth::bearer::{KeySource, Pattern, Rule, Terms};
use doorward_oauth::resource::ResourceUri;
use doorward_store::{MAX_CLIENT_ID, TrustedIssuerKind};
use serde_json::Value;

use super::body::{RuleBody, TermsChange};
use crate::admin::change::Member;
use crate::admin::error::AdminError;
use crate::admin::name;
use crate::admin::other_servers::{MOST_CLIENTS, MOST_RULES, check_client_names, rule_scope};
use crate::context::Context;

const MOST_CLAIMS: usize = 20;

impl TermsChange {
    pub(super) async fn of(
        self,
        ctx: &Context,
        kind: TrustedIssuerKind,
        before: Terms,
    ) -> Result<Terms, AdminError> {
        let rules = match self.rules {
            Some(rules) => read_rules(ctx, kind, rules).await?,
            None => before.rules,
        };
        let terms = Terms {
            keys: key_source(ctx, self.jwks_uri, self.jwks, before.keys)?,
            algorithms: self.algorithms.unwrap_or(before.algorithms),
            audiences: self.audiences.unwrap_or(before.audiences),
            tenant: before.tenant,
            max_lifetime: self.max_lifetime.unwrap_or(before.max_lifetime),
            single_use: self.single_use.unwrap_or(before.single_use),
            public_clients: self.public_clients.unwrap_or(before.public_clients),
            provision: self.provision.unwrap_or(before.provision),
            id_token_clients: self.id_token_clients.unwrap_or(before.id_token_clients),
            rules,
        };
        check_terms(kind, &terms)?;
        Ok(terms)
    }
}

fn key_source(
    ctx: &Context,
    jwks_uri: Member<String>,
    jwks: Member<Value>,
    before: KeySource,
) -> Result<KeySource, AdminError> {
    let taken_away = match &before {
        KeySource::Discovery => false,
        KeySource::JwksUri(_) => !jwks_uri.is_left_out(),
        KeySource::Jwks(_) => !jwks.is_left_out(),
    };
    match (jwks_uri.or(None), jwks.or(None)) {
        (None, None) if taken_away => Ok(KeySource::Discovery),
        (None, None) => Ok(before),
        (Some(_), Some(_)) => Err(AdminError::invalid("Give jwks_uri or jwks, not both.")),
        (Some(text), None) => {
            let url = url::Url::parse(&text).map_err(|_| AdminError::invalid("jwks_uri is no URL."))?;
            // The guarded fetcher has the last word; this is for the operator.
            let in_development = ctx.issuer.is_loopback() && is_loopback(&url);
            if url.scheme() != "https" && !(in_development && url.scheme() == "http") {
                return Err(AdminError::invalid("jwks_uri must begin with https://."));
            }
            Ok(KeySource::JwksUri(text))
        }
        (None, Some(keys)) => {
            let usable = JwkSet::from_value(&keys).is_ok_and(|set| !set.keys.is_empty());
            if !usable || keys.to_string().len() > doorward_jose::MAX_JWK_SET_BYTES {
                return Err(AdminError::invalid(
                    "jwks must be a JWK Set of at most 64 KiB with at least one usable public key.",
                ));
            }
            Ok(KeySource::Jwks(keys))
        }
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn check_terms(kind: TrustedIssuerKind, terms: &Terms) -> Result<(), AdminError> {
    if terms.algorithms.is_empty() {
        return Err(AdminError::invalid(
            "algorithms must name at least one algorithm.",
        ));
    }
    if terms.audiences.len() > 10
        || terms
            .audiences
            .iter()
            .any(|aud| aud.is_empty() || aud.len() > 2048)
    {
        return Err(AdminError::invalid(
            "audiences must be at most 10 texts of at most 2048 bytes.",
        ));
    }
    if !(30..=86_400).contains(&terms.max_lifetime) {
        return Err(AdminError::invalid(
            "max_lifetime must be between 30 and 86400 seconds.",
        ));
    }
    let clients = &terms.id_token_clients;
    check_client_names("id_token_clients", clients, "at the issuer")?;
    let is_tenant =
        |tenant: &String| !tenant.is_empty() && tenant.len() <= 255 && !tenant.contains(char::is_control);
    if !terms.tenant.as_ref().is_none_or(is_tenant) {
        return Err(AdminError::invalid(
            "tenant must have at most 255 bytes and no control characters.",
        ));
    }
    let about_people =
        terms.provision || terms.public_clients || !clients.is_empty() || terms.tenant.is_some();
    if kind == TrustedIssuerKind::Workload && about_people {
        return Err(AdminError::invalid(
            "provision, public_clients, tenant and id_token_clients are for identity providers: a workload is no person and has no client.",
        ));
    }
    Ok(())
}

async fn read_rules(
    ctx: &Context,
    kind: TrustedIssuerKind,
    bodies: Vec<RuleBody>,
) -> Result<Vec<Rule>, AdminError> {
    if bodies.len() > MOST_RULES {
        return Err(AdminError::invalid(format!(
            "An issuer has at most {MOST_RULES} rules."
        )));
    }
    let resources = ctx.resources.all().await?;
    let find = |named: &str| {
        let matches = |uri: &str| ResourceUri::parse(uri).is_ok_and(|uri| uri.matches(named));
        resources
            .iter()
            .find(|resource| resource.slug == named || matches(&resource.uri))
    };
    let mut rules = Vec::with_capacity(bodies.len());
    for body in bodies {
        check_rule(kind, &body)?;
        let resource = find(&body.resource).ok_or_else(|| {
            AdminError::invalid(format!(
                "The resource of the rule `{}` must be the slug or URI of a registered resource; list the resources to see them.",
                body.name
            ))
        })?;
        rules.push(Rule {
            scopes: rule_scope(&body.scope)?,
            name: body.name,
            client_ids: body.client_ids,
            claims: body.claims,
            resource: resource.uri.clone(),
            token_lifetime: body.token_lifetime,
        });
    }
    Ok(rules)
}

fn check_rule(kind: TrustedIssuerKind, rule: &RuleBody) -> Result<(), AdminError> {
    name::check("A rule's name", &rule.name)?;
    let usable = |client_id: &String| name::is_client_id(client_id);
    if rule.client_ids.len() > MOST_CLIENTS || !rule.client_ids.iter().all(usable) {
        return Err(AdminError::invalid(format!(
            "A rule has at most {MOST_CLIENTS} client_ids, each of 1 to {MAX_CLIENT_ID} bytes without control characters."
        )));
    }
    let usable =
        |(name, pattern): (&String, &Pattern)| !name.is_empty() && name.len() <= 256 && pattern.is_usable();
    if rule.claims.len() > MOST_CLAIMS || !rule.claims.iter().all(usable) {
        return Err(AdminError::invalid(format!(
            "A rule has at most {MOST_CLAIMS} claims, each a text, number or boolean, or {{\"glob\": \"…\"}}, not empty and of at most 512 characters."
        )));
    }
    if rule
        .token_lifetime
        .is_some_and(|seconds| !(10..=86_400).contains(&seconds))
    {
        return Err(AdminError::invalid(
            "token_lifetime must be between 10 and 86400 seconds.",
        ));
    }
    match kind {
        TrustedIssuerKind::IdentityProvider if rule.client_ids.is_empty() => Err(AdminError::invalid(
            "A rule of an identity provider names its client_ids, or \"*\" for any.",
        )),
        TrustedIssuerKind::Workload if !rule.client_ids.is_empty() => Err(AdminError::invalid(
            "A workload has no client; leave client_ids out.",
        )),
        // Everybody can have a token of a public platform.
        TrustedIssuerKind::Workload if rule.claims.values().all(Pattern::matches_all) => {
            Err(AdminError::invalid(
                "A rule for workloads says what their claims have to be, at least one, such as sub.",
            ))
        }
        _ => Ok(()),
    }
}

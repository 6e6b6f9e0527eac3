//! A token for a person whom an issuer vouches for: what ID-JAGs and ID tokens have in common, once it is known for which
//! resource.

use std::sync::Arc;

use doorward_oauth::bearer::{Allowed, Person};
use doorward_oauth::scope::ScopeSet;
use doorward_store::Resource;

use super::issue::{Issue, Shown, new_grant, record};
use super::person::person;
use super::{allowed, check_recent, scopes};
use crate::http::error::TokenError;
use crate::resources::Targets;
use crate::token::{TokenRequest, TokenResponse, about_person};
use crate::trust::Trusted;

/// What passed every check, and is neither used up nor recorded.
pub(in crate::token) struct OfPerson<'t> {
    trusted: &'t Trusted,
    allowed: Allowed,
    targets: Targets,
    pub(in crate::token) issue: Issue,
}

impl<'t> OfPerson<'t> {
    /// `asserted`: the scopes of which the issuer says that the person has them, where it does.
    pub(in crate::token) async fn prepare(
        request: &TokenRequest<'_>,
        trusted: &'t Trusted,
        about: &Person,
        resource: Arc<Resource>,
        asserted: Option<&ScopeSet>,
    ) -> Result<Self, TokenError> {
        let TokenRequest {
            ctx,
            client,
            parameters,
            ..
        } = *request;
        let client_id = client.client_id();
        request.check_bound(Some(resource.as_ref()))?;
        let targets = Targets::one(Arc::clone(&resource));
        check_recent(ctx, &targets, about)?;
        let allowed = allowed(trusted, Some(client_id), &resource)?;
        let scopes = scopes(&allowed, asserted, parameters, &resource)?;
        let person = person(ctx, request.acting().as_ref(), trusted, about).await?;

        let subject = person.id.0.to_string();
        let grant = new_grant(ctx, trusted, person.id, subject, client_id, &resource, &scopes);
        let thumbprint = request.key_thumbprint();
        let mut issue = Issue::draft(ctx, trusted, grant, &targets, scopes, thumbprint, &allowed);
        issue.draft = issue.draft.authenticated_at(about.auth_time);
        Ok(Self {
            trusted,
            allowed,
            targets,
            issue,
        })
    }

    /// Uses up what counts once, records and signs.
    pub(in crate::token) async fn give(
        self,
        request: &TokenRequest<'_>,
    ) -> Result<TokenResponse, TokenError> {
        let TokenRequest {
            ctx,
            client,
            info,
            proof,
            signer,
            ..
        } = *request;
        let Issue { draft, record: issue } = self.issue;
        let draft = about_person(ctx, draft, &self.targets, &issue.grant).await?;
        let shown = Shown {
            info,
            client: Some(client),
            actor: client.actor(),
            proof,
            signer,
        };
        record(ctx, &shown, self.trusted, &self.allowed, draft, issue).await
    }
}

//! What authentication makes.

use std::sync::Arc;

use doorward_oauth::client::GrantType;
use doorward_store::{Actor, ClientSource, Digest, Spend, StoreError};

use super::super::{Client, ClientError};
use crate::context::Context;

/// A client that proved to be itself, as far as its registration asks for: only the module above makes one.
#[derive(Debug, Clone)]
pub(crate) struct AuthenticatedClient {
    pub(super) client: Arc<Client>,
    /// The digest of the secret that proved it.
    pub(super) digest: Option<Digest>,
    /// The assertion that proved it, while it is not used up.
    pub(super) unspent: Option<Spend>,
}

impl AuthenticatedClient {
    /// `client_id`.
    pub(crate) fn client_id(&self) -> &str {
        &self.client.client_id
    }

    /// Whether it is registered for this grant type.
    pub(crate) fn may_use(&self, grant_type: GrantType) -> bool {
        self.client.metadata.may_use(grant_type)
    }

    /// Who it is in the audit list.
    pub(crate) fn actor(&self) -> Actor {
        let client_id = self.client_id().to_owned();
        match self.source() {
            _ if !self.is_confidential() => Actor::PublicClient(client_id),
            ClientSource::Admin => Actor::Client(client_id),
            ClientSource::Dynamic | ClientSource::MetadataDocument => Actor::SelfRegisteredClient(client_id),
        }
    }

    /// Whether it proved a secret or a key.
    pub(crate) fn is_confidential(&self) -> bool {
        !self.client.metadata.is_public()
    }

    /// The slug of the resource that this client is.
    pub(crate) fn resource_server(&self) -> Option<&str> {
        self.client.resource_server.as_deref()
    }

    /// How it became known.
    pub(crate) fn source(&self) -> ClientSource {
        self.client.source
    }

    /// The client, as registered.
    pub(crate) fn registered(&self) -> &Client {
        &self.client
    }

    /// The assertion that has to be used up before anything is given out for it.
    pub(crate) fn unspent(&self) -> Option<Spend> {
        self.unspent
    }

    /// Whether what it proved still holds: it is there and enabled, the same resource server, and its secret still works, or
    /// its keys are the same.
    pub(crate) async fn still_holds(&self, ctx: &Context) -> Result<bool, StoreError> {
        let client = match ctx.clients.resolve_approved(self.client_id(), None).await {
            Ok(client) => client,
            Err(ClientError::Store(error)) => return Err(error),
            Err(_) => return Ok(false),
        };
        let (then, now) = (&self.client.metadata, &client.metadata);
        let proof_holds = match self.digest {
            Some(_) => super::proves(&client, self.digest, ctx.now()),
            None => {
                then.token_endpoint_auth_method == now.token_endpoint_auth_method
                    && then.jwks == now.jwks
                    && then.jwks_uri == now.jwks_uri
            }
        };
        Ok(proof_holds && client.resource_server == self.client.resource_server)
    }
}

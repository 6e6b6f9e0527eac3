use std::sync::Arc;

use doorward_fetch::Fetcher;
use doorward_oauth::client::{RegistrationPolicy, TokenEndpointAuthMethod};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::redirect::{RedirectUri, SchemePolicy};
use doorward_oauth::time::Clock;
use doorward_store::{ClientSource, Store};

use super::cimd::Documents;
use super::registration_limit::RegistrationLimit;
use super::{Client, ClientError};
use crate::config::Settings;

/// Longer client ids name nobody.
const MAX_CLIENT_ID: usize = 2048;

/// Resolves any `client_id`.
pub struct Directory {
    store: Arc<dyn Store>,
    documents: Documents,
    /// What clients may register.
    pub(super) registration: RegistrationPolicy,
    /// The redirect URIs of `registration.approved_redirects`.
    pub(super) approved_redirects: Vec<RedirectUri>,
    pub(super) limit: RegistrationLimit,
}

impl Directory {
    pub(crate) fn new(
        settings: &Settings,
        issuer: &Issuer,
        store: Arc<dyn Store>,
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let schemes = SchemePolicy {
            allowed: settings.registration.redirect_schemes.clone(),
        };
        let in_development = issuer.is_loopback();
        let registration = RegistrationPolicy {
            // MCP clients are public, and a public client's registration costs one row however often it comes.
            default_auth_method: TokenEndpointAuthMethod::None,
            schemes: schemes.clone(),
            allow_loopback_jwks_uri: in_development,
            ..RegistrationPolicy::dynamic()
        };
        let of_documents = RegistrationPolicy {
            schemes,
            allow_loopback_jwks_uri: in_development,
            ..RegistrationPolicy::metadata_document()
        };
        let documents = Documents {
            fetcher,
            policy: of_documents,
            enabled: settings.registration.cimd,
            allow_loopback_http: in_development,
        };
        let approved = settings.registration.approved_redirects.iter();
        Self {
            store,
            documents,
            registration,
            // The settings were checked at start: what does not parse approves nothing.
            approved_redirects: approved.filter_map(|uri| RedirectUri::parse(uri).ok()).collect(),
            limit: RegistrationLimit::new(clock),
        }
    }

    /// The client with this id, as it is now. What an operator registered comes first, also under a URL; a URL that
    /// nobody registered is the address of a metadata document.
    pub(crate) async fn resolve(&self, client_id: &str) -> Result<Client, ClientError> {
        match self.stored(client_id).await? {
            Some(client) if client.source != ClientSource::MetadataDocument => Ok(client),
            _ => self.documents.resolve(client_id).await,
        }
    }

    /// The client with this id, for a request about what a person approved before: while its metadata document
    /// cannot be fetched, the snapshot of the last approval holds. A withdrawn document withdraws the client.
    pub(crate) async fn resolve_approved(&self, client_id: &str) -> Result<Client, ClientError> {
        let snapshot = match self.stored(client_id).await? {
            Some(client) if client.source != ClientSource::MetadataDocument => return Ok(client),
            snapshot => snapshot,
        };
        match (self.documents.resolve(client_id).await, snapshot) {
            (Err(error), Some(snapshot)) if !error.is_withdrawal() => {
                tracing::debug!(client_id = ?client_id, %error, "using the snapshot of a client metadata document");
                Ok(snapshot)
            }
            (outcome, _) => outcome,
        }
    }

    async fn stored(&self, client_id: &str) -> Result<Option<Client>, ClientError> {
        if client_id.is_empty() || client_id.len() > MAX_CLIENT_ID {
            return Err(ClientError::Unknown);
        }
        match self.store.client(client_id).await? {
            Some(record) if record.disabled => Err(ClientError::Disabled),
            Some(record) => Client::from_record(record).map(Some),
            None => Ok(None),
        }
    }
}

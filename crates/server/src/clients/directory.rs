use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::Fetcher;
use doorward_jose::{Header, Jwk};
use doorward_oauth::client::{RegistrationPolicy, TokenEndpointAuthMethod};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::redirect::{RedirectUri, SchemePolicy};
use doorward_oauth::time::Clock;
use doorward_store::{ClientSource, Store};

use super::address_limit::AddressLimit;
use super::cimd::Documents;
use super::keys::KeySets;
use super::{Client, ClientError};
use crate::config::Settings;
use crate::token::grant_types;

/// Longer client ids name nobody.
const MAX_CLIENT_ID: usize = 2048;

/// Vendors register for all their users from a few addresses; what one registers again is not counted. This bounds
/// what a stranger can make the store keep: 600 clients at once, then 20 a minute.
const REGISTRATIONS_AT_ONCE: NonZeroU32 = NonZeroU32::new(600).unwrap();
const THEN_A_REGISTRATION_EVERY: Duration = Duration::from_secs(3);

/// Bounds what a stranger can make this server ask of others: documents that are not in the cache.
const FETCHES_AT_ONCE: NonZeroU32 = NonZeroU32::new(120).unwrap();
const THEN_A_FETCH_EVERY: Duration = Duration::from_secs(1);

/// Resolves any `client_id`.
pub struct Directory {
    store: Arc<dyn Store>,
    documents: Documents,
    /// What clients may register themselves.
    pub(crate) registration: RegistrationPolicy,
    /// What operators may register: every grant that is on.
    pub(crate) by_operator: RegistrationPolicy,
    /// The redirect URIs of `registration.approved_redirects`.
    pub(super) approved_redirects: Vec<RedirectUri>,
    /// New registrations.
    pub(super) registrations: AddressLimit,
    /// The keys of clients that publish them.
    key_sets: KeySets,
    /// Documents that are fetched for somebody whom nobody knows yet.
    fetches: AddressLimit,
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
        let key_sets = KeySets::new(fetcher.clone(), Arc::clone(&clock));
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
            key_sets,
            by_operator: RegistrationPolicy {
                grant_types: grant_types(settings),
                ..registration.clone()
            },
            registration,
            // The settings were checked at start: what does not parse approves nothing.
            approved_redirects: approved.filter_map(|uri| RedirectUri::parse(uri).ok()).collect(),
            registrations: AddressLimit::new(
                Arc::clone(&clock),
                REGISTRATIONS_AT_ONCE,
                THEN_A_REGISTRATION_EVERY,
            ),
            fetches: AddressLimit::new(clock, FETCHES_AT_ONCE, THEN_A_FETCH_EVERY),
        }
    }

    /// The client with this id, as it is now, for a request from `address`. What an operator registered comes first,
    /// also under a URL; a URL that nobody registered is the address of a metadata document.
    pub(crate) async fn resolve(&self, client_id: &str, address: IpAddr) -> Result<Client, ClientError> {
        match self.stored(client_id).await? {
            Some(client) if client.source != ClientSource::MetadataDocument => Ok(client),
            _ => {
                self.documents.check(client_id)?;
                if !self.documents.is_at_hand(client_id) {
                    self.fetches
                        .count(address)
                        .map_err(|_| ClientError::TooManyDocuments)?;
                }
                self.documents.resolve(client_id).await
            }
        }
    }

    /// The client with this id, for a request about what a person approved before: while its metadata document
    /// cannot be fetched, the snapshot of the last approval holds. A withdrawn document withdraws the client. One that
    /// nobody ever approved has nothing here, so its document is not asked for.
    pub(crate) async fn resolve_approved(&self, client_id: &str) -> Result<Client, ClientError> {
        let snapshot = match self.stored(client_id).await? {
            None => return Err(ClientError::Unknown),
            Some(client) if client.source != ClientSource::MetadataDocument => return Ok(client),
            Some(snapshot) => snapshot,
        };
        match self.documents.resolve(client_id).await {
            Err(error) if !error.is_withdrawal() => {
                tracing::debug!(client_id = ?client_id, %error, "using the snapshot of a client metadata document");
                Ok(snapshot)
            }
            outcome => outcome,
        }
    }

    /// The key of this client for a JWT with this header. A client that has changed its keys is asked for them once in
    /// a while, however often somebody names one that it does not have.
    pub(super) async fn key(&self, client: &Client, header: &Header) -> Option<Jwk> {
        if let Some(url) = &client.metadata.jwks_uri {
            return self.key_sets.find(url, header).await;
        }
        let known = |client: &Client| client.metadata.jwks.as_ref()?.select(header).cloned();
        if let Some(key) = known(client) {
            return Some(key);
        }
        let may_have_changed =
            client.source == ClientSource::MetadataDocument && self.key_sets.may_ask_again(&client.client_id);
        if !may_have_changed {
            return None;
        }
        known(&self.documents.resolve_anew(&client.client_id).await.ok()?)
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

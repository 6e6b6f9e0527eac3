use std::net::IpAddr;
use std::sync::Arc;

use doorward_fetch::{FetchError, Fetcher};
use doorward_jose::{Header, Jwk};
use doorward_oauth::client::{GrantType, RegistrationPolicy, TokenEndpointAuthMethod};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::redirect::{RedirectUri, SchemePolicy};
use doorward_oauth::time::Clock;
use doorward_store::{Change, ClientSource, Store, StoreError, Version};
use quick_cache::sync::Cache;

use super::cimd::Documents;
use super::keys::{KeySets, NoKey};
use super::{Client, ClientError};
use crate::config::{RateLimit, Settings};
use crate::http::metrics::Metrics;
use crate::http::shares::{Share, Shares};
use crate::limits::AddressLimit;
use crate::shown;
use crate::token::grant_types;

/// Longer client ids name nobody: no earlier version took them.
const LONGEST_ON_RECORD: usize = 2048;
/// Clients that are kept as they were read.
const KEPT: usize = 1024;
/// What is fetched at one time for one address, of the 64 that are fetched together.
pub(super) const FETCHES_OF_ADDRESS: usize = 8;

/// The grants that a client can have without an operator: those in which a person decides.
fn self_registered(settings: &Settings) -> Vec<GrantType> {
    let mut grants = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    if settings.device.enabled {
        grants.push(GrantType::DeviceCode);
    }
    grants
}

/// Resolves any `client_id`.
pub struct Directory {
    store: Arc<dyn Store>,
    /// Clients that are on record and enabled, and what was current before each was read.
    kept: Cache<String, (Version, Arc<Client>)>,
    documents: Documents,
    /// What clients may register themselves.
    pub(crate) registration: RegistrationPolicy,
    /// What operators may register: every grant that is on.
    pub(crate) by_operator: RegistrationPolicy,
    /// The redirect URIs of `registration.approved_redirects`.
    pub(super) approved_redirects: Vec<RedirectUri>,
    /// New registrations.
    pub(super) registrations: AddressLimit,
    fetchers: Fetchers,
    /// The keys of clients that publish them.
    key_sets: KeySets,
    /// The keys of clients that operators registered: strangers must not take the room from those.
    operators_keys: KeySets,
    /// What is fetched for somebody whom nobody knows yet, documents and keys.
    fetches: Arc<AddressLimit>,
    /// What is fetched at one time.
    pub(super) shares: Arc<Shares>,
}

/// By whom a client comes here, so that nobody takes the room of the others.
pub(crate) struct Fetchers {
    /// What strangers make this server fetch.
    pub(crate) strangers: Fetcher,
    /// What clients publish that operators registered.
    pub(crate) operators: Fetcher,
}

impl Directory {
    /// Other limits from now on.
    pub(crate) fn change_limits(&self, settings: &RateLimit) {
        self.registrations.change(settings.registration);
        self.fetches.change(settings.cimd);
    }

    pub(crate) fn new(
        settings: &Settings,
        issuer: &Issuer,
        store: Arc<dyn Store>,
        fetchers: Fetchers,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
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
            grant_types: self_registered(settings),
            ..RegistrationPolicy::dynamic()
        };
        let mut of_document = self_registered(settings);
        if settings.jwt_bearer.enabled {
            // Who may use it is up to the rules of the issuer.
            of_document.push(GrantType::JwtBearer);
        }
        let of_documents = RegistrationPolicy {
            schemes,
            allow_loopback_jwks_uri: in_development,
            grant_types: of_document,
            ..RegistrationPolicy::metadata_document()
        };
        let documents = Documents {
            policy: of_documents,
            enabled: settings.registration.cimd,
            allow_loopback_http: in_development,
        };
        let approved = settings.registration.approved_redirects.iter();
        Self {
            store,
            kept: Cache::new(KEPT),
            documents,
            fetchers,
            key_sets: KeySets::new(Arc::clone(&clock)),
            operators_keys: KeySets::new(Arc::clone(&clock)),
            by_operator: RegistrationPolicy {
                grant_types: grant_types(settings),
                ..registration.clone()
            },
            registration,
            // The settings were checked at start: what does not parse approves nothing.
            approved_redirects: approved.filter_map(|uri| RedirectUri::parse(uri).ok()).collect(),
            registrations: AddressLimit::new(
                "registration",
                settings.rate_limit.registration,
                Arc::clone(&clock),
                metrics.clone(),
            ),
            fetches: Arc::new(AddressLimit::new(
                "cimd",
                settings.rate_limit.cimd,
                clock,
                metrics.clone(),
            )),
            // Those who wait for a slow host count here too: how many are on their way together is the fetcher's to say.
            shares: Arc::new(Shares::new(usize::MAX, FETCHES_OF_ADDRESS)),
        }
    }

    /// The fetcher for a request from this address. What is fetched for it at one time is bounded, so that slow hosts of one
    /// stranger leave room for the others; with `limit`, for somebody who need not be known to anybody, how often.
    fn fetcher_for(&self, address: IpAddr, limit: Option<&Arc<AddressLimit>>) -> Fetcher {
        let (shares, limit) = (Arc::clone(&self.shares), limit.cloned());
        self.fetchers.strangers.admitting(move || {
            let mut share = Share::new(Arc::clone(&shares), address);
            if !share.grow_to(1) {
                return Err(FetchError::Busy);
            }
            if let Some(limit) = &limit {
                limit.take(address).map_err(|_| FetchError::NotAdmitted)?;
            }
            Ok(Box::new(share))
        })
    }

    /// The client with this id, as it is now, for a request from `address`. What an operator registered comes first,
    /// also under a URL; a URL that nobody registered is the address of a metadata document.
    pub(crate) async fn resolve(&self, client_id: &str, address: IpAddr) -> Result<Arc<Client>, ClientError> {
        match self.stored(client_id).await? {
            Some(client) if client.source != ClientSource::MetadataDocument => Ok(client),
            _ => {
                let fetcher = self.fetcher_for(address, Some(&self.fetches));
                self.documents.resolve(&fetcher, client_id).await.map(Arc::new)
            }
        }
    }

    /// The client with this id, for a request about what a person approved before: while its metadata document
    /// cannot be fetched, the snapshot of the last approval holds. A withdrawn document withdraws the client. One that
    /// nobody ever approved has nothing here, so its document is not asked for. `address`: of the request; `None` where an
    /// operator asks, or a connection that goes on.
    pub(crate) async fn resolve_approved(
        &self,
        client_id: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Client>, ClientError> {
        let snapshot = match self.stored(client_id).await? {
            None => return Err(ClientError::Unknown),
            Some(client) if client.source != ClientSource::MetadataDocument => return Ok(client),
            Some(snapshot) => snapshot,
        };
        let fetcher = address.map_or_else(
            || self.fetchers.strangers.clone(),
            |address| self.fetcher_for(address, None),
        );
        match self.documents.resolve_now_and_then(&fetcher, client_id).await {
            Err(error) if !error.is_withdrawal() => {
                tracing::debug!(client_id = ?shown::client_id(client_id), %error, "using the snapshot of a client metadata document");
                Ok(snapshot)
            }
            outcome => outcome.map(Arc::new),
        }
    }

    /// The client with this id, whether anybody approved it or not: by [`Self::resolve_approved`] where it is known, else
    /// by its metadata document.
    pub(crate) async fn resolve_newcomer(
        &self,
        client_id: &str,
        address: IpAddr,
    ) -> Result<Arc<Client>, ClientError> {
        match self.resolve_approved(client_id, Some(address)).await {
            Err(ClientError::Unknown) => self.resolve(client_id, address).await,
            outcome => outcome,
        }
    }

    /// The key of this client for a JWT with this header, in a request from `address`. A client that has changed its keys is
    /// asked for them once in a while, however often somebody names one that it does not have.
    pub(super) async fn key(&self, client: &Client, header: &Header, address: IpAddr) -> Result<Jwk, NoKey> {
        let of_stranger = || self.fetcher_for(address, Some(&self.fetches));
        if let Some(url) = &client.metadata.jwks_uri {
            return match client.source {
                ClientSource::Admin => {
                    let fetcher = &self.fetchers.operators;
                    self.operators_keys.find(fetcher, url, header).await
                }
                _ => self.key_sets.find(&of_stranger(), url, header).await,
            };
        }
        let known = |client: &Client| client.metadata.jwks.as_ref()?.select(header).cloned();
        if let Some(key) = known(client) {
            return Ok(key);
        }
        let may_have_changed =
            client.source == ClientSource::MetadataDocument && self.key_sets.may_ask_again(&client.client_id);
        if !may_have_changed {
            return Err(NoKey::Unknown);
        }
        match self
            .documents
            .resolve_anew(&of_stranger(), &client.client_id)
            .await
        {
            Ok(client) => known(&client).ok_or(NoKey::Unknown),
            Err(ClientError::DocumentUnreachable(error)) => {
                Err(self.key_sets.unanswered(&client.client_id, &error))
            }
            Err(_) => Err(NoKey::Unknown),
        }
    }

    /// Whether this client is on record and enabled; `None` when it is not on record.
    pub(crate) async fn is_enabled(&self, client_id: &str) -> Result<Option<bool>, StoreError> {
        match self.stored(client_id).await {
            Ok(client) => Ok(client.map(|_| true)),
            Err(ClientError::Store(error)) => Err(error),
            Err(ClientError::Unknown) => Ok(None),
            Err(_) => Ok(Some(false)),
        }
    }

    async fn stored(&self, client_id: &str) -> Result<Option<Arc<Client>>, ClientError> {
        if client_id.is_empty() || client_id.len() > LONGEST_ON_RECORD {
            return Err(ClientError::Unknown);
        }
        let version = self.store.changes().version(Change::Clients);
        if let Some((read_at, client)) = self.kept.get(client_id)
            && Some(read_at) == version
        {
            return Ok(Some(client));
        }
        let client = match self.store.client(client_id).await? {
            Some(record) if record.disabled => return Err(ClientError::Disabled),
            Some(record) => Arc::new(Client::from_record(record)?),
            None => return Ok(None),
        };
        if let Some(version) = version {
            let kept = (version, Arc::clone(&client));
            self.kept.insert(client_id.to_owned(), kept);
        }
        Ok(Some(client))
    }
}

//! The registered resources: kept in memory, and the two rules about them that every request passes, which
//! resource is meant (RFC 8707) and which scopes that gives.

mod scopes;
mod targets;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::{OFFLINE_ACCESS, ScopeSet};
use doorward_store::{Change, Grant, Resource, Store, StoreError, Version};
use tokio::sync::Mutex;

use crate::http::error::store_fault;
use crate::shown;

pub(crate) use scopes::{refreshed_scopes, select_scopes};
pub(crate) use targets::Targets;

/// Resources of one request.
const MOST_RESOURCES: usize = 10;

/// Keeps the registered resources, as long as the store says that nobody has changed them.
pub struct Resources {
    store: Arc<dyn Store>,
    snapshot: ArcSwapOption<Snapshot>,
    reading: Mutex<()>,
}

struct Snapshot {
    resources: Registered,
    /// What was current before they were read.
    version: Version,
}

/// Every resource, ordered by slug. Requests hold those that they are about.
pub type Registered = Arc<[Arc<Resource>]>;

impl Resources {
    /// Reads nothing yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            snapshot: ArcSwapOption::empty(),
            reading: Mutex::new(()),
        }
    }

    /// Every resource, ordered by slug.
    pub async fn all(&self) -> Result<Registered, StoreError> {
        if let Some(resources) = self.unchanged() {
            return Ok(resources);
        }
        if self.store.changes().version(Change::Resources).is_none() {
            return self.read().await;
        }
        // One reads for all who wait.
        let _reading = self.reading.lock().await;
        if let Some(resources) = self.unchanged() {
            return Ok(resources);
        }
        let version = self.store.changes().version(Change::Resources);
        let resources = self.read().await?;
        let snapshot = version.map(|version| Snapshot {
            resources: Arc::clone(&resources),
            version,
        });
        self.snapshot.store(snapshot.map(Arc::new));
        Ok(resources)
    }

    async fn read(&self) -> Result<Registered, StoreError> {
        let resources = self.store.resources().await?;
        Ok(resources.into_iter().map(Arc::new).collect())
    }

    /// The resource with this slug.
    pub async fn by_slug(&self, slug: &str) -> Result<Option<Arc<Resource>>, StoreError> {
        Ok(self
            .all()
            .await?
            .iter()
            .find(|resource| resource.slug == slug)
            .cloned())
    }

    /// The resource with this URI, byte for byte.
    pub async fn by_uri(&self, uri: &str) -> Result<Option<Arc<Resource>>, StoreError> {
        Ok(self
            .all()
            .await?
            .iter()
            .find(|resource| resource.uri == uri)
            .cloned())
    }

    /// The resource that a request means (RFC 8707 §2). Without a `resource` parameter it is the only
    /// registered one; older clients do not send it.
    pub async fn resolve(&self, requested: &[&str]) -> Result<Arc<Resource>, OAuthError> {
        let resources = self.all().await.map_err(|error| {
            store_fault(
                &error,
                "The server could not look up its resources; try again in a moment.",
            )
        })?;
        let [first, others @ ..] = requested else {
            return only(&resources).ok_or_else(|| {
                invalid_target("There is no resource parameter; add it with the MCP server's URL (RFC 8707).")
            });
        };
        // Most clients send it byte for byte.
        let same = resources.iter().find(|resource| resource.uri == *first);
        let Some(resource) = same.or_else(|| resources.iter().find(|resource| means(resource, first))) else {
            // The log shows what was sent: a slash or a port is what people look for.
            let sent = shown::uri(first);
            return Err(invalid_target(
                "The resource is not registered here; send the MCP server's URL exactly as its resource metadata has it.",
            )
            .with_internal(format_args!("requested {sent}")));
        };
        if others.iter().any(|other| !means(resource, other)) {
            return Err(invalid_target(
                "Only one resource can be authorized at a time; send one resource parameter.",
            ));
        }
        Ok(Arc::clone(resource))
    }

    /// The resources that a request means, in its order.
    pub(crate) async fn resolve_all(&self, requested: &[&str]) -> Result<Targets, OAuthError> {
        refuse_too_many(requested)?;
        let mut found = Vec::with_capacity(requested.len().max(1));
        for one in requested {
            found.push(self.resolve(std::slice::from_ref(one)).await?);
        }
        if found.is_empty() {
            found.push(self.resolve(&[]).await?);
        }
        Targets::new(found).ok_or_else(|| invalid_target("There is no resource."))
    }

    /// The resources of a grant; `None` when one of them is gone.
    pub(crate) async fn of_grant(&self, grant: &Grant) -> Result<Option<Targets>, StoreError> {
        Ok(Targets::of_grant(&self.all().await?, grant))
    }

    /// The resources with these URIs, byte for byte; `None` when one of them is gone.
    pub(crate) async fn named<'u>(
        &self,
        uris: impl Iterator<Item = &'u String>,
    ) -> Result<Option<Targets>, StoreError> {
        Ok(Targets::named(&self.all().await?, uris))
    }

    /// Of these scopes, those that the resource still has. `offline_access` stays.
    pub async fn still_defined(&self, resource_uri: &str, scopes: &ScopeSet) -> Result<ScopeSet, StoreError> {
        let resources = self.all().await?;
        let Some(resource) = resources.iter().find(|resource| resource.uri == resource_uri) else {
            return Ok(ScopeSet::new());
        };
        let is_defined =
            |scope: &str| scope == OFFLINE_ACCESS || resource.scopes.iter().any(|known| known.name == scope);
        Ok(scopes
            .iter()
            .filter(|scope| is_defined(scope.as_str()))
            .cloned()
            .collect())
    }

    /// All of them, when the store is known to have no others.
    pub(crate) fn unchanged(&self) -> Option<Registered> {
        let version = self.store.changes().version(Change::Resources)?;
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref().filter(|snapshot| snapshot.version == version)?;
        Some(Arc::clone(&snapshot.resources))
    }
}

/// Whether this is one of the spellings of a resource.
fn means(resource: &Resource, requested: &str) -> bool {
    ResourceUri::parse(&resource.uri).is_ok_and(|uri| uri.matches(requested))
}

/// The resource, when there is exactly one.
fn only(resources: &[Arc<Resource>]) -> Option<Arc<Resource>> {
    match resources {
        [only] => Some(Arc::clone(only)),
        _ => None,
    }
}

/// Each resource parameter is compared with every resource.
pub(crate) fn refuse_too_many(requested: &[&str]) -> Result<(), OAuthError> {
    if requested.len() > MOST_RESOURCES {
        return Err(invalid_target(
            "There are more than 10 resource parameters. Ask for fewer at a time.",
        ));
    }
    Ok(())
}

fn invalid_target(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidTarget, description)
}

#[cfg(test)]
mod tests;

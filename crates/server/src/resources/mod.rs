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

pub(crate) use scopes::select_scopes;
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
    resources: Arc<[Resource]>,
    /// What was current before they were read.
    version: Version,
}

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
    pub async fn all(&self) -> Result<Arc<[Resource]>, StoreError> {
        if let Some(resources) = self.unchanged() {
            return Ok(resources);
        }
        if self.store.changes().version(Change::Resources).is_none() {
            return Ok(self.store.resources().await?.into());
        }
        // One reads for all who wait.
        let _reading = self.reading.lock().await;
        if let Some(resources) = self.unchanged() {
            return Ok(resources);
        }
        let version = self.store.changes().version(Change::Resources);
        let resources: Arc<[Resource]> = self.store.resources().await?.into();
        let snapshot = version.map(|version| Snapshot {
            resources: Arc::clone(&resources),
            version,
        });
        self.snapshot.store(snapshot.map(Arc::new));
        Ok(resources)
    }

    /// The resource with this slug.
    pub async fn by_slug(&self, slug: &str) -> Result<Option<Resource>, StoreError> {
        Ok(self
            .all()
            .await?
            .iter()
            .find(|resource| resource.slug == slug)
            .cloned())
    }

    /// The resource with this URI, byte for byte.
    pub async fn by_uri(&self, uri: &str) -> Result<Option<Resource>, StoreError> {
        Ok(self
            .all()
            .await?
            .iter()
            .find(|resource| resource.uri == uri)
            .cloned())
    }

    /// The resource that a request means (RFC 8707 §2). Without a `resource` parameter it is the only
    /// registered one; older clients do not send it.
    pub async fn resolve(&self, requested: &[&str]) -> Result<Resource, OAuthError> {
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
        let found = resources.iter().find_map(|resource| {
            let uri = ResourceUri::parse(&resource.uri).ok()?;
            uri.matches(first).then_some((resource, uri))
        });
        let Some((resource, uri)) = found else {
            // The log shows what was sent: a slash or a port is what people look for.
            let sent: String = first.chars().take(200).collect();
            return Err(invalid_target(
                "The resource is not registered here; send the MCP server's URL exactly as its resource metadata has it.",
            )
            .with_internal(format!("requested {sent:?}")));
        };
        if others.iter().any(|other| !uri.matches(other)) {
            return Err(invalid_target(
                "Only one resource can be authorized at a time; send one resource parameter.",
            ));
        }
        Ok(resource.clone())
    }

    /// The resources that a request means, in its order.
    pub(crate) async fn resolve_all(&self, requested: &[&str]) -> Result<Targets, OAuthError> {
        if requested.len() > MOST_RESOURCES {
            return Err(invalid_target(
                "There are more than 10 resource parameters. Ask for fewer at a time.",
            ));
        }
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
        let resources = self.all().await?;
        let uris = std::iter::once(&grant.resource).chain(&grant.more_resources);
        let found: Option<Vec<Resource>> = uris
            .map(|uri| resources.iter().find(|resource| resource.uri == *uri).cloned())
            .collect();
        Ok(found.and_then(Targets::new))
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

    /// They, when the store is known to have no others.
    pub(crate) fn unchanged(&self) -> Option<Arc<[Resource]>> {
        let version = self.store.changes().version(Change::Resources)?;
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref().filter(|snapshot| snapshot.version == version)?;
        Some(Arc::clone(&snapshot.resources))
    }
}

/// The resource, when there is exactly one.
fn only(resources: &[Resource]) -> Option<Resource> {
    match resources {
        [only] => Some(only.clone()),
        _ => None,
    }
}

fn invalid_target(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidTarget, description)
}

#[cfg(test)]
mod tests;

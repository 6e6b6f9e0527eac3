//! A verifier and the authorization servers whose tokens it knows.

use std::fmt;
use std::sync::Arc;

use super::TokenVerifier;
use crate::builder::GuardBuilder;

/// A resource whose tokens come from authorization servers that the guard does not ask itself: they are named in the
/// resource metadata, and `verifier` says which tokens are good.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key_pair = doorward_guard::testing::KeyPair::generate()?;
/// # let pem = key_pair.public_key();
/// use doorward_guard::verifiers::{JwtVerifier, RemoteAuth};
///
/// let verifier = JwtVerifier::builder()
///     .public_key(pem)
///     .issuer("https://idp.example")
///     .audience("https://mcp.example/mcp")
///     .build()?;
/// let guard = RemoteAuth::new(verifier, ["https://idp.example"], "https://mcp.example/mcp")
///     .into_builder()
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteAuth {
    /// Says which tokens are good.
    pub verifier: Arc<dyn TokenVerifier>,
    /// The issuers that clients get tokens from, byte for byte as they name themselves.
    pub authorization_servers: Vec<String>,
    /// The public URL of the MCP server.
    pub resource: String,
}

impl RemoteAuth {
    /// Names the three.
    pub fn new<S: Into<String>>(
        verifier: impl TokenVerifier + 'static,
        authorization_servers: impl IntoIterator<Item = S>,
        resource: impl Into<String>,
    ) -> Self {
        Self {
            verifier: Arc::new(verifier),
            authorization_servers: authorization_servers.into_iter().map(Into::into).collect(),
            resource: resource.into(),
        }
    }

    /// A guard's settings with these. Without an authorization server, [`build`](GuardBuilder::build) refuses them.
    pub fn into_builder(self) -> GuardBuilder {
        let mut servers = self.authorization_servers.into_iter();
        let builder = GuardBuilder::new(servers.next().unwrap_or_default(), self.resource);
        servers
            .fold(builder, GuardBuilder::issuer)
            .verifier(self.verifier)
    }
}

impl fmt::Debug for RemoteAuth {
    /// Without the verifier, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteAuth")
            .field("authorization_servers", &self.authorization_servers)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

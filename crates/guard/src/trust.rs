//! Whose tokens a guard takes, and how it reaches those who issue them: the settings.

use std::sync::Arc;

use doorward_oauth::issuer::{Issuer, IssuerError, IssuerRules};

use crate::builder::{BuildError, GuardBuilder};
use crate::client::ClientAuth;
use crate::fetch::{Fetch, HttpFetch, Timeouts, Transport};
use crate::keys::{KeySource, Keys};
use crate::verifiers::TokenVerifier;
use crate::verify::{AccessTokenVerifier, Dialect, Judge, TokenMemory, TrustedIssuer};

#[derive(Default)]
pub(crate) struct TrustSettings {
    /// Besides the one that the builder was made with.
    more_issuers: Vec<String>,
    /// How the guard authenticates to them, by issuer.
    pub(crate) issuer_auth: Vec<(String, ClientAuth)>,
    pub(crate) verifiers: Vec<Arc<dyn TokenVerifier>>,
    transport: Transport,
}

impl GuardBuilder {
    /// Another issuer whose tokens are accepted. Each token is checked with the keys of the issuer in its `iss`, and an
    /// issuer that cannot be reached is no harm to the tokens of the others. The resource metadata names all of them, in the
    /// order they were given; many clients take the first.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.trust.more_issuers.push(issuer.into());
        self
    }

    /// Says which tokens are good, in place of the guard itself: its algorithms, clock skew, token cache and key settings
    /// then count for nothing. Repeated calls add verifiers, which are asked in their order until one accepts.
    ///
    /// The issuers are then only named in the resource metadata. Whether tokens are for this resource is for the verifier to
    /// check: give it the resource as its audience.
    #[must_use]
    pub fn verifier(mut self, verifier: impl TokenVerifier + 'static) -> Self {
        self.trust.verifiers.push(Arc::new(verifier));
        self
    }

    /// Certificates to trust besides the system's, one or several in PEM form, when documents of the authorization server
    /// are fetched: for a private certificate authority. Repeated calls add up.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.trust.transport.root_certificates.push(pem.into());
        self
    }

    /// The proxy to reach the authorization server through, like `http://user:password@proxy.corp.example:3128`. Not
    /// used for loopback. Default: none; the environment counts for nothing.
    ///
    /// What may be fetched stays the same. But the proxy resolves names, and so decides which address it connects to.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.trust.transport.proxy = Some(url.into());
        self
    }

    /// How long the authorization server may take to answer. Default: 5 s for documents, 10 s for forms.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.trust.transport.timeouts = timeouts;
        self
    }

    /// Takes issuers over `http` off this machine, for networks of development: nobody can tell who answers there.
    /// `http://localhost` needs no such thing. Default: `false`.
    #[must_use]
    pub fn dev_mode(mut self, on: bool) -> Self {
        self.trust.transport.dev_mode = on;
        self
    }

    /// The first issuer, and all of them, each once.
    pub(crate) fn issuers(&self) -> Result<(Issuer, Vec<Issuer>), BuildError> {
        let first = self.parse_issuer(&self.issuer)?;
        let mut issuers = vec![first.clone()];
        for text in &self.trust.more_issuers {
            let issuer = self.parse_issuer(text)?;
            if !issuers.contains(&issuer) {
                issuers.push(issuer);
            }
        }
        Ok((first, issuers))
    }

    fn parse_issuer(&self, text: &str) -> Result<Issuer, BuildError> {
        let rules = IssuerRules {
            trailing_slash: true,
            http_anywhere: self.trust.transport.dev_mode,
        };
        Issuer::parse_with(text, rules).map_err(|reason| {
            let issuer = text.to_owned();
            match reason {
                IssuerError::NotHttps if text.starts_with("http://") => BuildError::InsecureIssuer(issuer),
                reason => BuildError::Issuer { issuer, reason },
            }
        })
    }

    /// The transport that was given, or the default one.
    pub(crate) fn transport(&self, issuers: &[Issuer]) -> Result<Arc<dyn Fetch>, BuildError> {
        if let Some(fetch) = &self.fetch {
            return Ok(fetch.clone());
        }
        let urls: Vec<_> = issuers.iter().map(Issuer::as_str).collect();
        let fetch = HttpFetch::reaching(&urls, &self.trust.transport, self.clock.clone())?;
        Ok(Arc::new(fetch))
    }

    /// Who says whether a token is good. `seed` tells processes apart.
    pub(crate) fn judge(
        &self,
        issuers: &[Issuer],
        resource: &doorward_oauth::resource::ResourceUri,
        fetch: &Arc<dyn Fetch>,
        seed: u64,
    ) -> Judge {
        if !self.trust.verifiers.is_empty() {
            return Judge::Verifiers(self.trust.verifiers.clone());
        }
        let trusted = |issuer: &Issuer| {
            let source = KeySource::issuer(issuer.clone(), fetch.clone());
            TrustedIssuer {
                issuer: issuer.clone(),
                keys: Arc::new(Keys::new(source, self.keys, self.clock.clone(), seed)),
            }
        };
        Judge::Issuers(Box::new(AccessTokenVerifier {
            issuers: issuers.iter().map(trusted).collect(),
            resource: resource.clone(),
            algorithms: self.algorithms.clone(),
            skew: self.skew,
            clock: self.clock.clone(),
            memory: TokenMemory::new(self.token_cache, Dialect::AccessToken),
        }))
    }
}

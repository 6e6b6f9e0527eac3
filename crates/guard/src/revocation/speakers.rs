//! Who speaks for which tokens: the feeds, or the servers that are asked, by issuer.

use doorward_oauth::time::Outage;

use crate::client::OAuthClient;

/// One for each issuer of the guard.
pub(crate) struct Speakers<T> {
    /// The guard's own first; `None` where it has no credentials.
    by_issuer: Vec<(String, Option<T>)>,
    /// Tokens of none of them.
    pub(super) strangers: Outage,
}

/// A token of none of the issuers, where there are several: nobody can tell who knows of it. Only verifiers of one's own let
/// such a token through, and it must not be shown to somebody who may not have issued it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stranger;

impl<T> Speakers<T> {
    /// `clients` are those of the issuers.
    pub(super) fn new(
        clients: &[OAuthClient],
        may_speak: impl Fn(&OAuthClient) -> bool,
        speaker: impl Fn(OAuthClient) -> T,
    ) -> Self {
        let of = |client: &OAuthClient| may_speak(client).then(|| speaker(client.clone()));
        let by_issuer = clients
            .iter()
            .map(|client| (client.issuer().to_owned(), of(client)));
        Self {
            by_issuer: by_issuer.collect(),
            strangers: Outage::default(),
        }
    }

    /// Who speaks for a token with this `iss`; `None` for one of an issuer that is deliberately not followed. The one issuer of
    /// a guard speaks for whatever the guard's verifier accepts, whether its `iss` is that issuer, something else, or missing.
    pub(super) fn for_token(&self, issuer: &str) -> Result<Option<&T>, Stranger> {
        match (self.find(issuer), self.by_issuer.as_slice()) {
            (Some(speaker), _) | (None, [(_, speaker)]) => Ok(speaker.as_ref()),
            _ => Err(Stranger),
        }
    }

    /// Who speaks for one of the issuers, byte for byte.
    pub(super) fn of(&self, issuer: &str) -> Option<&T> {
        self.find(issuer)?.as_ref()
    }

    fn find(&self, issuer: &str) -> Option<&Option<T>> {
        let found = self.by_issuer.iter().find(|(known, _)| known == issuer);
        found.map(|(_, speaker)| speaker)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.by_issuer.iter().filter_map(|(_, speaker)| speaker.as_ref())
    }
}

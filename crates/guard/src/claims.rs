//! What a verified token says.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use doorward_oauth::claims::Actor;
use doorward_oauth::scope::{Scope, ScopeSet};
use doorward_oauth::time::UnixSeconds;

use crate::raw_claims::RawClaims;
use crate::terms::Terms;

/// Who calls, for whom, and what they may do: the claims of a verified access token (RFC 9068 §2.2).
///
/// Cheap to clone; the claims themselves are read through [`TokenClaims`]: `claims.subject`, `claims.scopes`, …
/// The token itself is not here: it is for this server alone and must not travel on.
#[derive(Clone)]
pub struct Claims {
    token: Arc<Token>,
    /// Of the guard that let the token through.
    terms: Option<Arc<Terms>>,
}

struct Token {
    claims: TokenClaims,
    /// What was made of the claims for somebody else.
    companion: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// What a token says.
///
/// A verifier of one's own makes it with [`TokenClaims::new`], fills in what it knows and turns it into
/// [`Claims`].
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenClaims {
    /// `sub`: the person or, without one, the client for whom the request is made.
    pub subject: String,
    /// `client_id`: the program that makes the request.
    pub client_id: String,
    /// `scope`: what was granted. Empty when the token has none.
    pub scopes: ScopeSet,
    /// `aud`: the resources that the token is for; this server is one of them.
    pub audience: Vec<String>,
    /// `iss`
    pub issuer: String,
    /// `exp`; [`NEVER`](Self::NEVER) when the token has no end.
    pub expires_at: UnixSeconds,
    /// `iat`
    pub issued_at: UnixSeconds,
    /// `nbf`
    pub not_before: Option<UnixSeconds>,
    /// `auth_time`: when the person signed in.
    pub auth_time: Option<UnixSeconds>,
    /// `jti`: names this token.
    pub jti: String,
    /// `gid`: names the grant that the token comes from, if the server says so.
    pub grant_id: Option<String>,
    /// `act`: who acts for the subject (RFC 8693 §4.1). Only the outermost actor counts for decisions.
    pub actor: Option<Actor>,
    /// `cnf.jkt`: the RFC 7638 thumbprint of the key that the token is bound to. The sender has proved to have the key
    /// (RFC 9449).
    pub key_thumbprint: Option<String>,
    /// `kid` of the header: the issuer's key that signed the token.
    pub key_id: Option<String>,
    /// Every claim of the token.
    pub raw: RawClaims,
}

impl TokenClaims {
    /// The end of a token that has none.
    pub const NEVER: UnixSeconds = UnixSeconds(i64::MAX);

    /// Claims of which only these are known: who issued the token, to which client, for whom, and until when it counts.
    /// Everything else is empty.
    pub fn new(
        issuer: impl Into<String>,
        subject: impl Into<String>,
        client_id: impl Into<String>,
        expires_at: UnixSeconds,
    ) -> Self {
        Self {
            subject: subject.into(),
            client_id: client_id.into(),
            scopes: ScopeSet::new(),
            audience: Vec::new(),
            issuer: issuer.into(),
            expires_at,
            issued_at: UnixSeconds(0),
            not_before: None,
            auth_time: None,
            jti: String::new(),
            grant_id: None,
            actor: None,
            key_thumbprint: None,
            key_id: None,
            raw: RawClaims::default(),
        }
    }

    /// Who acts for the subject, the present actor first, then those before it (RFC 8693 §4.1).
    pub fn actors(&self) -> impl Iterator<Item = &Actor> {
        std::iter::successors(self.actor.as_ref(), |actor| actor.act.as_deref())
    }
}

impl From<TokenClaims> for Claims {
    fn from(token: TokenClaims) -> Self {
        Self {
            token: Arc::new(Token {
                claims: token,
                companion: OnceLock::new(),
            }),
            terms: None,
        }
    }
}

impl Deref for Claims {
    type Target = TokenClaims;

    fn deref(&self) -> &TokenClaims {
        &self.token.claims
    }
}

impl Claims {
    /// What another language, or a framework, made of these claims, so that it is made once for each token and not for each
    /// request. All clones share it, and so do the requests for which the guard remembers the token; when the token is
    /// forgotten, it goes along. `None` when a companion of another type was there first.
    pub fn companion<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        let companion = self.token.companion.get_or_init(|| Box::new(make()));
        companion.downcast_ref()
    }

    /// The same claims, at the guard with these terms.
    pub(crate) fn under(mut self, terms: &Arc<Terms>) -> Self {
        self.terms = Some(Arc::clone(terms));
        self
    }

    /// Whether the scope was granted, by its name or by a scope that [implies](crate::GuardBuilder::implies) it.
    pub fn has_scope(&self, scope: &str) -> bool {
        match &self.terms {
            Some(terms) => terms.scopes.has(&self.scopes, scope),
            None => self.scopes.contains(scope),
        }
    }

    /// Checks that the scope was granted; of several with spaces between them, that all were.
    ///
    /// # Errors
    /// [`MissingScope`] when it was not. In axum handlers it answers `403` with the right challenge, in rmcp
    /// handlers it becomes an MCP error. Prefer [`GuardBuilder::tool_scopes`](crate::GuardBuilder::tool_scopes)
    /// where the tool alone decides: only that reaches MCP clients as the HTTP `403` that makes them ask for more.
    pub fn require_scope(&self, scope: &str) -> Result<(), MissingScope> {
        self.require_scopes([scope])
    }

    /// Checks that all of these scopes were granted; of none, nothing is checked.
    ///
    /// # Errors
    /// [`MissingScope`], as for [`require_scope`](Self::require_scope), which names all of them at once.
    pub fn require_scopes<'s>(&self, scopes: impl IntoIterator<Item = &'s str>) -> Result<(), MissingScope> {
        let scopes: Vec<_> = scopes.into_iter().flat_map(words).collect();
        if scopes.iter().all(|scope| self.has_scope(scope)) {
            return Ok(());
        }
        let parse = |scope: &&str| match Scope::parse(scope) {
            Ok(scope) => Some(scope),
            Err(error) => {
                tracing::error!(scope, %error, "a handler requires what is no scope, and no token can have it");
                None
            }
        };
        let needed = scopes.iter().filter_map(parse).collect();
        let needed = match &self.terms {
            Some(terms) => terms.scopes.needed(&needed),
            None => needed,
        };
        Err(MissingScope::new(needed, self.terms.clone()))
    }
}

/// The scopes in a text (RFC 6749 §3.3). One without any is left for what it is: no token has it.
fn words(text: &str) -> Vec<&str> {
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { vec![text] } else { words }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.token.claims.fmt(f)
    }
}

impl fmt::Debug for TokenClaims {
    /// Without `raw`: other claims may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("subject", &self.subject)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .field("jti", &self.jti)
            .field("grant_id", &self.grant_id)
            .finish_non_exhaustive()
    }
}

/// The token lacks a scope. See [`Claims::require_scope`] and [`Guard::check_scopes`](crate::Guard::check_scopes).
#[derive(Debug, Clone, thiserror::Error)]
#[error("the access token does not have every scope that this needs: {needed}")]
pub struct MissingScope {
    needed: ScopeSet,
    terms: Option<Arc<Terms>>,
}

impl MissingScope {
    pub(crate) fn new(needed: ScopeSet, terms: Option<Arc<Terms>>) -> Self {
        Self { needed, terms }
    }

    /// Every scope that the operation needs, those that were granted included.
    pub fn needed(&self) -> &ScopeSet {
        &self.needed
    }

    #[cfg(feature = "axum")]
    pub(crate) fn response(&self) -> http::Response<bytes::Bytes> {
        let challenges = self.terms.as_deref().map(|terms| &terms.challenges);
        crate::refusal::insufficient_scope(challenges, &self.needed, None)
    }
}

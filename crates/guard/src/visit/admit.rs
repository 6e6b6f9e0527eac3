//! The first half of the way of a request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use doorward_oauth::dpop::Proof;
use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;
use http::{HeaderValue, Method, Response, StatusCode};

use super::{Answer, Head, Visit};
use crate::audit::{Scene, Verdict, report};
use crate::claims::Claims;
use crate::credentials::{self, Credentials, Token};
use crate::dpop::Scheme;
use crate::fields::{Field, Fields};
use crate::guard::{Guard, Inner};
use crate::message::encoding;
use crate::message::headers::Mirrored;
use crate::origin::{self, Checked};
use crate::refusal::Refusal;
use crate::sessions::Principal;
use crate::verify::Rejection;

impl Guard {
    /// The first half of the way of a request: all that its head tells. Next are [`Visit::authorize`] with the body,
    /// [`Visit::strip`] before the request goes on, and [`Visit::leave`] with the head of the answer.
    ///
    /// Completes at once, without a tokio runtime, unless keys or revocations must be waited for.
    ///
    /// # Errors
    /// The finished answer, when the request may not go on: a refusal, or the answer to a CORS preflight.
    pub async fn admit(&self, head: Head<'_>) -> Result<Visit, Answer> {
        let guard = &self.0;
        let fields = Fields::of(head.headers);
        let page = match guard.origins.check(fields.origin) {
            Checked::Refused => return Err(guard.refuse(&Refusal::Origin, Scene::default())),
            Checked::Allowed(origin) if origin::is_preflight(head.method, &fields) => {
                return Err(preflight(origin));
            }
            Checked::Allowed(origin) => Some(origin),
            Checked::Absent => None,
        };
        let (credentials, claims) = match guard.identify(&head, &fields).await {
            Ok(identified) => identified,
            Err(refusal) => return Err(guard.refuse_page(&refusal, Scene::default(), page)),
        };
        match guard.examine(&head, &fields, credentials, &claims).await {
            Ok(Good { session, proof }) => Ok(Visit {
                guard: Arc::clone(guard),
                method: head.method.clone(),
                claims,
                session,
                page: page.map(Box::new),
                mirrored: Mirrored::read(&fields),
                route: ScopeSet::new(),
                has_proof: fields.dpop.is_there(),
                proof,
                next_nonce: None,
                lists: *head.method == Method::GET,
            }),
            Err(refusal) => {
                let scene = Scene {
                    claims: Some(&claims),
                    messages: &[],
                };
                Err(guard.refuse_page(&refusal, scene, page))
            }
        }
    }

    /// The resource metadata (RFC 9728), if `path` is one at which it must be served, for any method: `405` for others than
    /// `GET`, `HEAD` and `OPTIONS`. The answer to `HEAD` has the body that the answer to `GET` has.
    pub fn metadata_answer(&self, method: &Method, path: &str) -> Option<Answer> {
        self.metadata_paths()
            .contains(&path)
            .then(|| self.metadata_service().answer(method))
    }
}

/// What a request with a good head has besides its token.
struct Good {
    session: Option<Vec<u8>>,
    proof: Option<Box<Proof>>,
}

/// How the token came, and when it was found to be good.
#[derive(Clone, Copy)]
struct Presented<'r> {
    scheme: Scheme,
    token: Token<'r>,
    at: UnixSeconds,
}

impl Inner {
    /// Whose request it is. The token first: who has none makes nobody check proofs.
    async fn identify<'r>(
        &self,
        head: &Head<'_>,
        fields: &Fields<'r>,
    ) -> Result<(Presented<'r>, Claims), Refusal> {
        let (scheme, token) = match credentials::read(fields, head.uri, self.dpop.is_on()) {
            Credentials::None => return Err(Refusal::NoCredentials),
            // No fault to be put right in the request, but a client that has no token yet: it looks for one at 401.
            Credentials::Empty => return Err(Refusal::InvalidToken(Rejection::Malformed)),
            Credentials::Malformed => return Err(Refusal::MalformedCredentials),
            Credentials::Bearer(token) => (Scheme::Bearer, token),
            Credentials::Dpop(token) => (Scheme::Dpop, token),
        };
        let mut at = self.clock.now();
        let claims = match self.verifier.recall(token.as_bytes(), at) {
            Ok(claims) => claims,
            Err(hashed) => {
                let token = token.text().ok_or(Refusal::MalformedCredentials)?;
                // Boxed, as all that happens to few requests: it would make the future of each one larger.
                let claims = Box::pin(self.verifier.verify_new(token, hashed, at)).await?;
                at = self.clock.now();
                claims
            }
        };
        Ok((Presented { scheme, token, at }, claims.under(&self.terms)))
    }

    /// What else the head tells, in order.
    async fn examine(
        &self,
        head: &Head<'_>,
        fields: &Fields<'_>,
        Presented { scheme, token, at }: Presented<'_>,
        claims: &Claims,
    ) -> Result<Good, Refusal> {
        let proof = self
            .dpop
            .check(scheme, token, claims, (head, fields), at)?
            .map(Box::new);
        if !self.revocations.surely_passes(claims) {
            let token = token.text().ok_or(Refusal::MalformedCredentials)?;
            Box::pin(self.check_revocation(claims, token)).await?;
        }
        self.terms
            .login
            .check(claims, at, self.skew)
            .map_err(Refusal::Login)?;
        let session = self.check_session(fields, claims)?;
        if !encoding::is_plain(fields, head.headers) {
            return Err(Refusal::Encoding);
        }
        let announced = fields
            .content_length
            .first()
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.max_body as u64) {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(Good { session, proof })
    }

    /// A session id is no credential: it only works with a token of the principal that began the session.
    fn check_session(&self, fields: &Fields<'_>, claims: &Claims) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(sessions) = &self.sessions else {
            return Ok(None);
        };
        match fields.session_id {
            // An event id is a handle to a stream. Without a session, nobody can tell whose.
            Field::Absent if fields.last_event_id.is_there() => Err(Refusal::ForeignSession),
            Field::Absent => Ok(None),
            Field::Once(id)
                if sessions.belongs_to(id.as_bytes(), Principal::of(claims), self.clock.now()) =>
            {
                Ok(Some(id.as_bytes().to_vec()))
            }
            Field::Once(_) | Field::Repeated(_) => Err(Refusal::ForeignSession),
        }
    }

    /// Everything that a refusal brings about: the answer, a line in the log, counts, audit.
    fn refuse(&self, refusal: &Refusal, scene: Scene<'_>) -> Answer {
        let error_id = self.error_ids.next();
        let answer = refusal.render(&self.terms, &error_id);
        refusal.log(answer.status(), &error_id, &self.uncheckable);
        let reason = refusal.reason();
        self.metrics.refuse(reason);
        if let Some(hook) = &self.audit {
            let verdict = Verdict::Refused {
                reason,
                error_id: &error_id,
                needed: match refusal {
                    Refusal::InsufficientScope { needed } => Some(needed),
                    _ => None,
                },
            };
            report(&**hook, self.clock.now(), scene, verdict);
        }
        answer
    }

    /// The same, for a page that may read the answer.
    pub(super) fn refuse_page(
        &self,
        refusal: &Refusal,
        scene: Scene<'_>,
        page: Option<HeaderValue>,
    ) -> Answer {
        let mut answer = self.refuse(refusal, scene);
        if let Some(origin) = page {
            origin::allow(answer.headers_mut(), origin);
        }
        answer
    }
}

fn preflight(origin: HeaderValue) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    origin::allow_preflight(answer.headers_mut(), origin);
    answer
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

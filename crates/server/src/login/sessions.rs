//! Signed-in browsers: a random cookie here, its digest in the store.

use doorward_jose::{base64url, sha256};
use doorward_store::{Actor, Digest, Session, StoreError, User};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::context::Context;
use crate::http::cookies::{Cookie, CookiePolicy};
use crate::http::error::PageError;
use crate::http::request::RequestInfo;

/// `amr` of a password (RFC 8176 §2).
const PASSWORD: &str = "pwd";

/// Who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    /// The session.
    pub(crate) session: Session,
    /// The person.
    pub(crate) user: User,
}

/// Who is signed in in the browser that sent these headers.
pub(crate) async fn current(ctx: &Context, headers: &HeaderMap) -> Result<Option<SignedIn>, PageError> {
    let Some(id) = id(ctx, headers)? else {
        return Ok(None);
    };
    let idle = ctx.settings.session.idle_ttl.duration();
    let found = ctx.store.session(&id, idle, ctx.now()).await?;
    Ok(found.map(|(session, user)| SignedIn { session, user }))
}

/// Signs a person in who has just proven who it is by password. The session is a new one, whatever the
/// browser sent, and the one before ends (session fixation). Returns the cookie to set.
pub(crate) async fn start(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
    user: &User,
) -> Result<HeaderValue, PageError> {
    let value = ctx.random.token("");
    let now = ctx.now();
    let lifetime = ctx.settings.session.absolute_ttl.duration();
    let session = Session {
        id: sha256(value.as_bytes()),
        user: user.id,
        authenticated_at: now,
        methods: vec![PASSWORD.to_owned()],
        last_seen_at: now,
        expires_at: now + lifetime,
    };
    let session_id = session.id;
    let acting = ctx.acting(info, Actor::Person(user.id));
    match acting.create_session(session, id(ctx, headers)?).await {
        // Disabled or removed since the password was checked.
        Err(StoreError::NotFound) => return Err(account_gone()),
        outcome => outcome?,
    }
    // A new password ends the sessions that are there. This one may have come just after, with the old password.
    let now_stored = ctx.store.user(user.id).await?.and_then(|user| user.password_hash);
    if now_stored != user.password_hash {
        acting.end_session(&session_id, now).await?;
        return Err(account_gone());
    }
    Ok(policy(ctx).set(Cookie::Session, &value, Some(lifetime)))
}

/// Signs the browser out. Returns the cookie to set.
pub(crate) async fn end(
    ctx: &Context,
    info: &RequestInfo,
    headers: &HeaderMap,
) -> Result<HeaderValue, PageError> {
    if let Some(id) = id(ctx, headers)? {
        // Whose session it was says the event itself.
        let by = current(ctx, headers).await?;
        let actor = by.map_or(Actor::Anyone, |signed_in| Actor::Person(signed_in.user.id));
        ctx.acting(info, actor).end_session(&id, ctx.now()).await?;
    }
    Ok(policy(ctx).clear(Cookie::Session))
}

fn account_gone() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "You cannot sign in",
        "Your account was changed while you signed in. Ask the operator of this server about it.",
    )
}

/// The digest of the session cookie. A value of another shape counts as absent.
fn id(ctx: &Context, headers: &HeaderMap) -> Result<Option<Digest>, PageError> {
    let value = policy(ctx).read(Cookie::Session, headers)?;
    let well_formed = |value: &String| base64url::decode(value).is_ok_and(|bytes| bytes.len() == 32);
    Ok(value.filter(well_formed).map(|value| sha256(value.as_bytes())))
}

fn policy(ctx: &Context) -> CookiePolicy {
    CookiePolicy::for_issuer(&ctx.issuer)
}

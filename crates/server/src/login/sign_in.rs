//! A sign-in with a password. An attempt that was counted is checked, and told, to its end, whatever becomes of the
//! connection; one that finds no room for its password's hash is given back.

use std::sync::Arc;

use doorward_store::{LoginThrottle, User};
use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use super::known_browser;
use super::passwords::{MAX_LENGTH, PasswordError};
use super::throttle::Attempt;
use crate::context::Context;
use crate::email::MAX_EMAIL;
use crate::http::NoRoom;
use crate::http::csrf::BrowserId;
use crate::http::error::PageError;
use crate::http::request::RequestInfo;

/// Why nobody can sign in to what is no account.
const NO_ACCOUNT: &str = "unknown_account";

pub(super) enum Outcome {
    SignedIn(User),
    Refused,
    Wait(u64),
}

/// Takes an attempt, then a place for the password's hash; checks the password, and gives the attempt back when it is right.
pub(super) async fn sign_in(
    ctx: &Arc<Context>,
    info: &RequestInfo,
    headers: &HeaderMap,
    browser: &BrowserId,
    email: &str,
    password: &str,
) -> Result<Outcome, PageError> {
    // Nobody's: not looked up, and nothing is counted or kept for it.
    if email.len() > MAX_EMAIL || password.len() > MAX_LENGTH {
        ctx.metrics.login("refused");
        ctx.audit.login_refused(info, None, NO_ACCOUNT);
        return Ok(Outcome::Refused);
    }
    let user = match email {
        "" => None,
        email => ctx.store.user_by_email(email).await?,
    };
    let known = known_browser::proof(ctx, headers, browser, user.as_ref())?;
    let counted = Counted {
        ctx: Arc::clone(ctx),
        info: info.clone(),
        attempt: Attempt::new(email, info.address, known.as_deref(), ctx.now()),
        is_known: known.is_some(),
        user,
        password: Zeroizing::new(password.to_owned()),
    };
    // Whoever hangs up ends the work on their request, and a wrong password would be in no list and no log.
    let task = ctx.sign_ins.spawn(counted.run());
    task.await
        .map_err(|error| PageError::internal(error.to_string()))?
}

/// What goes on by itself.
struct Counted {
    ctx: Arc<Context>,
    info: RequestInfo,
    attempt: Attempt,
    /// Whether the person signed in before in this browser.
    is_known: bool,
    user: Option<User>,
    password: Zeroizing<String>,
}

impl Counted {
    async fn run(self) -> Result<Outcome, PageError> {
        let Self {
            ctx,
            info,
            attempt,
            is_known,
            user,
            password,
        } = self;
        if let LoginThrottle::Wait(seconds) = attempt.begin(&ctx).await? {
            ctx.metrics.login("throttled");
            let account = user.as_ref().map(|user| user.id);
            ctx.audit.login_refused(&info, account, "throttled");
            return Ok(Outcome::Wait(seconds));
        }
        // After the attempt: who has to wait takes nobody's place. And nobody pays for a password that is not looked at.
        let Ok(place) = ctx.passwords.place(info.address, is_known) else {
            attempt.given_back(&ctx).await?;
            return Err(busy());
        };
        // A disabled person is checked like one who is not there: against nothing, in the same time.
        let account = user.as_ref().map(|user| (user.id, user.disabled));
        let user = user.filter(|user| !user.disabled);
        let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let is_right = match ctx.passwords.verify(place, &password, hash).await {
            Ok(is_right) => is_right,
            Err(PasswordError::TooShort | PasswordError::TooLong) => false,
            Err(PasswordError::Busy) => return Err(busy()),
            Err(error @ PasswordError::Failed(_)) => return Err(PageError::internal(error.to_string())),
        };
        let Some(user) = user.filter(|_| is_right) else {
            ctx.metrics.login("refused");
            let (account, why) = match account {
                Some((account, true)) => (Some(account), "disabled"),
                Some((account, false)) => (Some(account), "wrong_password"),
                None => (None, NO_ACCOUNT),
            };
            ctx.audit.login_refused(&info, account, why);
            tracing::info!(request_id = &*info.id, address = %info.address, "a sign-in was refused");
            return Ok(Outcome::Refused);
        };
        attempt.succeeded(&ctx).await?;
        ctx.metrics.login("ok");
        tracing::info!(request_id = &*info.id, user = %user.id.0, address = %info.address, "signed in");
        Ok(Outcome::SignedIn(user))
    }
}

fn busy() -> PageError {
    PageError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Not available right now",
        "Too many people are signing in. Try again in a moment.",
    )
    .with_internal(NoRoom::Password.to_string())
}

#[cfg(test)]
#[path = "sign_in_tests.rs"]
mod tests;

//! The admin key: a 256-bit secret that is stored hashed and shown once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use doorward_jose::{base64url, constant_time_eq, sha256};
use doorward_store::{Actor, AdminKey, Digest, SealedSecret, Store, StoreError};
use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::error::AdminError;
use crate::config::Settings;
use crate::context::Context;
use crate::http::request::{Mistaken, RequestInfo};
use crate::keys::{MasterKey, Secrets};
use crate::prefix;
use crate::random::Random;

/// What the audit list calls `admin.bootstrap_key`.
pub(super) const BOOTSTRAP: &str = "bootstrap";
/// The name of the key that is made and printed at the first start.
pub(super) const FIRST: &str = "first start";
/// What its keyed digests are for, and the beginning of their names.
const BOOTSTRAP_PURPOSE: &str = "admin.bootstrap_key";
/// Bytes of a digest that are a name.
const BOOTSTRAP_NAME: usize = 9;

const WRONG: AdminError = AdminError::Unauthenticated("a wrong admin key");

/// With a request: the digest of its key.
#[derive(Clone, Copy)]
pub(super) struct Shown(Digest);

/// An admin key that was just made: show it to the operator, it cannot be read again.
#[derive(Debug)]
pub struct AdminKeyOffer {
    id: Uuid,
    key: SecretString,
}

impl AdminKeyOffer {
    /// The key itself.
    pub fn expose(&self) -> &str {
        self.key.expose_secret()
    }
}

/// The text of an admin key.
pub(super) fn new_key(random: &dyn Random) -> String {
    random.token(prefix::ADMIN_KEY)
}

/// As [`AuthorizationServer::make_first_admin_key`](crate::AuthorizationServer::make_first_admin_key).
pub async fn make_first_key(ctx: &Context) -> Result<Option<AdminKeyOffer>, StoreError> {
    if ctx.settings.admin.bootstrap_key.is_some() {
        return Ok(None);
    }
    let text = new_key(ctx.random.as_ref());
    let key = AdminKey {
        digest: sha256(text.as_bytes()),
        name: FIRST.to_owned(),
        created_at: ctx.now(),
    };
    let added = ctx.as_system().add_admin_key(key.clone(), true).await?;
    Ok(added.then(|| AdminKeyOffer {
        id: key.id(),
        key: text.into(),
    }))
}

/// As [`AuthorizationServer::take_back`](crate::AuthorizationServer::take_back).
pub async fn take_back(ctx: &Context, key: &AdminKeyOffer) -> Result<(), StoreError> {
    ctx.as_system().delete_admin_key(key.id, true).await.map(drop)
}

/// Tells of an admin key by setting that this database has not seen before: planted, or another one. What is remembered of a
/// key is its name among the server's secrets, a keyed digest that says nothing of it; the line is that secret's own.
pub async fn tell_bootstrap_key(
    acting: &dyn Store,
    settings: &Settings,
    keeper: (&Secrets, &MasterKey),
    random: &dyn Random,
) -> Result<(), StoreError> {
    let Some(key) = &settings.admin.bootstrap_key else {
        return Ok(());
    };
    let (secrets, master) = keeper;
    let mac = secrets.mac(BOOTSTRAP_PURPOSE, &[key.expose_secret().as_bytes()]);
    let name = format!(
        "{BOOTSTRAP_PURPOSE}:{}",
        base64url::encode(&mac[..BOOTSTRAP_NAME])
    );
    let nothing = SealedSecret(master.seal(random, &name, &[]));
    acting.secret(&name, nothing).await.map(drop)
}

/// Lets a request pass that carries an admin key.
pub(super) async fn require_admin_key(
    State(ctx): State<Arc<Context>>,
    info: RequestInfo,
    mut request: Request,
    next: Next,
) -> Result<Response, AdminError> {
    let digest = presented(request.headers())
        .map(|key| sha256(key.as_bytes()))
        .ok_or(AdminError::Unauthenticated("no admin key"))?;
    let Some(name) = name_of(&ctx, &digest).await? else {
        info.note_mistaken(Mistaken::Operator);
        return Err(WRONG);
    };
    request.extensions_mut().insert(Shown(digest));
    let actor = Actor::AdminKey(name);
    info.note_actor(actor.clone());
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

/// Whether the key that a request has shown is one still.
pub(super) async fn still_counts(ctx: &Context, shown: Option<Shown>) -> Result<(), AdminError> {
    let Some(Shown(digest)) = shown else {
        return Err(AdminError::Unauthenticated("no admin key was looked at"));
    };
    name_of(ctx, &digest).await?.map(drop).ok_or(WRONG)
}

/// What the audit list calls the holder of a key, if it is one.
async fn name_of(ctx: &Context, digest: &Digest) -> Result<Option<String>, StoreError> {
    if is_bootstrap_key(ctx, digest) {
        return Ok(Some(BOOTSTRAP.to_owned()));
    }
    Ok(ctx.store.admin_key(digest).await?.map(|key| key.name))
}

/// The key of exactly one `Authorization: Bearer` header.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer")).then_some(key)
}

fn is_bootstrap_key(ctx: &Context, digest: &Digest) -> bool {
    let key = ctx.settings.admin.bootstrap_key.as_ref();
    key.is_some_and(|key| constant_time_eq(&sha256(key.expose_secret().as_bytes()), digest))
}

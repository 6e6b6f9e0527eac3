//! Whom an issuer means.

use doorward_oauth::bearer::Person;
use doorward_oauth::client::is_invisible;
use doorward_store::{LinkedSubject, Store, StoreError, User, UserId};

use super::NOT_TAKEN;
use crate::context::Context;
use crate::email::is_address;
use crate::http::error::TokenError;
use crate::names::is_name;
use crate::token::unusable;
use crate::trust::Trusted;

/// Whom the issuer means: by its own name and subject, never by the e-mail address.
pub(in crate::token) async fn person(
    ctx: &Context,
    acting: &dyn Store,
    trusted: &Trusted,
    about: &Person,
) -> Result<User, TokenError> {
    let (slug, subject) = (&trusted.issuer.slug, &trusted.assertion.subject);
    if let Some(user) = linked(ctx, slug, subject).await? {
        return enabled(user);
    }
    if !trusted.terms.provision {
        return Err(unusable(NOT_TAKEN, "the subject is linked to nobody"));
    }
    let now = ctx.now();
    let id = UserId(ctx.random.uuid_v4());
    let email = about
        .email
        .clone()
        .filter(|email| about.email_verified != Some(false) && is_address(email));
    let email = email.unwrap_or_else(|| format!("{}@{slug}.invalid", id.0));
    let name = about.name.as_deref().and_then(shown);
    let user = User {
        id,
        name: name.unwrap_or_else(|| email.clone()),
        email,
        password_hash: None,
        disabled: false,
        created_at: now,
        updated_at: now,
    };
    let link = LinkedSubject {
        trusted_issuer: slug.clone(),
        subject: subject.clone(),
        user: id,
        created_at: now,
    };
    match acting.link_subject(link, Some(user.clone())).await {
        Ok(()) => {
            tracing::info!(user = %id.0, trusted_issuer = slug, "added a person on an issuer's word");
            Ok(user)
        }
        // Another request was faster; or somebody here has the address, which proves nothing.
        Err(StoreError::Conflict) => match linked(ctx, slug, subject).await? {
            Some(user) => enabled(user),
            None => Err(unusable(
                NOT_TAKEN,
                "the subject is linked to nobody, and somebody else has its e-mail address: link it by hand",
            )),
        },
        Err(StoreError::NotFound) => Err(unusable(NOT_TAKEN, "the issuer has been removed")),
        Err(error) => Err(error.into()),
    }
}

/// The name as people see it, if that is one.
fn shown(name: &str) -> Option<String> {
    let visible: String = name.chars().filter(|c| !is_invisible(*c)).collect();
    is_name(&visible).then_some(visible)
}

async fn linked(ctx: &Context, slug: &str, subject: &str) -> Result<Option<User>, TokenError> {
    let Some(link) = ctx.store.linked_subject(slug, subject).await? else {
        return Ok(None);
    };
    Ok(ctx.store.user(link.user).await?)
}

fn enabled(user: User) -> Result<User, TokenError> {
    if user.disabled {
        return Err(unusable(NOT_TAKEN, "the person is disabled"));
    }
    Ok(user)
}

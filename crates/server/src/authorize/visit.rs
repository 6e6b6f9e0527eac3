//! A pending request on one of our pages, opened from its handle. The handle alone says what is asked for:
//! nothing else in a query or form is looked at.

use std::sync::Arc;

use doorward_oauth::parameters::Parameters;
use http::{HeaderMap, StatusCode};

use super::approval::client_gone;
use super::browser::Browser;
use super::pending::Pending;
use crate::clients::Client;
use crate::context::Context;
use crate::http::csrf::BrowserId;
use crate::http::error::PageError;
use crate::http::request::RequestInfo;
use crate::login::sessions::{self, SignedIn};
use crate::resources::Targets;

/// A pending request, in the browser that brought it.
pub(crate) struct Visit<'a> {
    /// The handle, as it came.
    pub(crate) handle: &'a str,
    /// The browser.
    pub(crate) browser: BrowserId,
    /// The request.
    pub(crate) pending: Pending,
    /// The client, as it is now.
    pub(crate) client: Arc<Client>,
}

impl<'a> Visit<'a> {
    /// Opens the handle in the parameter `request`.
    pub(crate) async fn new(
        ctx: &Context,
        info: &RequestInfo,
        headers: &HeaderMap,
        parameters: &'a Parameters,
    ) -> Result<Self, PageError> {
        let handle = parameters.get("request")?.unwrap_or_default();
        let (browser, pending) = Browser::open(ctx, headers, handle)?;
        info.note_client(&pending.request.client_id);
        let client = unchanged_client(ctx, info, &pending).await?;
        Ok(Self {
            handle,
            browser,
            pending,
            client,
        })
    }

    /// Who is signed in, if that is recent enough for this request.
    pub(crate) async fn signed_in(
        &self,
        ctx: &Context,
        headers: &HeaderMap,
    ) -> Result<Option<SignedIn>, PageError> {
        let signed_in = sessions::current(ctx, headers).await?;
        Ok(signed_in.filter(|signed_in| self.pending.accepts(&signed_in.session)))
    }

    /// The resources of the request.
    pub(crate) async fn targets(&self, ctx: &Context) -> Result<Targets, PageError> {
        let request = &self.pending.request;
        let uris = std::iter::once(&request.resource).chain(&request.more_resources);
        ctx.resources.named(uris).await?.ok_or_else(resource_gone)
    }
}

/// The client as it is now: the request of one that has changed since is not decided.
async fn unchanged_client(
    ctx: &Context,
    info: &RequestInfo,
    pending: &Pending,
) -> Result<Arc<Client>, PageError> {
    let request = &pending.request;
    let client = ctx.clients.resolve(&request.client_id, info.address).await?;
    let is_same = client.fingerprint == pending.fingerprint
        && request
            .redirect_uri()
            .is_none_or(|redirect_uri| client.metadata.redirect_uri(redirect_uri).is_some());
    if is_same { Ok(client) } else { Err(client_gone()) }
}

/// What the person allowed before was forgotten while the request passed on it.
pub(crate) fn consent_gone() -> PageError {
    PageError::new(
        StatusCode::BAD_REQUEST,
        "Nothing was allowed",
        "What you allowed this application before was taken back a moment ago. Begin again in the application, and you are asked.",
    )
}

/// The resource was removed while the person decided.
pub(crate) fn resource_gone() -> PageError {
    PageError::new(
        StatusCode::BAD_REQUEST,
        "This server is gone",
        "The operator removed what the application wants to connect to. Nothing was allowed.",
    )
}

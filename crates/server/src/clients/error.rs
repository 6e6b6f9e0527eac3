use std::borrow::Cow;

use axum::http::StatusCode;
use doorward_fetch::FetchError;
use doorward_oauth::error::{ErrorCode, OAuthError};
use doorward_store::StoreError;

use crate::http::NoRoom;
use crate::http::error::PageError;

/// Why a `client_id` names no client that can be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody registered it.
    #[error("the client is unknown")]
    Unknown,
    /// An operator disabled it.
    #[error("the client is disabled")]
    Disabled,
    /// It is a URL that cannot name a metadata document.
    #[error("the client_id URL cannot be used: {0}")]
    UnusableUrl(&'static str),
    /// The metadata document could not be fetched.
    #[error("the metadata document could not be fetched: {0}")]
    DocumentUnreachable(FetchError),
    /// The metadata document does not describe a client that can be served.
    #[error("the metadata document is invalid: {0}")]
    InvalidDocument(Cow<'static, str>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored does not decode.
    #[error("the client's record cannot be read: {0}")]
    UnreadableRecord(String),
}

impl ClientError {
    /// Whether the client's owner took the document away, rather than that it cannot be fetched now.
    pub(super) fn is_withdrawal(&self) -> bool {
        match self {
            Self::DocumentUnreachable(error) => matches!(error, FetchError::Status(404 | 410)),
            _ => true,
        }
    }

    /// The sentence for the person or developer in front of the client. One and the same for everything that can
    /// go wrong on the network: differences would show a stranger what answers in there. That nobody was asked shows nothing.
    pub(crate) fn sentence(&self) -> Cow<'static, str> {
        match self {
            Self::Unknown => "This application is not registered here. Remove the connection in the application and connect again.".into(),
            Self::Disabled => "This application has been disabled by the operator of this server; ask them to enable it.".into(),
            Self::UnusableUrl(reason) => format!("The client_id is a URL that cannot be used: {reason}").into(),
            Self::DocumentUnreachable(FetchError::NotAdmitted) => {
                "Too many applications that this server has to look up first were named from your network. Wait a minute and connect again.".into()
            }
            Self::DocumentUnreachable(FetchError::Busy) => "This server looks up too many applications at the moment; try again in a moment.".into(),
            Self::DocumentUnreachable(_) => {
                "The client metadata document could not be fetched from the client_id URL; it must be public JSON, answered directly with status 200, of at most 5 KiB.".into()
            }
            Self::InvalidDocument(reason) => format!("The client metadata document is invalid: {reason}").into(),
            Self::Store(_) | Self::UnreadableRecord(_) => "The server could not look up the application; try again in a moment.".into(),
        }
    }
}

/// A page, never a redirect: nothing is known about where to redirect to (RFC 6749 §4.1.2.1).
impl From<ClientError> for PageError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Store(store) => store.into(),
            ClientError::UnreadableRecord(_) => Self::internal(error.to_string()),
            ClientError::DocumentUnreachable(FetchError::NotAdmitted) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                error.sentence(),
            )
            .with_internal(error.to_string()),
            ClientError::DocumentUnreachable(FetchError::Busy) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available right now",
                error.sentence(),
            )
            .with_internal(NoRoom::Fetch.to_string()),
            error => {
                let mut page = Self::from(
                    OAuthError::new(ErrorCode::InvalidClient, error.sentence()).with_internal(error),
                );
                page.status = StatusCode::BAD_REQUEST;
                page.title = "This application cannot be used".into();
                page
            }
        }
    }
}

//! The feed of revocations, which the client opens and others read.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::endpoints::Endpoint;
use super::error::ClientError;
use super::form::Form;
use super::{ClientAuth, OAuthClient};
use crate::fetch::{ByteStream, StreamRequest};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl OAuthClient {
    /// How the client authenticates.
    pub(crate) fn auth(&self) -> Option<&ClientAuth> {
        self.0.auth.as_ref()
    }

    /// Opens the feed behind `cursor`. Neither the breaker nor a timeout: whoever follows it paces itself.
    pub(crate) async fn revocation_events(&self, cursor: Option<&str>) -> Result<ByteStream, ClientError> {
        let url = self.0.endpoints.url(Endpoint::RevocationEvents).await?;
        let auth = self.0.auth.as_ref().ok_or(ClientError::Request(
            "the feed of revocations needs `client_auth`",
        ))?;
        let (mut form, mut headers) = (Form::default(), Vec::new());
        if let Some(header) = auth.header()? {
            headers.push((AUTHORIZATION, header));
        } else {
            let now = self.0.clock.now();
            auth.apply(&self.0.issuer, now, &mut form, &mut headers).await?;
        }
        if let Some(cursor) = cursor.and_then(|cursor| HeaderValue::from_str(cursor).ok()) {
            headers.push((LAST_EVENT_ID, cursor));
        }
        let request = StreamRequest {
            url: &url,
            headers,
            form: Some(form.as_str()).filter(|form| !form.is_empty()),
        };
        self.0
            .fetch
            .get_stream(request)
            .await
            .map_err(ClientError::Transport)
    }
}

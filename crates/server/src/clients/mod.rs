//! Who is asking: one way to resolve a `client_id`, to register a client, and to authenticate it.

mod assertion;
pub(crate) mod authentication;
mod basic;
mod cimd;
mod directory;
mod error;
pub(crate) mod keys;

pub(crate) mod registration;
pub(crate) mod secret;
pub(crate) mod spending;

use doorward_oauth::client::{EffectiveClient, consent_fingerprint};
use doorward_oauth::time::UnixSeconds;
use doorward_store::{ClientSecret, ClientSource};

pub(crate) use directory::{Directory, Fetchers};
pub(crate) use error::ClientError;

/// A client as the handlers see it, wherever it comes from.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "client_id is the standard's own name")]
pub(crate) struct Client {
    /// As the client sends it, byte for byte.
    pub(crate) client_id: String,
    /// How it became known.
    pub(crate) source: ClientSource,
    /// Its metadata, checked, with every default filled in.
    pub(crate) metadata: EffectiveClient,
    /// Changes when what a person agreed to changes: redirect URIs, keys, name.
    pub(crate) fingerprint: String,
    /// The slug of the resource that this client is.
    pub(crate) resource_server: Option<String>,
    secrets: Vec<ClientSecret>,
}

impl Client {
    /// The client that a metadata document describes.
    fn from_document(client_id: &str, metadata: EffectiveClient) -> Self {
        Self {
            client_id: client_id.to_owned(),
            source: ClientSource::MetadataDocument,
            fingerprint: consent_fingerprint(&metadata),
            metadata,
            resource_server: None,
            secrets: Vec::new(),
        }
    }

    /// The client of a record, whether disabled or not.
    fn from_record(record: doorward_store::Client) -> Result<Self, ClientError> {
        let metadata: EffectiveClient = serde_json::from_str(&record.metadata)
            .map_err(|error| ClientError::UnreadableRecord(error.to_string()))?;
        Ok(Self {
            client_id: record.client_id,
            source: record.source,
            metadata,
            fingerprint: record.fingerprint,
            resource_server: record.resource_server,
            secrets: record.secrets,
        })
    }

    /// The snapshot to keep with a person's approval; `None` for clients that are on record anyway.
    pub(crate) fn snapshot(&self, now: UnixSeconds) -> Option<doorward_store::Client> {
        if self.source != ClientSource::MetadataDocument {
            return None;
        }
        Some(doorward_store::Client {
            client_id: self.client_id.clone(),
            source: self.source,
            metadata: serde_json::to_string(&self.metadata).ok()?,
            secrets: Vec::new(),
            fingerprint: self.fingerprint.clone(),
            resource_server: None,
            registration_token: None,
            disabled: false,
            created_at: now,
            updated_at: now,
        })
    }

    /// What to call it on a page. Says nothing about who it is: show [`Client::host`] or the redirect host besides.
    pub(crate) fn display_name(&self) -> &str {
        self.metadata.client_name.as_deref().unwrap_or(&self.client_id)
    }

    /// The host that vouches for the client: where its metadata document is. `None` for other clients.
    pub(crate) fn host(&self) -> Option<String> {
        if self.source != ClientSource::MetadataDocument {
            return None;
        }
        let url = url::Url::parse(&self.client_id).ok()?;
        let host = url.host_str()?;
        Some(
            url.port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        )
    }
}

#[cfg(test)]
mod tests;

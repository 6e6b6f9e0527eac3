//! Clients that register themselves.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use crate::{Client, ClientSecret, ClientSource};

/// How often it is written down that a client registered again.
const TOUCH_EVERY: Duration = Duration::from_hours(24);

/// Where a client stands.
pub(crate) struct Standing {
    pub(crate) disabled: bool,
    pub(crate) fingerprint: String,
}

impl Standing {
    /// Whether it works, and is the one with this fingerprint.
    pub(crate) fn is(&self, fingerprint: &str) -> bool {
        !self.disabled && self.fingerprint == fingerprint
    }
}

/// Whether a snapshot says something new about a metadata-document client.
pub(crate) fn is_news(stored: Option<&Client>, snapshot: &Client) -> bool {
    stored.is_none_or(|stored| {
        stored.source == ClientSource::MetadataDocument
            && (stored.metadata != snapshot.metadata || stored.fingerprint != snapshot.fingerprint)
    })
}

/// Whether registering again is written down.
pub(crate) fn is_touched(stored: &Client, now: UnixSeconds) -> bool {
    stored.source == ClientSource::Dynamic && now.since(stored.updated_at) >= TOUCH_EVERY
}

/// The client with its own changes to its registration, and nothing that an operator changed in the meantime undone.
pub(crate) fn keeping(before: &Client, changed: &Client) -> Client {
    Client {
        source: before.source,
        secrets: secrets(changed, before),
        resource_server: before.resource_server.clone(),
        created_at: before.created_at,
        ..changed.clone()
    }
}

/// The client with an operator's changes, and nothing undone that the client, which manages its registration, changed in the
/// meantime.
pub(crate) fn by_operator(before: &Client, changed: &Client) -> Client {
    if before.registration_token.is_none() {
        return changed.clone();
    }
    Client {
        metadata: before.metadata.clone(),
        secrets: secrets(before, changed),
        fingerprint: before.fingerprint.clone(),
        registration_token: before.registration_token,
        ..changed.clone()
    }
}

/// Of a client as it wants to be, and as an operator does: operators alone rotate secrets; the client gives them up, or gets its
/// first one.
fn secrets(by_itself: &Client, by_operator: &Client) -> Vec<ClientSecret> {
    let is_its_own = by_itself.secrets.is_empty() || by_operator.secrets.is_empty();
    let whose = if is_its_own { by_itself } else { by_operator };
    whose.secrets.clone()
}

//! Clients that register themselves.

use std::time::Duration;

use doorward_oauth::time::UnixSeconds;

use super::pages::rows_to_fetch;
use crate::{Client, ClientFilter, ClientSecret, ClientSource, PageRequest};

/// How often it is written down that a client registered again.
const TOUCH_EVERY: Duration = Duration::from_hours(24);

/// A page of clients that is looked for some clients at a time, since what is searched for stands in their metadata, of which
/// the database knows nothing.
pub(crate) struct Search {
    text: Option<String>,
    /// One more than the page shows.
    wanted: usize,
    /// Behind which client to go on; `None` when there is nothing more to look at.
    after: Option<String>,
    found: Vec<Client>,
}

impl Search {
    /// Clients that are looked at in one go when not each of them is one that is looked for.
    const STEP: u32 = 500;

    pub(crate) fn new(filter: &ClientFilter, page: &PageRequest) -> Self {
        Self {
            text: filter.search.as_deref().map(str::to_lowercase),
            wanted: rows_to_fetch(page) as usize,
            after: Some(page.after.clone().unwrap_or_default()),
            found: Vec::new(),
        }
    }

    /// Behind which client to read on, and how many.
    pub(crate) fn next_step(&self) -> Option<(&str, u32)> {
        let after = self.after.as_deref()?;
        Some((after, self.step()))
    }

    fn step(&self) -> u32 {
        if self.text.is_some() {
            Self::STEP
        } else {
            u32::try_from(self.wanted).unwrap_or(Self::STEP)
        }
    }

    /// What was read.
    pub(crate) fn take(&mut self, clients: Vec<Client>) {
        let is_last = clients.len() < self.step() as usize;
        let last = clients.last().map(|client| client.client_id.clone());
        let text = self.text.as_deref();
        let matching = clients
            .into_iter()
            .filter(|client| text.is_none_or(|text| has(client, text)));
        let room = self.wanted - self.found.len();
        self.found.extend(matching.take(room));
        let is_full = self.found.len() == self.wanted;
        self.after = last.filter(|_| !is_last && !is_full);
    }

    /// In their order; one more than the page shows when there is a next one.
    pub(crate) fn into_found(self) -> Vec<Client> {
        self.found
    }
}

/// Whether the client's id or name has this in it, whatever the case. `text` is in lower case.
fn has(client: &Client, text: &str) -> bool {
    let metadata: serde_json::Value = serde_json::from_str(&client.metadata).unwrap_or_default();
    let name = metadata["client_name"].as_str().unwrap_or_default();
    client.client_id.to_lowercase().contains(text) || name.to_lowercase().contains(text)
}

/// Whether it is there to ask about the tokens of the resource that it is, and for nothing else.
pub(crate) fn only_introspects(client: &Client) -> bool {
    let metadata: serde_json::Value = serde_json::from_str(&client.metadata).unwrap_or_default();
    let grant_types = metadata["grant_types"].as_array();
    client.resource_server.is_some() && grant_types.is_some_and(Vec::is_empty)
}

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

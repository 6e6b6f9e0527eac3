//! `FetchSettings`: how the authorization server is reached.

use std::time::Duration;

use doorward_guard::client::OAuthClientBuilder;
use doorward_guard::{GuardBuilder, Timeouts};
use pyo3::prelude::*;

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Network {
    dev_mode: bool,
    timeout: Option<f64>,
    ca_certificates: Option<String>,
    proxy: Option<String>,
}

impl Network {
    fn timeouts(&self) -> Option<Timeouts> {
        let time = Duration::try_from_secs_f64(self.timeout?).ok()?;
        Some(Timeouts::both(time))
    }

    pub(crate) fn apply(self, mut builder: GuardBuilder) -> GuardBuilder {
        builder = builder.dev_mode(self.dev_mode);
        if let Some(timeouts) = self.timeouts() {
            builder = builder.timeouts(timeouts);
        }
        if let Some(pem) = self.ca_certificates {
            builder = builder.root_certificates(pem);
        }
        match self.proxy {
            Some(url) => builder.proxy(url),
            None => builder,
        }
    }

    pub(crate) fn apply_to_client(self, mut builder: OAuthClientBuilder) -> OAuthClientBuilder {
        builder = builder.dev_mode(self.dev_mode);
        if let Some(timeouts) = self.timeouts() {
            builder = builder.timeouts(timeouts);
        }
        if let Some(pem) = self.ca_certificates {
            builder = builder.root_certificates(pem);
        }
        match self.proxy {
            Some(url) => builder.proxy(url),
            None => builder,
        }
    }
}

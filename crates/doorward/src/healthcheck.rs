//! `doorward healthcheck`: for containers and service managers.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::HealthcheckArguments;
use crate::{http_client, out};

/// Exits 0 if the server answers that it is ready.
pub async fn run(arguments: HealthcheckArguments) -> anyhow::Result<ExitCode> {
    let Some(url) = http_client::base(&arguments.url) else {
        anyhow::bail!(
            "the server's address must begin with http:// or https://, as in http://127.0.0.1:9000 (--url)"
        );
    };
    let url = format!("{url}/readyz");
    let answer = http_client::build()?.get(&url).send().await;
    let response = answer.map_err(reqwest::Error::without_url).with_context(|| {
        format!("{url} does not answer; is the server running, and is this its address (--url)?")
    })?;
    let status = response.status();
    if status.is_success() {
        out::line("ready");
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!(
        "{url} answered {status}: {}",
        response.text().await.unwrap_or_default().trim()
    )
}

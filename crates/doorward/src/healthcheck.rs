//! `doorward healthcheck`: for containers and service managers.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use crate::cli::HealthcheckArguments;
use crate::{http_client, out};

/// What a server says that is.
const READY: &str = "ready";

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
    let answer = response.text().await.unwrap_or_default();
    if status.is_success() {
        anyhow::ensure!(
            answer.trim_end() == READY,
            "{url} answered {status} and not `{READY}`: it is no server of Doorward; is this its address (--url)?"
        );
        out::line(READY);
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!("{url} answered {status}: {}", reason(&answer))
}

/// The sentence of an answer that is one of ours; of another one everything.
fn reason(answer: &str) -> String {
    let ours = serde_json::from_str::<Value>(answer).ok();
    let sentence = ours
        .as_ref()
        .and_then(|answer| answer["error_description"].as_str());
    sentence.unwrap_or(answer).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_sentence_of_the_server_or_what_another_one_says() {
        let ours =
            r#"{"error":"temporarily_unavailable","error_description":"The server ends.","error_id":"0"}"#;
        for (answer, said) in [
            (ours, "The server ends."),
            ("bad gateway\n", "bad gateway"),
            ("{}", "{}"),
        ] {
            assert_eq!(reason(answer), said);
        }
    }
}

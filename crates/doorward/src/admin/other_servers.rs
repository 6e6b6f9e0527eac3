//! What `trusted-issuer` and `assertion-audience` have in common: both speak of another server, on terms.

use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, path};
use super::failure::Failure;

/// Disables or enables the record `slug` (or of this id) below `base`.
pub async fn set_disabled(api: &Api, base: &str, slug: &str, disabled: bool) -> anyhow::Result<Value> {
    let body = json!({"disabled": disabled});
    api.call(Method::PATCH, &path(base, slug), Some(&body)).await
}

/// Names of clients here and elsewhere. A `client_id` can be a URL with a query: its other name follows the last sign.
pub fn names(option: &str, pairs: Vec<String>) -> anyhow::Result<Value> {
    let mut names = serde_json::Map::new();
    for pair in pairs {
        let (here, there) = pair
            .rsplit_once('=')
            .ok_or_else(|| Failure::usage(format!("a {option} is written CLIENT_ID_HERE=CLIENT_ID_THERE")))?;
        names.insert(here.to_owned(), there.into());
    }
    Ok(names.into())
}

/// A rule is an object; what is in it, the server checks.
pub fn rule(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(rule @ Value::Object(_)) => Ok(rule),
        Ok(_) => Err("a rule is a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

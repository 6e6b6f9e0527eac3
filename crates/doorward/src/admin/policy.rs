//! What an operator says about the tokens of a resource.

use clap::{Args, ValueEnum};
use doorward_server::config::Span;
use serde_json::{Map, Value, json};

/// What its tokens have to be, and what is in them.
#[derive(Args)]
pub struct Policy {
    /// Whether every token is bound to a `DPoP` key of its client.
    #[arg(long)]
    require_dpop: Option<bool>,
    /// A client that may get tokens of the resource in exchange for tokens of others, by `client_id`. May be repeated;
    /// replaces all. An empty one leaves none.
    #[arg(long = "exchange-client", value_name = "CLIENT_ID")]
    exchange_clients: Vec<String>,
    /// How long its access tokens are good, such as `10m`; `default` for `tokens.access_ttl`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    access_ttl: Option<Time>,
    /// How long its refresh tokens stay good unused, such as `7d`; `default` for `tokens.refresh_idle_ttl`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    refresh_idle_ttl: Option<Time>,
    /// How long its grants can be refreshed in all, such as `30d`; `default` for `tokens.refresh_absolute_ttl`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    refresh_absolute_ttl: Option<Time>,
    /// How long ago a person may have signed in who allows something, such as `1h`; `default` for any time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_auth_age: Option<Time>,
    /// What of the person goes into its tokens. May be repeated; replaces all.
    #[arg(long = "person-claim", value_enum, conflicts_with = "no_person_claims")]
    person_claims: Vec<PersonClaim>,
    /// Nothing of the person goes into its tokens any more.
    #[arg(long)]
    no_person_claims: bool,
    /// A claim that every token has, `name=value`; the value is JSON, or else a text. May be repeated; replaces all.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim, conflicts_with = "no_claims")]
    claims: Vec<(String, Value)>,
    /// No claims of the operator go into its tokens any more.
    #[arg(long)]
    no_claims: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum PersonClaim {
    /// The e-mail address.
    Email,
    /// The name.
    Name,
}

/// A time, or `None` for the server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time(Option<u64>);

impl Policy {
    /// What was said; nothing when nothing was.
    pub fn into_json(self) -> Option<Value> {
        let mut policy = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                policy.insert(name.to_owned(), value);
            }
        };
        put(
            "dpop_bound_access_tokens_required",
            self.require_dpop.map(Value::from),
        );
        let mut clients = self.exchange_clients;
        let said = !clients.is_empty();
        clients.retain(|client| !client.is_empty());
        put("exchange_clients", said.then(|| clients.into()));
        let time = |time: Option<Time>| time.map(|Time(seconds)| json!(seconds));
        put("access_ttl", time(self.access_ttl));
        put("refresh_idle_ttl", time(self.refresh_idle_ttl));
        put("refresh_absolute_ttl", time(self.refresh_absolute_ttl));
        put("max_auth_age", time(self.max_auth_age));
        let names = self.person_claims.iter().map(|claim| match claim {
            PersonClaim::Email => "email",
            PersonClaim::Name => "name",
        });
        let names: Vec<_> = names.collect();
        let said = self.no_person_claims || !names.is_empty();
        put("person_claims", said.then(|| names.into()));
        let said = self.no_claims || !self.claims.is_empty();
        put(
            "claims",
            said.then(|| Value::Object(self.claims.into_iter().collect())),
        );
        (!policy.is_empty()).then_some(Value::Object(policy))
    }
}

fn time(text: &str) -> Result<Time, String> {
    if text == "default" {
        return Ok(Time(None));
    }
    let span: Span = text
        .parse()
        .map_err(|_| "expected a time such as `90s`, `15m`, `12h` or `30d`, or `default`".to_owned())?;
    Ok(Time(Some(span.duration().as_secs())))
}

/// `name=value`.
fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("expected `name=value`")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_the_settings() {
        assert_eq!(time("15m"), Ok(Time(Some(900))));
        assert_eq!(time("default"), Ok(Time(None)));
        assert!(time("900").is_err() && time("soon").is_err());
    }

    #[test]
    fn a_claim_is_json_or_else_a_text() {
        assert_eq!(claim("tier=2"), Ok(("tier".to_owned(), json!(2))));
        assert_eq!(claim("tenant=north"), Ok(("tenant".to_owned(), json!("north"))));
        assert_eq!(claim("note=a=b"), Ok(("note".to_owned(), json!("a=b"))));
        assert!(claim("tier").is_err() && claim("=x").is_err());
    }
}

//! What the environment says.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, bail};
use axum::http::Uri;
use doorward_guard::DpopPolicy;

/// Where the server runs and whom it trusts.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `DOORWARD_ISSUER`: the authorization server. Default: `http://localhost:9000`.
    pub(crate) issuer: String,
    /// `DOORWARD_BASE_URL` with `/mcp`: the public URL of the MCP server. Default: `http://localhost:{PORT}/mcp`.
    pub(crate) resource: String,
    /// The host of the public URL, as clients send it in `Host`.
    pub(crate) host: String,
    /// `DOORWARD_SCOPES`: needed by every request, separated by spaces or commas. Default: `mcp:read`.
    pub(crate) scopes: Vec<String>,
    /// `DOORWARD_DPOP`: `off` (the default), `accept` or `require` tokens that are bound to a key of the client.
    pub(crate) dpop: DpopPolicy,
    /// `PORT` (default 8080), on loopback if the public URL is.
    pub(crate) listen: SocketAddr,
}

impl Settings {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        Self::read(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let port = variable("PORT").unwrap_or_else(|| "8080".to_owned());
        let port: u16 = port
            .parse()
            .with_context(|| format!("PORT must be a port number, not `{port}`"))?;
        let base_url = variable("DOORWARD_BASE_URL").unwrap_or_else(|| format!("http://localhost:{port}"));
        let base_url = base_url.trim_end_matches('/');
        let host = base_url
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.host().map(str::to_owned));
        let host = host.with_context(|| format!("DOORWARD_BASE_URL must be a URL, not `{base_url}`"))?;
        let dpop = match variable("DOORWARD_DPOP").as_deref() {
            None | Some("off") => DpopPolicy::Off,
            Some("accept") => DpopPolicy::Accept,
            Some("require") => DpopPolicy::Require,
            Some(other) => bail!("DOORWARD_DPOP must be `off`, `accept` or `require`, not `{other}`"),
        };
        let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str());
        let address = if loopback {
            Ipv4Addr::LOCALHOST
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        let scopes = variable("DOORWARD_SCOPES").unwrap_or_else(|| "mcp:read".to_owned());
        Ok(Self {
            issuer: variable("DOORWARD_ISSUER").unwrap_or_else(|| "http://localhost:9000".to_owned()),
            resource: format!("{base_url}/mcp"),
            host,
            scopes: scopes
                .split([' ', ','])
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect(),
            dpop,
            listen: SocketAddr::new(IpAddr::V4(address), port),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn everything_has_a_default() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.issuer, "http://localhost:9000");
        assert_eq!(settings.resource, "http://localhost:8080/mcp");
        assert_eq!(settings.scopes, ["mcp:read"]);
        assert_eq!(settings.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
    }

    #[test]
    fn a_public_server_listens_everywhere() {
        let settings = read(&[
            ("PORT", "80"),
            ("DOORWARD_BASE_URL", "https://mcp.example/"),
            ("DOORWARD_SCOPES", "a, b"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(
            (settings.resource.as_str(), settings.host.as_str()),
            ("https://mcp.example/mcp", "mcp.example")
        );
        assert_eq!(settings.scopes, ["a", "b"]);
        assert_eq!(settings.listen, SocketAddr::from(([0, 0, 0, 0], 80)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        for (name, value) in [
            ("PORT", "x"),
            ("DOORWARD_BASE_URL", "/mcp"),
            ("DOORWARD_DPOP", "on"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn bound_tokens_are_off_accepted_or_required() {
        assert_eq!(read(&[]).unwrap().dpop, DpopPolicy::Off);
        for (value, policy) in [
            ("off", DpopPolicy::Off),
            ("accept", DpopPolicy::Accept),
            ("require", DpopPolicy::Require),
        ] {
            assert_eq!(read(&[("DOORWARD_DPOP", value)]).unwrap().dpop, policy);
        }
    }
}

//! What the routers serve, as the reference page shows it. `tests/endpoints.rs` compares this table with the
//! routers, path by path and method by method.

use super::{
    AUTHORIZE, CONSENT, DEVICE, DEVICE_AUTHORIZATION, INTROSPECT, JWKS, LOGIN, LOGOUT,
    ONE_RESOURCES_METADATA, OPENID_METADATA, PAR, REGISTER, REGISTRATION, RESOURCE_METADATA,
    REVOCATION_EVENTS, REVOKE, SERVER_METADATA, TOKEN,
};

/// Who calls an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Programs: clients and resource servers, from any origin that `cors.allowed_origins` names.
    Programs,
    /// People, in a browser.
    People,
    /// Operators and their monitoring.
    Operators,
}

impl Audience {
    /// A word for the reference page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::People => "people",
            Self::Operators => "operators",
        }
    }
}

/// One path and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The methods, without `HEAD`, which comes with `GET`.
    pub methods: &'static [&'static str],
    /// The path, below the issuer's path where there is one.
    pub path: &'static str,
    /// Who calls it.
    pub audience: Audience,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The standard that defines it; empty when none does.
    pub standard: &'static str,
}

const fn endpoint(
    methods: &'static [&'static str],
    path: &'static str,
    audience: Audience,
    about: &'static str,
    standard: &'static str,
) -> Endpoint {
    Endpoint {
        methods,
        path,
        audience,
        about,
        standard,
    }
}

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const GET_POST: &[&str] = &["GET", "POST"];

/// The public router. With an issuer that has a path, discovery is also at the path forms that the standards
/// prescribe, and all else is below that path.
pub fn public_endpoints() -> Vec<Endpoint> {
    let mut endpoints = discovery_endpoints();
    endpoints.extend(beginning_endpoints());
    endpoints.extend(oauth_endpoints());
    endpoints
}

fn discovery_endpoints() -> Vec<Endpoint> {
    use Audience::Programs;
    vec![
        endpoint(
            GET,
            SERVER_METADATA,
            Programs,
            "The server's metadata.",
            "RFC 8414",
        ),
        endpoint(
            GET,
            OPENID_METADATA,
            Programs,
            "The same document, for clients that look there.",
            "OpenID Connect Discovery",
        ),
        endpoint(
            GET,
            JWKS,
            Programs,
            "The public keys that verify access tokens.",
            "RFC 7517",
        ),
        endpoint(
            GET,
            RESOURCE_METADATA,
            Programs,
            "The metadata of the only registered resource.",
            "RFC 9728",
        ),
        endpoint(
            GET,
            ONE_RESOURCES_METADATA,
            Programs,
            "The metadata of a registered resource, by its path or its slug.",
            "RFC 9728",
        ),
    ]
}

/// Where something begins.
fn beginning_endpoints() -> Vec<Endpoint> {
    use Audience::{People, Programs};
    vec![
        endpoint(
            GET_POST,
            AUTHORIZE,
            People,
            "Where a client sends a person's browser.",
            "OAuth 2.1 §3.1, RFC 8707, RFC 9207",
        ),
        endpoint(
            POST,
            TOKEN,
            Programs,
            "Exchanges a code or a refresh token for an access token.",
            "OAuth 2.1 §3.2",
        ),
        endpoint(
            POST,
            PAR,
            Programs,
            "Takes an authorization request in advance.",
            "RFC 9126",
        ),
        endpoint(
            POST,
            DEVICE_AUTHORIZATION,
            Programs,
            "Gives a device the codes with which a person connects it elsewhere.",
            "RFC 8628",
        ),
        endpoint(
            GET_POST,
            DEVICE,
            People,
            "Where a person types the code of a device.",
            "RFC 8628",
        ),
        endpoint(POST, REGISTER, Programs, "Registers a client.", "RFC 7591"),
        endpoint(
            &["GET", "PUT", "DELETE"],
            REGISTRATION,
            Programs,
            "A client's own registration, with its registration access token.",
            "RFC 7592",
        ),
    ]
}

fn oauth_endpoints() -> Vec<Endpoint> {
    use Audience::{Operators, People, Programs};
    vec![
        endpoint(
            POST,
            REVOKE,
            Programs,
            "Revokes a refresh token with its grant, or one access token.",
            "RFC 7009",
        ),
        endpoint(
            POST,
            INTROSPECT,
            Programs,
            "Says whether a token works, to its client and its resource server.",
            "RFC 7662",
        ),
        endpoint(
            GET_POST,
            REVOCATION_EVENTS,
            Programs,
            "Tells resource servers what was revoked, as it happens. No CORS.",
            "[Revocation feed](revocation-feed.md)",
        ),
        endpoint(GET_POST, LOGIN, People, "The sign-in page.", ""),
        endpoint(
            GET_POST,
            CONSENT,
            People,
            "The page on which a person decides.",
            "",
        ),
        endpoint(
            GET_POST,
            LOGOUT,
            People,
            "Ends the browser's session; what was connected stays connected.",
            "",
        ),
        endpoint(
            GET,
            "/assets/{hash}/{file}",
            People,
            "The style sheet and the icon of the pages.",
            "",
        ),
        endpoint(
            GET,
            "/livez",
            Operators,
            "Answers while the process runs. Always at the root.",
            "",
        ),
        endpoint(
            GET,
            "/readyz",
            Operators,
            "Answers 200 when the store does, else 503. Always at the root.",
            "",
        ),
    ]
}

/// What the operators' router serves besides the admin API, which describes itself as an `OpenAPI` document.
pub fn admin_endpoints() -> Vec<Endpoint> {
    use Audience::Operators;
    vec![
        endpoint(GET, "/livez", Operators, "Answers while the process runs.", ""),
        endpoint(
            GET,
            "/readyz",
            Operators,
            "Answers 200 when the store does, else 503.",
            "",
        ),
        endpoint(
            GET,
            "/metrics",
            Operators,
            "Metrics, without an admin key.",
            "OpenMetrics 1.0",
        ),
        endpoint(
            GET,
            "/admin/openapi.json",
            Operators,
            "The OpenAPI document of the admin API.",
            "OpenAPI 3.1",
        ),
    ]
}

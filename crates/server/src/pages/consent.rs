//! Asking a person whether a client may act for them.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::{assets, display};

/// With more scopes than this, the buttons are far from what they are about, and it is said again.
const MANY_SCOPES: usize = 6;

/// The page that says who wants what, and asks.
#[derive(Debug, Clone, Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
    /// The sealed request being decided.
    pub(crate) request: String,
    /// The form's CSRF token.
    pub(crate) csrf_token: String,
    /// The name the client gives itself.
    pub(crate) client_name: String,
    /// Whether an operator vouches for the client. Everybody else names themselves.
    pub(crate) verified: bool,
    /// The host of a `client_id` that is a URL.
    pub(crate) client_host: Option<String>,
    /// Where the answer is sent: the redirect URI's host, or its scheme; empty when a device waits.
    pub(crate) redirect_host: String,
    /// Whether that is this computer.
    pub(crate) returns_to_this_device: bool,
    /// The device that waits.
    pub(crate) device: Option<ConsentDevice>,
    /// Whether the code can be carried to a client that this browser cannot reach.
    pub(crate) may_hand_over: bool,
    /// The MCP servers.
    pub(crate) resources: Vec<ConsentResource>,
    /// The e-mail address of the person who is signed in.
    pub(crate) account: String,
    /// What is asked for, in the order in which it is shown.
    pub(crate) scopes: Vec<ConsentScope>,
    /// What the person should know before saying yes.
    pub(crate) warning: Option<ConsentWarning>,
    /// What is wrong with the answer that was given.
    pub(crate) error: Option<&'static str>,
}

/// An MCP server.
#[derive(Debug, Clone)]
pub(crate) struct ConsentResource {
    /// Its name.
    pub(crate) name: String,
    /// Its URI.
    pub(crate) uri: String,
}

/// A device that waits (RFC 8628 §3.3).
#[derive(Debug, Clone)]
pub(crate) struct ConsentDevice {
    /// The code that it shows.
    pub(crate) user_code: String,
    /// The address that asked.
    pub(crate) address: String,
}

/// One thing that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct ConsentScope {
    /// The scope token.
    pub(crate) name: String,
    /// What it means, in the operator's words; empty when nobody described it.
    pub(crate) description: String,
    /// Whether it was granted before or is checked at first.
    pub(crate) checked: bool,
    /// Whether it was granted before.
    pub(crate) granted: bool,
}

impl ConsentScope {
    /// The words beside the box.
    fn words(&self) -> String {
        match (self.name.as_str(), self.description.is_empty()) {
            ("offline_access", true) => "Stay connected while you are away".to_owned(),
            (_, true) => display::name(&self.name),
            (_, false) => display::sentence(&self.description),
        }
    }
}

/// What a person should know about where the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsentWarning {
    /// The answer goes to this computer, where any program can listen: anybody could use the client's name (RFC 8252 §8.6;
    /// Client ID Metadata Documents, security considerations).
    Loopback,
    /// The answer goes to a private-use scheme, which any installed application could have claimed.
    PrivateUseScheme,
    /// Nobody but the client itself says who it is.
    Unverified,
    /// The answer goes to a device that this browser knows nothing about (RFC 8628 §5.4).
    Device,
}

impl ConsentWarning {
    const fn words(self) -> &'static str {
        match self {
            Self::Loopback => {
                "This application runs on your own computer, and any program there could use its name. \
                 Go on only if you have just started connecting it yourself."
            }
            Self::PrivateUseScheme => {
                "The answer goes to an application installed on this device. \
                 Go on only if you have just started connecting it yourself."
            }
            Self::Unverified => {
                "Nobody has checked this application, and it chose its name itself. Go on only if you have just started \
                 connecting it yourself, and know the address to which it returns you."
            }
            Self::Device => {
                "Another device asks for this. Go on only if it is yours, shows this code and you have just started it \
                 yourself: nobody who writes or calls you needs it."
            }
        }
    }
}

impl ConsentPage {
    /// The page as an answer. `redirect_uri` is the client's, to which the decision leads.
    pub(crate) fn render_response(&self, status: StatusCode, redirect_uri: Option<&str>) -> Response {
        super::respond(self, status, redirect_uri)
    }

    #[cfg(test)]
    pub(crate) fn of_device() -> Self {
        Self {
            redirect_host: String::new(),
            returns_to_this_device: false,
            device: Some(ConsentDevice {
                user_code: "BDFG-HJKL".to_owned(),
                address: "192.0.2.1".to_owned(),
            }),
            may_hand_over: false,
            warning: Some(ConsentWarning::Device),
            ..Self::sample()
        }
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        let scope = |name: &str, description: &str| ConsentScope {
            name: name.to_owned(),
            description: description.to_owned(),
            checked: true,
            granted: false,
        };
        Self {
            base: String::new(),
            request: "sealed-request".to_owned(),
            csrf_token: "csrf-token".to_owned(),
            client_name: "Example Editor".to_owned(),
            verified: false,
            client_host: Some("editor.example".to_owned()),
            redirect_host: "127.0.0.1:3333".to_owned(),
            returns_to_this_device: true,
            device: None,
            may_hand_over: true,
            resources: vec![ConsentResource {
                name: "Team files".to_owned(),
                uri: "https://files.example/mcp".to_owned(),
            }],
            account: "ada@example.com".to_owned(),
            scopes: vec![
                scope("files:read", "Read the team's files"),
                scope("files:write", "Change the team's files"),
                scope("offline_access", ""),
            ],
            warning: Some(ConsentWarning::Loopback),
            error: None,
        }
    }
}

//! Connecting a device, and handing a code over to a client on another machine.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::{assets, display};

/// The page that asks for the code that a device shows (RFC 8628 §3.3).
#[derive(Debug, Clone, Template)]
#[template(path = "device.html")]
pub(crate) struct DevicePage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
    /// The form's CSRF token.
    pub(crate) csrf_token: String,
    /// The code to fill in, from the address or the attempt before.
    pub(crate) user_code: String,
    /// What went wrong with the attempt before.
    pub(crate) error: Option<String>,
}

/// What is said when a device has its answer.
#[derive(Debug, Clone, Template)]
#[template(path = "device_done.html")]
pub(crate) struct DeviceDonePage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
    /// Who asked.
    pub(crate) client_name: String,
    /// What the person said.
    pub(crate) allowed: bool,
}

/// The code for a client that this browser cannot reach.
#[derive(Debug, Clone, Template)]
#[template(path = "hand_over.html")]
pub(crate) struct HandOverPage {
    /// The issuer's path, `""` or `/t`: what every link starts with.
    pub(crate) base: String,
    /// The redirect URI with everything in it.
    pub(crate) callback: String,
    /// Whether the callback can stand in a command: the client chose its redirect URI, and a shell reads more than that.
    pub(crate) may_be_a_command: bool,
    /// The authorization code.
    pub(crate) code: String,
    /// How long it works, in seconds.
    pub(crate) seconds: u64,
}

impl DevicePage {
    /// The page as an answer.
    pub(crate) fn render_response(&self, status: StatusCode) -> Response {
        super::respond(self, status, None)
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            base: String::new(),
            csrf_token: "csrf-token".to_owned(),
            user_code: "BDFG-HJKL".to_owned(),
            error: Some("No device waits with this code. Type it as the device shows it.".to_owned()),
        }
    }
}

impl DeviceDonePage {
    /// The person said yes.
    pub(crate) fn allowed(base: &str, client_name: &str) -> Self {
        Self {
            base: base.to_owned(),
            client_name: client_name.to_owned(),
            allowed: true,
        }
    }

    /// The person said no.
    pub(crate) fn denied(base: &str, client_name: &str) -> Self {
        Self {
            allowed: false,
            ..Self::allowed(base, client_name)
        }
    }

    const fn title(&self) -> &'static str {
        if self.allowed {
            "Your device is connected"
        } else {
            "Your device was not connected"
        }
    }

    /// The page as an answer.
    pub(crate) fn render_response(&self, status: StatusCode) -> Response {
        super::respond(self, status, None)
    }
}

impl HandOverPage {
    /// How long the code works, in words.
    fn minutes(&self) -> String {
        match self.seconds {
            60 => "one minute".to_owned(),
            seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
            seconds => format!("{seconds} seconds"),
        }
    }

    /// The page as an answer.
    pub(crate) fn render_response(&self, status: StatusCode) -> Response {
        super::respond(self, status, None)
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            base: String::new(),
            callback: "http://127.0.0.1:3333/callback?code=dwa_x&state=y".to_owned(),
            may_be_a_command: true,
            code: "dwa_x".to_owned(),
            seconds: 60,
        }
    }
}

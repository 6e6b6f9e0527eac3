//! `[registration]`

use doorward_oauth::redirect::SchemePolicy;

use super::choice::choice;
use super::section::section;

section! {
    /// How clients introduce themselves.
    pub struct Registration in "registration" {
        /// Whether a client may be named by the URL of its metadata document (Client ID Metadata Documents).
        cimd: bool = true,
        /// Who may register at the registration endpoint (RFC 7591). Who has an initial access token may whatever stands here, but for `admin_only`.
        dcr: DynamicRegistration = DynamicRegistration::Open,
        /// The private-use URI schemes that redirect URIs of native clients may have, besides reverse-domain schemes such as `com.example.app`.
        redirect_schemes: Vec<String> = SchemePolicy::default().allowed,
        /// The redirect URIs that `dcr = "approved_redirects"` accepts, exactly as written; the port of a loopback URI does not count.
        approved_redirects: Vec<String> = Vec::new(),
    }
}

choice! {
    /// Who may register at the registration endpoint.
    pub enum DynamicRegistration as "`open`, `approved_redirects`, `initial_access_token` or `admin_only`" {
        /// Anybody, within the rules for redirect URIs.
        Open = "open",
        /// Anybody whose redirect URIs are all on the list.
        ApprovedRedirects = "approved_redirects",
        /// Who has an initial access token of an operator.
        InitialAccessToken = "initial_access_token",
        /// Nobody: operators add clients.
        AdminOnly = "admin_only",
    }
}

impl DynamicRegistration {
    /// Whether the registration endpoint takes requests at all.
    pub const fn is_there(self) -> bool {
        !matches!(self, Self::AdminOnly)
    }
}

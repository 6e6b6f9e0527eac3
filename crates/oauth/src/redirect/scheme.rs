//! Schemes other than `https` and `http`.

use serde::{Deserialize, Serialize};

/// Schemes that run, read or open something at the browser, or that are not private to one application. No policy allows them.
const FORBIDDEN_SCHEMES: [&str; 24] = [
    "about",
    "blob",
    "chrome",
    "chrome-extension",
    "content",
    "data",
    "edge",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "jar",
    "javascript",
    "livescript",
    "mailto",
    "resource",
    "search-ms",
    "shell",
    "sms",
    "tel",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// Which private-use schemes native applications may register. Schemes in reverse-domain form (with a dot, such as
/// `com.example.app`, RFC 8252 §7.1) are always allowed; the forbidden ones (`javascript`, `data`, `file`, …) never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemePolicy {
    /// Schemes without a dot, in lower case.
    pub allowed: Vec<String>,
}

impl Default for SchemePolicy {
    /// The editors and desktop applications that speak MCP today.
    fn default() -> Self {
        let names = [
            "claude",
            "cursor",
            "goose",
            "jetbrains",
            "kiro",
            "raycast",
            "trae",
            "vscode",
            "vscode-insiders",
            "vscodium",
            "warp",
            "windsurf",
            "windsurf-next",
            "zed",
        ];
        Self {
            allowed: names.map(str::to_owned).to_vec(),
        }
    }
}

impl SchemePolicy {
    /// Whether no policy allows this scheme (any letter case), even if it is in [`allowed`](Self::allowed).
    pub fn forbids(scheme: &str) -> bool {
        FORBIDDEN_SCHEMES
            .iter()
            .any(|forbidden| scheme.eq_ignore_ascii_case(forbidden))
    }

    /// Whether this policy admits a scheme (in lower case).
    pub fn allows(&self, scheme: &str) -> bool {
        !Self::forbids(scheme)
            && (scheme.contains('.') || self.allowed.iter().any(|allowed| allowed == scheme))
    }
}

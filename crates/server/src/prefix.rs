//! What the names and secrets that are made here begin with, so that whoever finds one knows what it is.

/// A client that an operator registered: its `client_id`.
pub(crate) const CLIENT: &str = "dwp_";
/// A client that registered itself and has a secret or keys: its `client_id`.
pub(crate) const SELF_REGISTERED_CLIENT: &str = "dws_";
/// Public clients that registered themselves with the same metadata: their `client_id`, which is made of it.
const PUBLIC_CLIENT: &str = "dwc_";

pub(crate) const CLIENT_SECRET: &str = "dwsec_";
pub(crate) const ADMIN_KEY: &str = "dwk_";
pub(crate) const INITIAL_ACCESS_TOKEN: &str = "dwi_";
pub(crate) const REGISTRATION_ACCESS_TOKEN: &str = "dwm_";
pub(crate) const AUTHORIZATION_CODE: &str = "dwa_";
pub(crate) const REFRESH_TOKEN: &str = "dwr_";
pub(crate) const DEVICE_CODE: &str = "dwd_";

/// What every JWT begins with: `{"` in base64url.
const JWT: &str = "eyJ";

/// Our prefix that a text begins with: `dw`, a few letters and `_`, as all of them are.
pub(crate) fn of(text: &str) -> Option<&str> {
    let letters = text.strip_prefix("dw")?.split_once('_')?.0;
    let is_ours = (1..=8).contains(&letters.len()) && letters.bytes().all(|byte| byte.is_ascii_lowercase());
    text.get(..letters.len() + 3).filter(|_| is_ours)
}

/// The beginning of a text that looks like a secret. Of ours everything is one that is not the name of a client, also a kind
/// that comes to those above.
pub(crate) fn of_secret(text: &str) -> Option<&str> {
    if text.starts_with(JWT) {
        return Some(JWT);
    }
    of(text).filter(|prefix| ![CLIENT, SELF_REGISTERED_CLIENT, PUBLIC_CLIENT].contains(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_made_here_and_is_not_the_name_of_a_client_is_a_secret() {
        for prefix in [
            CLIENT_SECRET,
            ADMIN_KEY,
            INITIAL_ACCESS_TOKEN,
            REGISTRATION_ACCESS_TOKEN,
            AUTHORIZATION_CODE,
            REFRESH_TOKEN,
            DEVICE_CODE,
            "dwnew_",
        ] {
            assert_eq!(of_secret(&format!("{prefix}a_b")), Some(prefix));
        }
        assert_eq!(of_secret("eyJhbGciOiJub25lIn0.e30."), Some("eyJ"));
        for name in [
            "dwp_a",
            "dws_a",
            "dwc_a",
            "dw_a",
            "dwell",
            "dwBig_a",
            "dwé_a",
            "dwmuchtoolong_a",
            "my_app",
            "",
        ] {
            assert_eq!(of_secret(name), None, "{name}");
        }
    }
}

//! Is it an access token that the server answers about? A refresh token or an ID token is active, too.

use crate::client::IntrospectionResponse;
use crate::verify::Rejection;

/// What servers call access tokens in members that RFC 7662 does not know: `typ` (Keycloak, and copies of a JWT's header)
/// and `token_use` (Cognito, Hydra). In lower case.
const ACCESS_TOKENS: [&str; 7] = [
    "bearer",
    "dpop",
    "access",
    "access_token",
    "jwt",
    "at+jwt",
    "application/at+jwt",
];

/// `has_audience`: the answer is also checked for naming this resource, which other kinds of tokens do not.
pub(super) fn check(response: &IntrospectionResponse, has_audience: bool) -> Result<(), Rejection> {
    // RFC 7662 §2.2: the type of RFC 6749 §5.1, whose names are not case-sensitive (§7.1).
    match response.token_type.as_deref() {
        Some(named) if named.eq_ignore_ascii_case("Bearer") => {}
        // RFC 9449 §6.2: a token that is bound, to a key that is not told.
        Some(named) if named.eq_ignore_ascii_case("DPoP") => {
            if response.key_thumbprint.is_none() {
                return Err(Rejection::Claims);
            }
        }
        None if has_audience => {}
        _ => return Err(Rejection::Type),
    }
    for name in ["typ", "token_use"] {
        let named = response
            .raw
            .get(name)
            .map(|kind| kind.as_str().unwrap_or_default());
        if named.is_some_and(|kind| !ACCESS_TOKENS.contains(&kind.to_ascii_lowercase().as_str())) {
            return Err(Rejection::Type);
        }
    }
    // OpenID Connect Core §3.1.3.6, §3.3.2.11: only ID tokens have them.
    let is_id_token = ["at_hash", "c_hash"]
        .iter()
        .any(|name| response.raw.contains_key(*name));
    if is_id_token { Err(Rejection::Type) } else { Ok(()) }
}

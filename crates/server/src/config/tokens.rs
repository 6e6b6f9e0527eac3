//! `[tokens]`

use super::Span;
use super::section::section;

section! {
    /// Lifetimes of codes and tokens.
    pub struct Tokens in "tokens" {
        /// How long an access token is good; it is checked without asking this server, so keep it short.
        access_ttl: Span = Span::minutes(5),
        /// How long a refresh token stays good without being used.
        refresh_idle_ttl: Span = Span::days(30),
        /// How long a grant can be refreshed in all, from the person's consent on.
        refresh_absolute_ttl: Span = Span::days(180),
        /// How long refresh tokens from before the last one still get the present successor, for parallel requests; the last
        /// one, whose answer may be lost, gets it until that is used.
        refresh_retry_window: Span = Span::seconds(120),
        /// How long an authorization code is good.
        code_ttl: Span = Span::seconds(60),
        /// Whether a request for a new scope keeps the scopes that the same person allowed the same client on the same resource before; a request for none but those is taken at its word.
        scope_memory: bool = true,
    }
}

impl Tokens {
    /// The longest that any access token can be good, by these settings and by the policies of resources. What has to
    /// outlast every token lasts this long, whatever settings and policies say now: they may have said more before.
    pub const LONGEST_ACCESS_TTL: Span = Span::days(1);
}

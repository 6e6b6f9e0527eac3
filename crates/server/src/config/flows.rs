//! `[par]` and `[device]`

use super::Span;
use super::section::section;

section! {
    /// Authorization requests that a client sends in advance (PAR, RFC 9126).
    pub struct Par in "par" {
        /// Whether the endpoint is there.
        enabled: bool = true,
        /// Whether every authorization request has to be sent in advance.
        required: bool = false,
        /// How long a request that was sent in advance can be used.
        request_ttl: Span = Span::seconds(90),
    }
}

section! {
    /// Signing in on another device (RFC 8628).
    pub struct Device in "device" {
        /// Whether the grant is there.
        enabled: bool = true,
        /// How long the person has.
        code_ttl: Span = Span::minutes(10),
        /// How long a device waits between two questions, at most a quarter of `code_ttl`.
        interval: Span = Span::seconds(5),
    }
}

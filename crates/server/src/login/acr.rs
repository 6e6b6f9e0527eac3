//! Authentication context classes (RFC 9470): how strongly a person signed in.

/// A password alone.
pub(crate) const PASSWORD: &str = "urn:doorward:acr:password";

/// Every class that this server can reach, for `acr_values_supported`.
pub(crate) const SUPPORTED: [&str; 1] = [PASSWORD];

/// The class of a sign-in by these methods (`amr`).
pub(crate) fn of_methods(methods: &[String]) -> Option<&'static str> {
    methods.iter().any(|method| method == "pwd").then_some(PASSWORD)
}

/// Whether one of the classes of `acr_values`, separated by spaces, can be reached here.
pub(crate) fn can_reach(acr_values: &str) -> bool {
    acr_values.split(' ').any(|wanted| SUPPORTED.contains(&wanted))
}

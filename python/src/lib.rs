//! `doorward._core`: the guard for Python. Nothing is decided here; types and waiting are translated.
#![expect(
    clippy::needless_pass_by_value,
    reason = "arguments of functions for Python arrive owned"
)]

mod access_token;
mod audit;
mod bridge;
mod callback;
mod challenge;
mod claims;
mod client;
mod clock;
mod consent;
mod dpop;
mod errors;
mod failure;
mod guard;
mod http;
mod json;
mod jwt;
mod log;
mod metrics;
mod network;
mod proof;
mod revocation;
mod runtime;
mod subject;
mod template;
mod transport;
mod visit;

use pyo3::prelude::*;

/// What is made for a request is made and given back on one thread, faster than by the allocator of most systems.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule(gil_used = false)]
mod _core {
    use super::{Bound, PyModule, PyResult};

    #[pymodule_export]
    use crate::access_token::AccessTokens;
    #[pymodule_export]
    use crate::challenge::challenge;
    #[pymodule_export]
    use crate::claims::{VerifiedClaims, VerifiedDPoPProof};
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::consent::{consent_answer, refused_request_state};
    #[pymodule_export]
    use crate::guard::Guard;
    #[pymodule_export]
    use crate::jwt::{JwtVerifier, generate_rsa_key_pair, sign_rs256};
    #[pymodule_export]
    use crate::proof::check_proof;
    #[pymodule_export]
    use crate::runtime::shut_down;
    #[pymodule_export]
    use crate::subject::SubjectToken;
    #[pymodule_export]
    use crate::visit::{EventFilter, Visit};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        use pyo3::types::PyModuleMethods as _;
        crate::log::install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

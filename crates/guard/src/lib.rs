#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[cfg(feature = "axum")]
pub mod axum;
mod builder;
mod challenge;
mod claims;
mod credentials;
mod discovery;
mod dpop;
mod fetch;
mod guard;
mod keys;
mod layer;
mod message;
mod metadata;
mod origin;
mod refusal;
#[cfg(feature = "rmcp")]
pub mod rmcp;
mod sessions;
mod token_cache;
mod verify;

pub use builder::{BuildError, GuardBuilder};
pub use claims::{Claims, MissingScope, TokenClaims};
pub use doorward_jose::Algorithm;
pub use doorward_oauth::claims::Actor;
pub use doorward_oauth::scope::{Scope, ScopeSet};
pub use doorward_oauth::time::{Clock, SystemClock, UnixSeconds};
pub use dpop::{DpopPolicy, Insertion, MemoryReplayStore, ReplayStore, ReplayStoreUnavailable};
pub use fetch::{Document, Fetch, FetchFailure, FormRequest, FormResponse};
pub use guard::Guard;
pub use layer::{GuardLayer, GuardService};
pub use metadata::MetadataService;
pub use verify::{Rejection, VerifyError};

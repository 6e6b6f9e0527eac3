#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod audit;
#[cfg(feature = "axum")]
pub mod axum;
mod builder;
mod challenge;
mod claims;
pub mod client;
mod credentials;
mod difference;
mod discovery;
mod dpop;
pub mod fetch;
mod fields;
mod flights;
mod guard;
pub mod jose;
mod keys;
mod layer;
mod lists;
mod login;
mod message;
mod metadata;
mod metrics;
mod moment;
pub mod oauth;
mod origin;
mod plain_text;
mod raw_claims;
mod reason;
mod refusal;
mod revocation;
#[cfg(feature = "rmcp")]
pub mod rmcp;
mod scopes;
mod sessions;
mod terms;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token_cache;
mod trust;
pub mod verifiers;
mod verify;
mod visit;
mod wait;

pub use audit::{AuditHook, Decision, Verdict};
pub use builder::{BuildError, GuardBuilder};
pub use claims::{Claims, MissingScope, TokenClaims};
pub use doorward_jose::Algorithm;
pub use doorward_oauth::claims::Actor;
pub use doorward_oauth::scope::{Scope, ScopeSet};
pub use doorward_oauth::time::{Clock, SystemClock, UnixSeconds};
pub use dpop::{DpopPolicy, Insertion, MemoryReplayStore, ReplayStore, ReplayStoreUnavailable, UsedProof};
#[cfg(feature = "postgres")]
pub use dpop::{PostgresReplayError, PostgresReplayStore};
#[doc(inline)]
pub use fetch::{
    ByteStream, Document, Fetch, FetchFailure, FormRequest, FormResponse, StreamRequest, Timeouts,
};
pub use guard::Guard;
pub use layer::{GuardBody, GuardLayer, GuardService};
pub use lists::{EventFilter, EventTooLarge};
pub use metadata::MetadataService;
pub use metrics::{KeyMetrics, MetricsSnapshot};
#[doc(hidden)]
pub use raw_claims::AlikeClaims;
pub use raw_claims::RawClaims;
pub use reason::Reason;
pub use revocation::{
    Fail, FeedFault, FeedMetrics, FeedPolicy, IntrospectionPolicy, Revocation, RevocationChecker,
    RevocationStatus, RevocationUnavailable, WhileBlind,
};
pub use scopes::Named;
pub use verify::{Rejection, VerifyError};
pub use visit::{Answer, BodyFault, Denied, Head, Visit};

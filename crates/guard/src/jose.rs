//! Keys, signatures and digests, for bindings and tools that have the guard and nothing beside it.

pub use doorward_jose::{
    Algorithm, HmacAlgorithm, JoseError, Signature, Signer, SigningKey, base64url, sha256,
};

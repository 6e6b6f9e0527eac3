/// Why a key, a token or a document was refused. Carries nothing of the input, so that it can be logged and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoseError {
    /// Not three canonical base64url parts, not JSON, or a member of the wrong type.
    #[error("the input is malformed")]
    Malformed,
    /// Larger than the limit for its kind.
    #[error("the input is too large")]
    TooLarge,
    /// JSON nested deeper than [`json::MAX_DEPTH`](crate::json::MAX_DEPTH).
    #[error("the JSON is nested too deeply")]
    TooDeep,
    /// A JSON object names a member twice (RFC 7515 §4, RFC 7519 §4).
    #[error("a JSON object has a duplicate member")]
    DuplicateMember,
    /// An algorithm outside [`Algorithm`](crate::Algorithm), `none` and the HMAC family included.
    #[error("the algorithm is not supported")]
    UnsupportedAlgorithm,
    /// The header asks for an extension through `crit` or `b64` (RFC 7515 §4.1.11, RFC 7797); none is supported.
    #[error("the header requires an extension that is not supported")]
    CriticalHeader,
    /// The header belongs to an encrypted or nested token (`enc`, `zip`, `cty: JWT`).
    #[error("encrypted, compressed and nested tokens are not supported")]
    UnsupportedHeader,
    /// The key does not fit the algorithm: other type, other curve or pinned to another `alg`.
    #[error("the algorithm does not match the key")]
    AlgorithmMismatch,
    /// `use` or `key_ops` of the key exclude verification (RFC 7517 §4.2, §4.3).
    #[error("the key is not meant for verifying signatures")]
    NotForVerification,
    /// The signature does not verify.
    #[error("the signature is not valid")]
    BadSignature,
    /// A key of an unknown type or curve, or with parameters that do not form a key.
    #[error("the key is not usable")]
    UnusableKey,
    /// An RSA key below 2048 or above 8192 bits, with an unsafe exponent, or from a generator known to be broken.
    #[error("the RSA key is weak")]
    WeakKey,
    /// A private or symmetric key where a public key belongs.
    #[error("the key holds private or symmetric members")]
    PrivateKey,
    /// The private key could not sign, or whoever keeps it did not.
    #[error("signing failed")]
    SigningFailed,
}

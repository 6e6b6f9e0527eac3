"""Errors as HTTP: status, ``WWW-Authenticate`` and the headers around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from doorward import _core
from doorward.errors import (
    CircuitOpenError,
    DPoPBindingMismatchError,
    DPoPError,
    DPoPNotSupportedError,
    InsufficientScopeError,
    InvalidClaimsError,
    InvalidSignatureError,
    JWKSFetchError,
    MetadataFetchError,
    MissingMetadataEndpointError,
    ReplayStoreUnavailableError,
    RevocationUnavailableError,
    TokenExpiredError,
    TokenMissingError,
    TokenRevokedError,
)
from doorward.options import SUPPORTED_DPOP_ALGORITHMS

__all__ = ["http_status", "response_headers_for", "www_authenticate", "www_authenticate_challenges"]

_UNAUTHORIZED = (
    TokenMissingError,
    TokenExpiredError,
    InvalidSignatureError,
    InvalidClaimsError,
    TokenRevokedError,
    DPoPError,
)
_UNAVAILABLE = (
    JWKSFetchError,
    MetadataFetchError,
    MissingMetadataEndpointError,
    ReplayStoreUnavailableError,
    RevocationUnavailableError,
    CircuitOpenError,
)

_SENTENCES = {
    "invalid_token": "The access token is not valid for this resource. Get a new one from its authorization server.",
    "insufficient_scope": "The access token does not have every scope that this request needs. "
    "Ask for the scopes in the challenge.",
    "invalid_dpop_proof": "The DPoP proof is not valid for this request. Make one with the key of the access token, "
    "for this method, this URI and this token.",
}


def http_status(error: BaseException) -> int:
    """The HTTP status for an error: 401, 403, 503, or 500 for what is not the caller's doing."""
    if isinstance(error, InsufficientScopeError):
        return 403
    if isinstance(error, _UNAVAILABLE):
        return 503
    return 401 if isinstance(error, _UNAUTHORIZED) else 500


def www_authenticate(
    error: BaseException,
    *,
    realm: str = "",
    resource_metadata_url: str | None = None,
    scope: str | Iterable[str] | None = None,
    verbose_description: bool = False,
) -> str:
    """The one challenge that fits the error best: ``DPoP`` for faults of a proof, else ``Bearer``."""
    scheme = _scheme(error)
    return _challenge(error, scheme, (), realm, resource_metadata_url, scope, verbose_description)


def www_authenticate_challenges(
    error: BaseException,
    *,
    schemes: Sequence[str] = ("Bearer",),
    algs: Sequence[str] = SUPPORTED_DPOP_ALGORITHMS,
    realm: str = "",
    resource_metadata_url: str | None = None,
    scope: str | Iterable[str] | None = None,
    verbose_description: bool = False,
) -> list[str]:
    """One challenge for each scheme, ``Bearer`` first: some clients look at the beginning of the joined header only."""
    ordered = sorted(schemes, key=lambda scheme: scheme.lower() != "bearer")
    return [
        _challenge(error, scheme, algs, realm, resource_metadata_url, scope, verbose_description) for scheme in ordered
    ]


def response_headers_for(
    error: BaseException,
    *,
    realm: str = "",
    resource_metadata_url: str | None = None,
    scope: str | Iterable[str] | None = None,
    verbose_description: bool = False,
) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a request that failed with the error."""
    status = http_status(error)
    headers: dict[str, str] = {}
    if status in {401, 403}:
        headers["WWW-Authenticate"] = www_authenticate(
            error,
            realm=realm,
            resource_metadata_url=resource_metadata_url,
            scope=scope,
            verbose_description=verbose_description,
        )
    elif status == 503:
        headers["Retry-After"] = str(getattr(error, "retry_after", None) or 5)
    return status, headers


def _scheme(error: BaseException) -> str:
    is_about_a_proof = isinstance(error, DPoPError) and not isinstance(error, DPoPNotSupportedError)
    return "DPoP" if is_about_a_proof else "Bearer"


def _code(error: BaseException) -> str | None:
    if isinstance(error, TokenMissingError):
        # RFC 6750 §3.1: a request without credentials is no error.
        return None
    if isinstance(error, InsufficientScopeError):
        return "insufficient_scope"
    if isinstance(error, DPoPError) and not isinstance(error, (DPoPBindingMismatchError, DPoPNotSupportedError)):
        return "invalid_dpop_proof"
    return "invalid_token"


def _challenge(
    error: BaseException,
    scheme: str,
    algs: Sequence[str],
    realm: str,
    resource_metadata_url: str | None,
    scope: str | Iterable[str] | None,
    verbose_description: bool,
) -> str:
    code = _code(error)
    if scope is None and isinstance(error, InsufficientScopeError):
        scope = error.required_scopes
    scopes = scope.split(" ") if isinstance(scope, str) else list(scope or ())
    description = None
    if code is not None:
        description = str(error) if verbose_description else _SENTENCES[code]
    if scheme.lower() == "dpop" and not algs:
        algs = SUPPORTED_DPOP_ALGORITHMS
    return _core.challenge(
        scheme, code, description, [word for word in scopes if word], resource_metadata_url, list(algs), realm
    )

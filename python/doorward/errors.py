"""What can go wrong, as exceptions. Their texts never hold what a token says."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "AccessDeniedError",
    "AuthError",
    "CircuitOpenError",
    "ConsentRequiredError",
    "DPoPBindingMismatchError",
    "DPoPError",
    "DPoPMultipleProofsError",
    "DPoPNotSupportedError",
    "DPoPProofMissingError",
    "DPoPReplayDetectedError",
    "DoorwardError",
    "InsufficientScopeError",
    "InvalidClaimsError",
    "InvalidClientError",
    "InvalidDPoPProofError",
    "InvalidGrantError",
    "InvalidIssuerError",
    "InvalidRequestError",
    "InvalidResourceError",
    "InvalidScopeError",
    "InvalidSignatureError",
    "InvalidTargetError",
    "JWKSFetchError",
    "MetadataFetchError",
    "MissingMetadataEndpointError",
    "ProtocolError",
    "ReplayStoreUnavailableError",
    "RevocationUnavailableError",
    "ServerError",
    "TokenExpiredError",
    "TokenMissingError",
    "TokenRevokedError",
    "UnauthorizedClientError",
    "UnsupportedGrantTypeError",
    "VerifierRuntimeError",
]


class DoorwardError(Exception):
    """Every error of this package.

    ``reason`` names it in one word for logs and metrics; ``retry_after`` says in how many seconds it is worth trying
    again, where that is known.
    """

    reason: str | None
    retry_after: int | None

    def __init__(self, message: str = "", *, reason: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class TokenMissingError(DoorwardError):
    """No access token was given."""


class TokenExpiredError(DoorwardError):
    """The access token has expired."""


class InvalidSignatureError(DoorwardError):
    """The access token is not signed by a key of its issuer."""


class InvalidClaimsError(DoorwardError):
    """The access token is not meant for this resource, or not now, or is no access token."""


class InsufficientScopeError(DoorwardError):
    """The access token lacks scopes. ``required_scopes`` is the whole set that is needed."""

    required_scopes: tuple[str, ...]

    def __init__(
        self,
        message: str = "",
        *,
        required_scopes: Iterable[str] = (),
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, reason=reason, retry_after=retry_after)
        self.required_scopes = tuple(required_scopes)


class JWKSFetchError(DoorwardError):
    """The keys of the authorization server are not available, so nobody can tell whether a token is good."""


class MetadataFetchError(DoorwardError):
    """The metadata of the authorization server is not available."""


class MissingMetadataEndpointError(DoorwardError):
    """The authorization server does not offer the endpoint."""


class TokenRevokedError(DoorwardError):
    """The access token was revoked."""


class VerifierRuntimeError(DoorwardError):
    """The access token could not be checked."""


class RevocationUnavailableError(VerifierRuntimeError):
    """Nobody can tell whether the access token was revoked."""


class ReplayStoreUnavailableError(VerifierRuntimeError):
    """Nobody can tell whether the proof was used before, or there is no room to remember it."""


class ProtocolError(DoorwardError):
    """The authorization server broke the protocol."""


class InvalidIssuerError(DoorwardError, ValueError):
    """The issuer is no issuer identifier."""


class InvalidResourceError(DoorwardError, ValueError):
    """The resource is no resource identifier."""


class DPoPError(DoorwardError):
    """The proof of possession (RFC 9449) is missing or does not count."""


class DPoPProofMissingError(DPoPError):
    """The access token is bound to a key and came without a proof."""


class InvalidDPoPProofError(DPoPError):
    """The proof is not valid for this request.

    ``nonce`` is the one to make another proof with, where that is all that is wrong: send it as ``DPoP-Nonce``.
    """

    nonce: str | None

    def __init__(
        self,
        message: str = "",
        *,
        nonce: str | None = None,
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, reason=reason, retry_after=retry_after)
        self.nonce = nonce


class DPoPMultipleProofsError(DPoPError):
    """More than one proof was sent."""


class DPoPReplayDetectedError(DPoPError):
    """The proof was used before."""


class DPoPBindingMismatchError(DPoPError):
    """Token and proof do not belong together."""


class DPoPNotSupportedError(DPoPError):
    """The access token is bound to a key, and this resource does not take such tokens."""


class AuthError(DoorwardError):
    """The authorization server refused. ``code`` is its OAuth error, ``status_code`` its HTTP status."""

    code: str
    status_code: int

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        status_code: int = 400,
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, reason=reason, retry_after=retry_after)
        self.code = code
        self.status_code = status_code


class ConsentRequiredError(AuthError):
    """A person has to consent at ``consent_url`` before the authorization server issues the token.

    ``description`` is what the authorization server says to the person.
    """

    service_id: str
    cause_detail: str
    consent_url: str | None
    description: str | None

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "consent_required",
        status_code: int = 400,
        service_id: str = "unknown_service",
        cause_detail: str = "",
        consent_url: str | None = None,
        description: str | None = None,
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, code=code, status_code=status_code, reason=reason, retry_after=retry_after)
        self.service_id = service_id
        self.cause_detail = cause_detail
        self.consent_url = consent_url
        self.description = description

    def describe(self) -> str:
        """For the person who is asked: what, for which service, and why."""
        about = f"{self.service_id}: {self.cause_detail}" if self.cause_detail else self.service_id
        return f"{self} ({about})"


class InvalidClientError(AuthError):
    """``invalid_client``"""


class UnauthorizedClientError(AuthError):
    """``unauthorized_client``"""


class InvalidScopeError(AuthError):
    """``invalid_scope``"""


class InvalidGrantError(AuthError):
    """``invalid_grant``"""


class UnsupportedGrantTypeError(AuthError):
    """``unsupported_grant_type``"""


class InvalidRequestError(AuthError):
    """``invalid_request``"""


class AccessDeniedError(AuthError):
    """``access_denied``"""


class InvalidTargetError(AuthError):
    """``invalid_target`` (RFC 8707)"""


class ServerError(AuthError):
    """``server_error``, or a status of 500 and above."""


class CircuitOpenError(AuthError):
    """The authorization server failed several times in a row and is left alone for a while."""

"""Settings that several parts share."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from doorward._core import VerifiedClaims

__all__ = [
    "ACCESS_TOKEN_ALGORITHMS",
    "SUPPORTED_DPOP_ALGORITHMS",
    "ASCredentials",
    "FetchSettings",
    "InboundDPoPOptions",
    "RevocationChecker",
    "Transport",
    "dev_mode_from_environment",
]

Transport: TypeAlias = Callable[
    [str, str, Mapping[str, str], "bytes | None"],
    Awaitable["tuple[int, Mapping[str, str] | Sequence[tuple[str, str]], bytes]"],
]
"""``await transport(method, url, headers, body)`` returns ``(status, headers, body)``."""

RevocationChecker: TypeAlias = "Callable[[VerifiedClaims, str], Awaitable[bool]]"
"""``await checker(claims, token)`` is true for a token that was revoked."""

ACCESS_TOKEN_ALGORITHMS: tuple[str, ...] = ("ES256", "EdDSA", "RS256", "PS256")
"""The signature algorithms of access tokens that are accepted unless something else is said."""

SUPPORTED_DPOP_ALGORITHMS: tuple[str, ...] = ("ES256", "EdDSA", "RS256", "PS256")
"""The signature algorithms of DPoP proofs that are accepted unless something else is said."""


def dev_mode_from_environment() -> bool:
    """Whether ``DOORWARD_DEV_MODE`` is ``true``, ``1`` or ``yes``."""
    return os.environ.get("DOORWARD_DEV_MODE", "").strip().lower() in {"true", "1", "yes"}


@dataclass(frozen=True)
class InboundDPoPOptions:
    """Whether access tokens may, or must, be bound to a key of the client (RFC 9449).

    Attributes:
        required: Only bound tokens are accepted.
        max_proof_age_seconds: How old a proof may be, at most an hour.
        clock_skew_seconds: How far ahead the clock of a client may be.
        allowed_proof_algorithms: The signature algorithms of proofs; default ``SUPPORTED_DPOP_ALGORITHMS``.
        require_nonce: Proofs need a nonce of this server, so that they cannot be made in advance.
        replay_capacity: How many proofs are remembered until they are too old to be replayed. When it is full, further
            ones are answered with 503.
    """

    required: bool = False
    max_proof_age_seconds: int = 300
    clock_skew_seconds: int = 30
    allowed_proof_algorithms: Sequence[str] | None = None
    require_nonce: bool = False
    replay_capacity: int = 1_000_000


@dataclass(frozen=True)
class ASCredentials:
    """What this program proves to the authorization server who it is with (HTTP Basic)."""

    client_id: str
    client_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.client_id or not self.client_secret:
            raise ValueError("client_id and client_secret must not be empty")


@dataclass(frozen=True)
class FetchSettings:
    """How the authorization server may be reached.

    Attributes:
        ssrf_protection: Addresses in private networks are refused, except that of the issuer itself.
        allow_http: ``http`` is allowed for hosts on loopback.
        allow_localhost: Loopback addresses are allowed.
        allow_private_networks: Private addresses are allowed.
        timeout: Seconds that one exchange may take.
        ca_certificates: PEM certificates to trust besides the system's.
        proxy: The URL of an HTTP proxy.
    """

    ssrf_protection: bool = True
    allow_http: bool = False
    allow_localhost: bool = False
    allow_private_networks: bool = False
    timeout: float = 10.0
    ca_certificates: str | None = None
    proxy: str | None = None

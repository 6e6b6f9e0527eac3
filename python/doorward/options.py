"""Settings that several parts share."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.replays import ReplayStore, insert_for_core

if TYPE_CHECKING:
    from doorward._core import VerifiedClaims

__all__ = [
    "ACCESS_TOKEN_ALGORITHMS",
    "SUPPORTED_DPOP_ALGORITHMS",
    "ASCredentials",
    "FetchSettings",
    "InboundDPoPOptions",
    "IntrospectionRevocation",
    "PrivateKey",
    "RevocationChecker",
    "RevocationFeed",
    "Transport",
    "dev_mode_from_environment",
]

Transport: TypeAlias = Callable[
    [str, str, Mapping[str, str], "bytes | None"],
    Awaitable["tuple[int, Mapping[str, str] | Sequence[tuple[str, str]], bytes]"],
]
"""``await transport(method, url, headers, body)`` returns ``(status, headers, body)``."""

RevocationChecker: TypeAlias = "Callable[[VerifiedClaims, str], Awaitable[bool]]"
"""``await checker(claims, token)`` is true for a token that was revoked. It runs in the event loop. One that is no
``async def`` is taken as well, and runs there likewise: it must not wait."""

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
        replay_capacity: How many proofs are remembered until they are too old to be replayed, in this process. When it is
            full, further ones are answered with 503.
        nonce_keys: What nonces are made with, for several processes that must take each other's: 32 random bytes, and the
            key before, whose nonces still count. Default: random ones of this process.
        replay_per_key: How many of these one key may have. Default: a quarter.
        replay_store: Where proofs are remembered instead, for several processes that serve one resource.
        require_content_digest: A proof must say of which body it is (``content_digest``). One that says so is checked in
            any case.
    """

    required: bool = False
    max_proof_age_seconds: int = 300
    clock_skew_seconds: int = 30
    allowed_proof_algorithms: Sequence[str] | None = None
    require_nonce: bool = False
    replay_capacity: int = 1_000_000
    nonce_keys: Sequence[bytes] = field(default=(), repr=False)
    replay_per_key: int | None = None
    replay_store: ReplayStore | None = None
    require_content_digest: bool = False


@dataclass(frozen=True)
class PrivateKey:
    """A private key in PEM form (PKCS #8), and the algorithm it signs with."""

    pem: str = field(repr=False)
    algorithm: str = "ES256"


@dataclass(frozen=True)
class ASCredentials:
    """What this program proves to the authorization server who it is with.

    Attributes:
        client_id: Its name there.
        client_secret: The secret of HTTP Basic, or of a form.
        method: How the secret is sent: ``client_secret_basic`` or ``client_secret_post``.
        private_key: Signs assertions instead of sending a secret (``private_key_jwt``).
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    method: str = "client_secret_basic"
    private_key: PrivateKey | None = None

    def __post_init__(self) -> None:
        if not self.client_id or (self.private_key is None and not self.client_secret):
            raise ValueError("client_id and client_secret (or private_key) must not be empty")
        if self.method not in ("client_secret_basic", "client_secret_post"):
            raise ValueError("method must be client_secret_basic or client_secret_post")


@dataclass(frozen=True)
class IntrospectionRevocation:
    """The authorization server is asked whether tokens were revoked (RFC 7662). Needs ``as_credentials``.

    Attributes:
        ttl_seconds: How long an answer counts: a revoked token may count for as long. 0 asks every time.
        negative_ttl_seconds: How long the answer counts that a token was revoked.
        max_entries: How many answers are remembered.
    """

    ttl_seconds: float = 10.0
    negative_ttl_seconds: float = 300.0
    max_entries: int = 10_000

    def __post_init__(self) -> None:
        _check_times(ttl_seconds=self.ttl_seconds, negative_ttl_seconds=self.negative_ttl_seconds)


@dataclass(frozen=True)
class RevocationFeed:
    """The authorization server says at once which grants were revoked; no request waits. Needs ``as_credentials``.

    Works with Doorward's server and the guard's own transport.

    Attributes:
        max_token_lifetime_seconds: How long tokens of the server live at most.
        blind_after_seconds: How long the guard may be without the feed before it counts as blind.
        refuse_while_blind: Tokens are answered with 503 then. Default: they count until they end by themselves.
    """

    max_token_lifetime_seconds: float = 3600.0
    blind_after_seconds: float = 30.0
    refuse_while_blind: bool = False

    def __post_init__(self) -> None:
        _check_times(
            max_token_lifetime_seconds=self.max_token_lifetime_seconds, blind_after_seconds=self.blind_after_seconds
        )


@dataclass(frozen=True)
class FetchSettings:
    """How the authorization server is reached. Given, it decides instead of ``dev_mode``.

    The issuer's own host may always be in a private network, and ``http://localhost`` needs no setting; every other host
    that the server's metadata names must have a public address.

    Attributes:
        allow_http: Issuers off this machine may use ``http``. For networks of development.
        timeout: Seconds that one exchange may take.
        ca_certificates: Certificates to trust besides the system's, in PEM form.
        proxy: The URL of an HTTP proxy, like ``http://user:password@proxy.corp.example:3128``.
    """

    allow_http: bool = False
    timeout: float | None = None
    ca_certificates: str | None = None
    proxy: str | None = field(default=None, repr=False)


def _check_times(**times: float) -> None:
    for name, seconds in times.items():
        if not 0 <= seconds or not math.isfinite(seconds):
            raise ValueError(f"{name} must be a number of seconds, not {seconds}")


def dpop_for_core(options: InboundDPoPOptions | None) -> dict[str, Any] | None:
    """As the core takes them."""
    if options is None:
        return None
    algorithms = options.allowed_proof_algorithms
    return {
        "required": options.required,
        "max_proof_age_seconds": options.max_proof_age_seconds,
        "clock_skew_seconds": options.clock_skew_seconds,
        "allowed_proof_algorithms": list(SUPPORTED_DPOP_ALGORITHMS if algorithms is None else algorithms),
        "require_nonce": options.require_nonce,
        "require_content_digest": options.require_content_digest,
        "nonce_keys": list(options.nonce_keys),
        "replay_capacity": options.replay_capacity,
        "replay_per_key": options.replay_per_key,
        "replay_store": insert_for_core(options.replay_store),
    }


def credentials_for_core(credentials: ASCredentials | None) -> dict[str, Any] | None:
    """As the core takes them."""
    if credentials is None:
        return None
    return {
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "post": credentials.method == "client_secret_post",
        "key": key_for_core(credentials.private_key),
    }


def key_for_core(key: PrivateKey | None) -> dict[str, str] | None:
    """As the core takes it."""
    return None if key is None else {"pem": key.pem, "algorithm": key.algorithm}


def network_for_core(dev_mode: bool | None, fetch_settings: FetchSettings | None) -> dict[str, Any]:
    """As the core takes them."""
    settings = fetch_settings or FetchSettings(allow_http=dev_mode_from_environment() if dev_mode is None else dev_mode)
    return {
        "dev_mode": settings.allow_http,
        "timeout": settings.timeout,
        "ca_certificates": settings.ca_certificates,
        "proxy": settings.proxy,
    }


def revocation_for_core(
    checker: RevocationChecker | IntrospectionRevocation | RevocationFeed | None, fail_closed: bool
) -> dict[str, Any] | None:
    """As the core takes it."""
    if checker is None:
        return None
    if isinstance(checker, IntrospectionRevocation):
        return {
            "ttl_seconds": checker.ttl_seconds,
            "negative_ttl_seconds": checker.negative_ttl_seconds,
            "max_entries": checker.max_entries,
            "fail_closed": fail_closed,
        }
    if isinstance(checker, RevocationFeed):
        return {
            "max_token_lifetime_seconds": checker.max_token_lifetime_seconds,
            "blind_after_seconds": checker.blind_after_seconds,
            "refuse_while_blind": checker.refuse_while_blind or fail_closed,
        }
    if not callable(checker):
        raise TypeError("revocation_checker must be a function: await checker(claims, token)")
    return {"checker": _awaitable(checker), "fail_closed": fail_closed}


def decision_hook_for_core(
    hook: Callable[[Mapping[str, Any]], None] | None,
) -> Callable[[Mapping[str, Any]], None] | None:
    """As the core calls it."""
    if hook is None:
        return None
    if not callable(hook) or inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(hook.__call__):
        raise TypeError("on_decision must be a plain function: nobody would await another. Start a task in it instead")
    return hook


def _awaitable(checker: Callable[[VerifiedClaims, str], Any]) -> RevocationChecker:
    """The checker, also where somebody forgot the ``async``: its answer must not count as a failure, which may pass."""
    if inspect.iscoroutinefunction(checker):
        return checker

    async def asked(claims: VerifiedClaims, token: str) -> bool:
        answer = checker(claims, token)
        return bool(await answer if inspect.isawaitable(answer) else answer)

    return asked

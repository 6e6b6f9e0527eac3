"""Settings that several parts share."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict

from doorward import _checks
from doorward._core import VerifiedClaims
from doorward._threads import is_async, not_blocking
from doorward._words import words
from doorward.replays import ReplayStore, insert_for_core

__all__ = [
    "ACCESS_TOKEN_ALGORITHMS",
    "SUPPORTED_DPOP_ALGORITHMS",
    "ASCredentials",
    "Decision",
    "FetchSettings",
    "GuardOptions",
    "InboundDPoPOptions",
    "IntrospectionRevocation",
    "PrivateKey",
    "RevocationChecker",
    "RevocationFeed",
    "Transport",
    "dev_mode_from_environment",
]

Transport: TypeAlias = Callable[
    [str, str, Mapping[str, str], bytes | None],
    Awaitable[tuple[int, Mapping[str, str] | Sequence[tuple[str, str]], bytes]],
]
"""``await transport(method, url, headers, body)`` returns ``(status, headers, body)``."""

RevocationChecker: TypeAlias = Callable[[VerifiedClaims, str], Awaitable[bool] | bool]
"""``checker(claims, token)`` is true for a token that was revoked. An ``async def`` runs in the event loop; a plain function in
one of eight threads that only this checker has, so that it may wait."""


class Decision(TypedDict):
    """What ``on_decision`` is told.

    Attributes:
        at: When it was decided, in seconds since 1970.
        allowed: Whether the request, or the message in it, was let through.
        claims: Those of the token, if it was a good one.
        method: What an MCP message calls, like ``tools/call``.
        target: The tool, prompt or resource that it names.
        reason: Why it was refused, in one word.
        error_id: Leads to the line of the log.
        needed_scopes: Those that would have been enough.
    """

    at: int
    allowed: bool
    claims: VerifiedClaims | None
    method: str | None
    target: str | None
    reason: str | None
    error_id: str | None
    needed_scopes: list[str]


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

    def __post_init__(self) -> None:
        for name in ("required", "require_nonce", "require_content_digest"):
            _checks.flag(name, getattr(self, name))
        for name in ("max_proof_age_seconds", "clock_skew_seconds", "replay_capacity"):
            _checks.whole(name, getattr(self, name))
        if self.replay_per_key is not None:
            _checks.whole("replay_per_key", self.replay_per_key)
        words("allowed_proof_algorithms", self.allowed_proof_algorithms)
        _checks.keys("nonce_keys", self.nonce_keys)


@dataclass(frozen=True)
class PrivateKey:
    """A private key in PEM form (PKCS #8), and the algorithm it signs with."""

    pem: str = field(repr=False)
    algorithm: str = "ES256"

    def __post_init__(self) -> None:
        _checks.text("pem", self.pem)
        _checks.text("algorithm", self.algorithm)


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
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    private_key: PrivateKey | None = None

    def __post_init__(self) -> None:
        for name in ("client_id", "client_secret"):
            if getattr(self, name) is not None:
                _checks.text(name, getattr(self, name))
        if self.private_key is not None and not isinstance(self.private_key, PrivateKey):
            raise TypeError("private_key must be a PrivateKey(pem, algorithm)")
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
        for name in ("ttl_seconds", "negative_ttl_seconds"):
            _checks.seconds(name, getattr(self, name))
        _checks.whole("max_entries", self.max_entries)


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
        for name in ("max_token_lifetime_seconds", "blind_after_seconds"):
            _checks.seconds(name, getattr(self, name))
        _checks.flag("refuse_while_blind", self.refuse_while_blind)


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

    def __post_init__(self) -> None:
        _checks.flag("allow_http", self.allow_http)
        if self.timeout is not None:
            _checks.seconds("timeout", self.timeout, none_too=False)
        for name in ("ca_certificates", "proxy"):
            if getattr(self, name) is not None:
                _checks.text(name, getattr(self, name))


class GuardOptions(TypedDict, total=False):
    """What :class:`doorward.Guard` takes besides what ``DoorwardClient.resource``, ``doorward_auth`` and
    ``doorward_mcp_auth`` name themselves. It says what each means.
    """

    prompt_scopes: Mapping[str, Iterable[str]] | None
    resource_scopes: Mapping[str, Iterable[str]] | None
    scope_hierarchy: Mapping[str, Iterable[str]] | None
    hide_unavailable: bool
    max_body: int
    resource_name: str | None
    resource_documentation: str | None
    root_metadata: bool
    allowed_origins: Iterable[str]
    bind_sessions: bool
    end_streams_with_token: bool
    max_login_age_seconds: int | None
    acr_values: Iterable[str]
    more_issuers: Iterable[str]
    issuer_credentials: Mapping[str, ASCredentials] | None
    on_decision: Callable[[Decision], None] | None


def dpop_for_core(options: InboundDPoPOptions | None) -> dict[str, Any] | None:
    """As the core takes them."""
    if options is None:
        return None
    if not isinstance(options, InboundDPoPOptions):
        raise TypeError("inbound_dpop must be InboundDPoPOptions(...)")
    algorithms = options.allowed_proof_algorithms
    return {
        "required": options.required,
        "max_proof_age_seconds": options.max_proof_age_seconds,
        "clock_skew_seconds": options.clock_skew_seconds,
        "allowed_proof_algorithms": list(SUPPORTED_DPOP_ALGORITHMS if algorithms is None else algorithms),
        "require_nonce": options.require_nonce,
        "require_content_digest": options.require_content_digest,
        "nonce_keys": _checks.keys("nonce_keys", options.nonce_keys),
        "replay_capacity": options.replay_capacity,
        "replay_per_key": options.replay_per_key,
        "replay_store": insert_for_core(options.replay_store),
    }


def credentials_for_core(credentials: ASCredentials | None) -> dict[str, Any] | None:
    """As the core takes them."""
    if credentials is None:
        return None
    if not isinstance(credentials, ASCredentials):
        raise TypeError("credentials must be ASCredentials(client_id, client_secret)")
    return {
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "post": credentials.method == "client_secret_post",
        "key": key_for_core(credentials.private_key),
    }


def key_for_core(key: PrivateKey | None) -> dict[str, str] | None:
    """As the core takes it."""
    if key is None:
        return None
    if not isinstance(key, PrivateKey):
        raise TypeError("dpop must be a PrivateKey(pem, algorithm)")
    return {"pem": key.pem, "algorithm": key.algorithm}


def transport_for_core(transport: Transport | None) -> Transport | None:
    """As the core calls it."""
    if transport is not None:
        _checks.function("transport", transport, "await transport(method, url, headers, body)")
    return transport


def clock_for_core(clock: Callable[[], float] | None) -> Callable[[], float] | None:
    """As the core calls it."""
    if clock is not None:
        _checks.function("clock", clock, "clock() says how many seconds it is since 1970")
    return clock


def network_for_core(dev_mode: bool | None, fetch_settings: FetchSettings | None) -> dict[str, Any]:
    """As the core takes them."""
    if fetch_settings is not None and not isinstance(fetch_settings, FetchSettings):
        raise TypeError("fetch_settings must be FetchSettings(...)")
    is_dev_mode = dev_mode_from_environment() if dev_mode is None else _checks.flag("dev_mode", dev_mode)
    settings = fetch_settings or FetchSettings(allow_http=is_dev_mode)
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
    _checks.flag("fail_closed", fail_closed)
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
    _checks.function("revocation_checker", checker, "checker(claims, token)")
    return {"checker": not_blocking(checker, "doorward-revocation"), "fail_closed": fail_closed}


def decision_hook_for_core(
    hook: Callable[[Decision], None] | None,
) -> Callable[[Decision], None] | None:
    """As the core calls it."""
    if hook is None:
        return None
    if not callable(hook) or is_async(hook):
        raise TypeError("on_decision must be a plain function: nobody would await another. Start a task in it instead")
    return hook

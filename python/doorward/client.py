"""The authorization server's client that a program is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from weakref import WeakSet

from doorward import _checks, _core
from doorward._twins import in_coroutines
from doorward._unpack import Unpack
from doorward._words import words
from doorward.guard import Guard
from doorward.oauth import IntrospectionResponse, TokenExchangeOptions, TokenResponse
from doorward.options import (
    ASCredentials,
    FetchSettings,
    GuardOptions,
    InboundDPoPOptions,
    IntrospectionRevocation,
    PrivateKey,
    RevocationChecker,
    RevocationFeed,
    Transport,
    clock_for_core,
    credentials_for_core,
    dev_mode_from_environment,
    key_for_core,
    network_for_core,
    transport_for_core,
)

__all__ = ["ClientSettings", "DoorwardClient"]


@dataclass(frozen=True)
class ClientSettings:
    """What :meth:`DoorwardClient.create` was given."""

    auth: ASCredentials | None
    dpop: PrivateKey | None
    dev_mode: bool
    fetch_settings: FetchSettings | None
    refresh_seconds: int
    cache_ttl_buffer_seconds: float
    default_ttl_seconds: float
    cache_max_entries: int
    circuit_breaker_threshold: int
    circuit_breaker_cooldown_seconds: float
    request_state_keys: tuple[bytes, ...] = field(repr=False)
    transport: Transport | None
    clock: Callable[[], float] | None


class DoorwardClient:
    """One authorization server, as this program sees it. Made by :meth:`create` or :meth:`create_sync`."""

    def __init__(self, issuer: str, settings: ClientSettings) -> None:
        self.issuer = _checks.text("issuer", issuer)
        self.settings = settings
        self._resources: WeakSet[Guard] = WeakSet()
        self._core: _core.Client | None = _core.Client(
            issuer,
            {
                "credentials": credentials_for_core(settings.auth),
                "dpop": key_for_core(settings.dpop),
                "cache_ttl_buffer_seconds": _checks.seconds(
                    "cache_ttl_buffer_seconds", settings.cache_ttl_buffer_seconds
                ),
                "default_ttl_seconds": _checks.seconds("default_ttl_seconds", settings.default_ttl_seconds),
                "cache_max_entries": _checks.whole("cache_max_entries", settings.cache_max_entries),
                "circuit_breaker_threshold": min(
                    _checks.whole("circuit_breaker_threshold", settings.circuit_breaker_threshold), 2**32 - 1
                ),
                "circuit_breaker_cooldown_seconds": _checks.seconds(
                    "circuit_breaker_cooldown_seconds", settings.circuit_breaker_cooldown_seconds
                ),
                "request_state_keys": _checks.keys("request_state_keys", settings.request_state_keys),
                "network": network_for_core(settings.dev_mode, settings.fetch_settings),
                "transport": transport_for_core(settings.transport),
                "clock": clock_for_core(settings.clock),
            },
        )

    @classmethod
    def create_sync(
        cls,
        issuer: str,
        *,
        auth: ASCredentials | None = None,
        dpop: PrivateKey | None = None,
        dev_mode: bool | None = None,
        fetch_settings: FetchSettings | None = None,
        jwks_refresh_seconds: int = 300,
        metadata_refresh_seconds: int = 3600,
        cache_ttl_buffer_seconds: float = 30.0,
        default_ttl_seconds: float = 3600.0,
        cache_max_entries: int = 10_000,
        circuit_breaker_threshold: int = 5,
        circuit_breaker_cooldown_seconds: float = 30.0,
        request_state_keys: Iterable[bytes] = (),
        transport: Transport | None = None,
        clock: Callable[[], float] | None = None,
    ) -> DoorwardClient:
        """A client. Does no I/O: an authorization server that is not there yet is asked when it is needed.

        ``create_sync`` is the same where nothing can be awaited.

        Args:
            issuer: The authorization server.
            auth: What this program proves to it who it is with.
            dpop: The key that this program's tokens are bound to (RFC 9449). Default: bearer tokens.
            dev_mode: Whether an authorization server off this machine may use ``http``.
                Default: what ``DOORWARD_DEV_MODE`` says.
            fetch_settings: How the authorization server is reached; decides instead of ``dev_mode``.
            jwks_refresh_seconds: The longest time between two refreshes of its keys.
            metadata_refresh_seconds: The longest time between two refreshes of its metadata. Metadata and keys of a resource
                are refreshed together, so that the shorter time counts for both.
            cache_ttl_buffer_seconds: How long before its end a token of this program's own is replaced.
            default_ttl_seconds: How long a token counts whose lifetime nobody says.
            cache_max_entries: How many tokens are kept.
            circuit_breaker_threshold: After how many failures in a row the authorization server is left alone.
            circuit_breaker_cooldown_seconds: For how long.
            request_state_keys: What seals the ``requestState`` that clients bring back after a consent, 32 random bytes each:
                the first seals, all open. For several processes that answer for each other. Default: one of this process.
            transport: How the authorization server is reached instead: ``await transport(method, url, headers, body)``
                returns ``(status, headers, body)``.
            clock: Says what time it is, in seconds since 1970.

        Raises:
            ValueError: A setting cannot be used; the message says what to change.
        """
        _checks.whole("jwks_refresh_seconds", jwks_refresh_seconds, 1)
        _checks.whole("metadata_refresh_seconds", metadata_refresh_seconds, 1)
        settings = ClientSettings(
            auth=auth,
            dpop=dpop,
            dev_mode=dev_mode_from_environment() if dev_mode is None else dev_mode,
            fetch_settings=fetch_settings,
            refresh_seconds=min(jwks_refresh_seconds, metadata_refresh_seconds),
            cache_ttl_buffer_seconds=cache_ttl_buffer_seconds,
            default_ttl_seconds=default_ttl_seconds,
            cache_max_entries=cache_max_entries,
            circuit_breaker_threshold=circuit_breaker_threshold,
            circuit_breaker_cooldown_seconds=circuit_breaker_cooldown_seconds,
            request_state_keys=tuple(_checks.keys("request_state_keys", request_state_keys)),
            transport=transport,
            clock=clock,
        )
        return cls(issuer, settings)

    create = classmethod(in_coroutines(create_sync, "create"))

    @property
    def core(self) -> _core.Client:
        """The client in Rust."""
        core = self._core  # once: another thread may close the client meanwhile
        if core is None:
            raise RuntimeError("the client is closed")
        return core

    @property
    def can_authenticate(self) -> bool:
        """Whether this program can prove to the authorization server who it is."""
        return self.settings.auth is not None

    def resource(
        self,
        resource: str,
        scopes: Iterable[str] | None = None,
        *,
        required_scopes: Iterable[str] | None = None,
        tool_scopes: Mapping[str, Iterable[str]] | None = None,
        allowed_algorithms: Iterable[str] | None = None,
        clock_skew_seconds: int = 30,
        cache_max_entries: int = 10_000,
        revocation_checker: RevocationChecker | IntrospectionRevocation | RevocationFeed | None = None,
        fail_closed: bool = False,
        inbound_dpop: InboundDPoPOptions | None = None,
        resource_metadata_url: str | None = None,
        **options: Unpack[GuardOptions],
    ) -> Guard:
        """A resource that this server issues tokens for. Further options are those of :class:`doorward.Guard`."""
        known = self.settings
        guard = Guard(
            self.issuer,
            resource,
            scopes,
            required_scopes=required_scopes,
            tool_scopes=tool_scopes,
            allowed_algorithms=allowed_algorithms,
            clock_skew_seconds=clock_skew_seconds,
            cache_max_entries=cache_max_entries,
            revocation_checker=revocation_checker,
            fail_closed=fail_closed,
            inbound_dpop=inbound_dpop,
            resource_metadata_url=resource_metadata_url,
            as_credentials=known.auth,
            jwks_refresh_seconds=known.refresh_seconds,
            dev_mode=known.dev_mode,
            fetch_settings=known.fetch_settings,
            transport=known.transport,
            clock=known.clock,
            **options,
        )
        self._resources.add(guard)
        return guard

    async def client_credentials(
        self, scopes: Iterable[str] | None = None, resources: Iterable[str] | None = None
    ) -> TokenResponse:
        """A token of this program's own (RFC 6749 §4.4): the one that is kept, or a new one.

        Raises:
            DoorwardError: The authorization server refused, or could not be asked.
        """
        outcome = self.core.client_credentials(words("scopes", scopes), words("resources", resources))
        return TokenResponse(**await _now(outcome))

    async def exchange(self, options: TokenExchangeOptions) -> TokenResponse:
        """Exchanges a token for one that another service takes (RFC 8693).

        Raises:
            ValueError: The token of the caller is not of this client's issuer. Nothing was sent.
            ConsentRequiredError: A person has to agree first.
            DoorwardError: The authorization server refused, or could not be asked.
        """
        outcome = self.core.exchange(
            {
                "subject_token": options.subject_token,
                "subject_token_type": options.subject_token_type,
                "actor_token": options.actor_token,
                "actor_token_type": options.actor_token_type,
                "requested_token_type": options.requested_token_type,
                "scopes": options.scope.split(),
                "resources": list(options.resources),
                "audiences": list(options.audiences),
            }
        )
        return TokenResponse(**await _now(outcome))

    async def introspect(self, token: str) -> IntrospectionResponse:
        """Asks whether a token counts (RFC 7662).

        Raises:
            DoorwardError: It could not be asked, which says nothing about the token.
        """
        return IntrospectionResponse(**await _now(self.core.introspect(token)))

    async def revoke(self, token: str) -> None:
        """Ends a token (RFC 7009), and forgets it whatever the server says.

        Raises:
            DoorwardError: It may still count at the server.
        """
        await _now(self.core.revoke(token))

    def dpop_headers(self, method: str, url: str, *, access_token: str = "") -> dict[str, str]:
        """The header with a proof for one request to another service, with the nonce that it wanted last."""
        return {"DPoP": self.core.dpop_proof(method, url, access_token or None)}

    def remember_dpop_nonce(self, url: str, headers: Mapping[str, str]) -> bool:
        """Remembers the ``DPoP-Nonce`` of a service's answer for the next proofs to it (RFC 9449 §9).

        Args:
            url: Where the request went.
            headers: Those of the answer, as HTTP libraries have them.

        Returns:
            Whether there was a new one: after a 401 with ``use_dpop_nonce`` that is the moment to send the request once
            more, with a new proof.
        """
        nonces = [value for name, value in headers.items() if name.lower() == "dpop-nonce"]
        return self.core.remember_dpop_nonce(url, nonces)

    async def aclose(self) -> None:
        """Closes this client and its resources. Harmless when it is closed already."""
        self._core = None
        # Two may close at the same time, in two threads.
        resources, self._resources = self._resources, WeakSet()
        for resource in list(resources):
            await resource.aclose()

    async def __aenter__(self) -> DoorwardClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _now(outcome: Any) -> Any:
    """What the core handed back at once, or what its future comes to."""
    return await outcome if asyncio.isfuture(outcome) else outcome

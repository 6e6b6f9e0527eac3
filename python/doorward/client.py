"""This program as a client of the authorization server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from doorward.guard import Guard
from doorward.options import (
    ASCredentials,
    FetchSettings,
    InboundDPoPOptions,
    RevocationChecker,
    Transport,
    dev_mode_from_environment,
)

__all__ = ["DoorwardClient"]


class DoorwardClient:
    """One authorization server, as this program sees it. Made by :meth:`create`."""

    def __init__(self, issuer: str, settings: Mapping[str, Any]) -> None:
        self.issuer = issuer
        self._settings = dict(settings)
        self._resources: list[Guard] = []

    @classmethod
    async def create(
        cls,
        issuer: str,
        *,
        auth: ASCredentials | None = None,
        dev_mode: bool | None = None,
        fetch_settings: FetchSettings | None = None,
        jwks_refresh_seconds: int = 300,
        cache_ttl_buffer_seconds: float = 30.0,
        default_ttl_seconds: float = 3600.0,
        cache_max_entries: int = 10_000,
        circuit_breaker_threshold: int = 5,
        circuit_breaker_cooldown_seconds: float = 30.0,
        transport: Transport | None = None,
        clock: Callable[[], float] | None = None,
    ) -> DoorwardClient:
        """A client. Does no I/O: an authorization server that is not there yet is asked when it is needed."""
        settings = {
            "auth": auth,
            "dev_mode": dev_mode_from_environment() if dev_mode is None else dev_mode,
            "fetch_settings": fetch_settings,
            "jwks_refresh_seconds": jwks_refresh_seconds,
            "cache_ttl_buffer_seconds": cache_ttl_buffer_seconds,
            "default_ttl_seconds": default_ttl_seconds,
            "cache_max_entries": cache_max_entries,
            "circuit_breaker_threshold": circuit_breaker_threshold,
            "circuit_breaker_cooldown_seconds": circuit_breaker_cooldown_seconds,
            "transport": transport,
            "clock": clock,
        }
        return cls(issuer, settings)

    def resource(
        self,
        resource: str,
        scopes: Iterable[str] | None = None,
        *,
        allowed_algorithms: Iterable[str] | None = None,
        clock_skew_seconds: int = 30,
        revocation_checker: RevocationChecker | None = None,
        fail_closed: bool = False,
        inbound_dpop: InboundDPoPOptions | None = None,
        **options: Any,
    ) -> Guard:
        """A resource that this authorization server issues tokens for. Further options are those of ``doorward.Guard``."""
        known = self._settings
        guard = Guard(
            self.issuer,
            resource,
            scopes,
            allowed_algorithms=allowed_algorithms,
            clock_skew_seconds=clock_skew_seconds,
            revocation_checker=revocation_checker,
            fail_closed=fail_closed,
            inbound_dpop=inbound_dpop,
            jwks_refresh_seconds=known["jwks_refresh_seconds"],
            dev_mode=known["dev_mode"],
            transport=known["transport"],
            clock=known["clock"],
            **options,
        )
        self._resources.append(guard)
        return guard

    async def aclose(self) -> None:
        """Closes this client and its resources. Harmless when it is closed already."""
        while self._resources:
            await self._resources.pop().aclose()

    async def __aenter__(self) -> DoorwardClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

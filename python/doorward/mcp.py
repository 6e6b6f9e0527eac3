"""The official Python SDK behind the guard: 1.24 and later, and 2.x.

auth = await doorward_mcp_auth(issuer=…, resource=…, scopes=["tools/read"])
mcp = FastMCP("demo", **auth)            # MCPServer("demo", **auth) with 2.x
install_request_context(mcp)
…
await auth.aclose()
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from doorward._adapter import AuthResult, FrameworkLayer, TokenChecker, access_token, known_fields
from doorward._current import current_claims, current_request, current_subject_token
from doorward._mcp_watch import missing_scope, watch
from doorward._twins import in_coroutines
from doorward._unpack import Unpack
from doorward._words import words
from doorward.client import DoorwardClient
from doorward.consent import to_url_elicitation_required_error
from doorward.errors import DoorwardError
from doorward.guard import DoorwardResource
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
)

__all__ = [
    "DoorwardAuthResult",
    "current_claims",
    "current_subject_token",
    "doorward_mcp_auth",
    "doorward_mcp_auth_sync",
    "get_current_request",
    "install_request_context",
    "require_scope",
    "secure_app",
    "to_url_elicitation_required_error",
]

DoorwardAuthResult = AuthResult


def doorward_mcp_auth_sync(
    issuer: str,
    resource: str,
    scopes: Iterable[str] | None = None,
    *,
    enforce_scopes_on_all_requests: bool = False,
    required_scopes: Iterable[str] | None = None,
    tool_scopes: Mapping[str, Iterable[str]] | None = None,
    inbound_dpop: InboundDPoPOptions | None = None,
    as_credentials: ASCredentials | None = None,
    dpop: PrivateKey | None = None,
    allowed_algorithms: Iterable[str] | None = None,
    clock_skew_seconds: int = 30,
    jwks_refresh_seconds: int = 300,
    metadata_refresh_seconds: int = 3600,
    cache_ttl_buffer_seconds: float = 30.0,
    default_ttl_seconds: float = 3600.0,
    cache_max_entries: int = 10_000,
    circuit_breaker_threshold: int = 5,
    circuit_breaker_cooldown_seconds: float = 30.0,
    request_state_keys: Iterable[bytes] = (),
    dev_mode: bool | None = None,
    fetch_settings: FetchSettings | None = None,
    transport: Transport | None = None,
    clock: Callable[[], float] | None = None,
    revocation_checker: RevocationChecker | IntrospectionRevocation | RevocationFeed | None = None,
    fail_closed: bool = False,
    resource_metadata_url: str | None = None,
    **options: Unpack[GuardOptions],
) -> AuthResult:
    """The arguments with which the SDK's server stands behind the guard: a mapping with ``token_verifier`` and ``auth``.

    The authorization server need not be there yet: its keys are fetched in the background, and requests that come before
    are answered with 503. Call :func:`install_request_context` with the server, else proofs and the scopes of tools
    cannot be checked, and requests that depend on them are refused; and what should be 503 is the SDK's 500.

    ``doorward_mcp_auth_sync`` is the same for servers that are made by an import (``uvicorn module:app --workers 2``), where nothing can
    be awaited.

    Args:
        issuer: The authorization server. Compared byte for byte with what tokens say.
        resource: The public URL of the MCP endpoint, compared likewise.
        scopes: What clients should ask for at first (``scopes_supported``).
        enforce_scopes_on_all_requests: Every request needs all of ``scopes``.
        required_scopes: What every request needs. Default: nothing.
        tool_scopes: What tools need besides. A call without is answered with 403 and the challenge that makes clients ask
            for more, before the tool runs.
        inbound_dpop: Whether tokens may, or must, be bound to a key of the client.
        as_credentials: What this server proves to the authorization server who it is with, for ``auth.client``.
        dpop: The key that the tokens of ``auth.client`` are bound to.
        allowed_algorithms: The signature algorithms of tokens. Default: ES256, EdDSA, RS256, PS256.
        clock_skew_seconds: How far clocks may be apart, at most 60.
        jwks_refresh_seconds: The longest time between two refreshes of the issuer's keys.
        metadata_refresh_seconds: The same for its metadata; both are refreshed together, and the shorter time counts.
        cache_ttl_buffer_seconds: How long before its end a token of ``auth.client`` is replaced.
        default_ttl_seconds: How long a token of ``auth.client`` counts whose lifetime nobody says.
        cache_max_entries: How many verified tokens, and how many tokens of ``auth.client``, are remembered.
        circuit_breaker_threshold: After how many failures in a row the authorization server is left alone.
        circuit_breaker_cooldown_seconds: For how long.
        request_state_keys: What seals the ``requestState`` of a client that is sent to a person's consent, 32 random bytes each:
            the first seals, all open. For several processes that answer for each other. Default: one of this process.
        dev_mode: Whether an authorization server off this machine may use ``http``.
            Default: what ``DOORWARD_DEV_MODE`` says.
        fetch_settings: How the authorization server is reached; decides instead of ``dev_mode``.
        transport: How the authorization server is reached: ``await transport(method, url, headers, body)`` returns
            ``(status, headers, body)``.
        clock: Says what time it is, in seconds since 1970.
        revocation_checker: How the guard learns that a token was revoked before its end: ``IntrospectionRevocation``,
            ``RevocationFeed``, or ``checker(claims, token)``.
        fail_closed: Where that cannot be told, requests are answered with 503. Default: they pass, and the log says so.
        resource_metadata_url: Where challenges say that the metadata is, if it is served somewhere else.
        **options: Further options of :class:`doorward.Guard` (``GuardOptions``).

    Raises:
        ValueError: A setting cannot be used; the message says what to change.
    """
    advertised = words("scopes", scopes)
    client = DoorwardClient.create_sync(
        issuer,
        auth=as_credentials,
        dpop=dpop,
        dev_mode=dev_mode,
        fetch_settings=fetch_settings,
        jwks_refresh_seconds=jwks_refresh_seconds,
        metadata_refresh_seconds=metadata_refresh_seconds,
        cache_ttl_buffer_seconds=cache_ttl_buffer_seconds,
        default_ttl_seconds=default_ttl_seconds,
        cache_max_entries=cache_max_entries,
        circuit_breaker_threshold=circuit_breaker_threshold,
        circuit_breaker_cooldown_seconds=circuit_breaker_cooldown_seconds,
        request_state_keys=request_state_keys,
        transport=transport,
        clock=clock,
    )
    guard = client.resource(
        resource,
        advertised,
        required_scopes=advertised if enforce_scopes_on_all_requests else required_scopes,
        tool_scopes=tool_scopes,
        inbound_dpop=inbound_dpop,
        allowed_algorithms=allowed_algorithms,
        clock_skew_seconds=clock_skew_seconds,
        cache_max_entries=cache_max_entries,
        revocation_checker=revocation_checker,
        fail_closed=fail_closed,
        resource_metadata_url=resource_metadata_url,
        **options,
    )
    guard.start()
    verifier = DoorwardTokenVerifier(guard, client)
    return AuthResult({"token_verifier": verifier, "auth": _auth_settings(guard)}, guard, client)


doorward_mcp_auth = in_coroutines(doorward_mcp_auth_sync, "doorward_mcp_auth")


def require_scope(scope: str) -> None:
    """Inside a tool: raises ``PermissionError`` unless the token of the request has the scope."""
    if not _granted(scope):
        raise missing_scope()(f"Missing required scope: {scope}")


def get_current_request() -> Any | None:
    """The HTTP request of the message that is being handled (Starlette's ``Request``), where the SDK says it."""
    return current_request()


def install_request_context(mcp: Any) -> None:
    """Puts the guard before every application that the server makes. Harmless when it is there already.

    A ``ConsentRequiredError`` of a tool, prompt or resource then reaches the client in the way of its revision: as the error
    ``-32042``, or as an ``input_required`` result.
    """
    verifier = getattr(mcp, "_token_verifier", None)
    if not isinstance(verifier, DoorwardTokenVerifier):
        raise TypeError("this server was not made with **await doorward_mcp_auth(...)")
    if verifier.client is not None:
        watch(mcp, verifier.guard, verifier.client)
    for factory in ("streamable_http_app", "sse_app"):
        make = getattr(mcp, factory, None)
        if make is not None and not hasattr(make, "__doorward__"):
            setattr(mcp, factory, _guarding(make, verifier.guard))


def secure_app(mcp: Any, **options: Any) -> Any:
    """The server's Streamable HTTP application behind the guard, to be served by uvicorn or mounted.

    The options are those of ``streamable_http_app``.
    """
    install_request_context(mcp)
    return mcp.streamable_http_app(**options)


class DoorwardTokenVerifier:
    """The SDK's way to the guard. The decisions are made by the guard's own layer, before the SDK's."""

    def __init__(self, guard: DoorwardResource, client: DoorwardClient | None = None) -> None:
        self.guard = guard
        self.client = client
        self._checker = TokenChecker(guard)

    async def verify_token(self, token: str) -> Any:
        """The SDK's ``AccessToken`` for a good token, ``None`` for any other.

        Raises:
            DoorwardError: Nobody can tell. The SDK answers with 500; for ``None`` it would blame the token.
        """
        from mcp.server.auth.provider import AccessToken

        claims = await self._checker.check(token)
        if claims is None:
            return None
        return access_token(AccessToken, token, claims, self.guard.resource)


def _guarding(make: Callable[..., Any], guard: DoorwardResource) -> Callable[..., Any]:
    @functools.wraps(make)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        app = make(*args, **kwargs)
        # Added last, it comes before everything else of the application.
        app.add_middleware(FrameworkLayer, guard=guard)
        return app

    guarded.__doorward__ = True  # type: ignore[attr-defined]
    return guarded


def _auth_settings(guard: DoorwardResource) -> Any:
    from mcp.server.auth.settings import AuthSettings

    wanted = {
        "issuer_url": guard.issuer,
        "resource_server_url": guard.resource,
        "required_scopes": list(guard.required_scopes) or None,
        "validate_token_resource": True,
    }
    return AuthSettings(**known_fields(AuthSettings, wanted))


def _granted(scope: str) -> bool:
    try:
        return current_claims().has_scope(scope)
    except DoorwardError:
        from mcp.server.auth.middleware.auth_context import get_access_token

        token = get_access_token()
        return token is not None and scope in token.scopes

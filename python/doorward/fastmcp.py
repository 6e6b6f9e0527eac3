"""FastMCP behind the guard: 2.14, 3.x and 4.x.

auth = await doorward_auth(issuer=…, base_url=…, scopes=["mcp:echo"])
mcp = FastMCP("demo-server", **auth)
…
await auth.aclose()
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from doorward._access_token import access_tokens
from doorward._adapter import AuthResult, FrameworkLayer, TokenChecker, lasting, signing_in
from doorward._current import current_claims, current_subject_token
from doorward._fastmcp_middleware import install, with_consent
from doorward._twins import in_coroutines
from doorward._unpack import Unpack
from doorward._words import words
from doorward.asgi import metadata_app
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
    "consent_middleware",
    "current_claims",
    "current_subject_token",
    "doorward_auth",
    "doorward_auth_sync",
    "require_scope",
    "to_url_elicitation_required_error",
]

logger = logging.getLogger("doorward")

DoorwardAuthResult = AuthResult


def doorward_auth_sync(
    issuer: str,
    base_url: str,
    scopes: Iterable[str] | None = None,
    *,
    mcp_path: str = "/mcp",
    required_scopes: Iterable[str] | None = None,
    enforce_scopes_on_all_requests: bool = False,
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
    """The arguments with which a FastMCP server stands behind the guard: a mapping with the key ``auth``.

    The authorization server need not be there yet: its keys are fetched in the background, and requests that come before
    are answered with 503.

    ``doorward_auth_sync`` is the same for servers that are made by an import (``uvicorn module:app --workers 2``), where nothing can
    be awaited.

    Args:
        issuer: The authorization server. Compared byte for byte with what tokens say.
        base_url: The public URL of this server, without the path of its MCP endpoint.
        scopes: What clients should ask for at first (``scopes_supported``).
        mcp_path: Where the MCP endpoint is. The resource that tokens are for is ``base_url + mcp_path``.
        required_scopes: What every request needs. Default: nothing.
        enforce_scopes_on_all_requests: Every request needs all of ``scopes``.
        tool_scopes: What tools need besides. A call without is answered with 403 and the challenge that makes clients ask
            for more, before the tool runs. FastMCP's own ``require_scopes`` works as well, but hides tools.
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
    path = "/" + mcp_path.strip("/")
    if "?" in base_url or "#" in base_url:
        raise ValueError("base_url must have no query and no fragment: write the address of this server alone")
    base = base_url.rstrip("/")
    if mcp_path.strip("/") and base.endswith(path):
        logger.warning("base_url already ends with mcp_path: tokens are for %s", base + path)
    resource = base if path == "/" and not mcp_path.strip("/") else base + path
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
    provider = _provider(guard, client, base)
    return AuthResult({"auth": provider}, guard, client)


doorward_auth = in_coroutines(doorward_auth_sync, "doorward_auth")


def require_scope(scope: str) -> None:
    """Inside a tool: raises ``InsufficientScopeError`` unless the token of the request has the scope."""
    current_claims().require_scope(scope)


def _provider(guard: DoorwardResource, client: DoorwardClient, base_url: str) -> Any:
    from fastmcp.server.auth import AccessToken, AuthProvider
    from starlette.middleware import Middleware
    from starlette.routing import Route

    checker = TokenChecker(guard)
    tokens = access_tokens(AccessToken, guard.resource)

    def prepare(app: Any) -> None:
        install(app.state.fastmcp_server, guard, client)

    class DoorwardProvider(AuthProvider):
        """FastMCP's way to the guard. The decisions are made by the guard's own layer, before FastMCP's."""

        def __init__(self) -> None:
            wanted = {"base_url": base_url, "required_scopes": list(guard.required_scopes)}
            known = inspect.signature(super().__init__).parameters
            super().__init__(**{name: value for name, value in wanted.items() if name in known})
            self.guard = guard
            self.client = client

        @property
        def scopes_supported(self) -> list[str]:
            return list(guard.scopes)

        async def verify_token(self, token: str) -> Any:
            try:
                claims = await checker.check(token)
            except DoorwardError as error:
                raise _undecided(error) from error
            return None if claims is None else lasting(tokens, token, claims)

        def get_middleware(self) -> list[Any]:
            checks = super().get_middleware()
            sign_in = signing_in(self, DoorwardProvider, verify_token, checks, tokens)
            return [Middleware(FrameworkLayer, guard=guard, prepare=prepare, checks=checks, sign_in=sign_in)]

        def get_routes(self, mcp_path: str | None = None) -> list[Any]:
            set_mcp_path = getattr(super(), "set_mcp_path", None)
            if set_mcp_path is not None:
                set_mcp_path(mcp_path)
            answer = metadata_app(guard)
            return [Route(path, endpoint=answer) for path in guard.metadata_paths]

    verify_token = DoorwardProvider.verify_token
    return DoorwardProvider()


async def consent_middleware(context: Any, call_next: Callable[[Any], Any]) -> Any:
    """Makes a missing consent reach the client as what it understands. Need not be added to a server with ``doorward_auth``.

    FastMCP turns every error of a tool into a result, and those of prompts and resources into errors of its own; a client must
    be told of the page in the way of its revision instead.
    :func:`doorward_auth` sees to that by itself, from the first request on. This function is for servers that take the
    calls of others, and for those that already have it.
    """
    client = getattr(getattr(context.fastmcp_context.fastmcp, "auth", None), "client", None)
    if client is None:
        return await call_next(context)
    return await with_consent(client, context, call_next)


def _undecided(error: DoorwardError) -> Exception:
    """What FastMCP is told when nobody knows whether a token is good."""
    try:
        from fastmcp.server.auth import TokenVerificationError  # since 4.2
    except ImportError:
        return error
    verification_error: Exception = TokenVerificationError(str(error))
    return verification_error

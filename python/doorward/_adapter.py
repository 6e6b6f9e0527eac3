"""What the adapters for MCP frameworks share."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import FunctionType
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from doorward import _core
from doorward._access_token import access_tokens
from doorward._asgi_types import ASGIApp, Message, Scope, Send
from doorward._current import visit_with
from doorward._paths import is_under, route_path
from doorward.asgi import SESSION_ID, GuardMiddleware
from doorward.client import DoorwardClient
from doorward.errors import DoorwardError, JWKSFetchError, VerifierRuntimeError
from doorward.guard import DoorwardResource

logger = logging.getLogger("doorward")


class AuthResult(Mapping[str, Any]):
    """What a framework's server takes as keyword arguments: ``FastMCP("name", **auth)``.

    Attributes:
        guard: The guard of the server's resource.
        client: This server as a client of the authorization server: token exchange, introspection and more.
    """

    def __init__(self, arguments: Mapping[str, Any], guard: DoorwardResource, client: DoorwardClient) -> None:
        self._arguments = dict(arguments)
        self.guard = guard
        self.client = client

    def __getitem__(self, key: str) -> Any:
        return self._arguments[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arguments)

    def __len__(self) -> int:
        return len(self._arguments)

    async def aclose(self) -> None:
        """Stops everything that runs for this server. Harmless when it is closed already."""
        await self.guard.aclose()
        await self.client.aclose()

    async def __aenter__(self) -> AuthResult:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


SignIn: TypeAlias = Callable[[Scope, _core.VerifiedClaims, str], "Callable[[], None] | None"]
"""Tells a framework whose request this is; ``None`` where the framework must see for itself."""


class FrameworkLayer(GuardMiddleware):
    """The guard before an application of an MCP framework, which says itself where it wants a token.

    Args:
        app: The application behind the guard.
        guard: The guard.
        prepare: Is told of the application with the first request.
        checks: The framework's own middleware, which asks the guard about tokens.
        sign_in: What the checks would come to for a request that the guard has let through. Such a request goes through
            them only if it does not say.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: DoorwardResource,
        prepare: Callable[[Any], None] = lambda _app: None,
        checks: Sequence[Any] = (),
        sign_in: SignIn | None = None,
    ) -> None:
        checked = app
        for check in reversed(checks):
            checked = check.cls(checked, *check.args, **check.kwargs)
        super().__init__(checked, guard, keep_authorization=True)
        if sign_in is not None:
            self._behind = app
        self._sign_in = sign_in
        self._bases: list[str] | None = None
        self._mounts: list[str] = []
        self._prepare = prepare
        self._beginning = threading.Lock()

    def guarded_at(self, scope: Scope, path: str) -> str | None:
        """Where the MCP endpoint is that a path belongs to."""
        bases = self._begin(scope["app"]) if self._bases is None else self._bases
        if self._is_mounted(path):
            # Not where the resource is: proofs are made for this path itself.
            return ""
        for base in bases:
            if is_under(path, base):
                return base
        return None

    def _begin(self, app: Any) -> list[str]:
        """With the first request, of which several threads may have one."""
        with self._beginning:
            if self._bases is None:
                self._prepare(app)
                # The bases last: whoever finds them goes on with both.
                bases, self._mounts = _protected_paths(app)
                self._bases = bases
            return self._bases

    def session_of(self, scope: Scope) -> bytes | None:
        """The session of a message in the HTTP+SSE transport, which names it in its address."""
        if not self._mounts or not self._is_mounted(route_path(scope)):
            return None
        # Read as the SDK reads it. Several are together nobody's.
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        named = [value for name, value in query if name == "session_id"]
        return " ".join(named).encode() if named else None

    def sign_in(self, scope: Scope, claims: _core.VerifiedClaims, token: str) -> Callable[[], None] | None:
        """As the framework's own checks would."""
        return None if self._sign_in is None else self._sign_in(scope, claims, token)

    def _is_mounted(self, path: str) -> bool:
        return any(is_under(path, mount) for mount in self._mounts) if self._mounts else False

    def watched(self, scope: Scope, visit: _core.Visit, send: Send) -> Send:
        """Learns from the beginning of a stream which session it is, in the HTTP+SSE transport."""
        return _learning(visit, send) if self._mounts and scope["method"] == "GET" else send


_ADDRESS = re.compile(rb"[?&]session_id=([0-9A-Za-z_-]+)[&\r\n]")
_FIRST_EVENT = 4096
"""What is looked through for the address of the session, at most."""


def _learning(visit: _core.Visit, send: Send) -> Send:
    """The HTTP+SSE transport tells the address for messages in the first event of its stream, before anybody can use it."""
    seen: bytes | None = b""

    async def learn(message: Message) -> None:
        nonlocal seen
        if seen is not None and message["type"] == "http.response.body":
            seen += message.get("body", b"")[:_FIRST_EVENT]
            found = _ADDRESS.search(seen)
            if found is not None:
                visit.leave(200, [(SESSION_ID, found[1])])
            if found is not None or len(seen) >= _FIRST_EVENT:
                seen = None
        await send(message)

    return learn


def _protected_paths(app: Any) -> tuple[list[str], list[str]]:
    """The paths whose endpoints the framework wraps in its own demand for a token; those of the routes, and those that are
    mounted: the latter take the messages of the HTTP+SSE transport.
    """
    from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
    from starlette.routing import Mount

    routes: list[str] = []
    mounts: list[str] = []
    for route in app.routes:
        endpoints = (getattr(route, "endpoint", None), getattr(route, "app", None))
        if any(isinstance(endpoint, RequireAuthMiddleware) for endpoint in endpoints):
            (mounts if isinstance(route, Mount) else routes).append(route.path.rstrip("/") or "/")
    return routes, mounts


class TokenChecker:
    """Says to a framework what the guard knows of a token."""

    def __init__(self, guard: DoorwardResource) -> None:
        self._guard = guard

    async def check(self, token: str) -> _core.VerifiedClaims | None:
        """The claims of a good token; ``None`` for any other.

        Raises:
            DoorwardError: Nobody can tell.
        """
        visit = visit_with(token, self._guard)
        if visit is not None:
            return None if visit[3].has_expired() else visit[0]
        # Scopes of tools, prompts and resources can only be checked by the layer that sees the whole request.
        if self._guard.judges_messages:
            logger.warning(
                "a request with a token did not pass the guard's layer, which checks the scopes of what is called; "
                "it is refused"
            )
            return None
        try:
            verified = self._guard.core.verify(token)
            return verified if type(verified) is _core.VerifiedClaims else await verified
        except (JWKSFetchError, VerifierRuntimeError):
            raise
        except DoorwardError as error:
            logger.info("token refused: %s", error.reason or type(error).__name__)
            return None


def signing_in(
    provider: Any, usual: type, verify_token: Any, checks: Sequence[Any], tokens: _core.AccessTokens
) -> SignIn | None:
    """What a framework's own checks do with a good token, without asking the ``provider`` about it again.

    ``None`` when they are not the usual ones: then nobody knows what else they do. They are asked as well for every
    request that comes while somebody has put a method of his own in the place of one of theirs or of the provider's.

    Args:
        provider: What the checks ask.
        usual: The class that the provider is of, unless somebody has made one of his own from it.
        verify_token: That method of the usual class, as it was defined.
        checks: The framework's middleware.
        tokens: Makes the framework's access tokens.
    """
    from mcp.server.auth.middleware.auth_context import AuthContextMiddleware, auth_context_var
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, BearerAuthBackend
    from starlette.authentication import AuthCredentials
    from starlette.middleware.authentication import AuthenticationMiddleware

    classes = [AuthenticationMiddleware, AuthContextMiddleware]
    if type(provider) is not usual or [check.cls for check in checks] != classes:
        return None
    backend = checks[0].kwargs.get("backend")
    is_usual = type(backend) is BearerAuthBackend and backend.token_verifier is provider
    if not is_usual or getattr(backend, "resource_server_url", None) is not None:
        return None
    authenticate = BearerAuthBackend.authenticate
    check_user, set_user = AuthenticationMiddleware.__call__, AuthContextMiddleware.__call__
    owners = (BearerAuthBackend, authenticate), *zip(classes, (check_user, set_user), strict=True)
    if not all(_is_of_its_module(owner, method) for owner, method in owners):
        return None
    of_provider, of_backend = vars(provider), vars(backend)

    def sign_in(scope: Scope, claims: _core.VerifiedClaims, token: str) -> Callable[[], None] | None:
        if (
            "verify_token" in of_provider
            or "authenticate" in of_backend
            or usual.verify_token is not verify_token
            or BearerAuthBackend.authenticate is not authenticate
            or AuthenticationMiddleware.__call__ is not check_user
            or AuthContextMiddleware.__call__ is not set_user
        ):
            return None
        access = lasting(tokens, token, claims)
        scope["auth"] = AuthCredentials(access.scopes)
        scope["user"] = user = AuthenticatedUser(access)
        return partial(auth_context_var.reset, auth_context_var.set(user))

    return sign_in


def _is_of_its_module(owner: type, method: Any) -> bool:
    """Whether a method was defined where its class was. What somebody has put in its place was not, whatever it is
    called; and this does not depend on who was imported first.
    """
    return type(method) is FunctionType and method.__globals__ is vars(sys.modules[owner.__module__])


def access_token(model: Any, token: str, claims: _core.VerifiedClaims, resource: str) -> Any:
    """What a framework wants to know, as its own ``AccessToken``."""
    return lasting(access_tokens(model, resource), token, claims)


def lasting(tokens: _core.AccessTokens, token: str, claims: _core.VerifiedClaims) -> Any:
    """The access token, as good as it is now. Frameworks look at the end again, without the clock skew that
    the guard allows.
    """
    return tokens.make(claims, token, int(time.time()) + 1)


def known_fields(model: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the fields that a pydantic model of this version has."""
    return {name: value for name, value in fields.items() if name in model.model_fields}

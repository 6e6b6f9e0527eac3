"""The guard before any ASGI application: FastAPI, Starlette, Litestar, or one written by hand.

    app.add_middleware(GuardMiddleware, guard=guard, path="/mcp")

Everything under ``path`` needs a good access token; the resource metadata (RFC 9728) is answered besides. The
application finds the claims with :func:`current_claims` or in ``scope["state"]["doorward.claims"]``, and with
:func:`current_subject_token` the token as what can only be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from doorward import _body, _core
from doorward._asgi_types import ASGIApp, Headers, Receive, Scope, Send
from doorward._current import CLAIMS, SUBJECT_TOKEN, current_claims, current_subject_token, enter, leave
from doorward._exchange import Exchange
from doorward._paths import guarded_path, is_as_written, is_open, is_under, raw_path, route_path
from doorward.guard import DoorwardResource

__all__ = ["GuardMiddleware", "current_claims", "current_subject_token", "require_scope", "require_scopes"]

Answer: TypeAlias = tuple[int, Headers, bytes]

SESSION_ID = b"mcp-session-id"

_UNSEEN = ("http.response.pathsend", "http.response.zerocopysend")
"""Ways to let the server send a body that nobody before it sees."""


def require_scope(scope: str) -> None:
    """Raises ``InsufficientScopeError`` unless the token of the current request has the scope."""
    current_claims().require_scope(scope)


def require_scopes(*scopes: str) -> None:
    """Raises ``InsufficientScopeError`` unless the token of the current request has every scope."""
    current_claims().require_scopes(list(scopes))


class GuardMiddleware:
    """Lets only requests with a good access token through to an ASGI application.

    Args:
        app: The application behind the guard.
        guard: A ``doorward.Guard`` or ``DoorwardResource``.
        path: Where this process serves the resource. Guarded is what is at it or below it, what begins like it
            (``/mcpx``), and what another spelling or an application that reads paths loosely makes of it (``//mcp``,
            ``/x/../mcp``); everything else is open. Default: everything but ``public`` is guarded.
        public: Paths that anybody may call, exactly as written.
        keep_authorization: The application still sees the token, as a bearer token. For frameworks that look at it
            again; nothing else should want it.

    Raises:
        ValueError: No request has such a ``path``.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: DoorwardResource,
        *,
        path: str | None = None,
        public: Iterable[str] = (),
        keep_authorization: bool = False,
    ) -> None:
        self.app = app
        self.guard = guard
        self._behind = app
        """Where requests go whose user the application has been told of."""
        self._path = None if path is None else guarded_path(path)
        self._public = frozenset(public)
        self._keep_authorization = keep_authorization

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers by itself or passes the request on."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        core = self.guard.core
        path = route_path(scope)
        if kind == "http" and path.startswith("/.well-known/"):
            metadata = core.metadata_answer(scope["method"], path)
            if metadata is not None:
                await _answer(send, metadata)
                return
        base = self.guarded_at(scope, path)
        if base is None:
            await self.app(scope, receive, send)
        elif kind == "websocket":
            await _refuse_websocket(receive, send)
        else:
            await self._guarded(core, base or None, scope, receive, send)

    def guarded_at(self, scope: Scope, path: str) -> str | None:
        """Where the resource is served that a path belongs to: empty if that is not known, ``None`` for open paths."""
        if path in self._public and is_as_written(scope, path):
            return None
        if self._path is None:
            return ""
        if is_under(path, self._path):
            return self._path
        # Whatever else leads there is not where the resource is: proofs are made for that path itself.
        return None if is_open(scope, self._path) else ""

    def session_of(self, scope: Scope) -> bytes | None:
        """The MCP session that a request names elsewhere than in its header."""
        return None

    def watched(self, scope: Scope, visit: _core.Visit, send: Send) -> Send:
        """What the answer goes through on its way out."""
        return send

    def sign_in(self, scope: Scope, claims: _core.VerifiedClaims, token: str) -> Callable[[], None] | None:
        """Tells the application in its own way whose request this is. What it returns is called when that is answered;
        ``None`` where the application was not told.
        """
        return None

    async def _guarded(
        self, core: _core.Guard, served_at: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers: Headers = scope["headers"]
        session = self.session_of(scope)
        known = headers if session is None else [*headers, (SESSION_ID, session)]
        admitted = core.admit(scope["method"], raw_path(scope), scope.get("query_string", b""), known, served_at)
        visit = admitted if isinstance(admitted, (_core.Visit, tuple)) else await admitted
        if isinstance(visit, tuple):
            await _answer(send, visit)
            return
        try:
            read = _body.read(receive, visit.max_body)
            body = read if isinstance(read, bytes) else await read
        except _body.BodyError as error:
            await _answer(send, visit.refuse_body(error.fault))
            return
        judged = visit.authorize(body)
        refusal = judged if judged is None or isinstance(judged, tuple) else await judged
        if refusal is not None:
            await _answer(send, refusal)
            return
        claims, stripped, token, filters, subject = visit.pass_on(headers, self._keep_authorization)
        # The same dictionary, which servers make for each request: layers outside see what the application writes there.
        state = scope.get("state")
        if state is None:
            state = {}
        outside = state.get(CLAIMS)
        state[CLAIMS] = claims
        inner = {**scope, "headers": stripped, "state": state, CLAIMS: claims, SUBJECT_TOKEN: subject}
        if filters and "extensions" in scope:
            offered: dict[str, Any] = scope["extensions"] or {}
            inner["extensions"] = {name: value for name, value in offered.items() if name not in _UNSEEN}
        exchange = Exchange(visit, body, filters, scope, receive, self.watched(scope, visit, send))
        entered = enter((claims, token, self.guard, exchange, subject))
        sign_out = None
        try:
            sign_out = self.sign_in(inner, claims, token)
            behind = self.app if sign_out is None else self._behind
            await behind(inner, exchange.receive, exchange.send)
        except Exception as error:
            # The server knows nothing of a client that has gone: the guard has ended the stream.
            if not exchange.has_told(error):
                raise
        finally:
            try:
                if exchange.is_open:
                    await exchange.close()
            finally:
                if sign_out is not None:
                    sign_out()
                if outside is None:
                    state.pop(CLAIMS, None)
                else:
                    state[CLAIMS] = outside
                exchange.is_over = True
                leave(entered)


def metadata_app(guard: DoorwardResource) -> ASGIApp:
    """An application that answers with the resource metadata, for routers that want a route for it."""

    # A class: Starlette takes functions for endpoints of its own kind.
    class MetadataApp:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            answer = guard.core.metadata_answer(scope["method"], guard.metadata_paths[0])
            if answer is not None:
                await _answer(send, answer)

    return MetadataApp()


async def _answer(send: Send, answer: Answer) -> None:
    status, headers, body = answer
    if status != 204:  # RFC 9110 §8.6
        headers.append((b"content-length", str(len(body)).encode("ascii")))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse_websocket(receive: Receive, send: Send) -> None:
    """The guard knows nothing of what goes through a WebSocket; servers answer the handshake with 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})

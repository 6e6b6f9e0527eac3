"""Whose request this is."""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward import _core
from doorward.errors import TokenMissingError

if TYPE_CHECKING:
    from doorward._exchange import Exchange
    from doorward.guard import DoorwardResource

CLAIMS = "doorward.claims"
"""The key of the claims in ``scope["state"]``, until the request is answered, and in the scope itself."""

SUBJECT_TOKEN = "doorward.subject_token"
"""The key of the token in the scope, as what can only be exchanged."""


# A tuple, since every request makes one.
Visit: TypeAlias = "tuple[_core.VerifiedClaims, str, DoorwardResource, Exchange, _core.SubjectToken | None]"
"""The claims and the token of a request, the guard that let it through, what the application does with it, and the token as
what can only be exchanged. The readable one is empty where nobody needs it."""

_visit: ContextVar[Visit | None] = ContextVar("doorward_visit", default=None)


def enter(visit: Visit) -> Token[Visit | None]:
    """From here on the application answers this request."""
    return _visit.set(visit)


def leave(entered: Token[Visit | None]) -> None:
    """The request is answered."""
    _visit.reset(entered)


def visit_with(token: str, guard: DoorwardResource) -> Visit | None:
    """The request that is being answered, if this guard let it through with this token."""
    visit = _visit.get()
    # Tasks that the application has begun have a copy of the context, and may go on when the request is over.
    return visit if visit is not None and visit[1] == token and visit[2] is guard and not visit[3].is_over else None


def current_claims() -> _core.VerifiedClaims:
    """The claims of the request that is being answered.

    Raises:
        TokenMissingError: Outside a guarded request.
    """
    claims: _core.VerifiedClaims | None = _of_request(CLAIMS, 0)
    if claims is None:
        raise TokenMissingError("there is no guarded request here")
    return claims


def current_subject_token() -> _core.SubjectToken:
    """The token of the request that is being answered, for an exchange: ``TokenExchangeOptions(current_subject_token())``.

    It cannot be read, and no client but one of its own issuer takes it.

    Raises:
        TokenMissingError: Outside a guarded request.
    """
    token: _core.SubjectToken | None = _of_request(SUBJECT_TOKEN, 4)
    if token is None:
        raise TokenMissingError("there is no guarded request here")
    return token


def current_request() -> Any | None:
    """The HTTP request of the MCP message that is being handled, where the SDK says it."""
    message = first_generation_message()
    return None if message is None else getattr(message, "request", None)


def first_generation_message() -> Any | None:
    """The request context of the message that is being handled, in the SDK's first generation."""
    # Sessions of the SDK's first generation handle every message in the context of the request that began the session,
    # so that context variables are those of that request; only the message itself knows the right one.
    server = sys.modules.get("mcp.server.lowlevel.server")
    context = getattr(server, "request_ctx", None)
    return context.get(None) if isinstance(context, ContextVar) else None


def _of_request(key: str, place: int) -> Any | None:
    """What a request has in its scope, and in its :data:`Visit`."""
    message = first_generation_message()
    if message is not None:
        # Not in its state: a request may be answered before its message is handled.
        scope = getattr(getattr(message, "request", None), "scope", None)
        return (scope or {}).get(key)
    visit = _visit.get()
    return None if visit is None else visit[place]

"""Whose request this is."""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any

from doorward import _core
from doorward.errors import TokenMissingError

CLAIMS = "doorward.claims"
"""The key of the claims in ``scope["state"]``."""

_visit: ContextVar[tuple[_core.VerifiedClaims, str] | None] = ContextVar("doorward_visit", default=None)


def enter(claims: _core.VerifiedClaims, token: str) -> Token[tuple[_core.VerifiedClaims, str] | None]:
    """From here on the application answers a request with these claims. ``token`` is empty where nobody needs it."""
    return _visit.set((claims, token))


def leave(entered: Token[tuple[_core.VerifiedClaims, str] | None]) -> None:
    """The request is answered."""
    _visit.reset(entered)


def claims_of(token: str) -> _core.VerifiedClaims | None:
    """The claims of the current request, if the guard let it through with this token."""
    visit = _visit.get()
    return visit[0] if visit is not None and visit[1] == token else None


def current_claims() -> _core.VerifiedClaims:
    """The claims of the request that is being answered.

    Raises:
        TokenMissingError: Outside a guarded request.
    """
    claims = _of_mcp_request()
    if claims is None:
        raise TokenMissingError("there is no guarded request here")
    return claims


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


def _of_mcp_request() -> _core.VerifiedClaims | None:
    message = first_generation_message()
    if message is not None:
        scope = getattr(getattr(message, "request", None), "scope", None)
        state = (scope or {}).get("state") or {}
        claims: _core.VerifiedClaims | None = state.get(CLAIMS)
        return claims
    visit = _visit.get()
    return None if visit is None else visit[0]

"""What the guard does inside a FastMCP server: for what cannot be seen from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from doorward._consent import ToolCall, answer, check_state, consent_of, let_errors_through
from doorward._current import current_claims
from doorward.errors import TokenMissingError

if TYPE_CHECKING:
    from doorward.client import DoorwardClient
    from doorward.guard import DoorwardResource


def install(server: Any, guard: DoorwardResource, client: DoorwardClient) -> None:
    """Adds the guard's middleware to a FastMCP server, once."""
    if any(getattr(middleware, "doorward_guard", None) is guard for middleware in server.middleware):
        return
    let_errors_through(getattr(server, "_mcp_server", None))
    server.add_middleware(_middleware(guard, client))


def _middleware(guard: DoorwardResource, client: DoorwardClient) -> Any:
    from fastmcp.server.middleware import Middleware

    class DoorwardMiddleware(Middleware):
        """Comes before every call of a tool, also those that tools make by name."""

        doorward_guard = guard

        async def on_call_tool(self, context: Any, call_next: Callable[[Any], Any]) -> Any:
            _check_scopes(guard, context.message.name)
            return await with_consent(client, context, call_next)

    return DoorwardMiddleware()


def _check_scopes(guard: DoorwardResource, tool: str) -> None:
    """The scopes of the tool. The guard's own layer has checked what the request names; a tool may call others."""
    needed = guard.tool_scopes.get(tool)
    if not needed:
        return
    try:
        claims = current_claims()
    except TokenMissingError:
        if _is_over_http():
            raise
        # In the same process, or over standard input: there are no tokens.
        return
    claims.require_scopes(needed)


def _is_over_http() -> bool:
    from fastmcp.server.dependencies import get_http_request

    try:
        get_http_request()
    except RuntimeError:
        return False
    return True


async def with_consent(client: DoorwardClient, context: Any, call_next: Callable[[Any], Any]) -> Any:
    """The result of a tool; where it lacks a person's consent, what its client needs to ask for it."""
    request = getattr(context.fastmcp_context, "request_context", None)
    if request is None:
        return await call_next(context)
    call = ToolCall.of(request, context.message.name, context.message.arguments)
    check_state(client, call)
    try:
        return await call_next(context)
    except Exception as error:
        consent = consent_of(error)
        asking = None if consent is None else answer(client, consent, call)
        if asking is None:
            raise
        from fastmcp.tools.base import InputRequiredToolResult

        return InputRequiredToolResult(asking)

"""What the guard does inside a FastMCP server: for what cannot be seen from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from doorward import _consent
from doorward._consent import let_errors_through
from doorward._current import current_claims
from doorward.errors import InsufficientScopeError, TokenMissingError

if TYPE_CHECKING:
    from doorward.client import DoorwardClient
    from doorward.guard import DoorwardResource, Kind

_HEX = frozenset("0123456789abcdef")

_ASKING = {
    "tools/call": ("fastmcp.tools.base", "InputRequiredToolResult"),
    "prompts/get": ("fastmcp.prompts.base", "InputRequiredPromptResult"),
    "resources/read": ("fastmcp.resources.base", "InputRequiredResourceResult"),
}
"""The methods of which a person's consent may be missing, and FastMCP's results that ask for something."""


def install(server: Any, guard: DoorwardResource, client: DoorwardClient) -> None:
    """Adds the guard's middleware to a FastMCP server, once."""
    if any(getattr(middleware, "doorward_guard", None) is guard for middleware in server.middleware):
        return
    let_errors_through(getattr(server, "_mcp_server", None))
    server.add_middleware(_middleware(guard, client))


def _middleware(guard: DoorwardResource, client: DoorwardClient) -> Any:
    from fastmcp.server.middleware import Middleware

    class DoorwardMiddleware(Middleware):
        """Comes before everything that is called, also by tools that call others by name."""

        doorward_guard = guard

        async def __call__(self, context: Any, call_next: Callable[[Any], Any]) -> Any:
            # Not over FastMCP's hooks: several coroutines for each message, of which one call of a tool needs none.
            method = context.method
            if isinstance(context.message, dict):
                # FastMCP 4 tells of what it could not read, after the fact: nothing is called.
                return await call_next(context)
            if method == "tools/call":
                name: str = context.message.name
                check_scopes(guard, "tool", name)
                local = _local_name(name)
                if local != name:
                    check_scopes(guard, "tool", local)
            elif method == "prompts/get":
                check_scopes(guard, "prompt", context.message.name)
            elif method == "resources/read":
                check_scopes(guard, "resource", str(context.message.uri))
            return await with_consent(client, context, call_next)

    return DoorwardMiddleware()


def check_scopes(guard: DoorwardResource, kind: Kind, name: str) -> None:
    """Whether the token of the request may use this. The guard's own layer has checked what the request names."""
    try:
        claims = current_claims()
    except TokenMissingError:
        if _is_over_http():
            raise
        # In the same process, or over standard input: there are no tokens.
        return
    try:
        guard.require_named(claims, kind, name)
    except InsufficientScopeError as error:
        from fastmcp.exceptions import PromptError, ResourceError, ToolError

        raise {"tool": ToolError, "prompt": PromptError, "resource": ResourceError}[kind](str(error)) from error


def _local_name(name: str) -> str:
    """The tool's own name, where FastMCP 4 lets applications call it by a digest before it."""
    digest, _, local = name.partition("_")
    return local if local and set(digest) <= _HEX else name


def _is_over_http() -> bool:
    from fastmcp.server.dependencies import get_http_request

    try:
        get_http_request()
    except RuntimeError:
        return False
    return True


def with_consent(client: DoorwardClient, context: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Awaitable[Any]:
    """What comes of a message; where a person's consent is missing, what its client needs to ask for it."""
    request = getattr(context.fastmcp_context, "request_context", None) if context.method in _ASKING else None
    if request is None:
        return call_next(context)
    return _consent.with_consent(client, request, partial(call_next, context), _as_result)


def _as_result(method: str, asking: Any) -> Any:
    module, name = _ASKING[method]
    return getattr(import_module(module), name)(asking)

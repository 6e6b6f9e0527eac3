"""What the guard does inside a server of the official SDK: for what cannot be seen from outside."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from doorward._consent import let_errors_through, with_consent
from doorward._current import current_claims, first_generation_message
from doorward.errors import InsufficientScopeError, TokenMissingError

if TYPE_CHECKING:
    from doorward.client import DoorwardClient
    from doorward.guard import DoorwardResource, Kind


def watch(mcp: Any, guard: DoorwardResource, client: DoorwardClient) -> None:
    """Comes before every tool, prompt and resource, also before those that others use by name: asks for consents that
    are missing, and looks at scopes. Harmless when it is there already.
    """
    tools = mcp._tool_manager
    call_tool, get_prompt, read_resource = tools.call_tool, mcp.get_prompt, mcp.read_resource
    if hasattr(call_tool, "__doorward__"):
        return

    async def run(kind: Kind, name: str, context: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        request = _request_context(context)
        is_over_http = getattr(request, "request", None) is not None
        _check_scopes(guard, kind, name, is_over_http)
        return await (with_consent(client, request, call) if is_over_http else call())

    @functools.wraps(call_tool)
    async def watched_tool(name: str, arguments: Any, context: Any = None, *more: Any, **named: Any) -> Any:
        call = functools.partial(call_tool, name, arguments, context, *more, **named)
        return await run("tool", name, context, call)

    # The context is an argument since the SDK's second generation.
    @functools.wraps(get_prompt)
    async def watched_prompt(name: str, arguments: Any = None, *context: Any, **named: Any) -> Any:
        call = functools.partial(get_prompt, name, arguments, *context, **named)
        return await run("prompt", name, context[0] if context else named.get("context"), call)

    @functools.wraps(read_resource)
    async def watched_resource(uri: Any, *context: Any, **named: Any) -> Any:
        call = functools.partial(read_resource, uri, *context, **named)
        return await run("resource", str(uri), context[0] if context else named.get("context"), call)

    watched_tool.__doorward__ = True  # type: ignore[attr-defined]
    tools.call_tool, mcp.get_prompt, mcp.read_resource = watched_tool, watched_prompt, watched_resource
    lowlevel = getattr(mcp, "_mcp_server", None)
    _watch_messages(lowlevel, client)
    let_errors_through(lowlevel)


def _watch_messages(lowlevel: Any, client: DoorwardClient) -> None:
    """The SDK's first generation has handed the server's own methods on before anybody could come before them."""
    handlers = getattr(lowlevel, "request_handlers", None)
    if handlers is None:
        return
    from mcp.types import GetPromptRequest, ReadResourceRequest

    def watched(handle: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def handler(request: Any) -> Any:
            return await with_consent(client, first_generation_message(), functools.partial(handle, request))

        return handler

    for request in (GetPromptRequest, ReadResourceRequest):
        if request in handlers:
            handlers[request] = watched(handlers[request])


def _request_context(context: Any) -> Any | None:
    """The SDK's request context, where a request is being handled."""
    try:
        return first_generation_message() if context is None else context.request_context
    except (LookupError, ValueError):
        return None


def _check_scopes(guard: DoorwardResource, kind: Kind, name: str, is_over_http: bool) -> None:
    """Whether the token of the request may use this. The guard's own layer has checked what the request names."""
    try:
        claims = current_claims()
    except TokenMissingError:
        if is_over_http:
            raise
        # In the same process, or over standard input: there are no tokens.
        return
    try:
        guard.require_named(claims, kind, name)
    except InsufficientScopeError as error:
        raise missing_scope()(str(error)) from error


@functools.cache
def missing_scope() -> type[PermissionError]:
    """A ``PermissionError`` whose text the SDK shows to the client: it hides those of other exceptions since 2.0."""
    try:
        from mcp.server.mcpserver.exceptions import ResourceError, ToolError
    except ImportError:
        from mcp.server.fastmcp.exceptions import ResourceError, ToolError

    bases = (PermissionError, ToolError, ResourceError)
    return type("MissingScopeError", bases, {"__doc__": "The token lacks a scope."})

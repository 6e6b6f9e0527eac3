"""Tools that call other tools by name: what the request names is not all that is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import AuthorizationServer, Client, result_of, serving

pytest.importorskip("fastmcp")

import fastmcp

from doorward.fastmcp import doorward_auth
from doorward.mcp import doorward_mcp_auth, secure_app

try:
    from mcp.server.mcpserver import Context, MCPServer
except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer

SCOPES: dict[str, Any] = {
    "tool_scopes": {"write": ["mcp:write"]},
    "prompt_scopes": {"review": ["mcp:review"]},
    "resource_scopes": {"notes://{id}": ["mcp:notes"]},
    "scope_hierarchy": {"mcp:admin": ["mcp:write", "mcp:notes", "mcp:review"]},
}
calls_tools = pytest.mark.skipif(
    not hasattr(fastmcp.FastMCP, "call_tool"), reason="tools of FastMCP 2 do not call others by name"
)


def fastmcp_server(auth: Any) -> Any:
    mcp: Any = fastmcp.FastMCP("nested", **auth)

    @mcp.tool
    def write(x: str) -> str:
        return f"wrote {x}"

    @mcp.tool
    def read() -> str:
        return "read it"

    @mcp.tool
    async def by_name(name: str, arguments: dict[str, Any]) -> str:
        return str((await mcp.call_tool(name, arguments)).content)

    @mcp.tool
    async def by_name_of_two(name: str, arguments: dict[str, Any]) -> str:
        return str((await mcp.call_tool("by_name", {"name": name, "arguments": arguments})).content)

    @mcp.tool
    async def resource(uri: str) -> str:
        return str((await mcp.read_resource(uri)).contents)

    @mcp.tool
    async def prompt(name: str) -> str:
        return str((await mcp.render_prompt(name)).messages)

    @mcp.resource("notes://{name}")
    def note(name: str) -> str:
        return f"note {name}"

    @mcp.prompt
    def review() -> str:
        return "look closely"

    return mcp


@contextmanager
def on_fastmcp(
    server: AuthorizationServer, made: Any = fastmcp_server, seen: list[Any] | None = None
) -> Iterator[Client]:
    async def make(base_url: str) -> tuple[Any, Any]:
        auth = await doorward_auth(server.issuer, base_url, dev_mode=True, **SCOPES)
        mcp = made(auth)
        if seen is not None:
            seen.append(mcp)
        return mcp.http_app(path="/mcp"), auth.aclose

    with serving(make) as running:
        yield Client(running)


def answer(client: Client, token: str, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Whether the call went well, and what it said."""
    message = result_of(client.call(token, tool, arguments, client.session(token)))
    result = message.get("result", {"isError": True})
    return not result.get("isError", False), str(message)


NESTED = [
    ("by_name", {"name": "write", "arguments": {"x": "1"}}, "wrote 1"),
    ("by_name_of_two", {"name": "write", "arguments": {"x": "1"}}, "wrote 1"),
    ("resource", {"uri": "notes://7"}, "note 7"),
    ("prompt", {"name": "review"}, "look closely"),
]


@calls_tools
@pytest.mark.parametrize(("tool", "arguments", "text"), NESTED)
def test_what_a_tool_calls_needs_its_scopes_too(
    tool: str, arguments: dict[str, Any], text: str, authorization_server: AuthorizationServer
) -> None:
    with on_fastmcp(authorization_server) as client:
        little = authorization_server.token(client.server.resource)
        went_well, said = answer(client, little, tool, **arguments)
        assert not went_well
        assert text not in said
        much = authorization_server.token(client.server.resource, scope="mcp:admin")
        went_well, said = answer(client, much, tool, **arguments)
        assert went_well, said
        assert text in said


@calls_tools
def test_what_needs_nothing_may_be_called_by_name(authorization_server: AuthorizationServer) -> None:
    with on_fastmcp(authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        went_well, said = answer(client, token, "by_name", name="read", arguments={})
        assert went_well, said


@calls_tools
def test_the_call_tool_of_a_search_transform_is_no_way_around(authorization_server: AuthorizationServer) -> None:
    search = pytest.importorskip("fastmcp.server.transforms.search")

    def made(auth: Any) -> Any:
        mcp = fastmcp_server(auth)
        mcp.add_transform(search.RegexSearchTransform())
        return mcp

    with on_fastmcp(authorization_server, made) as client:
        arguments = {"name": "write", "arguments": {"x": "1"}}
        little = authorization_server.token(client.server.resource)
        went_well, said = answer(client, little, "call_tool", **arguments)
        assert not went_well
        assert "wrote" not in said
        much = authorization_server.token(client.server.resource, scope="mcp:write")
        assert "wrote 1" in answer(client, much, "call_tool", **arguments)[1]


def test_in_one_process_there_are_no_tokens(authorization_server: AuthorizationServer) -> None:
    import asyncio

    servers: list[Any] = []
    with on_fastmcp(authorization_server, seen=servers) as client:
        token = authorization_server.token(client.server.resource)
        assert answer(client, token, "read")[0]

    async def main() -> str:
        async with fastmcp.Client(servers[0]) as session:
            return str(await session.call_tool("write", {"x": "1"}))

    assert "wrote 1" in asyncio.run(main())


def test_the_middleware_is_added_once(authorization_server: AuthorizationServer) -> None:
    servers: list[Any] = []
    with on_fastmcp(authorization_server, seen=servers) as client:
        token = authorization_server.token(client.server.resource)
        before = len(servers[0].middleware)
        for _ in range(3):
            assert answer(client, token, "read")[0]
        assert len(servers[0].middleware) == before + 1


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("by_name", {"name": "write", "arguments": {"x": "1"}}, "wrote 1"),
        ("resource", {"uri": "notes://7"}, "note 7"),
        ("prompt", {"name": "review"}, "look closely"),
    ],
)
@pytest.mark.parametrize("hands_context_on", [True, False])
def test_what_a_tool_of_the_official_sdk_uses_needs_its_scopes_too(
    tool: str, arguments: dict[str, Any], text: str, hands_context_on: bool, authorization_server: AuthorizationServer
) -> None:
    is_first_generation = hasattr(MCPServer, "get_context")
    if is_first_generation and hands_context_on:
        pytest.skip("this SDK finds the context itself")

    async def make(base_url: str) -> tuple[Any, Any]:
        auth = await doorward_mcp_auth(authorization_server.issuer, base_url + "/mcp", dev_mode=True, **SCOPES)
        mcp: Any = MCPServer("nested", **auth)

        def more(ctx: Any) -> dict[str, Any]:
            return {"context": ctx} if hands_context_on else {}

        @mcp.tool()
        def write(x: str) -> str:
            return f"wrote {x}"

        @mcp.tool()
        def read() -> str:
            return "read it"

        @mcp.tool()
        async def by_name(ctx: Context, name: str, arguments: dict[str, Any]) -> str:
            return str(await mcp.call_tool(name, arguments, **more(ctx)))

        @mcp.tool()
        async def resource(ctx: Context, uri: str) -> str:
            return str(await (ctx.read_resource(uri) if hands_context_on else mcp.read_resource(uri)))

        @mcp.tool()
        async def prompt(ctx: Context, name: str) -> str:
            return str(await mcp.get_prompt(name, **more(ctx)))

        @mcp.resource("notes://{name}")
        def note(name: str) -> str:
            return f"note {name}"

        @mcp.prompt()
        def review() -> str:
            return "look closely"

        return secure_app(mcp), auth.aclose

    with serving(make) as running:
        client = Client(running)
        little = authorization_server.token(client.server.resource)
        went_well, said = answer(client, little, tool, **arguments)
        assert not went_well
        assert text not in said
        assert answer(client, little, "by_name", name="read", arguments={})[0]
        much = authorization_server.token(client.server.resource, scope="mcp:admin")
        went_well, said = answer(client, much, tool, **arguments)
        assert went_well, said
        assert text in said

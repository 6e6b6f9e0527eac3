"""FastMCP's client with its OAuth helper, exactly as its users have it: a browser and a loopback callback."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import Any

from fastmcp import Client
from fastmcp.client.auth import OAuth
from steps import CALLBACK_PORT, MCP_URL, Walk

from oauth_walk import after_connecting


def text_of(result: Any) -> str:
    return "".join(getattr(part, "text", "") for part in result.content) + json.dumps(result.structured_content)


async def main() -> None:
    label = f"fastmcp {version('fastmcp')}"
    walk = Walk(label)
    provider = OAuth(mcp_url=MCP_URL, client_name=label, callback_port=CALLBACK_PORT, callback_timeout=30)
    client = Client(MCP_URL, auth=provider, timeout=60)
    with walk.step("connect"):
        await client.__aenter__()

    async def tools() -> set[str]:
        return {tool.name for tool in await client.list_tools()}

    async def call(name: str, arguments: dict[str, Any]) -> str:
        return text_of(await client.call_tool(name, arguments))

    await after_connecting(walk, provider, tools, call)
    with walk.step("disconnect"):
        await client.__aexit__(None, None, None)


asyncio.run(main())

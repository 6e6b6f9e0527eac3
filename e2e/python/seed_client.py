"""A walk on `examples/python/fastmcp-stock/server.py`: what its README promises, with FastMCP's own client."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import Any

from fastmcp import Client
from fastmcp.client.auth import OAuth
from steps import CALLBACK_PORT, ISSUER, MCP_URL, Walk, expect


async def main() -> None:
    label = f"fastmcp-stock example, fastmcp {version('fastmcp')}"
    walk = Walk(label)
    client = Client(MCP_URL, auth=OAuth(mcp_url=MCP_URL, client_name=label, callback_port=CALLBACK_PORT, callback_timeout=30), timeout=60)

    async def call(tool: str, /, **arguments: Any) -> Any:
        return (await client.call_tool(tool, arguments)).structured_content

    with walk.step("connect"):
        await client.__aenter__()
    with walk.step("whoami"):
        who = await call("whoami")
        walk.detail = json.dumps(who)
        expect(who["user_id"] and who["client_id"], "whoami names no person or no client")
        expect(who["issuer"] == ISSUER, f"issuer {who['issuer']}, not {ISSUER}")
        expect(who["audience"] == MCP_URL, f"audience {who['audience']}, not {MCP_URL}")
    with walk.step("projects"):
        await call("create_project", name="Door", description="Opens")
        projects = (await call("list_projects"))["result"]
        expect([project["name"] for project in projects] == ["Door"], f"projects: {projects}")
    with walk.step("delete_project refused"):
        try:
            deleted = await call("delete_project", project_id="1")
        except Exception as refusal:
            walk.detail = str(refusal)[:200]
        else:
            raise AssertionError(f"delete_project ran without the admin scope: {deleted}")
    await client.__aexit__(None, None, None)


asyncio.run(main())

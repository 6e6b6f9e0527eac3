"""The least that protects a server on the official SDK."""

from __future__ import annotations

import asyncio
import os

import uvicorn

try:
    from mcp.server.mcpserver import MCPServer
except ImportError:  # before 2.0
    from mcp.server.fastmcp import FastMCP as MCPServer


async def main() -> None:
    """Serve until interrupted."""
    # doorward:begin
    from doorward.mcp import doorward_mcp_auth, install_request_context

    auth = await doorward_mcp_auth(
        issuer=os.environ["DOORWARD_ISSUER"],
        resource=f"{os.environ['DOORWARD_BASE_URL']}/mcp",
        required_scopes=["mcp:echo"],
    )
    # doorward:end
    mcp = MCPServer("demo-server", **auth)
    install_request_context(mcp)

    @mcp.tool()
    def echo(text: str) -> str:
        """Echo the supplied text back to the caller."""
        return text

    port = int(os.environ.get("PORT", "8080"))
    server = uvicorn.Server(uvicorn.Config(mcp.streamable_http_app(), host="127.0.0.1", port=port))
    try:
        await server.serve()
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

"""A server on the official SDK behind Doorward's guard, for `mcp` 1.24 and newer, and 2.x.

Environment: `DOORWARD_ISSUER`, `DOORWARD_BASE_URL`, `PORT`, `DOORWARD_SCOPES` (what every request needs; `mcp:read`),
`DOORWARD_DPOP` (`off`, `accept` or `require`).
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import uvicorn

from doorward import InboundDPoPOptions

try:
    from mcp.server.mcpserver import MCPServer
except ImportError:  # before 2.0
    from mcp.server.fastmcp import FastMCP as MCPServer

DPOP = {
    "off": None,
    "accept": InboundDPoPOptions(),
    "require": InboundDPoPOptions(required=True),
}


async def main() -> None:
    """Serve until interrupted."""
    port = int(os.environ.get("PORT", "8080"))
    base_url = os.environ.get("DOORWARD_BASE_URL", f"http://localhost:{port}")
    # doorward:begin
    from doorward.mcp import current_claims, doorward_mcp_auth, install_request_context

    auth = await doorward_mcp_auth(
        issuer=os.environ.get("DOORWARD_ISSUER", "http://localhost:9000"),
        resource=f"{base_url}/mcp",
        required_scopes=os.environ.get("DOORWARD_SCOPES", "mcp:read").split(),
        tool_scopes={"write": ["mcp:write"]},
        inbound_dpop=DPOP[os.environ.get("DOORWARD_DPOP", "off")],
        dev_mode=True,
    )
    # doorward:end
    mcp = MCPServer("doorward-example", **auth)
    install_request_context(mcp)

    @mcp.tool()
    def echo(text: str) -> str:
        """Say what it was told."""
        return text

    @mcp.tool()
    def add(a: float, b: float) -> float:
        """Add two numbers."""
        return a + b

    @mcp.tool()
    def whoami() -> dict[str, Any]:
        """Say who calls, by the claims of the access token."""
        claims = current_claims()
        return {
            "subject": claims.sub,
            "client_id": claims.client_id,
            "scopes": list(claims.scopes),
            "claims": dict(claims.raw),
        }

    @mcp.tool()
    def write(x: str) -> str:
        """Write, which needs the scope mcp:write: the guard lets only such tokens through to this tool."""
        return f"wrote {x}"

    server = uvicorn.Server(uvicorn.Config(mcp.streamable_http_app(), host="127.0.0.1", port=port))
    try:
        await server.serve()
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

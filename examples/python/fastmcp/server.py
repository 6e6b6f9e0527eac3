"""A FastMCP server behind Doorward's guard, for FastMCP 2.14, 3.x and 4.x.

Environment: `DOORWARD_ISSUER`, `DOORWARD_BASE_URL`, `PORT`, `DOORWARD_SCOPES` (what every request needs; `mcp:read`),
`DOORWARD_DPOP` (`off`, `accept` or `require`).
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_access_token

from doorward import InboundDPoPOptions

DPOP = {
    "off": None,
    "accept": InboundDPoPOptions(),
    "require": InboundDPoPOptions(required=True),
}


async def main() -> None:
    """Serve until interrupted."""
    port = int(os.environ.get("PORT", "8080"))
    # doorward:begin
    from doorward.fastmcp import doorward_auth

    auth = await doorward_auth(
        issuer=os.environ.get("DOORWARD_ISSUER", "http://localhost:9000"),
        base_url=os.environ.get("DOORWARD_BASE_URL", f"http://localhost:{port}"),
        required_scopes=os.environ.get("DOORWARD_SCOPES", "mcp:read").split(),
        tool_scopes={"write": ["mcp:write"]},
        inbound_dpop=DPOP[os.environ.get("DOORWARD_DPOP", "off")],
        dev_mode=True,
    )
    # doorward:end
    mcp = FastMCP("doorward-example", **auth)

    @mcp.tool
    def echo(text: str) -> str:
        """Say what it was told."""
        return text

    @mcp.tool
    def add(a: float, b: float) -> float:
        """Add two numbers."""
        return a + b

    @mcp.tool
    def whoami() -> dict[str, Any]:
        """Say who calls, by the claims of the access token."""
        token = get_access_token()
        if token is None:
            raise PermissionError("this server takes authenticated requests only")
        return {
            "subject": token.claims["sub"],
            "client_id": token.client_id,
            "scopes": token.scopes,
            "claims": token.claims,
        }

    @mcp.tool
    def write(x: str) -> str:
        """Write, which needs the scope mcp:write: the guard lets only such tokens through to this tool."""
        return f"wrote {x}"

    try:
        await mcp.run_async(transport="streamable-http", host="127.0.0.1", port=port, path="/mcp")
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

"""Nothing but tokens that are bound to a key of the client (DPoP, RFC 9449): a stolen token is of no use."""

from __future__ import annotations

import asyncio
import os

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_access_token


async def main() -> None:
    """Serve until interrupted."""
    # doorward:begin
    from doorward import InboundDPoPOptions
    from doorward.fastmcp import doorward_auth

    auth = await doorward_auth(
        issuer=os.environ["DOORWARD_ISSUER"],
        base_url=os.environ["DOORWARD_BASE_URL"],
        required_scopes=["mcp:read"],
        inbound_dpop=InboundDPoPOptions(required=True),
        dev_mode=True,
    )
    # doorward:end
    mcp = FastMCP("safe", **auth)

    @mcp.tool()
    def whoami() -> dict[str, str]:
        """Say who calls, and with which key."""
        token = get_access_token()
        if token is None:
            raise PermissionError("this server takes authenticated requests only")
        return {"subject": token.claims["sub"], "key_thumbprint": token.claims["cnf"]["jkt"]}

    port = int(os.environ.get("PORT", "8080"))
    try:
        await mcp.run_async(transport="streamable-http", host="127.0.0.1", port=port)
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

"""The server of `retrofit_before.py` behind the guard. The tools are the same."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import secrets

from fastmcp import FastMCP


async def main() -> None:
    """Serve until interrupted."""
    # doorward:begin
    from doorward.fastmcp import doorward_auth

    auth = await doorward_auth(
        issuer=os.environ["DOORWARD_ISSUER"],
        base_url=os.environ["DOORWARD_BASE_URL"],
        scopes=["mcp:tools"], dev_mode=True,
    )
    # doorward:end
    mcp = FastMCP("retrofit-demo", **auth)

    @mcp.tool()
    def now() -> str:
        """Say what time it is."""
        return dt.datetime.now(dt.timezone.utc).isoformat()

    @mcp.tool()
    def dice(sides: int = 6) -> int:
        """Roll a die."""
        return secrets.randbelow(sides) + 1

    try:
        await mcp.run_async(transport="streamable-http", host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

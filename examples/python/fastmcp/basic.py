"""The least that protects a FastMCP server: five lines."""

from __future__ import annotations

import asyncio
import os

from fastmcp import FastMCP


async def main() -> None:
    """Serve until interrupted."""
    # doorward:begin
    from doorward.fastmcp import doorward_auth

    auth = await doorward_auth(
        issuer=os.environ["DOORWARD_ISSUER"],
        base_url=os.environ["DOORWARD_BASE_URL"],
        required_scopes=["mcp:echo"],
    )
    # doorward:end
    mcp = FastMCP("demo-server", **auth)

    @mcp.tool()
    def echo(text: str) -> str:
        """Echo the supplied text back to the caller."""
        return text

    port = int(os.environ.get("PORT", "8080"))
    try:
        await mcp.run_async(transport="streamable-http", host="127.0.0.1", port=port)
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

"""An MCP server that anybody may call: `retrofit_after.py` is the same one behind the guard."""

from __future__ import annotations

import datetime as dt
import os
import secrets

from fastmcp import FastMCP

mcp = FastMCP("retrofit-demo")


@mcp.tool()
def now() -> str:
    """Say what time it is."""
    return dt.datetime.now(dt.timezone.utc).isoformat()


@mcp.tool()
def dice(sides: int = 6) -> int:
    """Roll a die."""
    return secrets.randbelow(sides) + 1


if __name__ == "__main__":
    mcp.run(transport="streamable-http", host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))

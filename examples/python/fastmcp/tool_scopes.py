"""Scopes tool by tool: HTTP 403 with all that the call needs, before the tool runs, so that clients ask the person for more."""

from __future__ import annotations

import asyncio
import os

from fastmcp import FastMCP


async def main() -> None:
    """Serve until interrupted."""
    # doorward:begin
    from doorward.fastmcp import doorward_auth, require_scope

    auth = await doorward_auth(
        issuer=os.environ["DOORWARD_ISSUER"],
        base_url=os.environ["DOORWARD_BASE_URL"],
        required_scopes=["notes:read"],
        tool_scopes={"add": ["notes:write"], "remove": ["notes:write"]},
        dev_mode=True,
    )
    # doorward:end
    mcp = FastMCP("notes", **auth)
    notes: list[str] = []

    @mcp.tool()
    def list_notes() -> list[str]:
        """List the notes; every token that gets in may call it."""
        return notes

    @mcp.tool()
    def add(text: str) -> int:
        """Add a note; needs notes:write."""
        notes.append(text)
        return len(notes)

    @mcp.tool()
    def remove(count: int) -> int:
        """Remove the oldest notes; needs notes:write, and notes:admin for more than one."""
        if count > 1:
            # The arguments decide, which the guard does not look at: this is an error of the tool, not HTTP 403.
            require_scope("notes:admin")
        del notes[:count]
        return len(notes)

    port = int(os.environ.get("PORT", "8080"))
    try:
        await mcp.run_async(transport="streamable-http", host="127.0.0.1", port=port)
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

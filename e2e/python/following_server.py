"""A FastMCP server whose guard follows the revocations of the authorization server.

Environment: as the example servers, and DOORWARD_CLIENT_ID and DOORWARD_CLIENT_SECRET of the client that it is.
"""

from __future__ import annotations

import asyncio
import os

from doorward import ASCredentials, RevocationFeed
from doorward.fastmcp import current_claims, doorward_auth
from fastmcp import FastMCP


async def main() -> None:
    auth = await doorward_auth(
        issuer=os.environ["DOORWARD_ISSUER"],
        base_url=os.environ["DOORWARD_BASE_URL"],
        required_scopes=os.environ["DOORWARD_SCOPES"].split(),
        as_credentials=ASCredentials(os.environ["DOORWARD_CLIENT_ID"], os.environ["DOORWARD_CLIENT_SECRET"]),
        revocation_checker=RevocationFeed(refuse_while_blind=True),
    )
    mcp = FastMCP("following", **auth)

    @mcp.tool
    def whoami() -> str:
        """Who is calling."""
        return current_claims().sub

    @mcp.tool
    def feed() -> str:
        """How well the guard knows what was revoked."""
        return auth.guard.revocation_status().state

    try:
        await mcp.run_async(transport="streamable-http", host="127.0.0.1", port=int(os.environ["PORT"]))
    finally:
        await auth.aclose()


asyncio.run(main())

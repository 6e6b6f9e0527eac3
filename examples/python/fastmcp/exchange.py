"""A tool that calls another service in the name of the person who called it: token exchange (RFC 8693).

When the person has to agree first, the MCP client is told which page to open.
"""

from __future__ import annotations

import asyncio
import os

from fastmcp import FastMCP

from doorward import TokenExchangeOptions

# The other service, as the authorization server knows it.
MAIL = "https://mail.example/"


async def main() -> None:
    """Serve until interrupted."""
    # doorward:begin
    from doorward import ASCredentials
    from doorward.fastmcp import current_subject_token, doorward_auth

    auth = await doorward_auth(
        issuer=os.environ["DOORWARD_ISSUER"],
        base_url=os.environ["DOORWARD_BASE_URL"],
        required_scopes=["mcp:read", "mail.read"],
        as_credentials=ASCredentials(
            os.environ.get("DOORWARD_CLIENT_ID", "mail-tools"), os.environ["DOORWARD_CLIENT_SECRET"]
        ),
        dev_mode=True,
    )
    # doorward:end
    mcp = FastMCP("mail-tools", **auth)

    @mcp.tool()
    async def inbox() -> dict[str, str | int | None]:
        """Read the caller's mail."""
        caller = current_subject_token()
        token = await auth.client.exchange(TokenExchangeOptions(caller, resources=[MAIL], scope="mail.read"))
        # Now the mail server would be asked with `token.access_token`.
        return {"scope": token.scope, "expires_in": token.expires_in}

    port = int(os.environ.get("PORT", "8080"))
    try:
        await mcp.run_async(transport="streamable-http", host="127.0.0.1", port=port)
    finally:
        await auth.aclose()


if __name__ == "__main__":
    asyncio.run(main())

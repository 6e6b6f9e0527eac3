"""A server in several processes: `uvicorn workers:app --workers 2 --port 8080`."""

from __future__ import annotations

import os

from fastmcp import FastMCP

# doorward:begin
from doorward.fastmcp import doorward_auth_sync

auth = doorward_auth_sync(
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


# Without sessions: every request may come to another process.
app = mcp.http_app(stateless_http=True)

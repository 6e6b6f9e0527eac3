"""An MCP server on FastMCP as it comes: stock `RemoteAuthProvider` and `JWTVerifier`, nothing of ours in it.

Environment: DOORWARD_ISSUER, DOORWARD_BASE_URL, PORT, DOORWARD_SCOPES (default `mcp:read`).
"""

from __future__ import annotations

import os
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth import JWTVerifier, RemoteAuthProvider, require_scopes
from fastmcp.server.dependencies import get_access_token
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter

ISSUER = os.environ["DOORWARD_ISSUER"]
BASE_URL = os.environ["DOORWARD_BASE_URL"]
SCOPES = os.environ.get("DOORWARD_SCOPES", "mcp:read").split()

# `AnyHttpUrl` alone turns `http://host:9000` into `http://host:9000/`, and clients compare issuers as strings.
as_written = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))

auth = RemoteAuthProvider(
    token_verifier=JWTVerifier(
        jwks_uri=f"{ISSUER}/.well-known/jwks.json",
        issuer=ISSUER,
        audience=f"{BASE_URL}/mcp",
        algorithm="ES256",
        required_scopes=SCOPES,
    ),
    authorization_servers=[as_written.validate_python(ISSUER)],
    base_url=BASE_URL,
)
mcp = FastMCP("fastmcp-stock", auth=auth)


@mcp.tool
def echo(text: str) -> str:
    """Says the text again."""
    return text


@mcp.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@mcp.tool
def whoami() -> dict[str, Any]:
    """Who is calling, as the access token says."""
    token = get_access_token()
    if token is None:
        raise PermissionError("no access token")
    return {
        "subject": token.claims.get("sub"),
        "client_id": token.client_id,
        "scopes": token.scopes,
        "claims": token.claims,
    }


@mcp.tool(auth=require_scopes("mcp:write"))
def write(x: str) -> str:
    """Writes; needs `mcp:write` besides."""
    return f"written: {x}"


if __name__ == "__main__":
    mcp.run(transport="http", host="127.0.0.1", port=int(os.environ["PORT"]), path="/mcp", show_banner=False)

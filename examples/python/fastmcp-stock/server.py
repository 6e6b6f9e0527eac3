"""FastMCP with its own classes, and Doorward as the authorization server.

Doorward logs people in, asks for consent and issues the tokens. This server only checks them: FastMCP's stock
`RemoteAuthProvider` points clients at Doorward, its `JWTVerifier` checks signature, issuer, audience and scopes.
"""

from __future__ import annotations

import os
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth import JWTVerifier, RemoteAuthProvider, require_scopes
from fastmcp.server.dependencies import get_access_token
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter

# Doorward's issuer, exactly as in its settings: clients compare it character by character.
DOORWARD_ISSUER = os.environ.get("DOORWARD_ISSUER", "http://localhost:9000")
# Where clients reach this server.
BASE_URL = os.environ.get("DOORWARD_BASE_URL", "http://localhost:8000")
# The audience that tokens must carry: the resource registered in Doorward, which is this server's MCP URL.
MCP_AUDIENCE = os.environ.get("MCP_AUDIENCE", f"{BASE_URL}/mcp")

# pydantic writes `http://localhost:9000` as `http://localhost:9000/`; this keeps the issuer as it is.
as_written = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))

auth = RemoteAuthProvider(
    token_verifier=JWTVerifier(
        jwks_uri=f"{DOORWARD_ISSUER}/.well-known/jwks.json",
        issuer=DOORWARD_ISSUER,
        audience=MCP_AUDIENCE,
        algorithm="ES256",
        # Scopes that every request needs.
        required_scopes=os.environ.get("DOORWARD_SCOPES", "mcp:read").split(),
    ),
    authorization_servers=[as_written.validate_python(DOORWARD_ISSUER)],
    base_url=BASE_URL,
)

mcp = FastMCP(name="My MCP Server", auth=auth)

PROJECTS: dict[str, list[dict[str, str]]] = {}


def claims() -> dict[str, Any]:
    """The claims of the token that this request came with."""
    token = get_access_token()
    if token is None:
        raise PermissionError("this server takes authenticated requests only")
    return token.claims


@mcp.tool
async def list_projects() -> list[dict[str, str]]:
    """List the caller's projects. Requires the default mcp:read scope."""
    return PROJECTS.get(claims()["sub"], [])


@mcp.tool(auth=require_scopes("mcp:write"))
async def create_project(name: str, description: str) -> dict[str, str]:
    """Create a project. Requires mcp:write in addition to mcp:read."""
    mine = PROJECTS.setdefault(claims()["sub"], [])
    project = {"id": str(len(mine) + 1), "name": name, "description": description}
    mine.append(project)
    return project


@mcp.tool(auth=require_scopes("admin"))
async def delete_project(project_id: str) -> dict[str, Any]:
    """Delete a project. Requires the admin scope."""
    owner = claims()["sub"]
    kept = [project for project in PROJECTS.get(owner, []) if project["id"] != project_id]
    deleted = len(PROJECTS.get(owner, [])) - len(kept)
    PROJECTS[owner] = kept
    return {"deleted": deleted, "deleted_by": owner}


@mcp.tool
async def whoami() -> dict[str, Any]:
    """Return the authenticated caller's identity."""
    given = claims()
    return {
        "user_id": given.get("sub"),
        "client_id": given.get("client_id"),
        "scopes": given.get("scope", "").split(" "),
        "issuer": given.get("iss"),
        "audience": given.get("aud"),
        "expires_at": given.get("exp"),
    }


if __name__ == "__main__":
    mcp.run(transport="http", host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), path="/mcp")

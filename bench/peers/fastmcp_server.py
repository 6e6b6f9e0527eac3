"""A FastMCP server with one tool, stateless, with the check that `--auth` names."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import issuer
from fastmcp import FastMCP
from issuer import public_pem


def provider(name: str, fixtures: dict[str, Any]) -> Any:
    """The check of this name."""
    from fastmcp.server.auth import AccessToken, TokenVerifier
    from fastmcp.server.auth.providers.jwt import JWTVerifier

    class PassThrough(TokenVerifier):
        """Lets every token through: what the framework itself costs."""

        async def verify_token(self, token: str) -> AccessToken:
            return AccessToken(token=token, client_id="client", scopes=[])

    settings = {
        "public_key": public_pem(fixtures),
        "issuer": fixtures["issuer"],
        "audience": fixtures["resource"],
        "algorithm": "ES256",
    }
    match name:
        case "pass":
            return PassThrough()
        case "stock":
            return JWTVerifier(**settings)
        case "doorward":
            import doorward.jwt

            return doorward.jwt.JWTVerifier(**settings)
        case "guard":
            return asyncio.run(guard(fixtures))
        case _:
            return None


async def guard(fixtures: dict[str, Any]) -> Any:
    """The whole guard: scopes of tools, challenges, metadata."""
    from doorward.fastmcp import doorward_auth

    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> tuple[int, list[Any], bytes]:
        return 200, [("content-type", "application/json")], json.dumps(issuer.document(fixtures, url)).encode()

    auth = await doorward_auth(
        issuer=fixtures["issuer"],
        base_url=fixtures["resource"].removesuffix("/mcp"),
        scopes=["tools/read"],
        tool_scopes={"echo": ["tools/read"]},
        transport=transport,
    )
    await issuer.keys_of(auth.guard, fixtures)
    return auth["auth"]


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--auth", choices=["none", "pass", "stock", "doorward", "guard"], required=True)
    parser.add_argument("--fixtures", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    with open(arguments.fixtures, encoding="utf-8") as file:
        fixtures = json.load(file)
    mcp = FastMCP("bench", auth=provider(arguments.auth, fixtures))

    @mcp.tool
    def echo(text: str) -> str:
        """Says what it was told."""
        return text

    mcp.run(
        transport="http",
        host="127.0.0.1",
        port=arguments.port,
        stateless_http=True,
        json_response=True,
        show_banner=False,
        log_level="ERROR",
        uvicorn_config={"access_log": False},
    )


if __name__ == "__main__":
    main()

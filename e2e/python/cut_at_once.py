"""A person's access is cut while they work: the guard of `following_server.py` refuses the token within two seconds."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import urllib.error
import urllib.request
from typing import Any

from fastmcp import Client
from fastmcp.client.auth import OAuth
from machine import admin
from steps import CALLBACK_PORT, MCP_URL, Walk, expect

LIMIT = 2.0
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "cut", "version": "1"}},
}


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def asked(token: str) -> tuple[int, str]:
    """Status and challenge of a request with the token."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    request = urllib.request.Request(MCP_URL, json.dumps(INITIALIZE).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers.get("www-authenticate", "")


async def signed_in(walk: Walk, name: str) -> tuple[Client, str]:
    """A person at a client of their own, and their access token."""
    provider = OAuth(mcp_url=MCP_URL, client_name=name, callback_port=CALLBACK_PORT, callback_timeout=30)
    client = Client(MCP_URL, auth=provider, timeout=60)
    with walk.step(f"{name} signs in"):
        await client.__aenter__()
        await client.call_tool("whoami", {})
    return client, provider.context.current_tokens.access_token


async def main() -> None:
    walk = Walk("cut at once")
    client, token = await signed_in(walk, "first")
    other, kept = await signed_in(walk, "second")
    with walk.step("the guard follows the revocations"):
        walk.detail = str(await client.call_tool("feed", {}))
        expect("connected" in walk.detail and "disconnected" not in walk.detail, walk.detail)
    grant, other_grant = claims_of(token)["gid"], claims_of(kept)["gid"]
    with walk.step("revoked"):
        expect(grant != other_grant, "both clients have one grant")
        expect(asked(token)[0] == 200, f"before it was revoked: {asked(token)}")
        admin("DELETE", f"grants/{grant}")
        began = time.monotonic()
        # When the last request was sent that was let in: the time that an answer takes makes nothing older.
        let_in = sent = 0.0
        while (seen := asked(token))[0] == 200 and sent < 10:
            await asyncio.sleep(0.02)
            let_in, sent = sent, time.monotonic() - began
        walk.detail = f"let in for {let_in * 1000:.0f} ms"
        expect(seen[0] == 401 and 'error="invalid_token"' in seen[1], str(seen))
        expect(let_in < LIMIT, f"still let in after {let_in:.2f} s")
        expect(claims_of(token)["exp"] > time.time() + 60, "the token has expired by itself")
    with walk.step("other grants go on"):
        expect(asked(kept)[0] == 200, str(asked(kept)))
        await other.call_tool("whoami", {})
    await other.__aexit__(None, None, None)


asyncio.run(main())

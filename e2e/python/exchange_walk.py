"""The examples whose tool exchanges the caller's token, at Doorward's own server: a person signs in, and the tool gets a token for their mail."""

from __future__ import annotations

import asyncio
import os

from fastmcp import Client
from fastmcp.client.auth import OAuth
from machine import admin
from steps import CALLBACK_PORT, MCP_URL, Walk, expect

MAIL = "https://mail.example/"


def mail_resource() -> str:
    """The slug of the other service, registered by whichever walk comes first."""
    if not any(resource["slug"] == "mail" for resource in admin("GET", "resources")["items"]):
        scopes = [{"name": "mail.read", "description": "Read mail"}, {"name": "mail.send", "description": "Send mail"}]
        resource = {"slug": "mail", "uri": MAIL, "backend_kind": "mint", "display_name": "Mail", "scopes": scopes}
        admin("POST", "resources", resource)
    return "mail"


async def main() -> None:
    walk = Walk("exchange")
    slug, exchanging = mail_resource(), os.environ["E2E_CLIENT_ID"]
    client = Client(MCP_URL, auth=OAuth(mcp_url=MCP_URL, client_name="mail reader", callback_port=CALLBACK_PORT, callback_timeout=30), timeout=60)
    with walk.step("connect"):
        await client.__aenter__()
    with walk.step("nobody may exchange tokens for a resource that does not name them"):
        admin("PATCH", f"resources/{slug}", {"policy": {"exchange_clients": []}})
        try:
            answer = await client.call_tool("inbox", {})
        except Exception as refusal:
            walk.detail = str(refusal)[:200]
        else:
            raise AssertionError(f"answered: {answer}")
    with walk.step("exchanged"):
        admin("PATCH", f"resources/{slug}", {"policy": {"exchange_clients": [exchanging]}})
        told = (await client.call_tool("inbox", {})).structured_content
        walk.detail = str(told)
        expect(told["scope"] == "mail.read", str(told))
        expect(0 < told["expires_in"] <= 300, str(told))
    with walk.step("disconnect"):
        await client.__aexit__(None, None, None)


asyncio.run(main())

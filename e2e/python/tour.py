"""A person's tour of one example: FastMCP's client signs in, then calls what `E2E_CALLS` says.

`E2E_CALLS` is a JSON array of `[tool, arguments, text]`; the answer must contain the text, and `null` means that the call must be refused.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from fastmcp import Client
from fastmcp.client.auth import OAuth
from steps import CALLBACK_PORT, MCP_URL, Walk, expect


def text_of(result: Any) -> str:
    return "".join(getattr(part, "text", "") for part in result.content) + json.dumps(result.structured_content)


async def main() -> None:
    walk = Walk("tour")
    client = Client(MCP_URL, auth=OAuth(mcp_url=MCP_URL, client_name="tour", callback_port=CALLBACK_PORT, callback_timeout=30), timeout=60)
    with walk.step("connect"):
        await client.__aenter__()
    for tool, arguments, expected in json.loads(os.environ["E2E_CALLS"]):
        with walk.step(f"{tool} {json.dumps(arguments)}"):
            try:
                text = text_of(await client.call_tool(tool, arguments))
            except Exception as refusal:
                walk.detail = str(refusal)[:200]
                expect(expected is None, f"refused: {walk.detail}")
            else:
                walk.detail = text[:200]
                expect(expected is not None and expected in text, f"answered: {text[:200]}")
    with walk.step("disconnect"):
        await client.__aexit__(None, None, None)


asyncio.run(main())

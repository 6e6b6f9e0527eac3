"""The official SDK's client, 1.x and 2.x, with `OAuthClientProvider`; the application opens the browser itself."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from steps import MCP_URL, Walk

import browser
from oauth_walk import after_connecting

SDK = version("mcp")
CALLBACK = "http://127.0.0.1:33444/callback"


class MemoryStorage:
    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


class Opened:
    """The browser window of this application: the callback is read from the address it ends on."""

    def __init__(self) -> None:
        self.callback = ""

    async def redirect(self, url: str) -> None:
        self.callback = await asyncio.to_thread(browser.open_url, url, False)

    async def answer(self) -> Any:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.callback).query).items()}
        if "error" in query:
            raise RuntimeError(f"authorization ended with {query}")
        try:
            from mcp.shared.auth import AuthorizationCodeResult
        except ImportError:
            return query["code"], query.get("state")
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


def make_provider() -> OAuthClientProvider:
    window = Opened()
    wanted = OAuthClientMetadata.model_validate(
        {
            "client_name": f"mcp {SDK}",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
    )
    return OAuthClientProvider(
        server_url=MCP_URL,
        client_metadata=wanted,
        storage=MemoryStorage(),
        redirect_handler=window.redirect,
        callback_handler=window.answer,
    )


async def connect(stack: AsyncExitStack, provider: OAuthClientProvider) -> Any:
    if SDK.startswith("1."):
        import httpx
        from mcp import ClientSession

        http = await stack.enter_async_context(httpx.AsyncClient(auth=provider, timeout=60, follow_redirects=True))
        read, write, *_ = await stack.enter_async_context(streamable_http_client(MCP_URL, http_client=http))
        session = await stack.enter_async_context(ClientSession(read, write))
        await session.initialize()
        return session
    import httpx2
    from mcp import Client

    http = await stack.enter_async_context(httpx2.AsyncClient(auth=provider, timeout=60, follow_redirects=True))
    return await stack.enter_async_context(Client(streamable_http_client(MCP_URL, http_client=http)))


async def main() -> None:
    walk = Walk(f"mcp {SDK}")
    provider = make_provider()
    stack = AsyncExitStack()
    with walk.step("connect"):
        session = await connect(stack, provider)

    async def tools() -> set[str]:
        return {tool.name for tool in (await session.list_tools()).tools}

    async def call(name: str, arguments: dict[str, Any]) -> str:
        result = await session.call_tool(name, arguments)
        text = "".join(getattr(part, "text", "") for part in result.content)
        if getattr(result, "isError", False) or getattr(result, "is_error", False):
            raise RuntimeError(text)
        structured = getattr(result, "structuredContent", None) or getattr(result, "structured_content", None)
        return text + json.dumps(structured)

    await after_connecting(walk, provider, tools, call)
    with walk.step("disconnect"):
        await stack.aclose()


if __name__ == "__main__":
    asyncio.run(main())

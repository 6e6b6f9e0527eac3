"""The road that both Python client families take, on the official SDK's `OAuthClientProvider`.

FastMCP's helper is a subclass of it, so discovery, tokens and expiry are found in the same place.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from steps import ISSUER, STEPS_UP, TOOLS, Walk, browser_walks, expect, metadata, revoke

Call = Callable[[str, dict[str, Any]], Awaitable[str]]
"""Calls a tool and returns its text; raises when the tool refuses."""


async def after_connecting(walk: Walk, provider: Any, tools: Callable[[], Awaitable[set[str]]], call: Call) -> None:
    context = provider.context
    with walk.step("discovery"):
        expect(context.protected_resource_metadata, "the client found no protected-resource metadata")
        found = str(context.oauth_metadata.issuer).rstrip("/")
        expect(found == ISSUER.rstrip("/"), f"issuer {found}, not {ISSUER}")
    with walk.step("registration"):
        walk.detail = context.client_info.client_id
        expect(walk.detail, "no client_id")
    with walk.step("login and consent"):
        pages = [walked["pages"] for walked in browser_walks()]
        walk.detail = json.dumps(pages)
        expect(pages == [["login", "consent"]], f"the person saw {pages}")
    with walk.step("token"):
        expect(context.current_tokens.access_token, "no access token")
        expect(context.current_tokens.refresh_token, "no refresh token")
        walk.detail = context.current_tokens.scope or ""
        expect("mcp:read" in walk.detail.split(), f"granted scope: {walk.detail!r}")
    with walk.step("tools/list"):
        names = await tools()
        expect(TOOLS <= names, f"tools: {sorted(names)}")
    with walk.step("echo"):
        expect("through the door" in await call("echo", {"text": "through the door"}), "echo did not echo")
    with walk.step("whoami"):
        text = await call("whoami", {})
        walk.detail = text[:300]
        expect(context.client_info.client_id in text, f"whoami does not name the client: {text}")
    await step_up(walk, context, call)
    await refresh(walk, context, call)
    await cut_off(walk, context, call)


async def step_up(walk: Walk, context: Any, call: Call) -> None:
    if not STEPS_UP:
        with walk.step("write refused"):
            try:
                text = await call("write", {"x": "ink"})
            except Exception as refusal:
                walk.detail = str(refusal)[:200]
            else:
                raise AssertionError(f"write ran without mcp:write: {text}")
        return
    with walk.step("step-up"):
        before = len(browser_walks())
        await call("write", {"x": "ink"})
        expect(len(browser_walks()) == before + 1, "the person was not asked for the new scope")
        walk.detail = context.current_tokens.scope or ""
        expect({"mcp:read", "mcp:write"} <= set(walk.detail.split()), f"granted scope: {walk.detail!r}")


async def refresh(walk: Walk, context: Any, call: Call) -> None:
    with walk.step("refresh"):
        before, walks = context.current_tokens, len(browser_walks())
        context.token_expiry_time = time.time() - 60
        expect("again" in await call("echo", {"text": "again"}), "echo did not echo")
        expect(context.current_tokens.access_token != before.access_token, "the access token is still the old one")
        expect(context.current_tokens.refresh_token, "the refreshed answer has no refresh token")
        expect(len(browser_walks()) == walks, "the client opened the browser instead of refreshing")


async def cut_off(walk: Walk, context: Any, call: Call) -> None:
    with walk.step("cut off"):
        walks = len(browser_walks())
        revoke(metadata(), context.client_info.client_id, context.current_tokens.refresh_token)
        context.token_expiry_time = time.time() - 60
        expect("back" in await call("echo", {"text": "back"}), "echo did not echo")
        expect(len(browser_walks()) == walks + 1, "a revoked grant was refreshed without the person")

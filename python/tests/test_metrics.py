"""What a guard counts."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Any

import httpx
import pytest
from support import AuthorizationServer
from test_revocation import Feed, becomes, follower

from doorward import DoorwardError, FeedMetrics, Guard, KeyMetrics, MetricsSnapshot

RESOURCE = "http://127.0.0.1:8080/mcp"


async def application(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ask(guard: Guard, token: str | None) -> int:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    behind = httpx.ASGITransport(guard.protect(application, path="/mcp"))
    async with httpx.AsyncClient(transport=behind) as http:
        return (await http.get(RESOURCE, headers=headers)).status_code


async def test_requests_are_counted_by_what_became_of_them(authorization_server: AuthorizationServer) -> None:
    now = [1_800_000_000.0]
    guard = Guard(authorization_server.issuer, RESOURCE, required_scopes=["mcp:read"], clock=lambda: now[0])
    assert guard.metrics() == MetricsSnapshot(0, {}, None, (KeyMetrics(authorization_server.issuer, None, 0),))
    times = {"iat": int(now[0]), "exp": int(now[0]) + 300}
    good = authorization_server.token(RESOURCE, **times)
    assert [await ask(guard, good), await ask(guard, good)] == [200, 200]
    assert await ask(guard, None) == 401
    assert await ask(guard, authorization_server.token("https://other.example", **times)) == 401
    assert await ask(guard, authorization_server.token(RESOURCE, scope="other", **times)) == 403
    # No request.
    with pytest.raises(DoorwardError):
        await guard.verify("none")
    now[0] += 90
    counted = guard.metrics()
    assert counted.allowed == 2
    assert counted.refused == {"no_credentials": 1, "token_audience": 1, "insufficient_scope": 1}
    (keys,) = counted.keys
    assert keys.age_seconds == pytest.approx(90, abs=2)
    assert keys.failures == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        counted.allowed = 0  # type: ignore[misc]
    with pytest.raises(TypeError):
        counted.refused["session"] = 1  # type: ignore[index]
    await guard.aclose()


async def test_keys_that_cannot_be_fetched_are_counted(authorization_server: AuthorizationServer) -> None:
    authorization_server.is_down = True
    async with Guard(authorization_server.issuer, RESOURCE) as guard:
        assert await ask(guard, authorization_server.token(RESOURCE)) == 503
        (keys,) = guard.metrics().keys
        assert (keys.issuer, keys.age_seconds) == (authorization_server.issuer, None)
        assert keys.failures >= 1
        assert guard.metrics().refused == {"tokens_uncheckable": 1}


async def test_the_feed_is_counted(authorization_server: AuthorizationServer) -> None:
    with contextlib.closing(Feed(authorization_server)) as feed:
        async with follower(authorization_server) as guard:
            await becomes(guard, "connected")
            assert guard.metrics().feed == FeedMetrics(connected=True, remembered=0, heard=0, disconnects=0)
            feed.revoke("g-1")

            async def heard() -> None:
                while guard.metrics().feed != FeedMetrics(connected=True, remembered=1, heard=1, disconnects=0):
                    await asyncio.sleep(0.01)

            await asyncio.wait_for(heard(), 20)

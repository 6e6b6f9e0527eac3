"""Asynchronous functions of the program that the guard calls, and event loops that have no time for them or end."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from support import AuthorizationServer, over_transport

import doorward
from doorward import ASCredentials, DoorwardClient, DoorwardError, Guard, VerifiedClaims

RESOURCE = "https://mcp.example/mcp"


async def refused(made: Guard, token: str) -> None:
    with pytest.raises(DoorwardError) as raised:
        await made.verify(token)
    assert doorward.http_status(raised.value) == 503


async def test_a_check_that_was_cancelled_is_no_outage_and_lets_nothing_pass(
    authorization_server: AuthorizationServer,
) -> None:
    async def checker(_claims: VerifiedClaims, _token: str) -> bool:
        # As when the loop ends that it was called in.
        raise asyncio.CancelledError

    async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=checker) as made:
        await refused(made, authorization_server.token(RESOURCE))


async def test_questions_that_were_cancelled_let_nothing_pass_and_open_no_circuit(
    authorization_server: AuthorizationServer,
) -> None:
    documents = over_transport(authorization_server)
    is_cancelled = True
    asked = 0

    async def transport(method: str, url: str, headers: Any, body: Any) -> Any:
        nonlocal asked
        if not url.endswith("/introspect"):
            return await documents(method, url, headers, body)
        asked += 1
        if is_cancelled:
            raise asyncio.CancelledError
        return 200, {"content-type": "application/json"}, b'{"active":true}'

    async with Guard(
        authorization_server.issuer,
        RESOURCE,
        transport=transport,
        as_credentials=ASCredentials("rs", "secret"),
        revocation_checker=doorward.IntrospectionRevocation(),
    ) as made:
        for _ in range(10):
            await refused(made, authorization_server.token(RESOURCE))
        assert asked == 10
        is_cancelled = False
        await made.verify(authorization_server.token(RESOURCE))


async def test_who_shares_a_request_goes_on_when_the_loop_ends_that_began_it(
    authorization_server: AuthorizationServer,
) -> None:
    asked, joined = threading.Event(), threading.Event()
    documents = over_transport(authorization_server)

    async def transport(method: str, url: str, headers: Any, body: Any) -> Any:
        if method == "GET":
            return await documents(method, url, headers, body)
        if not asked.is_set():
            asked.set()
            await asyncio.Event().wait()
        return 200, {}, json.dumps({"access_token": "t", "token_type": "Bearer"}).encode()

    client = await DoorwardClient.create(
        authorization_server.issuer, auth=ASCredentials("client", "secret"), transport=transport
    )

    async def begin() -> None:
        waiting = asyncio.ensure_future(client.client_credentials())
        await asyncio.to_thread(joined.wait, 20)
        assert not waiting.done()

    other = threading.Thread(target=lambda: asyncio.run(begin()))
    other.start()
    assert await asyncio.to_thread(asked.wait, 20)
    waiting = asyncio.ensure_future(client.client_credentials())
    await asyncio.sleep(0)
    joined.set()
    assert (await asyncio.wait_for(waiting, 20)).access_token == "t"
    other.join(20)
    await client.aclose()

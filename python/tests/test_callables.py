"""Asynchronous functions of the program that the guard calls, and event loops that have no time for them or end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import AuthorizationServer, over_transport

import doorward
from doorward import DoorwardError, Guard, VerifiedClaims

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
        as_credentials=doorward.ASCredentials("rs", "secret"),
        revocation_checker=doorward.IntrospectionRevocation(),
    ) as made:
        for _ in range(10):
            await refused(made, authorization_server.token(RESOURCE))
        assert asked == 10
        is_cancelled = False
        await made.verify(authorization_server.token(RESOURCE))

"""Processes that are forked while the guard has something under way, as those of a server that loads the application first."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from support import AuthorizationServer, Held
from test_revocation import Feed, becomes, follower

from doorward import ASCredentials, DoorwardClient, Guard, IntrospectionRevocation

RESOURCE = "http://127.0.0.1:8080/mcp"
METADATA = "/.well-known/oauth-authorization-server"
CREDENTIALS = ASCredentials("guard", "secret")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here"),
]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that stands still while the process is forked."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def begun(loop: asyncio.AbstractEventLoop, asking: Awaitable[Any], held: Held) -> asyncio.Future[Any]:
    """A question that the server has not answered yet."""

    async def begin() -> asyncio.Future[Any]:
        task = asyncio.ensure_future(asking)
        assert await asyncio.to_thread(held.asked.wait, 20)
        return task

    return loop.run_until_complete(begin())


def in_a_child(ask: Callable[[], Awaitable[Any]]) -> Any:
    """What comes out in a forked process."""
    context = multiprocessing.get_context("fork")
    result = context.Queue()
    child = context.Process(target=lambda: result.put(asyncio.run(asyncio.wait_for(ask(), 15))))
    child.start()
    try:
        return result.get(timeout=20)
    finally:
        child.join(20)


def test_a_guard_verifies_that_was_fetching_its_first_keys(authorization_server: AuthorizationServer) -> None:
    held = authorization_server.hold(METADATA)
    made = Guard(authorization_server.issuer, RESOURCE)
    token = authorization_server.token(RESOURCE)

    async def subject() -> str:
        return (await made.verify(token)).sub

    made.start()
    assert held.asked.wait(20)
    assert in_a_child(subject) == "user-1"
    held.released.set()
    assert asyncio.run(subject()) == "user-1"


def test_a_guard_follows_the_feed_that_was_looking_for_it(authorization_server: AuthorizationServer) -> None:
    feed = Feed(authorization_server)
    held = authorization_server.hold(METADATA)
    made = follower(authorization_server)

    async def follows() -> str:
        made.start()
        await becomes(made, "connected")
        return made.revocation_status().state

    made.start()
    assert held.asked.wait(20)
    assert in_a_child(follows) == "connected"
    held.released.set()
    assert asyncio.run(follows()) == "connected"
    feed.close()


@pytest.mark.parametrize("path", [METADATA, "/introspect"])
@pytest.mark.parametrize("verifies", [True, False])
def test_a_token_is_asked_about_that_was_being_asked_about(
    authorization_server: AuthorizationServer, loop: asyncio.AbstractEventLoop, path: str, verifies: bool
) -> None:
    authorization_server.answers["/introspect"] = lambda _: (200, {"active": True})
    token = authorization_server.token(RESOURCE)
    checker = IntrospectionRevocation()
    guard = Guard(authorization_server.issuer, RESOURCE, as_credentials=CREDENTIALS, revocation_checker=checker)
    client = loop.run_until_complete(DoorwardClient.create(authorization_server.issuer, auth=CREDENTIALS))

    async def is_active() -> bool:
        if verifies:
            return (await guard.verify(token)).sub == "user-1"
        return (await client.introspect(token)).active

    held = authorization_server.hold(path)
    asking = begun(loop, is_active(), held)
    assert in_a_child(is_active)
    held.released.set()
    assert loop.run_until_complete(asking)


def test_a_token_is_asked_for_that_was_being_asked_for(
    authorization_server: AuthorizationServer, loop: asyncio.AbstractEventLoop
) -> None:
    authorization_server.answers["/token"] = lambda _: (200, {"access_token": "t", "token_type": "Bearer"})
    client = loop.run_until_complete(DoorwardClient.create(authorization_server.issuer, auth=CREDENTIALS))

    async def token() -> str:
        return (await client.client_credentials()).access_token

    held = authorization_server.hold("/token")
    asking = begun(loop, token(), held)
    assert in_a_child(token) == "t"
    held.released.set()
    assert loop.run_until_complete(asking) == "t"


def test_requests_that_were_under_way_take_no_room_away(
    authorization_server: AuthorizationServer, loop: asyncio.AbstractEventLoop
) -> None:
    """Sixteen at a time go to one server."""
    authorization_server.answers["/introspect"] = lambda _: (200, {"active": True})
    client = loop.run_until_complete(DoorwardClient.create(authorization_server.issuer, auth=CREDENTIALS))

    async def ask(number: int = 0) -> bool:
        return (await client.introspect(f"token-{number}")).active

    loop.run_until_complete(ask())
    all_held, asking = [], []
    for number in range(16):
        all_held.append(authorization_server.hold("/introspect"))
        asking.append(begun(loop, ask(number), all_held[-1]))
    assert in_a_child(ask)
    for held in all_held:
        held.released.set()
    assert all(loop.run_until_complete(asyncio.gather(*asking)))

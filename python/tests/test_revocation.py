"""The follower of the revocation feed: in forked processes, with several issuers, and with every kind of credentials."""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from support import AuthorizationServer, Key

from doorward import ASCredentials, Guard, PrivateKey, RevocationFeed
from doorward.errors import TokenRevokedError

RESOURCE = "http://127.0.0.1:8080/mcp"
PATH = "/events/revocations"


class Feed:
    """A feed of revocations, as Doorward's server has one: everything is told again to who comes for the first time."""

    def __init__(self, server: AuthorizationServer, secret: str | None = "secret") -> None:
        self.server = server
        self.secret = secret
        self.log: list[str] = []
        self.followers: list[queue.Queue[str | None]] = []
        self.opened: list[tuple[str | None, dict[str, list[str]]]] = []
        self.lock = threading.Lock()
        server.more_metadata["revocation_events_endpoint"] = f"{server.issuer}{PATH}"
        server.streams[PATH] = self.serve

    def serve(self, handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        authorization = handler.headers.get("authorization")
        expected = base64.b64encode(f"guard:{self.secret}".encode()).decode()
        handler.close_connection = True
        if not form and authorization != f"Basic {expected}":
            handler.send_response(401)
            handler.end_headers()
            return
        events: queue.Queue[str | None] = queue.Queue()
        with self.lock:
            self.opened.append((authorization, form))
            self.followers.append(events)
            begun = "".join(self.log) + f"id: {len(self.log)}\nevent: ready\ndata: {{}}\n\n"
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.end_headers()
        text: str | None = begun
        while text is not None:
            handler.wfile.write(text.encode())
            handler.wfile.flush()
            text = events.get()

    def revoke(self, grant: str) -> None:
        with self.lock:
            data = json.dumps({"gid": grant, "revoked_at": int(time.time())})
            event = f"id: {len(self.log)}\nevent: revocation\ndata: {data}\n\n"
            self.log.append(event)
            for follower in self.followers:
                follower.put(event)

    def close(self) -> None:
        for follower in self.followers:
            follower.put(None)


@pytest.fixture
def feed(authorization_server: AuthorizationServer) -> Iterator[Feed]:
    made = Feed(authorization_server)
    yield made
    made.close()


def follower(server: AuthorizationServer, **settings: Any) -> Guard:
    credentials = settings.pop("as_credentials", ASCredentials("guard", "secret"))
    return Guard(server.issuer, RESOURCE, as_credentials=credentials, revocation_checker=RevocationFeed(), **settings)


async def becomes(made: Guard, state: str) -> None:
    async def wait() -> None:
        while made.revocation_status().state != state:
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), 20)


async def is_revoked_soon(made: Guard, token: str) -> None:
    async def wait() -> None:
        with pytest.raises(TokenRevokedError):
            while True:
                await made.verify(token)
                await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), 20)


async def test_a_revoked_grant_is_refused(authorization_server: AuthorizationServer, feed: Feed) -> None:
    token = authorization_server.token(RESOURCE, gid="g-1")
    async with follower(authorization_server) as made:
        await becomes(made, "connected")
        await made.verify(token)
        feed.revoke("g-1")
        await is_revoked_soon(made, token)
        await made.verify(authorization_server.token(RESOURCE, gid="g-2"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_follows_by_itself(authorization_server: AuthorizationServer, feed: Feed) -> None:
    """As workers of a server do that loads the application first: the follower of the parent does not come along."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no fork here")
    tokens = {name: authorization_server.token(RESOURCE, gid=name) for name in ("before", "between", "after", "never")}
    made = follower(authorization_server)

    async def begin() -> None:
        made.start()
        await becomes(made, "connected")
        for token in tokens.values():
            await made.verify(token)
        feed.revoke("before")
        await is_revoked_soon(made, tokens["before"])

    asyncio.run(begin())
    context = multiprocessing.get_context("fork")
    told, ask = context.Queue(), context.Queue()

    def child() -> None:
        async def follow() -> None:
            # Nobody follows here yet, and what was known is known.
            told.put(made.revocation_status().state)
            ask.get(timeout=20)
            with pytest.raises(TokenRevokedError):
                await made.verify(tokens["before"])
            await made.verify(tokens["never"])
            await becomes(made, "connected")
            with pytest.raises(TokenRevokedError):
                await made.verify(tokens["between"])
            await made.verify(tokens["after"])
            told.put("follows")
            await is_revoked_soon(made, tokens["after"])
            await made.verify(tokens["never"])
            told.put("heard")

        asyncio.run(follow())

    process = context.Process(target=child)
    process.start()
    assert told.get(timeout=20) == "disconnected"
    assert len(feed.opened) == 1
    feed.revoke("between")
    ask.put("go on")
    assert told.get(timeout=20) == "follows"
    assert len(feed.opened) == 2
    feed.revoke("after")
    assert told.get(timeout=20) == "heard"
    process.join(20)
    assert process.exitcode == 0

    # The parent's own connection has not noticed anything.
    async def go_on() -> None:
        assert made.revocation_status().state == "connected"
        await is_revoked_soon(made, tokens["after"])
        await made.verify(tokens["never"])
        await made.aclose()

    asyncio.run(go_on())
    assert len(feed.opened) == 2


async def test_each_issuer_is_followed_with_its_own_credentials(
    authorization_server: AuthorizationServer, feed: Feed
) -> None:
    second = AuthorizationServer()
    second_feed = Feed(second, "another-secret")
    ours = authorization_server.token(RESOURCE, gid="g-1")
    theirs = second.token(RESOURCE, gid="g-1")
    settings: dict[str, Any] = {"more_issuers": [second.issuer]}
    try:
        async with follower(authorization_server, **settings) as made:
            await becomes(made, "connected")
            states = {issuer: status.state for issuer, status in made.revocation_statuses().items()}
            assert states == {authorization_server.issuer: "connected", second.issuer: "off"}
            assert second_feed.opened == []
        settings["issuer_credentials"] = {second.issuer: ASCredentials("guard", "another-secret")}
        async with follower(authorization_server, **settings) as made:
            await becomes(made, "connected")
            assert [status.state for status in made.revocation_statuses().values()] == ["connected", "connected"]
            second_feed.revoke("g-1")
            await is_revoked_soon(made, theirs)
            await made.verify(ours)
    finally:
        second_feed.close()
        second.close()


async def test_a_signed_assertion_opens_the_feed(authorization_server: AuthorizationServer, feed: Feed) -> None:
    key = Key()
    pem = key.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    credentials = ASCredentials("guard", private_key=PrivateKey(pem, "ES256"))
    async with follower(authorization_server, as_credentials=credentials) as made:
        await becomes(made, "connected")
    authorization, form = feed.opened[0]
    assert authorization is None
    assertion = jwt.decode(
        form["client_assertion"][0], key.private.public_key(), ["ES256"], audience=authorization_server.issuer
    )
    assert (assertion["iss"], assertion["sub"]) == ("guard", "guard")


def test_credentials_for_a_stranger_are_a_mistake(authorization_server: AuthorizationServer) -> None:
    with pytest.raises(ValueError, match="not one of the further issuers"):
        follower(authorization_server, issuer_credentials={"https://as.example": ASCredentials("guard", "secret")})

"""Asynchronous functions of the program that the guard calls, and event loops that have no time for them or end."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
import time
from typing import Any

import pytest
from support import AuthorizationServer, Key, over_transport
from test_log import told_by

import doorward
from doorward import (
    ASCredentials,
    DoorwardClient,
    DoorwardError,
    Guard,
    InboundDPoPOptions,
    UsedProof,
    VerifiedClaims,
)
from doorward.asgi import GuardMiddleware

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


@pytest.mark.parametrize("answer", [None, 0, "", "no", []])
async def test_a_check_that_forgets_its_answer_lets_nothing_pass(
    authorization_server: AuthorizationServer, answer: Any
) -> None:
    def plain(_claims: VerifiedClaims, _token: str) -> Any:
        return answer

    async def awaited(_claims: VerifiedClaims, _token: str) -> Any:
        return answer

    for checker in (plain, awaited):
        async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=checker, fail_closed=False) as made:
            await refused(made, authorization_server.token(RESOURCE))


class Hangs:
    """A plain checker that asks somebody who does not answer, until it is released."""

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self.released = threading.Event()

    def __call__(self, _claims: VerifiedClaims, _token: str) -> bool:
        self.threads.add(threading.current_thread())
        self.released.wait(60)
        return False


async def test_a_plain_checker_may_wait_and_the_loop_does_not(authorization_server: AuthorizationServer) -> None:
    checker = Hangs()
    async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=checker) as made:
        asked = [asyncio.ensure_future(made.verify(authorization_server.token(RESOURCE))) for _ in range(20)]
        while len(checker.threads) < 8:
            await asyncio.sleep(0.01)
        assert threading.current_thread() not in checker.threads
        # Nobody else's thread is held up either.
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 10) == 1
        checker.released.set()
        assert {claims.sub for claims in await asyncio.gather(*asked)} == {"user-1"}
    assert all(thread.name == "doorward-revocation" and thread.daemon for thread in checker.threads)
    assert len(checker.threads) <= 8


async def test_a_plain_checker_that_found_no_thread_was_not_asked_and_lets_nothing_pass(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward._threads.THREADS", 1)
    checker = Hangs()
    async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=checker) as made:
        asked = asyncio.ensure_future(made.verify(authorization_server.token(RESOURCE)))
        while not checker.threads:
            await asyncio.sleep(0.01)
        monkeypatch.setattr("doorward._threads.BEGIN_SECONDS", 0.05)
        await refused(made, authorization_server.token(RESOURCE))
        monkeypatch.setattr("doorward._threads.WAITING", 0)
        await refused(made, authorization_server.token(RESOURCE))
        checker.released.set()
        assert (await asked).sub == "user-1"


@pytest.mark.parametrize("is_revoked", [True, False])
async def test_a_checker_is_asked_however_it_was_written(
    authorization_server: AuthorizationServer, is_revoked: bool
) -> None:
    async def answer(_claims: VerifiedClaims, _token: str) -> bool:
        assert asyncio.get_running_loop() is loop
        return is_revoked

    loop = asyncio.get_running_loop()
    checkers: list[Any] = [
        answer,
        functools.partial(answer),
        Asked(is_revoked),
        lambda claims, token: answer(claims, token),
        lambda _claims, _token: is_revoked,
    ]
    for checker in checkers:
        async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=checker, fail_closed=True) as made:
            asked = made.verify(authorization_server.token(RESOURCE))
            if is_revoked:
                with pytest.raises(doorward.TokenRevokedError):
                    await asked
            else:
                await asked


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


class Asked:
    """Lets a request wait for an answer, and says whether the token was revoked."""

    def __init__(self, is_revoked: bool) -> None:
        self.is_revoked = is_revoked
        self.was_asked = False

    async def __call__(self, _claims: VerifiedClaims, _token: str) -> bool:
        self.was_asked = True
        await asyncio.sleep(0)
        return self.is_revoked


class Remembers:
    """The guard waits for it as well."""

    async def insert(self, _proof: UsedProof, _now: int) -> bool:
        await asyncio.sleep(0)
        return True


def request(token: str, scheme: str, more: dict[str, str]) -> dict[str, Any]:
    headers = [(b"authorization", f"{scheme} {token}".encode())]
    headers += [(name.encode(), value.encode()) for name, value in more.items()]
    return {"type": "http", "method": "GET", "path": "/mcp", "query_string": b"", "headers": headers}


async def answered(guard: Guard, token: str, app: Any, scheme: str = "Bearer", **more: str) -> int:
    """The status of the answer to a request."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await asyncio.wait_for(GuardMiddleware(app, guard)(request(token, scheme, more), receive, send), 10)
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize("is_revoked", [True, False])
async def test_decisions_are_told_in_the_loop_of_the_request_and_before_its_end(
    authorization_server: AuthorizationServer, is_revoked: bool
) -> None:
    told: list[Any] = []

    def hook(decision: Any) -> None:
        told.append((asyncio.get_running_loop(), threading.current_thread(), decision["allowed"]))

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        assert len(told) == 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    options = {"revocation_checker": Asked(is_revoked), "on_decision": hook}
    dpop = InboundDPoPOptions(replay_store=Remembers())
    async with Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop, **options) as made:
        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)
        status = await answered(made, token, app, "DPoP", dpop=key.proof(token, RESOURCE, "GET"))
    assert status == (401 if is_revoked else 200)
    assert told == [(asyncio.get_running_loop(), threading.current_thread(), not is_revoked)]


async def test_a_hook_that_raises_in_the_loop_stops_no_request_and_is_told_of(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(_decision: Any) -> None:
        raise ValueError("a mistake")

    caplog.set_level(logging.INFO, "doorward")
    options = {"revocation_checker": Asked(is_revoked=True), "on_decision": hook}
    async with Guard(authorization_server.issuer, RESOURCE, **options) as made:
        assert await answered(made, authorization_server.token(RESOURCE), None) == 401
        (record,) = await told_by(caplog, "doorward.guard.audit")
        assert "a mistake" in record.getMessage()


async def test_who_waits_for_what_panics_is_told(authorization_server: AuthorizationServer) -> None:
    """A class of panics belongs to each extension; pyo3 goes on with those of its own."""

    def fails() -> float:
        raise OSError

    async with Guard(authorization_server.issuer, RESOURCE, clock=fails) as made:
        with pytest.raises(DoorwardError):
            await made.verify(authorization_server.token(RESOURCE))
    own_thread = threading.current_thread()
    for kind in [kind for kind in BaseException.__subclasses__() if kind.__name__ == "PanicException"]:
        checker = Asked(is_revoked=True)

        def clock(kind: Any = kind, checker: Asked = checker) -> float:
            if checker.was_asked and threading.current_thread() is not own_thread:
                raise kind("a panic")
            return time.time()

        options = {"clock": clock, "revocation_checker": checker, "on_decision": lambda _: None}
        async with Guard(authorization_server.issuer, RESOURCE, **options) as made:
            try:
                assert await answered(made, authorization_server.token(RESOURCE), None) == 401
            except RuntimeError as error:
                assert "without an outcome" in str(error)
                return
    pytest.fail("nothing panicked")

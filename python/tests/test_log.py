"""What the guard tells Python's logging, and who waits for that."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import AuthorizationServer, Key
from test_forks import in_a_child

from doorward import (
    ASCredentials,
    DoorwardClient,
    DoorwardError,
    DPoPRequest,
    Guard,
    InboundDPoPOptions,
    IntrospectionRevocation,
    ReplayStore,
    ReplayStoreUnavailableError,
    TokenExpiredError,
    UsedProof,
    VerifierRuntimeError,
    http_status,
)

RESOURCE = "http://127.0.0.1:8080/mcp"


class Slow(logging.Handler):
    """As one that writes to a network where nobody listens any more."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.told = threading.Event()
        self.released = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.told.set()
        self.released.wait(60)
        self.lines.append(record.getMessage())


@pytest.fixture
def slow() -> Iterator[Slow]:
    handler, logger = Slow(), logging.getLogger("doorward")
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield handler
    handler.released.set()
    logger.removeHandler(handler)
    logger.level, logger.propagate = before


async def until(is_so: threading.Event) -> None:
    assert await asyncio.to_thread(is_so.wait, 20)


async def told_by(caplog: pytest.LogCaptureFixture, logger: str) -> list[logging.LogRecord]:
    """What a logger was told, as soon as it was."""

    def records() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == logger]

    async def wait() -> None:
        while not records():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), 10)
    return records()


@pytest.mark.parametrize("fail_closed", [True, False])
async def test_a_revocation_checker_that_raises_is_told_of(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture, fail_closed: bool
) -> None:
    async def checker(_claims: object, token: str) -> bool:
        raise ConnectionError(token)

    caplog.set_level(logging.INFO, "doorward")
    settings = {"revocation_checker": checker, "fail_closed": fail_closed}
    async with Guard(authorization_server.issuer, RESOURCE, **settings) as guard:
        with contextlib.ExitStack() as stack:
            if fail_closed:
                stack.enter_context(pytest.raises(VerifierRuntimeError))
            await guard.verify(token := authorization_server.token(RESOURCE))
    (record,) = await told_by(caplog, "doorward.guard.revocation")
    assert record.levelno == logging.WARNING
    passes = "false" if not fail_closed else "true"
    message = f"the revocation check failed error=it raised ConnectionError fail_closed={passes} failures=1"
    assert record.getMessage() == message
    assert token not in str(vars(record))
    # Frames hold the token, and collectors of errors send values along.
    assert record.exc_info is None
    trace = record.exc_text or ""
    assert trace.startswith("Traceback (most recent call last):\n")
    assert "in checker\n    raise ConnectionError(token)\n" in trace.replace("    ^", "")
    assert trace.endswith("\nConnectionError")
    assert trace in logging.Formatter().format(record)


async def tells(caplog: pytest.LogCaptureFixture, logger: str, guard: Guard, token: str) -> logging.LogRecord:
    """The line of one more request."""
    caplog.clear()
    with contextlib.suppress(DoorwardError):
        await guard.verify(token)
    (record,) = await told_by(caplog, logger)
    return record


async def test_a_checker_that_fails_again_and_again_is_told_of_once_and_at_debug_each_time(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    is_away = True

    async def checker(_claims: object, _token: str) -> bool:
        if is_away:
            raise ConnectionError
        return False

    logger = "doorward.guard.revocation"
    async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=checker) as guard:
        token = authorization_server.token(RESOURCE)
        caplog.set_level(logging.INFO, "doorward")
        assert (await tells(caplog, logger, guard, token)).levelno == logging.WARNING
        for _ in range(5):
            await guard.verify(token)
        caplog.set_level(logging.DEBUG, logger)
        record = await tells(caplog, logger, guard, token)
        assert record.levelno == logging.DEBUG
        assert record.getMessage() == "the revocation check failed error=it raised ConnectionError fail_closed=false"
        assert "in checker" in (record.exc_text or "")
        is_away = False
        record = await tells(caplog, logger, guard, token)
        assert record.getMessage() == "the revocation check works again seconds=0"


def attribute(claims: Any, _token: str) -> bool:
    return bool(claims.nothing)


def name(_claims: Any, _token: str) -> bool:
    return bool(nothing)  # type: ignore[name-defined] # noqa: F821


def too_few(_claims: Any) -> bool:
    return False


def module(_claims: Any, _token: str) -> bool:
    import doorward.nothing  # type: ignore[import-not-found]

    return bool(doorward.nothing)


def repeats(_claims: Any, token: str) -> bool:
    return bool(getattr(object, token))


@pytest.mark.parametrize(
    ("checker", "kind", "text"),
    [
        (attribute, "AttributeError", "has no attribute 'nothing'"),
        (name, "NameError", "name 'nothing' is not defined"),
        (too_few, "TypeError", "too_few() takes 1 positional argument but 2 were given"),
        (module, "ModuleNotFoundError", "No module named 'doorward.nothing'"),
        (repeats, "AttributeError", "has no attribute '…'"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_mistake_of_a_checker_is_no_outage_and_lets_nothing_pass(
    authorization_server: AuthorizationServer,
    caplog: pytest.LogCaptureFixture,
    checker: Any,
    kind: str,
    text: str,
    is_async: bool,
) -> None:
    async def in_the_loop(*arguments: Any) -> bool:
        answer: bool = checker(*arguments)
        return answer

    caplog.set_level(logging.INFO, "doorward")
    asked = in_the_loop if is_async else checker
    token = authorization_server.token(RESOURCE)
    async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=asked, fail_closed=False) as guard:
        with pytest.raises(DoorwardError) as raised:
            await guard.verify(token)
    assert http_status(raised.value) == 503
    (record,) = await told_by(caplog, "doorward.guard.revocation")
    assert f"it raised {kind} fail_closed=true" in record.getMessage()
    assert (record.exc_text or "").splitlines()[-1].startswith(f"{kind}: ")
    assert text in (record.exc_text or "").splitlines()[-1]
    assert token not in str(vars(record))


async def test_causes_are_told_and_no_text_that_may_hold_a_secret(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def checker(_claims: object, token: str) -> bool:
        try:
            raise KeyError(token)
        except KeyError as error:
            raise OSError("a" + token) from error

    caplog.set_level(logging.INFO, "doorward")
    token = authorization_server.token(RESOURCE)
    async with Guard(authorization_server.issuer, RESOURCE, revocation_checker=checker) as guard:
        await guard.verify(token)
    (record,) = await told_by(caplog, "doorward.guard.revocation")
    trace = record.exc_text or ""
    assert trace.count("Traceback (most recent call last):") == 2
    assert "\nKeyError\n\nThe above exception was the direct cause of the following exception:\n\n" in trace
    assert token not in trace


async def test_a_transport_that_raises_is_told_of_without_what_it_was_to_send(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def transport(_method: str, _url: str, headers: Any, body: Any) -> Any:
        raise TypeError(f"{dict(headers)} {body!r}")

    caplog.set_level(logging.INFO, "doorward")
    credentials = ASCredentials("app", "a-very-secret-secret")
    async with await DoorwardClient.create(
        authorization_server.issuer, auth=credentials, transport=transport
    ) as client:
        with pytest.raises(DoorwardError):
            await client.client_credentials()
    (record,) = await told_by(caplog, "doorward.guard.transport")
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "the transport failed error=it raised TypeError failures=1"
    assert "in transport" in (record.exc_text or "")
    assert (record.exc_text or "").endswith("\nTypeError")


async def test_a_replay_store_that_raises_is_told_of(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Away:
        async def insert(self, _proof: UsedProof, _now: int) -> bool:
            raise ConnectionError("secret")

    record = await told_of_replay_store(Away(), authorization_server, caplog)
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "the replay store failed error=it raised ConnectionError failures=1"
    assert "in insert" in (record.exc_text or "")
    assert "secret" not in str(vars(record)).replace('raise ConnectionError("secret")', "")


async def test_a_replay_store_that_takes_too_long_is_told_of(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Hanging:
        async def insert(self, _proof: UsedProof, _now: int) -> bool:
            await asyncio.Event().wait()
            return True

    record = await told_of_replay_store(Hanging(), authorization_server, caplog)
    assert record.getMessage() == "the replay store failed error=it took too long failures=1"


async def told_of_replay_store(
    store: ReplayStore, authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> logging.LogRecord:
    """What the log says of a store that remembers no proof."""
    caplog.set_level(logging.INFO, "doorward")
    key = Key()
    token = authorization_server.bound_token(RESOURCE, key)
    dpop = InboundDPoPOptions(replay_store=store)
    async with Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop) as guard:
        with pytest.raises(ReplayStoreUnavailableError):
            await guard.verify(token, DPoPRequest("POST", RESOURCE, key.proof(token, RESOURCE)))
    (record,) = await told_by(caplog, "doorward.guard.dpop")
    return record


async def test_a_hook_that_raises_is_told_of(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(_decision: object) -> None:
        raise ValueError("a mistake")

    caplog.set_level(logging.INFO, "doorward")
    async with Guard(authorization_server.issuer, RESOURCE, on_decision=hook) as guard:
        guard.core.admit("GET", b"/mcp", b"", [(b"authorization", b"Bearer bad")], None)
        (record,) = await told_by(caplog, "doorward.guard.audit")
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "the audit hook failed error=ValueError: a mistake failures=1"
    assert "in hook\n" in (record.exc_text or "")
    assert (record.exc_text or "").endswith("\nValueError: a mistake")


@pytest.mark.parametrize("answer", [None, "now"])
async def test_a_clock_that_fails_is_told_of_once_and_of_its_end(
    authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    is_good = False

    def clock() -> Any:
        if not is_good and answer is None:
            raise OSError("no time")
        return time.time() if is_good else answer

    caplog.set_level(logging.INFO, "doorward")
    async with Guard(authorization_server.issuer, RESOURCE, clock=clock) as guard:
        for _ in range(3):
            with pytest.raises(TokenExpiredError):
                await guard.verify(authorization_server.token(RESOURCE))
        (record,) = await told_by(caplog, "doorward.guard.clock")
        assert record.levelno == logging.ERROR
        assert record.getMessage().startswith(
            "the clock failed, and no token counts until it tells the time again error="
        )
        assert answer == "now" or "in clock\n" in (record.exc_text or "")
        caplog.clear()
        is_good = True
        assert (await guard.verify(authorization_server.token(RESOURCE))).sub == "user-1"
        (record,) = await told_by(caplog, "doorward.guard.clock")
        assert record.getMessage() == "the clock tells the time again seconds=0"


async def test_one_thread_of_python_tells_everything(authorization_server: AuthorizationServer) -> None:
    """One that came anew with every line could be half made when the process is forked."""
    known = threading.local()
    counted: list[int] = []
    both = threading.Event()

    class Counting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            known.lines = getattr(known, "lines", 0) + 1
            counted.append(known.lines)
            if len(counted) == 2:
                both.set()

    handler, logger = Counting(), logging.getLogger("doorward.guard.refusal")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with Guard(authorization_server.issuer, RESOURCE) as guard:
            for _ in range(2):
                guard.core.admit("GET", b"/mcp", b"", [(b"authorization", b"Bearer bad")], None)
            await until(both)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert counted[1] == counted[0] + 1


async def test_nobody_waits_for_a_handler(authorization_server: AuthorizationServer, slow: Slow) -> None:
    authorization_server.answers["/introspect"] = lambda _: (200, {"active": True})
    settings = {"as_credentials": ASCredentials("guard", "secret"), "revocation_checker": IntrospectionRevocation()}
    async with Guard(authorization_server.issuer, RESOURCE, **settings) as guard:
        for _ in range(3):
            guard.core.admit("GET", b"/mcp", b"", [(b"authorization", b"Bearer bad")], None)
        await until(slow.told)
        token = authorization_server.token(RESOURCE)
        assert (await asyncio.wait_for(guard.verify(token), 10)).sub == "user-1"
        assert slow.lines == []


async def test_what_does_not_fit_into_the_queue_is_counted(
    authorization_server: AuthorizationServer, slow: Slow
) -> None:
    async with Guard(authorization_server.issuer, RESOURCE) as guard:
        await guard.verify(authorization_server.token(RESOURCE))
        await until(slow.told)
        for _ in range(2000):
            guard.core.admit("GET", b"/mcp", b"", [(b"authorization", b"Bearer bad")], None)
        slow.released.set()

        async def is_told() -> None:
            while not any("more events were not logged" in line for line in list(slow.lines)):
                await asyncio.sleep(0.01)

        await asyncio.wait_for(is_told(), 20)
        assert len(slow.lines) < 1100


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
def test_a_forked_process_tells_by_itself(authorization_server: AuthorizationServer, slow: Slow) -> None:
    guard = Guard(authorization_server.issuer, RESOURCE)
    token = authorization_server.token(RESOURCE)
    asyncio.run(guard.verify(token))
    slow.released.set()

    async def lines() -> int:
        slow.lines.clear()
        await guard.verify(token)
        guard.core.admit("GET", b"/mcp", b"", [(b"authorization", b"Bearer bad")], None)
        while not slow.lines:
            await asyncio.sleep(0.01)
        return len(slow.lines)

    assert in_a_child(lines) == 1


PROGRAM = """
import asyncio, logging, sys, threading
from doorward import Guard

told = threading.Event()

class Handler(logging.Handler):
    def emit(self, record):
        if told.is_set() and sys.argv[1] == "slow":
            threading.Event().wait(2)
        print(record.getMessage()[:5], flush=True)
        told.set()

logging.getLogger("doorward").addHandler(Handler())
logging.getLogger("doorward").setLevel("INFO")

async def main():
    guard = Guard("http://127.0.0.1:9", "http://127.0.0.1:8080/mcp")
    guard.start()
    assert await asyncio.to_thread(told.wait, 20)
    for _ in range(5):
        guard.core.admit("GET", b"/mcp", b"", [(b"authorization", b"Bearer bad")], None)

asyncio.run(main())
"""


@pytest.mark.parametrize(("handler", "least", "most"), [("works", 6, 6), ("slow", 1, 3)])
def test_a_program_ends_and_tells_before_what_it_can(handler: str, least: int, most: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, handler], capture_output=True, text=True, timeout=20, check=True
    )
    assert least <= len(ended.stdout.splitlines()) <= most
    assert ended.stderr == ""

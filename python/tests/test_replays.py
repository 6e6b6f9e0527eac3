"""Replay stores of the program's own, which several processes share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import AuthorizationServer, Key
from test_forks import in_a_child

from doorward import (
    DPoPReplayDetectedError,
    DPoPRequest,
    Guard,
    InboundDPoPOptions,
    ReplayStoreUnavailableError,
    UsedProof,
    http_status,
    response_headers_for,
)
from doorward._threads import NotBegunError, Threads
from doorward.asgi import GuardMiddleware

RESOURCE = "https://mcp.example/mcp"


class Table:
    """A table with a unique key: what two processes can share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE used_proofs (id BLOB PRIMARY KEY, until INTEGER NOT NULL)")

    def insert(self, proof: UsedProof, now: int) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as database, database:
            database.execute("DELETE FROM used_proofs WHERE until < ?", (now - 60,))
            statement = "INSERT INTO used_proofs VALUES (?, ?) ON CONFLICT DO NOTHING"
            return database.execute(statement, (proof.id, proof.until)).rowcount == 1


class Slow:
    """Asks somebody, in the event loop."""

    def __init__(self) -> None:
        self.seen: list[UsedProof] = []

    async def insert(self, proof: UsedProof, now: int) -> bool:
        is_new = proof.id not in [seen.id for seen in self.seen]
        self.seen.append(proof)
        await asyncio.sleep(0.01)
        return is_new


@contextlib.asynccontextmanager
async def guard_with(server: AuthorizationServer, store: Any, **options: Any) -> AsyncIterator[Guard]:
    dpop = InboundDPoPOptions(required=True, replay_store=store, **options)
    async with Guard(server.issuer, RESOURCE, inbound_dpop=dpop, dev_mode=True) as guard:
        yield guard


def proved(server: AuthorizationServer, key: Key) -> tuple[str, DPoPRequest]:
    token = server.bound_token(RESOURCE, key)
    return token, DPoPRequest("POST", RESOURCE, key.proof(token, RESOURCE))


async def outcome(guard: Guard, token: str, request: DPoPRequest) -> str:
    try:
        await guard.verify(token, request)
    except DPoPReplayDetectedError:
        return "replayed"
    return "new"


@pytest.mark.parametrize("make", [Slow, Table])
async def test_a_proof_counts_once_whoever_remembers_it(
    make: Callable[..., Any], authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    store = make(tmp_path / "proofs.db") if make is Table else make()
    key = Key()
    async with guard_with(authorization_server, store) as guard:
        token, request = proved(authorization_server, key)
        assert [await outcome(guard, token, request) for _ in range(3)] == ["new", "replayed", "replayed"]
        token, request = proved(authorization_server, key)
        assert await outcome(guard, token, request) == "new"


async def test_the_store_is_told_what_the_proof_is(authorization_server: AuthorizationServer) -> None:
    store = Slow()
    key = Key()
    async with guard_with(authorization_server, store) as guard:
        for _ in range(2):
            await guard.verify(*proved(authorization_server, key))
        await guard.verify(*proved(authorization_server, Key()))
    first, second, other = store.seen
    assert {len(proof.id) for proof in store.seen} == {len(proof.key) for proof in store.seen} == {32}
    assert len({proof.id for proof in store.seen}) == 3
    assert first.key == second.key != other.key
    assert 290 < first.until - time.time() < 340


async def test_of_fifty_callers_at_two_guards_one_gets_through(
    authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    table = Table(tmp_path / "proofs.db")
    token, request = proved(authorization_server, Key())
    async with (
        guard_with(authorization_server, table) as one,
        guard_with(authorization_server, table) as another,
    ):
        callers = [outcome(guard, token, request) for guard in (one, another) for _ in range(25)]
        assert Counter(await asyncio.gather(*callers)) == {"new": 1, "replayed": 49}


class Stuck:
    """Waits for somebody who does not answer, until it is released."""

    def __init__(self) -> None:
        self.begun: list[threading.Thread] = []
        self.has_begun = threading.Event()
        self.released = threading.Event()

    def insert(self, _proof: UsedProof, _now: int) -> bool:
        self.begun.append(threading.current_thread())
        self.has_begun.set()
        self.released.wait(60)
        return True

    async def is_asked(self) -> None:
        while not self.has_begun.is_set():
            await asyncio.sleep(0.01)


class TestPlainStores:
    """They may wait, in threads that are theirs alone."""

    async def test_one_that_hangs_leaves_the_threads_of_the_loop_alone(
        self, authorization_server: AuthorizationServer
    ) -> None:
        store = Stuck()
        pool = ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(pool)
        async with guard_with(authorization_server, store) as guard:
            asking = [asyncio.ensure_future(outcome(guard, *proved(authorization_server, Key()))) for _ in range(20)]
            await store.is_asked()
            # Nothing else is held up.
            try:
                assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 10) == 1
            finally:
                store.released.set()
            await asyncio.gather(*asking, return_exceptions=True)
            assert await outcome(guard, *proved(authorization_server, Key())) == "new"
        assert all(thread.name.startswith("doorward-replays") and thread.daemon for thread in store.begun)
        assert len(set(store.begun)) <= 8

    async def test_where_too_many_wait_nobody_more_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward._threads.THREADS", 1)
        monkeypatch.setattr("doorward._threads.WAITING", 1)
        store = Stuck()
        threads = Threads("test")
        calls = [asyncio.ensure_future(threads.call(store.insert, None, 0))]
        await store.is_asked()
        calls.append(asyncio.ensure_future(threads.call(store.insert, None, 0)))
        await asyncio.sleep(0)
        with pytest.raises(NotBegunError, match="too many"):
            await asyncio.wait_for(threads.call(store.insert, None, 0), 10)
        store.released.set()
        assert await asyncio.gather(*calls) == [True, True]
        assert await threads.call(store.insert, None, 0)

    async def test_who_went_away_while_he_waited_is_not_asked_about(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward._threads.THREADS", 1)
        store = Stuck()
        threads = Threads("test")
        first, second = (asyncio.ensure_future(threads.call(store.insert, None, number)) for number in range(2))
        await store.is_asked()
        second.cancel()
        await asyncio.wait((second,))
        store.released.set()
        assert await first
        assert await threads.call(store.insert, None, 2)
        assert len(store.begun) == 2

    async def test_threads_end_that_have_nothing_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward._threads.IDLE_SECONDS", 0.01)
        thread = await Threads("test").call(threading.current_thread)
        await asyncio.to_thread(thread.join, 20)
        assert not thread.is_alive()

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
    def test_a_forked_process_has_threads_of_its_own(
        self, authorization_server: AuthorizationServer, tmp_path: Path
    ) -> None:
        dpop = InboundDPoPOptions(replay_store=Table(tmp_path / "proofs.db"))
        guard = Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop, dev_mode=True)
        token, request = proved(authorization_server, Key())
        assert asyncio.run(outcome(guard, token, request)) == "new"
        assert in_a_child(lambda: outcome(guard, token, request)) == "replayed"
        assert asyncio.run(outcome(guard, token, request)) == "replayed"

    def test_a_program_ends_whose_store_hangs(self, authorization_server: AuthorizationServer) -> None:
        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)
        program = [sys.executable, "-c", PROGRAM, authorization_server.issuer, token, key.proof(token, RESOURCE)]
        ended = subprocess.run(program, capture_output=True, text=True, timeout=30, check=True)
        told = "the replay store failed error=it took too long failures=1\n"
        assert (ended.stdout, ended.stderr) == ("refused\n", told)


PROGRAM = """
import asyncio, sys, threading
from doorward import DPoPRequest, Guard, InboundDPoPOptions, ReplayStoreUnavailableError

class Stuck:
    def insert(self, proof, now):
        threading.Event().wait()

async def main():
    issuer, token, proof = sys.argv[1:]
    guard = Guard(issuer, "https://mcp.example/mcp", inbound_dpop=InboundDPoPOptions(replay_store=Stuck()))
    try:
        await guard.verify(token, DPoPRequest("POST", "https://mcp.example/mcp", proof))
    except ReplayStoreUnavailableError:
        print("refused")

asyncio.run(main())
"""


class Raises:
    async def insert(self, _proof: UsedProof, _now: int) -> bool:
        raise ConnectionError("the database is away")


class RaisesAtOnce:
    def insert(self, _proof: UsedProof, _now: int) -> bool:
        raise ConnectionError("the database is away")


class ForgetsToReturn:
    async def insert(self, _proof: UsedProof, _now: int) -> Any:
        return None


class SaysOne:
    def insert(self, _proof: UsedProof, _now: int) -> Any:
        return 1


class Hangs:
    def __init__(self) -> None:
        self.was_cancelled = False

    async def insert(self, _proof: UsedProof, _now: int) -> bool:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return True


@pytest.mark.parametrize("make", [Raises, RaisesAtOnce, ForgetsToReturn, SaysOne, Hangs])
async def test_a_store_that_fails_lets_nothing_through(
    make: Callable[[], Any], authorization_server: AuthorizationServer
) -> None:
    store = make()
    async with guard_with(authorization_server, store) as guard:
        token, request = proved(authorization_server, Key())
        with pytest.raises(ReplayStoreUnavailableError) as raised:
            await guard.verify(token, request)
        assert http_status(raised.value) == 503
        assert int(response_headers_for(raised.value)[1]["Retry-After"]) >= 1
        status, headers, body = await over_http(guard, token, str(request.proof))
        assert status == 503
        assert int(dict(headers)[b"retry-after"]) >= 1
        assert b"database" not in body
    if isinstance(store, Hangs):
        assert store.was_cancelled


async def over_http(guard: Guard, token: str, proof: str) -> tuple[int, Any, bytes]:
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("nothing must reach the application")

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"DPoP " + token.encode()), (b"dpop", proof.encode())]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}
    await GuardMiddleware(app, guard)(scope, receive, send)
    return sent[0]["status"], sent[0]["headers"], sent[1]["body"]


async def test_a_store_heals(authorization_server: AuthorizationServer) -> None:
    class Heals(Slow):
        is_away = True

        async def insert(self, proof: UsedProof, now: int) -> bool:
            if self.is_away:
                raise ConnectionError
            return await super().insert(proof, now)

    store = Heals()
    async with guard_with(authorization_server, store) as guard:
        token, request = proved(authorization_server, Key())
        with pytest.raises(ReplayStoreUnavailableError):
            await guard.verify(token, request)
        store.is_away = False
        assert await outcome(guard, token, request) == "new"


def test_what_is_no_store_is_refused_at_once(authorization_server: AuthorizationServer) -> None:
    dpop = InboundDPoPOptions(replay_store=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="insert"):
        Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop)


class TestLimits:
    async def test_a_full_memory_lets_nothing_through(self, authorization_server: AuthorizationServer) -> None:
        async with guard_with(authorization_server, None, replay_per_key=2) as guard:
            key = Key()
            for _ in range(2):
                assert await outcome(guard, *proved(authorization_server, key)) == "new"
            with pytest.raises(ReplayStoreUnavailableError):
                await guard.verify(*proved(authorization_server, key))
            assert await outcome(guard, *proved(authorization_server, Key())) == "new"


class TestNonces:
    async def test_processes_with_one_key_take_each_others_nonces(
        self, authorization_server: AuthorizationServer
    ) -> None:
        from doorward import InvalidDPoPProofError

        old, new = b"\x01" * 32, b"\x02" * 32
        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)

        async def needs_nonce(guard: Guard, nonce: str | None = None) -> str | None:
            proof = key.proof(token, RESOURCE, nonce=nonce)
            try:
                await guard.verify(token, DPoPRequest("POST", RESOURCE, proof))
            except InvalidDPoPProofError as error:
                return error.nonce
            return None

        def with_keys(*keys: bytes) -> Any:
            return guard_with(authorization_server, None, require_nonce=True, nonce_keys=keys)

        async with with_keys(old) as one, with_keys(new, old) as two, with_keys(new) as three:
            nonce = await needs_nonce(one)
            assert nonce is not None
            assert await needs_nonce(one, nonce) is None
            assert await needs_nonce(two, nonce) is None
            assert await needs_nonce(three, nonce) is not None

    @pytest.mark.parametrize("keys", [(b"short",), (b"\x01" * 32,) * 3])
    def test_keys_that_cannot_be_used_are_refused(
        self, keys: tuple[bytes, ...], authorization_server: AuthorizationServer
    ) -> None:
        with pytest.raises(ValueError, match="32 random bytes"):
            dpop = InboundDPoPOptions(require_nonce=True, nonce_keys=keys)
            Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop)

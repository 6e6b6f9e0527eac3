"""Replay stores of the program's own, which several processes share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support import AuthorizationServer, Key

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
        dpop = InboundDPoPOptions(require_nonce=True, nonce_keys=keys)
        with pytest.raises(ValueError, match="32 random bytes"):
            Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop)

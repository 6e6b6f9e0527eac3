"""One guard, verifier or client for many threads, each with an event loop of its own: with the GIL and without."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from support import AuthorizationServer, Key, over_transport

from doorward import (
    ASCredentials,
    DoorwardClient,
    DoorwardError,
    DPoPRequest,
    Guard,
    InboundDPoPOptions,
    TokenExchangeOptions,
    UsedProof,
    VerifiedClaims,
)
from doorward.asgi import GuardMiddleware
from doorward.dpop import check_proof
from doorward.jwt import JWTVerifier, RSAKeyPair

# What goes wrong between threads hangs.
pytestmark = pytest.mark.timeout(120)

RESOURCE = "https://mcp.example/mcp"
THREADS = 16
PATIENCE = 30.0

T = TypeVar("T")


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """With the GIL: so that they meet in more places."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def in_threads(run: Callable[[int], Awaitable[T]], threads: int = THREADS) -> list[T]:
    """What ``await run(number)`` comes to in every thread. All begin at the same moment."""
    barrier = threading.Barrier(threads)

    async def together(number: int) -> T:
        barrier.wait(PATIENCE)
        return await run(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda number: asyncio.run(together(number)), range(threads)))


async def verdict(guard: Guard, token: str, request: DPoPRequest | None = None) -> Any:
    """The claims, or the reason of the refusal."""
    try:
        return await guard.verify(token, request)
    except DoorwardError as error:
        return type(error).__name__, error.reason


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter has a GIL")
def test_the_gil_stays_off() -> None:
    code = "import sys, doorward.asgi, doorward.jwt; sys.exit(sys._is_gil_enabled())"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


class TestTokens:
    @pytest.mark.parametrize("has_transport", [False, True])
    def test_good_and_bad_ones_are_told_apart_everywhere(
        self, authorization_server: AuthorizationServer, has_transport: bool
    ) -> None:
        server = authorization_server
        transport = over_transport(server) if has_transport else None
        guard = Guard(server.issuer, RESOURCE, transport=transport)
        tokens = [
            server.token(RESOURCE, scope="a b", custom={"list": [1, {"deep": True}]}),
            *(server.token(RESOURCE, sub=f"user-{number}") for number in range(3)),
            server.token(RESOURCE, exp=1_700_000_000),
            server.token("https://other.example"),
            server.token(RESOURCE, key=Key("key-1")),
            server.bound_token(RESOURCE, Key()),
            "nonsense",
        ]
        expected = asyncio.run(all_of(guard, tokens))
        assert [type(one) is VerifiedClaims for one in expected] == [True] * 4 + [False] * 5
        dictionaries = [one.to_dict() for one in expected[:4]]

        async def run(number: int) -> None:
            mine = tokens[number % len(tokens) :] + tokens[: number % len(tokens)]
            for _ in range(8):
                found = dict(zip(mine, await all_of(guard, mine), strict=True))
                assert [found[token] for token in tokens] == expected
                for token, dictionary in zip(tokens, dictionaries, strict=False):
                    made = found[token].to_dict()
                    assert made == dictionary
                    assert dict(found[token].raw)["sub"] == dictionary["sub"]
                    # What one thread does to its own is nothing to the others.
                    made["sub"] = number
                    made.setdefault("custom", {"list": []})["list"].append(number)

        fresh = Guard(server.issuer, RESOURCE, transport=transport)
        guard, closed = fresh, guard
        in_threads(run)
        asyncio.run(closed.aclose())
        assert server.requests.count(("GET", "/jwks")) == (0 if has_transport else 2)

    def test_one_application_serves_every_thread(self, authorization_server: AuthorizationServer) -> None:
        told: list[bool] = []
        guard = Guard(
            authorization_server.issuer,
            RESOURCE,
            tool_scopes={"write": ["mcp:write"]},
            on_decision=lambda decision: told.append(decision["allowed"]),
        )

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            sub = scope["state"]["doorward.claims"].sub
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": sub.encode()})

        guarded = GuardMiddleware(app, guard)

        async def run(number: int) -> None:
            token = authorization_server.token(RESOURCE, sub=f"user-{number}")
            for _ in range(5):
                assert await asked(guarded, token, "read") == (200, f"user-{number}")
                assert (await asked(guarded, token, "write"))[0] == 403
                assert (await asked(guarded, token + "x", "read"))[0] == 401

        in_threads(run)
        assert Counter(told) == {True: 5 * THREADS, False: 10 * THREADS}


async def all_of(guard: Guard, tokens: list[str]) -> list[Any]:
    return list(await asyncio.gather(*(verdict(guard, token) for token in tokens)))


async def asked(app: Any, token: str, tool: str) -> tuple[int, str]:
    """The status and the body of the answer to a call of a tool."""
    sent: list[Any] = []

    async def receive() -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        return {"type": "http.request", "body": json.dumps(call).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer " + token.encode())]
    await app({"type": "http", "method": "POST", "path": "/mcp", "headers": headers}, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


class Table:
    """Remembers proofs, and in which thread it was asked to."""

    def __init__(self) -> None:
        self.seen: dict[bytes, int] = {}
        self.lock = threading.Lock()

    def insert(self, proof: UsedProof, _now: int) -> bool:
        with self.lock:
            is_new = proof.id not in self.seen
            self.seen.setdefault(proof.id, threading.get_ident())
            return is_new


class TableOfLoop(Table):
    async def insert(self, proof: UsedProof, now: int) -> bool:  # type: ignore[override]
        return super().insert(proof, now)


class TestProofs:
    @pytest.mark.parametrize("store", [None, Table, TableOfLoop])
    def test_of_fifty_callers_one_gets_through(
        self, authorization_server: AuthorizationServer, store: Callable[[], Any] | None
    ) -> None:
        dpop = InboundDPoPOptions(required=True, replay_store=store() if store else None)
        guard = Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop)
        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)
        requests = [DPoPRequest("POST", RESOURCE, key.proof(token, RESOURCE)) for _ in range(5)]

        async def run(number: int) -> list[list[Any]]:
            callers = len(range(number, 50, THREADS))
            return [
                await asyncio.gather(*(verdict(guard, token, request) for _ in range(callers))) for request in requests
            ]

        outcomes = in_threads(run)
        for place in range(len(requests)):
            of_proof = [outcome for outcome_of in outcomes for outcome in outcome_of[place]]
            reasons = Counter("new" if isinstance(one, VerifiedClaims) else one[0] for one in of_proof)
            assert reasons == {"new": 1, "DPoPReplayDetectedError": 49}

    def test_a_store_is_asked_in_the_loop_of_whoever_waits(self, authorization_server: AuthorizationServer) -> None:
        store = TableOfLoop()
        dpop = InboundDPoPOptions(required=True, replay_store=store)
        guard = Guard(authorization_server.issuer, RESOURCE, inbound_dpop=dpop)

        async def run(number: int) -> None:
            key = Key()
            token = authorization_server.bound_token(RESOURCE, key, sub=f"user-{number}")
            for _ in range(number % 4 + 1):
                request = DPoPRequest("POST", RESOURCE, key.proof(token, RESOURCE))
                assert isinstance(await verdict(guard, token, request), VerifiedClaims)
                used = check_proof(request, access_token=token).used
                assert store.seen[used.id] == threading.get_ident()

        in_threads(run)


class TestVerifier:
    def test_every_thread_has_an_access_token_of_its_own(self) -> None:
        pair, other = RSAKeyPair.generate(), RSAKeyPair.generate()
        verifier = JWTVerifier(public_key=pair.public_key, issuer="https://issuer.example", audience=RESOURCE)
        claims: dict[str, Any] = {"issuer": "https://issuer.example", "audience": RESOURCE, "scopes": ["read"]}
        good = pair.create_token(additional_claims={"custom": [1]}, **claims)
        bad = [other.create_token(**claims), pair.create_token(expires_in_seconds=-3600, **claims), "nonsense"]

        async def run(number: int) -> None:
            for _ in range(20):
                access = await verifier.verify_token(good)
                assert access is not None
                assert (access.token, access.scopes, access.client_id) == (good, ["read"], "fastmcp-user")
                access.scopes.append(str(number))
                if hasattr(access, "claims"):
                    assert access.claims["custom"] == [1]
                    access.claims["custom"].append(number)
                assert [await verifier.verify_token(token) for token in bad] == [None] * len(bad)

        in_threads(run)


class TestClient:
    def test_threads_share_tokens_and_their_fetches(self, authorization_server: AuthorizationServer) -> None:
        server = authorization_server
        token = {"access_token": "own", "token_type": "Bearer", "expires_in": 300}
        exchanged = {**token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}

        def answer(form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
            subject = form.get("subject_token")
            return 200, {**exchanged, "access_token": f"for-{subject[0]}"} if subject else token

        server.answers["/token"] = answer
        server.answers["/introspect"] = lambda form: (200, {"active": True, "sub": form["token"][0]})

        async def make() -> DoorwardClient:
            # A clock of the program's own, which lets others have their turn.
            return await DoorwardClient.create(
                server.issuer, auth=ASCredentials("client", "secret"), clock=lambda: time.time()
            )

        client = asyncio.run(make())

        async def run(number: int) -> None:
            for _ in range(10):
                assert (await client.client_credentials()).access_token == "own"
            me = f"user-{number}"
            assert (await client.exchange(TokenExchangeOptions(me))).access_token == f"for-{me}"
            assert (await client.introspect(me)).sub == me

        in_threads(run)
        own = [form for _, form, _ in server.forms if form.get("grant_type") == ["client_credentials"]]
        assert len(own) == 1


class TestClosing:
    @pytest.mark.parametrize("last", range(0, 20, 2))
    def test_whoever_comes_too_late_is_told_so(self, authorization_server: AuthorizationServer, last: int) -> None:
        guard = Guard(authorization_server.issuer, RESOURCE)
        token = authorization_server.token(RESOURCE)
        if last % 4:
            asyncio.run(guard.verify(token))

        async def run(number: int) -> None:
            for turn in range(1_000_000):
                if number == 0 and turn == last:
                    await guard.aclose()
                try:
                    assert (await guard.verify(token)).sub == "user-1"
                except RuntimeError as error:
                    assert str(error) == "the guard is closed"
                    break
            else:
                raise AssertionError("it is still open")
            with pytest.raises(RuntimeError, match="the guard is closed"):
                await guard.verify(token)

        in_threads(run)

    def test_two_threads_may_close_at_once(self, authorization_server: AuthorizationServer) -> None:
        async def make() -> DoorwardClient:
            transport = over_transport(authorization_server)
            return await DoorwardClient.create(authorization_server.issuer, transport=transport)

        for _ in range(30):
            client = asyncio.run(make())
            guards = [client.resource(RESOURCE) for _ in range(20)]

            async def close(number: int, client: DoorwardClient = client, guards: list[Guard] = guards) -> None:
                await client.aclose()
                await guards[number].aclose()

            in_threads(close, 2)
            for closed in (client, *guards):
                with pytest.raises(RuntimeError, match="is closed"):
                    _ = closed.core


class TestLoops:
    def test_what_is_done_for_all_goes_on_after_the_latest_loop(
        self, authorization_server: AuthorizationServer
    ) -> None:
        guard = Guard(authorization_server.issuer, RESOURCE, transport=over_transport(authorization_server))

        async def nowhere(_scope: Any, _receive: Any, _send: Any) -> None:
            raise AssertionError("nobody gets here")

        async def refused() -> None:
            assert (await asked(GuardMiddleware(nowhere, guard), "nonsense", "read"))[0] == 401

        async def main() -> str:
            await refused()
            await asyncio.to_thread(asyncio.run, refused())
            # In a thread without a loop: the keys are fetched in that of another.
            await asyncio.to_thread(guard.start)
            return (await guard.verify(authorization_server.token(RESOURCE))).sub

        assert asyncio.run(main()) == "user-1"

    def test_a_loop_that_goes_away_may_use_the_guard(self, authorization_server: AuthorizationServer) -> None:
        guard = Guard(authorization_server.issuer, RESOURCE, transport=over_transport(authorization_server))
        gone: list[int] = []

        class Loop(asyncio.SelectorEventLoop):
            def __del__(self) -> None:
                super().__del__()
                guard.start()
                gone.append(1)

        async def start() -> None:
            guard.start()

        # With keys at hand, nothing is begun in a loop that ends.
        asyncio.run(guard.verify(authorization_server.token(RESOURCE)))
        for _ in range(20):
            loop = Loop()
            loop.run_until_complete(start())
            loop.close()
            del loop
        assert gone


def test_a_frameworks_application_is_looked_at_once(authorization_server: AuthorizationServer) -> None:
    pytest.importorskip("mcp")
    from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    from doorward._adapter import FrameworkLayer

    async def inside(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("nobody gets here")

    checked = RequireAuthMiddleware(inside, [])
    app = Starlette(routes=[Route("/sse", checked), Mount("/messages", checked)])
    for _ in range(20):
        prepared: list[Any] = []
        layer = FrameworkLayer(inside, Guard(authorization_server.issuer, RESOURCE), prepare=prepared.append)

        async def run(_number: int, layer: FrameworkLayer = layer) -> list[str | None]:
            return [layer.guarded_at({"app": app}, path) for path in ("/messages/", "/sse", "/open")]

        assert in_threads(run) == [["", "/sse", None]] * THREADS
        assert prepared == [app]

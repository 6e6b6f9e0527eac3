"""The guard by itself, and its bridge to asyncio."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import json
import logging
import multiprocessing
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from support import AuthorizationServer, Key

import doorward
from doorward import (
    DoorwardError,
    DPoPBindingMismatchError,
    DPoPNotSupportedError,
    DPoPProofMissingError,
    DPoPReplayDetectedError,
    DPoPRequest,
    Guard,
    InboundDPoPOptions,
    InsufficientScopeError,
    InvalidClaimsError,
    InvalidDPoPProofError,
    InvalidSignatureError,
    JWKSFetchError,
    TokenExpiredError,
    TokenMissingError,
    TokenRevokedError,
    VerifiedClaims,
)
from doorward._adapter import TokenChecker
from doorward.dpop import check_proof

RESOURCE = "http://127.0.0.1:8080/mcp"


def guard(server: AuthorizationServer, **options: Any) -> Guard:
    return Guard(server.issuer, RESOURCE, **options)


async def verified(server: AuthorizationServer, token: str, **options: Any) -> VerifiedClaims:
    async with guard(server, **options) as made:
        return await made.verify(token)


class TestClaims:
    async def test_they_have_their_names(self, authorization_server: AuthorizationServer) -> None:
        token = authorization_server.token(
            RESOURCE,
            scope="a b",
            aud=[RESOURCE, "https://other.example"],
            gid="grant-1",
            nbf=1_700_000_000,
            agent_id="agent",
            agent_chain=["first", "second"],
            act={"sub": "actor", "act": {"sub": "earlier"}},
            may_act={"sub": "deputy"},
            custom={"list": [1, {"deep": True}]},
        )
        claims = await verified(authorization_server, token)
        assert (claims.sub, claims.client_id, claims.issuer) == ("user-1", "client-1", authorization_server.issuer)
        assert claims.scopes == ("a", "b")
        assert claims.audience == (RESOURCE, "https://other.example")
        assert claims.expires_at - claims.issued_at == 300
        assert claims.not_before == 1_700_000_000
        assert (claims.kid, claims.grant_id) == ("key-1", "grant-1")
        assert (claims.agent_id, claims.agent_chain) == ("agent", ("first", "second"))
        assert claims.act["act"]["sub"] == "earlier"
        assert claims.may_act["sub"] == "deputy"
        assert claims.raw["custom"]["list"][1]["deep"] is True
        assert claims.to_dict()["custom"] == {"list": [1, {"deep": True}]}
        assert claims.dpop_proof is None
        assert claims.has_claim("gid") and claims.has_claim("gid", "grant-1")
        assert not claims.has_claim("gid", "other") and not claims.has_claim("missing")
        assert claims.has_claim("gid", None) and not claims.has_claim("missing", None)

    async def test_they_have_defaults(self, authorization_server: AuthorizationServer) -> None:
        claims = await verified(authorization_server, authorization_server.token(RESOURCE, scope=None))
        assert (claims.scopes, claims.agent_id, claims.agent_chain, claims.not_before) == ((), "", (), 0)
        assert (claims.grant_id, claims.act, claims.may_act) == (None, None, None)

    async def test_they_cannot_be_changed(self, authorization_server: AuthorizationServer) -> None:
        token = authorization_server.token(RESOURCE, custom={"list": [1]})
        claims = await verified(authorization_server, token)
        with pytest.raises(AttributeError):
            claims.sub = "somebody"  # type: ignore[misc]
        with pytest.raises(TypeError):
            claims.raw["sub"] = "somebody"  # type: ignore[index]
        with pytest.raises(TypeError):
            claims.raw["custom"]["x"] = 1
        assert isinstance(claims.raw, Mapping)
        assert claims.raw["custom"]["list"] == (1,)

    async def test_neither_token_nor_claims_are_in_their_repr(self, authorization_server: AuthorizationServer) -> None:
        token = authorization_server.token(RESOURCE, email="someone@example.com")
        text = repr(await verified(authorization_server, token))
        assert token not in text
        assert "someone@example.com" not in text

    async def test_they_are_their_own_copies(self, authorization_server: AuthorizationServer) -> None:
        claims = await verified(authorization_server, authorization_server.token(RESOURCE))
        assert copy.copy(claims) is claims
        assert copy.deepcopy({"claims": [claims]})["claims"][0] is claims

    async def test_missing_scopes_are_named_together(self, authorization_server: AuthorizationServer) -> None:
        claims = await verified(authorization_server, authorization_server.token(RESOURCE, scope="a"))
        claims.require_scope("a")
        claims.require_scopes([])
        with pytest.raises(InsufficientScopeError) as raised:
            claims.require_scopes(["a", "b", "c"])
        assert raised.value.required_scopes == ("a", "b", "c")


class TestErrors:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"exp": 1_700_000_000}, TokenExpiredError),
            ({"aud": "https://other.example"}, InvalidClaimsError),
            ({"aud": RESOURCE + "/"}, InvalidClaimsError),
            ({"iss": "https://other.example"}, InvalidClaimsError),
            ({"typ": "JWT"}, InvalidClaimsError),
            ({"sub": 7}, InvalidClaimsError),
            ({"exp": "soon"}, InvalidClaimsError),
            ({"jti": None}, InvalidClaimsError),
            ({"key": Key("key-1")}, InvalidSignatureError),
            ({"key": Key("unknown")}, InvalidSignatureError),
            ({"cnf": {"jkt": "x" * 43}}, DPoPNotSupportedError),
        ],
    )
    async def test_a_bad_token_says_why(
        self, authorization_server: AuthorizationServer, changes: dict[str, Any], error: type[DoorwardError]
    ) -> None:
        token = authorization_server.token(RESOURCE, **changes)
        async with guard(authorization_server) as made:
            with pytest.raises(error) as raised:
                await made.verify(token)
            assert doorward.http_status(raised.value) == 401
            assert made.www_authenticate(raised.value).startswith("Bearer error=")
            assert raised.value.reason

    async def test_nothing_is_no_token(self, authorization_server: AuthorizationServer) -> None:
        async with guard(authorization_server) as made:
            for nothing in ("", "  "):
                with pytest.raises(TokenMissingError) as raised:
                    await made.verify(nothing)
                assert "error=" not in made.www_authenticate(raised.value)
            with pytest.raises(InvalidSignatureError):
                await made.verify("nonsense")

    async def test_bytes_that_are_no_text_are_no_token(self, authorization_server: AuthorizationServer) -> None:
        """Servers that decode headers with ``surrogateescape`` hand them on as lone surrogates."""
        good = authorization_server.token(RESOURCE)
        async with guard(authorization_server, inbound_dpop=InboundDPoPOptions()) as made:
            for token in ("\udcff", "\udcff.a.b", good + "\udcff", good.replace(".", "\udcff", 1)):
                for request in (None, DPoPRequest("POST", RESOURCE), DPoPRequest("POST", RESOURCE, "a.b.c")):
                    with pytest.raises(InvalidSignatureError) as raised:
                        await made.verify(token, request)
                    assert raised.value.reason == "token_malformed"

    async def test_an_outage_is_no_verdict(self, authorization_server: AuthorizationServer) -> None:
        authorization_server.is_down = True
        async with guard(authorization_server) as made:
            with pytest.raises(JWKSFetchError) as raised:
                await made.verify(authorization_server.token(RESOURCE))
            status, headers = doorward.response_headers_for(raised.value)
            assert status == 503
            assert int(headers["Retry-After"]) >= 1


class TestDPoP:
    async def test_the_proof_counts_once(self, authorization_server: AuthorizationServer) -> None:
        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)
        request = DPoPRequest("POST", RESOURCE, key.proof(token, RESOURCE))
        async with guard(authorization_server, inbound_dpop=InboundDPoPOptions()) as made:
            claims = await made.verify(token, request)
            assert claims.dpop_proof is not None
            assert claims.dpop_proof.jkt == key.thumbprint
            with pytest.raises(DPoPReplayDetectedError):
                await made.verify(token, request)

    async def test_what_is_wrong_has_a_name(self, authorization_server: AuthorizationServer) -> None:
        key = Key()
        bound, unbound = authorization_server.bound_token(RESOURCE, key), authorization_server.token(RESOURCE)
        proof = key.proof(bound, RESOURCE)
        cases = [
            (bound, None, DPoPProofMissingError),
            (bound, DPoPRequest("GET", RESOURCE, proof), InvalidDPoPProofError),
            (bound, DPoPRequest("POST", RESOURCE, Key().proof(bound, RESOURCE)), DPoPBindingMismatchError),
            (unbound, DPoPRequest("POST", RESOURCE, key.proof(unbound, RESOURCE)), DPoPBindingMismatchError),
        ]
        async with guard(authorization_server, inbound_dpop=InboundDPoPOptions(required=True)) as made:
            for token, request, error in cases:
                with pytest.raises(error):
                    await made.verify(token, request)
            with pytest.raises(DPoPBindingMismatchError):
                await made.verify(unbound)

    def test_proofs_may_have_to_name_their_body(self, authorization_server: AuthorizationServer) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route
        from starlette.testclient import TestClient

        async def inside(_request: Any) -> Any:
            from starlette.responses import PlainTextResponse

            return PlainTextResponse("inside")

        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)
        options = InboundDPoPOptions(require_content_digest=True)
        app = guard(authorization_server, inbound_dpop=options).protect(
            Starlette(routes=[Route("/mcp", inside, methods=["POST"])])
        )
        body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
        good = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        with TestClient(app, base_url="http://127.0.0.1:8080") as client:
            for digest, status in ((good, 200), (good.replace("=:", "=:A", 1), 401), (None, 401)):
                proof = key.proof(token, RESOURCE, content_digest=digest)
                headers = {"authorization": f"DPoP {token}", "dpop": proof, "content-type": "application/json"}
                assert client.post("/mcp", content=body, headers=headers).status_code == status

    async def test_what_no_proof_can_fit_is_a_bad_proof(self, authorization_server: AuthorizationServer) -> None:
        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)
        proof = key.proof(token, RESOURCE)
        requests = {
            "proof_malformed": [
                DPoPRequest("POST", RESOURCE, "\udcff"),
                DPoPRequest("POST", RESOURCE, proof + "\udcff"),
            ],
            "proof_method": [DPoPRequest(method, RESOURCE, proof) for method in ("G T", "", "\udcff", "PO\udcffST")],
            "proof_uri": [DPoPRequest("POST", RESOURCE + "\udcff", proof)],
        }
        async with guard(authorization_server, inbound_dpop=InboundDPoPOptions()) as made:
            for reason, asked in requests.items():
                for request in asked:
                    with pytest.raises(InvalidDPoPProofError) as raised:
                        await made.verify(token, request)
                    assert raised.value.reason == reason
                    with pytest.raises(InvalidDPoPProofError):
                        check_proof(request, access_token=token)
            good = DPoPRequest("POST", RESOURCE, proof)
            with pytest.raises(InvalidDPoPProofError):
                check_proof(good, access_token=token + "\udcff")
            await made.verify(token, good)

    def test_a_proof_is_not_in_the_repr_of_its_request(self) -> None:
        assert repr(DPoPRequest("GET", "/mcp", "a-proof")) == "DPoPRequest(method='GET', url='/mcp')"

    async def test_a_nonce_is_handed_out(self, authorization_server: AuthorizationServer) -> None:
        key = Key()
        token = authorization_server.bound_token(RESOURCE, key)
        async with guard(authorization_server, inbound_dpop=InboundDPoPOptions(require_nonce=True)) as made:
            with pytest.raises(InvalidDPoPProofError) as raised:
                await made.verify(token, DPoPRequest("POST", RESOURCE, key.proof(token, RESOURCE)))
            proof = key.proof(token, RESOURCE, nonce=raised.value.nonce)
            await made.verify(token, DPoPRequest("POST", RESOURCE, proof))


class TestRevocation:
    async def test_a_checker_of_ones_own_is_asked(self, authorization_server: AuthorizationServer) -> None:
        revoked = authorization_server.token(RESOURCE, jti="revoked")

        async def checker(claims: VerifiedClaims, token: str) -> bool:
            await asyncio.sleep(0)
            return claims.jti == "revoked" and token == revoked

        async with guard(authorization_server, revocation_checker=checker) as made:
            await made.verify(authorization_server.token(RESOURCE))
            with pytest.raises(TokenRevokedError):
                await made.verify(revoked)

    @pytest.mark.parametrize("wrapped", [False, True])
    async def test_a_checker_that_is_no_coroutine_function_counts_as_well(
        self, authorization_server: AuthorizationServer, wrapped: bool
    ) -> None:
        async def answer() -> bool:
            return True

        def checker(_claims: VerifiedClaims, _token: str) -> Any:
            return answer() if wrapped else True

        async with guard(authorization_server, revocation_checker=checker) as made:
            with pytest.raises(TokenRevokedError):
                await made.verify(authorization_server.token(RESOURCE))
        with pytest.raises(TypeError, match="must be a function"):
            guard(authorization_server, revocation_checker=True)

    @pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
    def test_times_that_are_none_are_refused(self, seconds: float) -> None:
        for make in (
            lambda: doorward.RevocationFeed(max_token_lifetime_seconds=seconds),
            lambda: doorward.RevocationFeed(blind_after_seconds=seconds),
            lambda: doorward.IntrospectionRevocation(ttl_seconds=seconds),
        ):
            with pytest.raises(ValueError, match="must be a number of seconds"):
                make()

    @pytest.mark.parametrize("fail_closed", [False, True])
    async def test_a_checker_that_fails(self, authorization_server: AuthorizationServer, fail_closed: bool) -> None:
        async def checker(_claims: VerifiedClaims, _token: str) -> bool:
            raise RuntimeError("no answer")

        async with guard(authorization_server, revocation_checker=checker, fail_closed=fail_closed) as made:
            if fail_closed:
                with pytest.raises(DoorwardError) as raised:
                    await made.verify(authorization_server.token(RESOURCE))
                assert doorward.http_status(raised.value) == 503
            else:
                await made.verify(authorization_server.token(RESOURCE))

    async def test_introspection(self, authorization_server: AuthorizationServer) -> None:
        active = [True]
        authorization_server.answers["/introspect"] = lambda _form: (200, {"active": active[0]})
        async with guard(
            authorization_server,
            as_credentials=doorward.ASCredentials("rs", "secret"),
            revocation_checker=doorward.IntrospectionRevocation(ttl_seconds=0),
        ) as made:
            token = authorization_server.token(RESOURCE)
            await made.verify(token)
            assert made.revocation_status().state == "asks"
            active[0] = False
            with pytest.raises(TokenRevokedError):
                await made.verify(token)


async def test_decisions_are_told(authorization_server: AuthorizationServer) -> None:
    told: list[Any] = []
    made = guard(authorization_server, tool_scopes={"write": ["w"]}, on_decision=told.append)
    made.start()
    token = authorization_server.token(RESOURCE)
    await made.verify(token)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    visit = made.core.admit("POST", b"/mcp", b"", headers, None)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "write"}}
    assert visit.authorize(json.dumps(call).encode())[0] == 403
    (decision,) = told
    assert (decision["allowed"], decision["reason"]) == (False, "insufficient_scope")
    assert (decision["method"], decision["target"]) == ("tools/call", "write")
    assert decision["claims"].sub == "user-1"
    assert decision["needed_scopes"] == ["w"]
    await made.aclose()


class TestBridge:
    """Between Rust futures and event loops."""

    async def test_a_hundred_callers_share_one_fetch(self, authorization_server: AuthorizationServer) -> None:
        async with guard(authorization_server) as made:
            tokens = [authorization_server.token(RESOURCE, sub=f"user-{n}") for n in range(100)]
            claims = await asyncio.gather(*(made.verify(token) for token in tokens))
            assert [c.sub for c in claims] == [f"user-{n}" for n in range(100)]
            assert authorization_server.requests.count(("GET", "/jwks")) == 1

    async def test_the_loop_goes_on_while_keys_are_waited_for(self, authorization_server: AuthorizationServer) -> None:
        release = asyncio.Event()

        async def transport(_method: str, url: str, _headers: Any, _body: Any) -> Any:
            await release.wait()
            document = authorization_server.metadata
            if url.endswith("/jwks"):
                document = {"keys": [{**authorization_server.key.public, "kid": "key-1"}]}
            return 200, {"content-type": "application/json"}, json.dumps(document).encode()

        async with guard(authorization_server, transport=transport) as made:
            waiting = asyncio.ensure_future(made.verify(authorization_server.token(RESOURCE)))
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not waiting.done()
            release.set()
            assert (await waiting).sub == "user-1"

    async def test_a_caller_that_gives_up_leaves_nothing_behind(
        self, authorization_server: AuthorizationServer
    ) -> None:
        async def transport(*_: Any) -> Any:
            await asyncio.Event().wait()

        made = guard(authorization_server, transport=transport)
        waiting = asyncio.ensure_future(made.verify(authorization_server.token(RESOURCE)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await made.aclose()
        await made.aclose()
        deadline = time.monotonic() + 20
        while len(asyncio.all_tasks()) > 1 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1
        with pytest.raises(RuntimeError, match="closed"):
            await made.verify("x")

    def test_one_guard_serves_several_loops(self, authorization_server: AuthorizationServer) -> None:
        made = guard(authorization_server)

        async def once(n: int) -> str:
            return (await made.verify(authorization_server.token(RESOURCE, sub=f"user-{n}"))).sub

        assert [asyncio.run(once(n)) for n in range(3)] == ["user-0", "user-1", "user-2"]
        seen: list[str] = []
        threads = [threading.Thread(target=lambda n=n: seen.append(asyncio.run(once(n)))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == [f"user-{n}" for n in range(8)]

    def test_a_loop_that_is_closed_early_is_no_harm(self, authorization_server: AuthorizationServer) -> None:
        authorization_server.is_down = True
        made = guard(authorization_server)
        loop = asyncio.new_event_loop()

        async def begin() -> None:
            made.core.verify(authorization_server.token(RESOURCE))

        loop.run_until_complete(begin())
        loop.close()
        authorization_server.is_down = False

        async def later() -> VerifiedClaims:
            for _ in range(300):
                try:
                    return await made.verify(authorization_server.token(RESOURCE))
                except JWKSFetchError:
                    await asyncio.sleep(0.1)
            raise AssertionError("the guard did not heal")

        assert asyncio.run(later()).sub == "user-1"

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_forked_process_has_threads_of_its_own(self, authorization_server: AuthorizationServer) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            pytest.skip("there is no fork here")

        def check(result: Any) -> None:
            async def once() -> str:
                async with guard(authorization_server) as made:
                    return (await made.verify(authorization_server.token(RESOURCE))).sub

            result.put(asyncio.run(once()))

        asyncio.run(verified(authorization_server, authorization_server.token(RESOURCE)))
        context = multiprocessing.get_context("fork")
        result = context.Queue()
        child = context.Process(target=check, args=(result,))
        child.start()
        assert result.get(timeout=20) == "user-1"
        child.join(20)
        assert child.exitcode == 0

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize("has_keys", [True, False])
    def test_a_guard_from_before_a_fork_still_learns_new_keys(
        self, authorization_server: AuthorizationServer, has_keys: bool
    ) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            pytest.skip("there is no fork here")
        made = guard(authorization_server)
        authorization_server.is_down = not has_keys

        async def begin() -> None:
            made.start()
            if has_keys:
                await made.verify(authorization_server.token(RESOURCE))
            else:
                await asyncio.sleep(0.3)

        asyncio.run(begin())
        authorization_server.is_down = False
        authorization_server.keys.append(Key("key-2"))
        token = authorization_server.token(RESOURCE, key=authorization_server.keys[1])

        def check(result: Any) -> None:
            async def soon() -> str:
                for _ in range(900):
                    try:
                        return (await made.verify(token)).kid
                    except JWKSFetchError:
                        await asyncio.sleep(0.02)
                return "never"

            result.put(asyncio.run(soon()))

        context = multiprocessing.get_context("fork")
        result = context.Queue()
        child = context.Process(target=check, args=(result,))
        child.start()
        assert result.get(timeout=20) == "key-2"
        child.join(20)

    def test_without_a_loop_only_what_is_ready_comes_out(self, authorization_server: AuthorizationServer) -> None:
        made = guard(authorization_server)
        token = authorization_server.token(RESOURCE)
        with pytest.raises(RuntimeError, match="no running event loop"):
            made.core.verify(token)
        asyncio.run(made.verify(token))
        assert made.core.verify(token).sub == "user-1"


@pytest.mark.parametrize(
    "policy",
    [
        {"tool_scopes": {"a": ["s"]}},
        {"prompt_scopes": {"a": ["s"]}},
        {"resource_scopes": {"a:b": ["s"]}},
        {"hide_unavailable": True},
    ],
)
async def test_a_request_that_missed_the_layer_is_refused_where_messages_are_judged(
    authorization_server: AuthorizationServer, policy: dict[str, Any]
) -> None:
    token = authorization_server.token(RESOURCE)
    async with guard(authorization_server) as plain, guard(authorization_server, **policy) as judging:
        assert await TokenChecker(plain).check(token) is not None
        assert await TokenChecker(judging).check(token) is None


def test_no_secret_is_in_what_settings_show() -> None:
    key = doorward.PrivateKey("secret-pem")
    shown = repr(
        [
            key,
            doorward.ASCredentials("client", "secret-1"),
            doorward.ASCredentials("client", private_key=key),
            doorward.FetchSettings(proxy="http://user:secret-2@proxy.example:3128"),
        ]
    )
    assert "secret-" not in shown


class TestLog:
    async def test_the_id_of_an_error_leads_to_its_reason(
        self, authorization_server: AuthorizationServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        from starlette.applications import Starlette
        from starlette.testclient import TestClient

        from doorward.asgi import GuardMiddleware

        token = authorization_server.token("http://127.0.0.1:8080/other")
        async with guard(authorization_server) as made:
            app = GuardMiddleware(Starlette(), guard=made)
            with caplog.at_level(logging.INFO, "doorward"):
                answer = await asyncio.to_thread(
                    lambda: TestClient(app).post("/mcp", headers={"authorization": f"Bearer {token}"}, json={})
                )
                assert answer.status_code == 401
                error_id = answer.json()["error_id"]
                for _ in range(1000):
                    if error_id in caplog.text:
                        break
                    await asyncio.sleep(0.02)
        assert error_id in caplog.text
        assert "token_audience" in caplog.text
        assert token not in caplog.text

"""This program as a client of the authorization server."""

from __future__ import annotations

import asyncio
import base64
import gc
import weakref
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from support import AuthorizationServer, Key

from doorward import (
    ASCredentials,
    CircuitOpenError,
    ConsentRequiredError,
    DoorwardClient,
    InvalidGrantError,
    MissingMetadataEndpointError,
    PrivateKey,
    ServerError,
    TokenExchangeOptions,
    to_url_elicitation_required_error,
)

TOKEN = {"access_token": "new-token", "token_type": "Bearer", "expires_in": 300, "scope": "a b"}
EXCHANGED = {**TOKEN, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}


async def make(server: AuthorizationServer, **options: Any) -> DoorwardClient:
    return await DoorwardClient.create(server.issuer, auth=ASCredentials("client:1", "secret"), **options)


async def test_own_tokens_are_kept_and_fetched_once(authorization_server: AuthorizationServer) -> None:
    authorization_server.answers["/token"] = lambda _form: (200, TOKEN)
    async with await make(authorization_server) as client:
        tokens = await asyncio.gather(
            *(client.client_credentials(["a", "b"], ["https://x.example"]) for _ in range(20))
        )
        assert {token.access_token for token in tokens} == {"new-token"}
        assert tokens[0].token_type == "Bearer"
        assert tokens[0].scope == "a b"
        assert "new-token" not in repr(tokens[0])
        ((path, form, headers),) = authorization_server.forms
        assert path == "/token"
        assert form["grant_type"] == ["client_credentials"]
        assert form["scope"] == ["a b"]
        assert form["resource"] == ["https://x.example"]
        credentials = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
        assert credentials == "client%3A1:secret"


async def test_resources_close_with_the_client_and_are_not_kept_for_it(
    authorization_server: AuthorizationServer,
) -> None:
    async with await make(authorization_server) as client:
        closed, kept = client.resource("https://a.example"), client.resource("https://b.example")
        await closed.aclose()
        gone = weakref.ref(closed)
        del closed
        gc.collect()
        assert gone() is None
    with pytest.raises(RuntimeError, match="closed"):
        kept.start()


async def test_a_token_is_exchanged(authorization_server: AuthorizationServer) -> None:
    authorization_server.answers["/token"] = lambda _form: (200, EXCHANGED)
    async with await make(authorization_server) as client:
        options = TokenExchangeOptions("subject", scope="a", resources=["https://x.example"], audiences=["x"])
        assert (await client.exchange(options)).access_token == "new-token"
        form = authorization_server.forms[0][1]
        assert form["subject_token"] == ["subject"]
        assert form["subject_token_type"] == ["urn:ietf:params:oauth:token-type:access_token"]
        assert form["audience"] == ["x"]
        assert "actor_token" not in form
    with pytest.raises(ValueError, match="subject_token"):
        TokenExchangeOptions("")


async def test_consent_becomes_the_error_of_mcp(authorization_server: AuthorizationServer) -> None:
    answer = {
        "error": "consent_required",
        "error_description": "Connect your account",
        "service": "github",
        "cause": "not connected",
        "consent_url": "https://issuer.example/consent/1",
    }
    authorization_server.answers["/token"] = lambda _form: (400, answer)
    async with await make(authorization_server) as client:
        with pytest.raises(ConsentRequiredError) as raised:
            await client.exchange(TokenExchangeOptions("subject"))
    consent = raised.value
    assert (consent.service_id, consent.cause_detail) == ("github", "not connected")
    assert consent.consent_url == "https://issuer.example/consent/1"
    pytest.importorskip("mcp")
    error = to_url_elicitation_required_error(consent)
    assert error.error.code == -32042
    (elicitation,) = error.error.data["elicitations"]
    assert elicitation["url"] == consent.consent_url
    assert elicitation["mode"] == "url"
    assert elicitation["elicitationId"]
    assert to_url_elicitation_required_error(ValueError()) is None
    assert to_url_elicitation_required_error(ConsentRequiredError("no page")) is None


async def test_introspection_and_revocation(authorization_server: AuthorizationServer) -> None:
    authorization_server.answers["/introspect"] = lambda _form: (200, {"active": True, "sub": "u", "aud": "x", "y": 1})
    authorization_server.answers["/revoke"] = lambda _form: (200, {})
    async with await make(authorization_server) as client:
        answer = await client.introspect("token")
        assert (answer.active, answer.sub, tuple(answer.aud), answer.raw["y"]) == (True, "u", ("x",), 1)
        await client.revoke("token")
        assert [form[1]["token"] for form in authorization_server.forms] == [["token"], ["token"]]


async def test_a_revoked_token_is_not_kept(authorization_server: AuthorizationServer) -> None:
    authorization_server.answers["/token"] = lambda _form: (200, TOKEN)
    authorization_server.answers["/revoke"] = lambda _form: (200, {})
    async with await make(authorization_server) as client:
        token = await client.client_credentials()
        await client.revoke(token.access_token)
        await client.client_credentials()
        assert [form[0] for form in authorization_server.forms] == ["/token", "/revoke", "/token"]


async def test_refusals_have_their_classes(authorization_server: AuthorizationServer) -> None:
    authorization_server.answers["/token"] = lambda _form: (400, {"error": "invalid_grant"})
    async with await make(authorization_server) as client:
        with pytest.raises(InvalidGrantError) as raised:
            await client.exchange(TokenExchangeOptions("subject"))
        assert raised.value.code == "invalid_grant"


async def test_a_server_that_fails_is_left_alone_and_asked_again(authorization_server: AuthorizationServer) -> None:
    now = [1_800_000_000.0]
    authorization_server.answers["/token"] = lambda _form: (500, {})
    async with await make(authorization_server, circuit_breaker_threshold=2, clock=lambda: now[0]) as client:
        for _ in range(2):
            with pytest.raises(ServerError):
                await client.client_credentials()
        with pytest.raises(CircuitOpenError) as raised:
            await client.client_credentials()
        assert raised.value.retry_after
        assert len(authorization_server.forms) == 2
        authorization_server.answers["/token"] = lambda _form: (400, {"error": "invalid_grant"})
        now[0] += 31
        with pytest.raises(InvalidGrantError):
            await client.exchange(TokenExchangeOptions("subject"))
        authorization_server.answers["/token"] = lambda _form: (200, TOKEN)
        assert (await client.client_credentials()).access_token == "new-token"


async def test_bound_tokens_are_asked_for_with_a_proof(authorization_server: AuthorizationServer) -> None:
    authorization_server.answers["/token"] = lambda _form: (200, {**TOKEN, "token_type": "DPoP"})
    async with await make(authorization_server, dpop=PrivateKey(pem_of(Key()))) as client:
        token = await client.client_credentials()
        assert token.token_type == "DPoP"
        assert "dpop" in authorization_server.forms[0][2]
        assert (
            client.dpop_headers("GET", "https://x.example/y", access_token=token.access_token)["DPoP"].count(".") == 2
        )


async def test_the_nonce_of_a_service_is_in_the_next_proof_for_it(authorization_server: AuthorizationServer) -> None:
    def nonce(url: str) -> Any:
        proof = client.dpop_headers("GET", url, access_token="t")["DPoP"]
        return jwt.decode(proof, options={"verify_signature": False}).get("nonce")

    url = "https://x.example/y"
    async with await make(authorization_server, dpop=PrivateKey(pem_of(Key()))) as client:
        assert nonce(url) is None
        assert client.remember_dpop_nonce(url, httpx.Headers({"DPoP-Nonce": "n-1"}))
        assert not client.remember_dpop_nonce(url, {"dpop-nonce": "n-1"})
        assert (nonce(url), nonce("https://other.example/y")) == ("n-1", None)
        assert client.remember_dpop_nonce(url, {"dPoP-noncE": "n-2", "content-type": "text/plain"})
        # None, two, and what is no nonce.
        for headers in ({}, {"DPoP-Nonce": "n-3", "dpop-nonce": "n-4"}, {"dpop-nonce": "n 5"}, {"dpop-nonce": "\n"}):
            assert not client.remember_dpop_nonce(url, headers)
        assert nonce(url) == "n-2"
    async with await make(authorization_server) as client:
        assert not client.remember_dpop_nonce(url, {"dpop-nonce": "n-1"})


def pem_of(key: Key) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private.private_bytes(*form).decode()


async def test_over_a_transport_of_ones_own(authorization_server: AuthorizationServer) -> None:
    seen: list[Any] = []

    async def transport(method: str, url: str, headers: Any, body: bytes | None) -> Any:
        import json

        seen.append((method, url, dict(headers), body))
        document = authorization_server.metadata if method == "GET" else TOKEN
        return 200, [("content-type", "application/json")], json.dumps(document).encode()

    async with await make(authorization_server, transport=transport) as client:
        assert (await client.client_credentials()).access_token == "new-token"
    assert authorization_server.requests == []
    method, url, headers, body = seen[-1]
    assert (method, url) == ("POST", authorization_server.issuer + "/token")
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert b"grant_type=client_credentials" in body


async def test_what_the_server_does_not_offer_is_named(authorization_server: AuthorizationServer) -> None:
    async def transport(*_: Any) -> Any:
        import json

        document = {"issuer": authorization_server.issuer, "jwks_uri": authorization_server.issuer + "/jwks"}
        return 200, {"content-type": "application/json"}, json.dumps(document).encode()

    async with await make(authorization_server, transport=transport) as client:
        with pytest.raises(MissingMetadataEndpointError):
            await client.revoke("token")


def test_credentials_are_whole_and_not_shown() -> None:
    with pytest.raises(ValueError, match="empty"):
        ASCredentials("", "secret")
    with pytest.raises(ValueError, match="empty"):
        ASCredentials("client", "")
    assert "s3cret" not in repr(ASCredentials("client", "s3cret"))

"""The language-neutral vectors, through the real path of the binding."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from support import Key

from doorward import (
    DoorwardError,
    DPoPRequest,
    Guard,
    InboundDPoPOptions,
    InsufficientScopeError,
    InvalidClaimsError,
    InvalidDPoPProofError,
    JWKSFetchError,
    VerifiedClaims,
    _core,
)
from doorward.asgi import GuardMiddleware
from doorward.dpop import check_proof

FOLDER = Path(__file__).parents[2] / "conformance"
if not FOLDER.is_dir():
    pytest.skip("the vectors are in the repository only", allow_module_level=True)


def vectors(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


TOKENS = vectors("access-token.json")
METADATA = vectors("metadata.json")
PROOFS = vectors("dpop.json")
CHALLENGES = vectors("challenge.json")
SCOPES = vectors("scope.json")
RESOURCES = vectors("resource-matching.json")
DPOP = {None: None, "off": None, "accept": InboundDPoPOptions(), "require": InboundDPoPOptions(required=True)}


def each(file: str, cases: list[dict[str, Any]]) -> Any:
    """Runs a test with every case, under its id and title, and has it in the report."""

    def name(case: dict[str, Any]) -> str:
        words = (case.get("id"), case.get("title") or " ".join(str(value) for value in case.values()))
        return " ".join(word for word in words if word).encode("ascii", "backslashreplace").decode()[:80]

    def decorate(test: Any) -> Any:
        return pytest.mark.vectors(file)(pytest.mark.parametrize("case", cases, ids=name)(test))

    return decorate


def guard_for(case: dict[str, Any]) -> Guard:
    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> Any:
        document = {"issuer": TOKENS["issuer"], "jwks_uri": TOKENS["issuer"] + "/jwks"}
        if url.endswith("/jwks"):
            document = TOKENS["jwks"]
        return 200, {"content-type": "application/json"}, json.dumps(document).encode()

    return Guard(
        TOKENS["issuer"],
        TOKENS["resource"],
        allowed_algorithms=case.get("algorithms") or TOKENS["algorithms"],
        clock_skew_seconds=case.get("clock_skew") or (60 if case.get("clock_skew") is None else 0),
        clock=lambda: TOKENS["now"],
        transport=transport,
    )


async def over_asgi(guard: Guard, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Any:
    """Status, headers and body of the answer; 200 and nothing when the request reaches the application."""
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await GuardMiddleware(app, guard)(scope, receive, send)
    return sent[0]["status"], sent[0]["headers"], b"".join(message["body"] for message in sent[1:])


@each("access-token.json", TOKENS["cases"])
async def test_access_tokens_are_judged_as_the_vectors_say(case: dict[str, Any]) -> None:
    async with guard_for(case) as guard:
        verdict = None
        try:
            await guard.verify(case["token"])
        except DoorwardError as error:
            assert not isinstance(error, JWKSFetchError)
            verdict = error
        assert (verdict is None) == case["accepted"], case["title"]

        if not (case["token"].isascii() and case["token"].isprintable()):
            return  # No header can hold it.
        headers = [(b"authorization", b"Bearer " + case["token"].encode())]
        body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
        status, answered, text = await over_asgi(guard, "POST", "/mcp", headers, body)
        if case["accepted"]:
            assert status == 200
            return
        # More than one token, or one that is no good (RFC 6750 §2.1, §3.1).
        assert status == (400 if " " in case["token"] else 401)
        assert case["token"] == "" or case["token"].encode() not in text
        assert any(name == b"www-authenticate" for name, _ in answered)


@each("metadata.json", METADATA["resources"])
async def test_the_resource_metadata_is_what_the_vectors_say(case: dict[str, Any]) -> None:
    guard = made(case["settings"])
    assert guard.metadata_paths == case["paths"]
    assert guard.resource_metadata_url == case["url"]
    assert guard.prm_response() == case["document"]
    for path in case["paths"]:
        status, _, body = await over_asgi(guard, "GET", path, [], b"")
        assert status == 200
        assert json.loads(body) == case["document"]
    _, headers, _ = await over_asgi(guard, "POST", "/", [], b"")
    challenge = dict(headers)[b"www-authenticate"].decode()
    assert f'resource_metadata="{case["url"]}"' in challenge


@each("metadata.json", METADATA["refused"])
def test_a_guard_with_settings_that_cannot_work_is_not_made(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be used|leave it out|plain path|https"):
        made(case["settings"])


@each("metadata.json", METADATA["servers"])
async def test_metadata_of_servers_is_used_or_discarded_as_the_vectors_say(case: dict[str, Any]) -> None:
    asked: list[str] = []
    fetched = asyncio.Event()

    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> Any:
        asked.append(url)
        if "/.well-known/" in url:
            body = case["document"].encode() + b" " * case.get("filler", 0)
            return 200, {"content-type": "application/json"}, body
        fetched.set()
        return 404, {}, b""

    async with Guard(case["issuer"], "https://mcp.example/mcp", transport=transport) as guard:
        with contextlib.suppress(DoorwardError):
            await guard.verify(TOKENS["cases"][0]["token"])
        if case["jwks_uri"] is None:
            assert not [url for url in asked if "/.well-known/" not in url]
        else:
            await asyncio.wait_for(fetched.wait(), 30)
            assert case["jwks_uri"] in asked


@each("metadata.json", METADATA["discovery"])
async def test_metadata_is_looked_for_where_the_vectors_say_in_their_order(case: dict[str, Any]) -> None:
    asked: list[str] = []
    all_asked = asyncio.Event()

    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> Any:
        asked.append(url)
        if len(asked) >= len(case["urls"]):
            all_asked.set()
        return 404, {}, b""

    async with Guard(case["issuer"], "https://mcp.example/mcp", transport=transport):
        await asyncio.wait_for(all_asked.wait(), 30)
        await asyncio.sleep(0.05)
        # Where the machine stood still, the guard may have begun anew, after its pause.
        assert len(asked) <= 2 * len(case["urls"])
        urls = itertools.cycle(case["urls"])
        assert asked == [url for _, url in zip(asked, urls, strict=False)]


def made(settings: dict[str, Any]) -> Guard:
    return Guard(
        settings.get("issuer", "https://as.example"),
        settings["resource"],
        settings.get("scopes"),
        required_scopes=settings.get("required_scopes"),
        resource_name=settings.get("resource_name"),
        resource_documentation=settings.get("resource_documentation"),
        root_metadata=settings.get("root_metadata", True),
        inbound_dpop=DPOP[settings.get("dpop")],
    )


REASONS = {
    "alg": "algorithm",
    "ath": "access_token",
    "future": "from_the_future",
    "htm": "method",
    "htu": "uri",
    "jwk": "unusable_key",
    "no_jwk": "no_key",
    "nonce_expired": "nonce",
    "nonce_missing": "nonce",
    "nonce_unknown": "nonce",
    "private_jwk": "private_key",
    "typ": "type",
}


def proof_options(case: dict[str, Any], keys: dict[str, Any] | None) -> InboundDPoPOptions:
    given = [bytes.fromhex(key) for key in ((keys or {}).get("current"), (keys or {}).get("previous")) if key]
    assert keys is None or keys["lifetime"] == 300
    return InboundDPoPOptions(
        max_proof_age_seconds=case.get("max_age") or 300,
        clock_skew_seconds=case.get("max_ahead") or 60,
        allowed_proof_algorithms=case.get("algorithms"),
        require_nonce=keys is not None,
        nonce_keys=given,
    )


@each("dpop.json", PROOFS["proofs"])
def test_proofs_are_judged_as_the_vectors_say(case: dict[str, Any]) -> None:
    request = DPoPRequest(case["method"], case["uri"], case["proof"])
    options = proof_options(case, case.get("nonces"))
    try:
        checked = check_proof(request, access_token=case["access_token"], options=options, now=case["now"])
    except InvalidDPoPProofError as error:
        assert not case["accepted"]
        assert error.reason == "proof_" + REASONS.get(case["reason"], case["reason"])
        assert (error.nonce is not None) == (case["error"] == "use_dpop_nonce")
        assert case["proof"] == "" or case["proof"] not in str(error)
    else:
        assert case["accepted"]
        assert checked.jkt == case["jkt"]


@each("dpop.json", PROOFS["uris"])
async def test_target_uris_are_one_or_two_as_the_vectors_say(case: dict[str, Any]) -> None:
    key = Key()
    for url, htu in ((case["left"], case["right"]), (case["right"], case["left"])):
        request = DPoPRequest("POST", url, key.proof("token", htu))
        try:
            check_proof(request, access_token="token")
        except InvalidDPoPProofError as error:
            assert error.reason == "proof_uri"
            assert not case["equal"]
        else:
            assert case["equal"]


@each("dpop.json", PROOFS["nonces"])
def test_nonces_are_judged_as_the_vectors_say(case: dict[str, Any]) -> None:
    url = "https://mcp.example/mcp"
    key, options = Key(), proof_options({}, case["keys"])

    def judged(nonce: str | None, now: int) -> tuple[str, str | None]:
        proof = key.proof("token", url, iat=now, nonce=nonce)
        try:
            checked = check_proof(DPoPRequest("POST", url, proof), access_token="token", options=options, now=now)
        except InvalidDPoPProofError as error:
            assert error.reason == "proof_nonce"
            return "refused", error.nonce
        return ("ageing" if checked.next_nonce else "fresh"), checked.next_nonce

    verdict, given = judged(case["nonce"], case["now"])
    assert verdict == {"fresh": "fresh", "ageing": "ageing"}.get(case["verdict"], "refused")
    assert (given is None) == (verdict == "fresh")
    if case["issued"] is not None:
        assert judged(None, case["issued"]) == ("refused", case["nonce"])


@each("challenge.json", CHALLENGES["building"])
def test_challenges_are_written_as_the_vectors_say(case: dict[str, Any]) -> None:
    scopes = (case["scope"] or "").split()
    header = _core.challenge(
        case["scheme"],
        case["error"],
        case["error_description"],
        scopes,
        case["resource_metadata"],
        case["algs"] or [],
        "",
    )
    assert header == case["header"]


ISSUER = "https://as.example"


async def claims_of(resource: str, **claims: Any) -> VerifiedClaims:
    """What a guard makes of a token with these claims."""
    key = Key()

    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> Any:
        document: Any = {"issuer": ISSUER, "jwks_uri": ISSUER + "/jwks"}
        if url.endswith("/jwks"):
            document = {"keys": [{**key.public, "kid": key.kid, "alg": "ES256", "use": "sig"}]}
        return 200, {"content-type": "application/json"}, json.dumps(document).encode()

    async with Guard(ISSUER, resource, transport=transport, clock=lambda: TOKENS["now"]) as guard:
        known = {"iss": ISSUER, "aud": resource, "sub": "user", "client_id": "client", "jti": "1"}
        times = {"iat": TOKENS["now"], "exp": TOKENS["now"] + 60}
        return await guard.verify(key.sign({**known, **times, **claims}, kid=key.kid, typ="at+jwt"))


@each("scope.json", SCOPES["parsing"])
async def test_scopes_of_tokens_are_read_as_the_vectors_say(case: dict[str, Any]) -> None:
    try:
        claims = await claims_of("https://mcp.example/mcp", scope=case["value"])
    except InvalidClaimsError:
        assert case["scopes"] is None
    else:
        assert list(claims.scopes) == case["scopes"]


@each("scope.json", SCOPES["containment"])
async def test_scopes_are_enough_as_the_vectors_say(case: dict[str, Any]) -> None:
    claims = await claims_of("https://mcp.example/mcp", scope=case["held"])
    try:
        claims.require_scopes(case["needed"].split())
    except InsufficientScopeError:
        assert not case["contains_all"]
    else:
        assert case["contains_all"]


@each("scope.json", SCOPES["resources"])
async def test_scopes_of_resources_apply_as_the_vectors_say(case: dict[str, Any]) -> None:
    claims = await claims_of("https://mcp.example/mcp")
    async with Guard(ISSUER, "https://mcp.example/mcp", resource_scopes={case["pattern"]: ["mcp:secret"]}) as guard:
        try:
            guard.require_named(claims, "resource", case["uri"])
        except InsufficientScopeError:
            assert case["applies"]
        else:
            assert not case["applies"]


@each("resource-matching.json", RESOURCES["registration"])
def test_resources_are_taken_as_the_vectors_say(case: dict[str, Any]) -> None:
    try:
        guard = Guard(ISSUER, case["uri"], dev_mode=False)
    except ValueError:
        assert not case["accepted"]
    else:
        # Doorward's server registers none with a query, but other servers do.
        assert case["accepted"] or case["title"] == "query"
        assert guard.resource_metadata_url == case["metadata_url"] or case["title"] == "query"


@each("resource-matching.json", RESOURCES["matching"])
async def test_an_audience_is_the_resource_byte_for_byte_and_none_that_the_vectors_refuse(case: dict[str, Any]) -> None:
    # The server knows a resource by its other spellings as well; into tokens it writes the one that was registered.
    is_same = case["matches"] and case["registered"] == case["requested"]
    try:
        await claims_of(case["registered"], aud=case["requested"])
    except InvalidClaimsError:
        assert not is_same
    else:
        assert is_same

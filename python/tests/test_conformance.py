"""The language-neutral vectors, through the real path of the binding."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from doorward import DoorwardError, Guard, InboundDPoPOptions, JWKSFetchError
from doorward.asgi import GuardMiddleware

FOLDER = Path(__file__).parents[2] / "conformance"
if not FOLDER.is_dir():
    pytest.skip("the vectors are in the repository only", allow_module_level=True)


def vectors(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


TOKENS = vectors("access-token.json")
METADATA = vectors("metadata.json")
DPOP = {None: None, "off": None, "accept": InboundDPoPOptions(), "require": InboundDPoPOptions(required=True)}


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


@pytest.mark.parametrize("case", TOKENS["cases"], ids=lambda case: case["id"])
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
        # No token at all, or one that is no good (RFC 6750 §2.1, §3.1).
        assert status == (400 if " " in case["token"] or not case["token"] else 401)
        assert case["token"] == "" or case["token"].encode() not in text
        assert any(name == b"www-authenticate" for name, _ in answered)


@pytest.mark.parametrize("case", METADATA["resources"], ids=lambda case: case["id"])
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


@pytest.mark.parametrize("case", METADATA["refused"], ids=lambda case: case["title"])
def test_a_guard_with_settings_that_cannot_work_is_not_made(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be used|leave it out|plain path|https"):
        made(case["settings"])


@pytest.mark.parametrize("case", METADATA["servers"], ids=lambda case: case["id"])
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
            await asyncio.wait_for(fetched.wait(), 5)
            assert case["jwks_uri"] in asked


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

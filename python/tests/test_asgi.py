"""Any ASGI application behind the guard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette._utils import get_route_path
from support import AuthorizationServer, Client, Key, serving

from doorward import Guard, InboundDPoPOptions, TokenMissingError
from doorward.asgi import GuardMiddleware, current_claims


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it sees."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        claims = current_claims()
    except TokenMissingError:
        claims = None
    seen = {
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "body": body.decode(),
        "sub": claims and claims.sub,
        "state": claims is not None and scope["state"]["doorward.claims"] is claims,
    }
    headers = [(b"content-type", b"application/json"), (b"mcp-session-id", b"session-1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


@contextmanager
def guarded(
    server: AuthorizationServer,
    app: Any = echo,
    wrap: Callable[[Any, Guard], Any] | None = None,
    **options: Any,
) -> Iterator[Client]:
    async def make(base_url: str) -> tuple[Any, Any]:
        guard = Guard(server.issuer, base_url + "/mcp", dev_mode=True, **options)
        protected = wrap(app, guard) if wrap else GuardMiddleware(app, guard, path="/mcp")
        return protected, guard.aclose

    with serving(make) as running:
        yield Client(running)


PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def test_the_application_gets_claims_and_body_but_not_the_token(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        response = client.post(token, PING, x_copied=token)
        assert response.status_code == 200
        seen = response.json()
        assert seen["sub"] == "user-1"
        assert seen["state"] is True
        assert json.loads(seen["body"]) == PING
        assert token not in json.dumps(seen)


def test_only_the_resource_is_guarded(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server) as client:
        base = client.server.base_url
        for path in ("/open", "/", "/open/mcp", "/mc", "/open//x/", "/a%20b", "/open;mcp"):
            assert client.http.get(base + path).status_code == 200, path
        for path in ("/mcp", "/mcp/", "/mcp/below", "/%6dcp", "/mcp%2fbelow", "/mcpx", "//mcp", "///mcp//"):
            assert client.http.get(base + path).status_code == 401, path


def test_without_a_path_everything_but_the_public_is_guarded(authorization_server: AuthorizationServer) -> None:
    def wrap(app: Any, guard: Guard) -> Any:
        return GuardMiddleware(app, guard, public=["/health"])

    with guarded(authorization_server, wrap=wrap) as client:
        base = client.server.base_url
        assert client.http.get(base + "/health").status_code == 200
        assert client.http.get(base + "/health/x").status_code == 401
        assert client.http.get(base + "/open").status_code == 401
        assert client.http.get(base + "/.well-known/oauth-protected-resource").status_code == 200


def test_metadata_answers_get_head_and_options_alone(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server) as client:
        url = client.server.base_url + "/.well-known/oauth-protected-resource/mcp"
        response = client.http.get(url)
        assert response.json()["resource"] == client.server.resource
        assert response.headers["cache-control"] == "public, max-age=3600"
        assert client.http.head(url).status_code == 200
        assert client.http.options(url).status_code == 204
        assert client.http.post(url).status_code == 405


def test_large_bodies_are_refused(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server, max_body=1000) as client:
        token = authorization_server.token(client.server.resource)
        assert client.post(token, {**PING, "params": {"x": "y" * 2000}}).status_code == 413

        def parts() -> Iterator[bytes]:
            for _ in range(20):
                yield b" " * 100

        response = client.http.post(client.server.resource, content=parts(), headers=client.headers(token))
        assert response.status_code == 413


def test_what_is_no_message_is_refused(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        response = client.http.post(client.server.resource, content=b"{", headers=client.headers(token))
        assert response.status_code == 400
        assert response.json()["error"]["code"] == -32700


def test_sessions_belong_to_their_principal(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server) as client:
        mine = authorization_server.token(client.server.resource)
        assert client.post(mine, PING).headers["mcp-session-id"] == "session-1"
        assert client.post(mine, PING, mcp_session_id="session-1").status_code == 200
        other = authorization_server.token(client.server.resource, sub="user-2")
        assert client.post(other, PING, mcp_session_id="session-1").status_code == 404


def test_pages_of_strange_origins_are_refused(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server, allowed_origins=["https://app.example"]) as client:
        token = authorization_server.token(client.server.resource)
        assert client.post(token, PING, origin="https://evil.example").status_code == 403
        allowed = client.post(token, PING, origin="https://app.example")
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        preflight = client.http.options(
            client.server.resource,
            headers={"origin": "https://app.example", "access-control-request-method": "POST"},
        )
        assert preflight.status_code == 204


def test_proofs_are_for_the_path_as_it_was_sent(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server, inbound_dpop=InboundDPoPOptions()) as client:
        key = Key()
        token = authorization_server.bound_token(client.server.resource, key)
        url = client.server.resource + "/a%20b"
        for proof_url, status in ((url, 200), (client.server.resource + "/a b", 401)):
            response = client.http.post(
                url,
                json=PING,
                headers={**client.headers(token, "DPoP"), "dpop": key.proof(token, proof_url)},
            )
            assert response.status_code == status


def test_nonces_are_handed_out_and_accepted(authorization_server: AuthorizationServer) -> None:
    with guarded(authorization_server, inbound_dpop=InboundDPoPOptions(require_nonce=True)) as client:
        key = Key()
        url = client.server.resource
        token = authorization_server.bound_token(url, key)
        first = client.post(token, PING, scheme="DPoP", dpop=key.proof(token, url))
        assert first.status_code == 401
        nonce = first.headers["dpop-nonce"]
        assert 'error="use_dpop_nonce"' in first.headers["www-authenticate"]
        proof = key.proof(token, url, nonce=nonce)
        assert client.post(token, PING, scheme="DPoP", dpop=proof).status_code == 200


def test_the_public_url_may_have_another_path(authorization_server: AuthorizationServer) -> None:
    async def make(base_url: str) -> tuple[Any, Any]:
        guard = Guard(
            authorization_server.issuer, base_url + "/api/mcp", dev_mode=True, inbound_dpop=InboundDPoPOptions()
        )
        return GuardMiddleware(echo, guard, path="/mcp"), guard.aclose

    with serving(make) as running:
        client, key = Client(running), Key()
        public = running.base_url + "/api/mcp"
        token = authorization_server.bound_token(public, key)
        proof = key.proof(token, public)
        assert client.post(token, PING, scheme="DPoP", dpop=proof).status_code == 200


def test_lists_leave_out_what_the_token_may_not_call(authorization_server: AuthorizationServer) -> None:
    tools = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "read"}, {"name": "write"}]}}

    def listing(content_type: bytes, parts: list[bytes]) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await echo(scope, receive, send)
                return
            headers = [(b"content-type", content_type)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        return app

    body = json.dumps(tools).encode()
    event = b"event: message\r\ndata: " + body + b"\r\n\r\n"
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    options: dict[str, Any] = {"tool_scopes": {"write": ["mcp:write"]}, "hide_unavailable": True}
    for content_type, parts in (
        (b"application/json", [body[:10], body[10:]]),
        (b"text/event-stream", [event[:20], event[20:]]),
    ):
        with guarded(authorization_server, listing(content_type, parts), **options) as client:
            little = authorization_server.token(client.server.resource)
            answer = client.post(little, message).text
            assert '"read"' in answer
            assert '"write"' not in answer
            much = authorization_server.token(client.server.resource, scope="mcp:write")
            assert '"write"' in client.post(much, message).text


async def test_websockets_are_refused_and_lifespan_passes() -> None:
    guard = Guard("https://issuer.example", "https://mcp.example/mcp")
    layer = GuardMiddleware(echo, guard, path="/mcp")
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await layer({"type": "websocket", "path": "/mcp", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]

    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def lifespan() -> Any:
        return next(messages)

    sent.clear()
    await layer({"type": "lifespan"}, lifespan, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    await guard.aclose()


async def test_a_body_that_does_not_arrive_is_answered_with_408(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward._body.BODY_SECONDS", 0.05)
    resource = "http://127.0.0.1:8080/mcp"
    guard = Guard(authorization_server.issuer, resource, dev_mode=True)
    layer = GuardMiddleware(echo, guard, path="/mcp")
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    token = authorization_server.token(resource)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }
    await layer(scope, receive, send)
    assert sent[0]["status"] == 408
    await guard.aclose()


@pytest.mark.parametrize("root_path", ["", "/", "//", "/api", "/api/", "/mcp/"])
async def test_no_root_path_opens_what_the_router_takes_for_the_guarded_path(root_path: str) -> None:
    guard = Guard("https://issuer.example", "https://mcp.example/mcp")
    routed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        routed.append(get_route_path(scope))

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    layer = GuardMiddleware(app, guard, path="/mcp")
    for path in ("/mcp", "//mcp", "/api/mcp", "/api//mcp", "/mcp/mcp", "/mcp//mcp", "/mcp/", "/", "", "/apimcp"):
        scope = {"type": "http", "method": "GET", "path": path, "root_path": root_path, "headers": []}
        await layer(scope, receive, send)
    assert not [path for path in routed if path == "/mcp" or path.startswith("/mcp/")]
    await guard.aclose()


async def test_more_headers_than_a_request_can_have_are_refused() -> None:
    guard = Guard("https://issuer.example", "https://mcp.example/mcp")
    headers = [(b"x-%d" % number, b"") for number in range(40_000)]
    answer = guard.core.admit("POST", b"/mcp", b"", headers, None)
    assert isinstance(answer, tuple)
    assert answer[0] == 400
    await guard.aclose()


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ([(b"content-type", b"application/json")], "json"),
        ([(b"X-Other", b"1"), (b"Content-Type", b"Text/Event-Stream; charset=utf-8")], "events"),
        ([(b"content-type", b"text/plain"), (b"content-type", b"application/json")], None),
        ([], None),
    ],
)
async def test_the_head_of_an_answer_stays_as_it_is(
    authorization_server: AuthorizationServer, headers: list[tuple[bytes, bytes]], kind: str | None
) -> None:
    resource = "http://127.0.0.1:8080/mcp"
    guard = Guard(authorization_server.issuer, resource, dev_mode=True)
    token = authorization_server.token(resource)
    await guard.verify(token)
    given = [(b"accept", b"*/*"), (b"authorization", b"Bearer " + token.encode())]
    visit = guard.core.admit("POST", b"/mcp", b"", given, None)
    assert visit.authorize(json.dumps(PING).encode()) is None
    claims, stripped, seen, filters, _ = visit.pass_on(given, True)
    assert (claims.sub, stripped, seen, filters) == ("user-1", given, token, False)
    completed, said = visit.leave(200, headers)
    assert completed is headers
    assert said == kind
    with pytest.raises(RuntimeError):
        visit.pass_on(given, True)
    await guard.aclose()


@pytest.mark.parametrize("keep", [True, False])
async def test_copies_of_the_token_are_taken_out(authorization_server: AuthorizationServer, keep: bool) -> None:
    resource = "http://127.0.0.1:8080/mcp"
    guard = Guard(authorization_server.issuer, resource, dev_mode=True)
    token = authorization_server.token(resource)
    await guard.verify(token)
    bearer = (b"authorization", b"Bearer " + token.encode())
    for credentials, copies in ((b"Bearer ", [(b"X-Copied", token.encode())]), (b"bearer ", []), (b"Bearer ", [])):
        given = [(b"accept", b"*/*"), (b"Authorization", credentials + token.encode()), *copies]
        visit = guard.core.admit("POST", b"/mcp", b"", given, None)
        _, stripped, seen, *_ = visit.pass_on(given, keep)
        left = [(name.lower(), value) for name, value in stripped]
        assert sorted(left) == sorted([(b"accept", b"*/*"), *([bearer] if keep else [])])
        assert seen == (token if keep else "")
    await guard.aclose()


@pytest.mark.parametrize("listens", [True, False])
async def test_a_stream_ends_with_its_token(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    monkeypatch.setattr("doorward._exchange.STREAM_SECONDS", 0.0)
    resource = "http://127.0.0.1:8080/mcp"
    now = [1_800_000_000.0]
    guard = Guard(authorization_server.issuer, resource, dev_mode=True, clock=lambda: now[0], clock_skew_seconds=0)
    sent: list[Any] = []
    end = {"type": "http.response.body", "body": b""}

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        now[0] += 1
        if listens:
            assert (await receive())["type"] == "http.disconnect"
            return
        in_vain = 0
        for _ in range(20_000):
            await asyncio.sleep(0.001)
            await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
            # It goes on for a while after it was cut off.
            in_vain += end in sent[-1:]
            if in_vain == 50:
                break

    layer = GuardMiddleware(stream, guard, path="/mcp")
    first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if first:
            return first.pop()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    token = authorization_server.token(resource, iat=1_800_000_000, exp=1_800_000_001)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }
    await asyncio.wait_for(layer(scope, receive, send), 60)
    assert sent[-1] == end
    assert len(sent) < 5_000
    assert len(asyncio.all_tasks()) == 1
    await guard.aclose()


async def test_two_may_receive_at_a_time(authorization_server: AuthorizationServer) -> None:
    """Some frameworks look for the end of a request while the application still listens. Both are told of it."""
    resource = "http://127.0.0.1:8080/mcp"
    guard = Guard(authorization_server.issuer, resource, dev_mode=True)
    gone = asyncio.Event()
    heard: list[Any] = []
    asked = 0

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        both = asyncio.gather(receive(), receive(), return_exceptions=True)
        await asyncio.sleep(0.01)
        gone.set()
        heard.extend(await both)
        heard.append(await receive())

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            return {"type": "http.request", "body": b""}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    token = authorization_server.token(resource)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/mcp", "query_string": b"", "headers": headers}
    await asyncio.wait_for(GuardMiddleware(app, guard, path="/mcp")(scope, receive, send), 10)
    assert heard == [{"type": "http.disconnect"}] * 3
    assert asked == 3
    await guard.aclose()


async def test_parallel_requests_keep_their_own_claims(authorization_server: AuthorizationServer) -> None:
    """Row 62: two hundred at once, good and bad ones. What is around a request must not leak into another."""
    resource = "http://127.0.0.1:8080/mcp"
    waiting = asyncio.Event()
    inside = 0

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        nonlocal inside
        before = current_claims().sub
        await receive()
        inside += 1
        # All are inside before the first one goes on.
        if inside == 150:
            waiting.set()
        await waiting.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{before} {current_claims().sub}".encode()})

    async with Guard(authorization_server.issuer, resource) as made:
        guarded_app = GuardMiddleware(app, made, path="/mcp")

        async def request(number: int) -> None:
            is_good = number % 4 != 0
            audience = resource if is_good else "https://other.example"
            token = authorization_server.token(audience, sub=f"user-{number}")
            headers = [
                (b"authorization", f"Bearer {token}".encode()),
                (b"content-type", b"application/json"),
                (b"host", b"127.0.0.1:8080"),
            ]
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/mcp",
                "raw_path": b"/mcp",
                "query_string": b"",
                "root_path": "",
                "headers": headers,
                "state": {},
            }
            sent: list[Any] = []
            body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}).encode()

            async def receive() -> Any:
                return {"type": "http.request", "body": body}

            async def send(message: Any) -> None:
                sent.append(message)

            await guarded_app(scope, receive, send)
            assert sent[0]["status"] == (200 if is_good else 401)
            if is_good:
                assert sent[1]["body"].decode() == f"user-{number} user-{number}"

        await asyncio.wait_for(asyncio.gather(*(request(number) for number in range(200))), 30)
    assert inside == 150


BAD_HEADERS = [
    *((b"x-note", b"a" + bytes([byte]) + b"b") for byte in (*range(0x09), *range(0x0A, 0x20), 0x7F)),
    *((b"x" + bad + b"note", b"a") for bad in (b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\x7f", b"\xe4")),
    (b"", b"a"),
]


def test_an_answer_with_what_cannot_be_headers_becomes_500(authorization_server: AuthorizationServer) -> None:
    headers: list[tuple[bytes, bytes]] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    def wrap(app: Any, guard: Guard) -> Any:
        inner = GuardMiddleware(app, guard, path="/mcp")

        async def recording(scope: Any, receive: Any, send: Any) -> None:
            async def record(message: Any) -> None:
                sent.append(message)
                await send(message)

            await inner(scope, receive, record if scope["type"] == "http" else send)

        return recording

    with guarded(authorization_server, app, wrap) as client:
        url = client.server.resource
        authorization = {"authorization": f"Bearer {authorization_server.token(url)}"}
        for bad in BAD_HEADERS:
            headers[:] = [(b"content-type", b"application/json"), bad]
            assert client.http.get(url, headers=authorization).status_code == 500, bad
            # Not the server's own doing.
            assert sent == [], bad
        headers[:] = [(b"content-length", b"2"), (b"X-Note!", b"tab\tand \xe4"), (b"x-empty", b"")]
        good = client.http.get(url, headers=authorization)
        assert (good.status_code, good.headers["x-empty"]) == (200, "")
        assert good.headers["x-note!"].startswith("tab\tand ")


@pytest.mark.parametrize("name", [b"Authorization", b"AUTHORIZATION"])
def test_a_token_that_is_kept_is_under_the_name_in_lower_case(
    authorization_server: AuthorizationServer, name: bytes
) -> None:
    """Whatever name the server before the guard gave it."""
    seen: list[Any] = []

    def wrap(app: Any, guard: Guard) -> Any:
        async def looking(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope.get("headers"))
            await app(scope, receive, send)

        inner = GuardMiddleware(looking, guard, path="/mcp", keep_authorization=True)

        async def renaming(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                given = scope["headers"]
                scope["headers"] = [(name if known == b"authorization" else known, value) for known, value in given]
            await inner(scope, receive, send)

        return renaming

    with guarded(authorization_server, wrap=wrap) as client:
        token = authorization_server.token(client.server.resource)
        answer = client.http.get(client.server.resource, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        kept = [pair for pair in seen[-1] if pair[0].lower() == b"authorization"]
        assert kept == [(b"authorization", f"Bearer {token}".encode())]

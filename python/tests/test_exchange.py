"""What an application behind the guard receives and sends, beside what it would without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import StreamingResponse
from support import AuthorizationServer

from doorward import Guard
from doorward._adapter import TokenChecker
from doorward.asgi import GuardMiddleware, current_claims

RESOURCE = "http://127.0.0.1:8080/mcp"


class Caller:
    """A server with one request, whose client goes away when ``gone`` is set."""

    def __init__(self, token: str, version: str = "2.3", pair: Callable[..., Any] = tuple) -> None:
        self.gone = asyncio.Event()
        self.sent: list[Any] = []
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": version},
            "http_version": "1.1",
            "method": "GET",
            "path": "/mcp",
            "query_string": b"",
            "headers": [pair((b"authorization", b"Bearer " + token.encode())), pair((b"accept", b"*/*"))],
        }
        self._begun = False

    async def call(self, app: Any) -> None:
        await asyncio.wait_for(app(self.scope, self.receive, self.send), 60)

    async def receive(self) -> Any:
        if not self._begun:
            self._begun = True
            return {"type": "http.request", "body": b""}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


async def answer(send: Any, *headers: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b"answer"})


async def looked_for(caller: Caller, around: Callable[[Any], Any]) -> list[bool]:
    """What an application finds that looks whether its client has gone: before, at once when it has, and after."""
    seen: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await request.body()
        seen.append(await request.is_disconnected())
        seen.append(await request.is_disconnected())
        await asyncio.sleep(0)
        seen.append(await request.is_disconnected())
        caller.gone.set()
        await asyncio.sleep(0)
        seen.append(await request.is_disconnected())
        await answer(send)

    await caller.call(around(app))
    return seen


async def test_an_application_sees_that_its_client_has_gone(authorization_server: AuthorizationServer) -> None:
    async with Guard(authorization_server.issuer, RESOURCE) as guard:
        token = authorization_server.token(RESOURCE)
        without = await looked_for(Caller(token), lambda app: app)
        assert without == [False, False, False, True]
        assert await looked_for(Caller(token), lambda app: GuardMiddleware(app, guard)) == without
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_an_application_that_looks_once_sees_that_its_client_has_gone(
    authorization_server: AuthorizationServer,
) -> None:
    seen: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await request.body()
        seen.append(await request.is_disconnected())

    async with Guard(authorization_server.issuer, RESOURCE) as guard:
        caller = Caller(authorization_server.token(RESOURCE))
        caller.gone.set()
        await caller.call(GuardMiddleware(app, guard))
    assert seen == [True]


async def test_messages_may_come_through_scopes_that_can_be_cancelled(
    authorization_server: AuthorizationServer,
) -> None:
    """Such scopes belong to the task in which they are entered, and are left in."""
    caller = Caller(authorization_server.token(RESOURCE))
    heard: list[str] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        listening = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        caller.gone.set()
        heard.append((await listening)["type"])
        heard.append((await receive())["type"])
        await answer(send)

    async def dispatch(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    async with Guard(authorization_server.issuer, RESOURCE) as guard:

        def in_time(behind: Any) -> Any:
            async def layer(scope: Any, receive: Any, send: Any) -> None:
                async def soon() -> Any:
                    with anyio.fail_after(5):
                        async with anyio.create_task_group():
                            return await receive()

                await behind(scope, soon, send)

            return layer

        await caller.call(in_time(BaseHTTPMiddleware(in_time(GuardMiddleware(app, guard)), dispatch)))
    assert heard == ["http.disconnect", "http.disconnect"]
    assert caller.sent[0]["status"] == 200


async def test_what_raises_at_once_raises_in_the_application(authorization_server: AuthorizationServer) -> None:
    caller = Caller(authorization_server.token(RESOURCE))

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(ConnectionError):
            await receive()
        await answer(send)

    async def receive() -> Any:
        if caller._begun:
            raise ConnectionError
        return await caller.receive()

    async with Guard(authorization_server.issuer, RESOURCE) as guard:
        await GuardMiddleware(app, guard)(caller.scope, receive, caller.send)
    assert caller.sent[0]["status"] == 200


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("options", [{}, {"allowed_origins": ["https://app.example"]}])
async def test_headers_may_be_any_pairs(
    authorization_server: AuthorizationServer, keep: bool, options: dict[str, Any]
) -> None:
    """As adapters and applications written by hand have them."""
    async with Guard(authorization_server.issuer, RESOURCE, **options) as guard:
        caller = Caller(authorization_server.token(RESOURCE), pair=list)
        if options:
            caller.scope["headers"].append([b"origin", b"https://app.example"])

        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = dict(scope["headers"])
            assert headers[b"accept"] == b"*/*"
            assert (b"authorization" in headers) == keep
            await receive()
            await answer(send, [b"content-type", b"text/plain"], (b"x-more", b"1"))

        await caller.call(GuardMiddleware(app, guard, keep_authorization=keep))
        assert caller.sent[0]["status"] == 200
        answered = {bytes(name): value for name, value in caller.sent[0]["headers"]}
        assert (answered[b"content-type"], answered[b"x-more"]) == (b"text/plain", b"1")
        for no_pair in ([b"a"], [b"a", b"b", b"c"], b"ab", 5):
            with pytest.raises((TypeError, ValueError)):
                guard.core.admit("GET", b"/mcp", b"", [no_pair], None)


@pytest.mark.parametrize("pair", [list, tuple])
async def test_an_answer_without_content_names_no_length(
    authorization_server: AuthorizationServer, pair: Callable[..., Any]
) -> None:
    """RFC 9110 §8.6."""
    async with Guard(authorization_server.issuer, RESOURCE, allowed_origins=["https://app.example"]) as guard:
        caller = Caller("none", pair=pair)
        caller.scope["method"] = "OPTIONS"
        caller.scope["headers"] = [
            pair((b"origin", b"https://app.example")),
            pair((b"access-control-request-method", b"POST")),
        ]
        await caller.call(GuardMiddleware(answer, guard))
    assert caller.sent[0]["status"] == 204
    assert b"content-length" not in dict(caller.sent[0]["headers"])


END = {"type": "http.response.body", "body": b""}
"""What a stream is cut off with."""


class Ending:
    """A stream that goes on after its token has ended, and for a while after it was cut off."""

    MORE = 100

    def __init__(self, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward._exchange.STREAM_SECONDS", 0.0)
        self.now = 1_800_000_000.0
        self.sent: list[Any] = []
        self.told_in_vain = 0
        self.token = server.token(RESOURCE, iat=1_800_000_000, exp=1_800_000_001)
        self.guard = Guard(server.issuer, RESOURCE, clock=lambda: self.now, clock_skew_seconds=0)

    async def events(self) -> Any:
        self.now += 1
        for _ in range(20_000):
            self.told_in_vain += END in self.sent[-1:]
            if self.told_in_vain > self.MORE:
                break
            yield b"data: x\n\n"
            await asyncio.sleep(0.001)

    async def send_events(self, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for event in self.events():
            await send({"type": "http.response.body", "body": event, "more_body": True})


@pytest.mark.parametrize(("version", "is_told"), [("2.3", False), ("2.4", True), ("3.0", True), ("new", False)])
async def test_an_application_is_told_of_the_end_as_its_server_would(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch, version: str, is_told: bool
) -> None:
    ending = Ending(authorization_server, monkeypatch)
    raised: list[OSError] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await ending.send_events(send)
        except OSError as error:
            raised.append(error)
        with pytest.raises(OSError) if is_told else contextlib.nullcontext():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    caller = Caller(ending.token, version)
    ending.sent = caller.sent
    await caller.call(GuardMiddleware(app, ending.guard))
    assert caller.sent[-1] == END
    assert len(raised) == is_told
    assert (ending.told_in_vain < ending.MORE) == is_told


async def test_a_stream_of_starlette_ends_and_the_server_hears_of_no_error(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = Ending(authorization_server, monkeypatch)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await StreamingResponse(ending.events(), media_type="text/event-stream")(scope, receive, send)

    caller = Caller(ending.token, "2.4")
    ending.sent = caller.sent
    await caller.call(GuardMiddleware(app, ending.guard))
    assert caller.sent[-1] == END
    assert ending.told_in_vain < ending.MORE


@pytest.mark.parametrize("own", [True, False])
async def test_what_fails_in_cleaning_up_after_a_cut_is_logged(
    authorization_server: AuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    own: bool,
) -> None:
    ending = Ending(authorization_server, monkeypatch)

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await ending.send_events(send)
        finally:
            if own:
                raise RuntimeError("the transaction could not be rolled back")

    with caplog.at_level(logging.WARNING, logger="doorward"):
        await Caller(ending.token, "2.4").call(GuardMiddleware(app, ending.guard))
    warned = [record for record in caplog.records if record.exc_info and "cut off" in record.getMessage()]
    assert len(warned) == own


@pytest.mark.parametrize("in_group", [True, False])
async def test_an_error_of_the_applications_own_is_raised(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch, in_group: bool
) -> None:
    ending = Ending(authorization_server, monkeypatch)

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await ending.send_events(send)
        except OSError:
            pass
        if in_group:
            async with anyio.create_task_group():
                raise RuntimeError("its own")
        raise RuntimeError("its own")

    with pytest.raises(Exception) as raised:
        await Caller(ending.token, "2.4").call(GuardMiddleware(app, ending.guard))
    told = raised.value
    assert "its own" in str(getattr(told, "exceptions", [told])[0])


LISTS = {"tool_scopes": {"write": ["mcp:write"]}, "hide_unavailable": True}
TOOLS = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "read"}, {"name": "write"}]}}


class Listing(Caller):
    """Asks for the tools."""

    async def receive(self) -> Any:
        message = await super().receive()
        if message["type"] == "http.request":
            message["body"] = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
        return message


class TestTrailers:
    @pytest.mark.parametrize("media_type", ["text/plain", "application/json", "text/event-stream"])
    @pytest.mark.parametrize("options", [{}, LISTS])
    async def test_they_come_after_the_body(
        self, authorization_server: AuthorizationServer, media_type: str, options: dict[str, Any]
    ) -> None:
        headers = [(b"content-type", media_type.encode()), (b"trailer", b"x-sum, x-more")]
        end = [
            {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True},
            {"type": "http.response.trailers", "headers": [(b"x-more", b"2")]},
        ]

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
            await send({"type": "http.response.body", "body": json.dumps(TOOLS).encode()})
            for message in end:
                await send(message)
            # Too much of everything: nothing more goes out.
            await send({"type": "http.response.body", "body": b"more"})
            await send(end[1])

        async with Guard(authorization_server.issuer, RESOURCE, **options) as guard:
            caller = Listing(authorization_server.token(RESOURCE))
            await caller.call(GuardMiddleware(app, guard))
        kinds = [message["type"].removeprefix("http.response.") for message in caller.sent]
        assert kinds == ["start", "body", "trailers", "trailers"]
        assert caller.sent[0]["trailers"] is True
        # RFC 9112 §6.3: they come with chunks alone.
        assert b"content-length" not in dict(caller.sent[0]["headers"])
        assert caller.sent[2:] == end
        if options and media_type == "application/json":
            assert b"write" not in caller.sent[1]["body"]

    async def test_a_stream_that_is_cut_off_ends_without_those_that_were_announced(
        self, authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ending = Ending(authorization_server, monkeypatch)

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            async def announced(message: Any) -> None:
                await send({**message, "trailers": True} if "status" in message else message)

            await receive()
            await ending.send_events(announced)

        caller = Caller(ending.token, "2.4")
        await caller.call(GuardMiddleware(app, ending.guard))
        assert caller.sent[-2:] == [
            {"type": "http.response.body", "body": b""},
            {"type": "http.response.trailers", "headers": []},
        ]

    async def test_an_answer_that_is_withheld_has_none(self, authorization_server: AuthorizationServer) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
            await send({"type": "http.response.body", "body": b"packed"})
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

        async with Guard(authorization_server.issuer, RESOURCE, **LISTS) as guard:
            caller = Listing(authorization_server.token(RESOURCE))
            await caller.call(GuardMiddleware(app, guard))
        assert [message["type"] for message in caller.sent] == ["http.response.start", "http.response.body"]
        assert caller.sent[0]["status"] == 500


@pytest.mark.parametrize("extension", ["http.response.pathsend", "http.response.zerocopysend"])
@pytest.mark.parametrize("options", [{}, LISTS])
async def test_what_servers_send_by_themselves_is_not_offered_where_the_guard_has_to_see_it(
    authorization_server: AuthorizationServer, extension: str, options: dict[str, Any]
) -> None:
    offered: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        offered.extend(scope["extensions"])
        await answer(send)

    async with Guard(authorization_server.issuer, RESOURCE, **options) as guard:
        caller = Listing(authorization_server.token(RESOURCE))
        extensions: dict[str, Any] = {extension: {}, "http.response.trailers": {}}
        caller.scope["extensions"] = extensions
        await caller.call(GuardMiddleware(app, guard))
    assert (extension in offered) == (not options)
    assert "http.response.trailers" in offered
    assert extension in extensions


class TestState:
    """What a server gives its applications for each request."""

    async def test_middleware_outside_sees_what_the_application_wrote(
        self, authorization_server: AuthorizationServer
    ) -> None:
        state: dict[str, Any] = {"pool": 1, "gone": 2}
        seen: list[Any] = []

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            scope["state"]["written"] = scope["state"]["doorward.claims"].sub
            del scope["state"]["gone"]
            seen.append(dict(state))
            await answer(send)

        async with Guard(authorization_server.issuer, RESOURCE) as guard:
            caller = Caller(authorization_server.token(RESOURCE))
            caller.scope["state"] = state
            await caller.call(GuardMiddleware(app, guard))
        assert (seen[0]["written"], "gone" in seen[0]) == ("user-1", False)
        assert state == {"pool": 1, "written": "user-1"}

    @pytest.mark.parametrize("fails", [True, False])
    async def test_claims_are_there_as_long_as_the_request(
        self, authorization_server: AuthorizationServer, fails: bool
    ) -> None:
        """Of guards in each other, each puts its own there."""
        seen: list[Any] = []

        def layer(behind: Any) -> Any:
            async def layered(scope: Any, receive: Any, send: Any) -> None:
                seen.append(scope["state"].get("doorward.claims"))
                try:
                    await behind(scope, receive, send)
                finally:
                    seen.append(scope["state"].get("doorward.claims"))

            return layered

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            seen.append(scope["state"]["doorward.claims"])
            if fails:
                raise ValueError
            await answer(send)

        async with (
            Guard(authorization_server.issuer, RESOURCE) as guard,
            Guard(authorization_server.issuer, RESOURCE) as another,
        ):
            inner = layer(GuardMiddleware(app, another))
            outer = layer(GuardMiddleware(inner, guard, keep_authorization=True))
            caller = Caller(authorization_server.token(RESOURCE))
            caller.scope["state"] = {}
            with pytest.raises(ValueError) if fails else contextlib.nullcontext():
                await caller.call(outer)
        before, first, second, again, after = seen
        assert before is None and after is None
        assert first is not None and second is not None
        assert first is again is not second

    async def test_a_request_without_one_has_one(self, authorization_server: AuthorizationServer) -> None:
        seen: list[str] = []

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            seen.append(scope["state"]["doorward.claims"].sub)
            await answer(send)

        async with Guard(authorization_server.issuer, RESOURCE) as guard:
            caller = Caller(authorization_server.token(RESOURCE))
            await caller.call(GuardMiddleware(app, guard))
        assert seen == ["user-1"]
        assert "state" not in caller.scope


class TestTheGuardThatLetARequestThrough:
    async def asked_inside(self, server: AuthorizationServer, token: str, layer: Guard, ask: Callable[[], Any]) -> Any:
        """What comes out inside a request with this token."""
        outcome: list[Any] = []

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            outcome.append(await ask())
            await answer(send)

        caller = Caller(token)
        await caller.call(GuardMiddleware(app, layer, keep_authorization=True))
        assert caller.sent[0]["status"] == 200
        return outcome[0]

    async def test_it_is_not_asked_again(self, authorization_server: AuthorizationServer) -> None:
        scopes = {"tool_scopes": {"a": ["s"]}}
        async with Guard(authorization_server.issuer, RESOURCE, **scopes) as guard:
            token = authorization_server.token(RESOURCE)
            checker = TokenChecker(guard)
            claims = await self.asked_inside(authorization_server, token, guard, lambda: checker.check(token))
            assert claims is not None and claims.sub == "user-1"
            assert await checker.check(token) is None

    async def test_another_guard_judges_by_itself(self, authorization_server: AuthorizationServer) -> None:
        issuer = authorization_server.issuer
        async with Guard(issuer, RESOURCE) as one, Guard(issuer, "https://other.example/mcp") as other:
            token = authorization_server.token(RESOURCE)
            checker = TokenChecker(other)
            assert await self.asked_inside(authorization_server, token, one, lambda: checker.check(token)) is None

    async def test_its_word_counts_no_longer_than_the_request(self, authorization_server: AuthorizationServer) -> None:
        scopes = {"tool_scopes": {"a": ["s"]}}
        async with Guard(authorization_server.issuer, RESOURCE, **scopes) as guard:
            token = authorization_server.token(RESOURCE)
            is_over = asyncio.Event()
            later: list[asyncio.Task[Any]] = []

            async def check_later() -> Any:
                await is_over.wait()
                return await TokenChecker(guard).check(token)

            async def begin() -> str:
                later.append(asyncio.create_task(check_later()))
                return current_claims().sub

            assert await self.asked_inside(authorization_server, token, guard, begin) == "user-1"
            is_over.set()
            assert await later[0] is None

    @pytest.mark.parametrize(("passed", "counts"), [(5, True), (9, True), (10, False)])
    async def test_its_word_counts_no_longer_than_the_token(
        self, authorization_server: AuthorizationServer, passed: int, counts: bool
    ) -> None:
        now = [1_800_000_000.0]
        token = authorization_server.token(RESOURCE, iat=1_800_000_000, exp=1_800_000_005)
        issuer = authorization_server.issuer
        async with Guard(issuer, RESOURCE, clock=lambda: now[0], clock_skew_seconds=5) as guard:

            async def check() -> Any:
                now[0] += passed
                return await TokenChecker(guard).check(token)

            claims = await self.asked_inside(authorization_server, token, guard, check)
            assert (claims is not None) == counts

"""Tools, prompts and resources that lack a person's consent, and what real clients are told, by their revision."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from support import AuthorizationServer, Client, result_of, serving

pytest.importorskip("fastmcp")

import fastmcp
from fastmcp.client.transports import StreamableHttpTransport

from doorward import ASCredentials, ConsentRequiredError, DoorwardClient, TokenExchangeOptions, _core
from doorward.fastmcp import consent_middleware, doorward_auth
from doorward.mcp import doorward_mcp_auth, secure_app

try:
    from mcp.server.mcpserver import Context, MCPServer
except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer

try:
    from mcp.client.client import Client as ModernClient
except ImportError:
    ModernClient = None

PAGE = "https://as.example/connect/mail"
CONSENT = {
    "error": "consent_required",
    "error_description": "Connect your mailbox",
    "service_id": "mail",
    "cause": "no grant",
    "consent_url": PAGE,
}
TOKEN = {
    "access_token": "for-mail",
    "token_type": "Bearer",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
}
MODERN = "2026-07-28"
modern = pytest.mark.skipif(ModernClient is None, reason="this SDK knows no revision with input_required results")


class Mail:
    """The authorization server's part: whether the person has consented."""

    def __init__(self, server: AuthorizationServer, page: str | None = PAGE) -> None:
        self.server = server
        self.is_connected = False
        self.asked = 0
        self.answer = {**CONSENT, "consent_url": page}
        server.answers["/token"] = self.exchange

    def exchange(self, _form: Any) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        return (200, TOKEN) if self.is_connected else (400, self.answer)


@contextmanager
def mail_server(framework: str, server: AuthorizationServer, **options: Any) -> Iterator[Client]:
    credentials = ASCredentials("mail-tools", "secret")

    async def make(base_url: str) -> tuple[Any, Any]:
        options.setdefault("dev_mode", True)
        if framework == "sdk":
            resource = base_url + "/mcp"
            auth = await doorward_mcp_auth(server.issuer, resource, as_credentials=credentials, **options)
        else:
            auth = await doorward_auth(server.issuer, base_url, as_credentials=credentials, **options)
        mcp: Any = (MCPServer if framework == "sdk" else fastmcp.FastMCP)("mail-tools", **auth)
        if framework == "fastmcp, with the middleware":
            mcp.add_middleware(consent_middleware)

        async def inbox(box: str = "in") -> str:
            await auth.client.exchange(TokenExchangeOptions("subject", scope="mail.read"))
            return f"three letters in {box}"

        mcp.tool()(inbox)
        mcp.prompt()(inbox)
        mcp.resource("mail://boxes/{box}")(inbox)

        @mcp.resource("mail://inbox")
        async def the_inbox() -> str:
            return await inbox()

        async def reader(ctx: Any, uri: str) -> str:
            return str(await ctx.read_resource(uri))

        async def caller(ctx: Any) -> str:
            more = (ctx,) if framework == "sdk" and not hasattr(mcp, "get_context") else ()
            return str(await mcp.call_tool("inbox", {}, *more))

        for tool in (reader, caller):
            tool.__annotations__["ctx"] = Context if framework == "sdk" else fastmcp.Context
            mcp.tool()(tool)

        @mcp.tool()
        async def careful() -> str:
            try:
                await auth.client.exchange(TokenExchangeOptions("subject", scope="mail.read"))
            except ConsentRequiredError:
                return "no mailbox yet"
            return "letters"

        @mcp.tool()
        async def careless() -> str:
            try:
                raise ConsentRequiredError(service_id="mail", consent_url=PAGE)
            except ConsentRequiredError:
                raise RuntimeError("the mailbox is locked")  # noqa: B904  (as people write it)

        @mcp.tool()
        async def gateway(headers: dict[str, str]) -> str:
            call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "inbox", "arguments": {}}}
            in_process = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=in_process, base_url=base_url) as http:
                return (await http.post("/mcp", json=call, headers=headers)).text

        app = secure_app(mcp) if framework == "sdk" else mcp.http_app(path="/mcp")
        return app, auth.aclose

    with serving(make) as running:
        yield Client(running)


FRAMEWORKS = ["fastmcp", "fastmcp, with the middleware", "sdk"]


@pytest.fixture(params=FRAMEWORKS)
def framework(request: Any) -> str:
    return request.param


class Person:
    """Opens pages, and does there what the test says."""

    def __init__(self, mail: Mail, action: str = "accept") -> None:
        self.mail = mail
        self.action = action
        self.opened: list[tuple[str, str]] = []

    async def sdk(self, _context: Any, params: Any) -> Any:
        from mcp.types import ElicitResult

        self.opened.append((params.url, params.message))
        self.mail.is_connected = self.action == "accept"
        return ElicitResult(action=self.action)

    async def fastmcp(self, _message: str, _kind: Any, params: Any, context: Any) -> Any:
        return await self.sdk(context, params)


async def called(session: Any) -> str:
    answered = await session.call_tool("inbox", {})
    return answered.content[0].text


async def rendered(session: Any) -> str:
    answered = await session.get_prompt("inbox", {})
    return answered.messages[0].content.text


def reading(uri: str) -> Callable[[Any], Awaitable[str]]:
    async def read(session: Any) -> str:
        answered = await session.read_resource(uri)
        return getattr(answered, "contents", answered)[0].text

    return read


async def called_to_call(session: Any) -> str:
    answered = await session.call_tool("caller", {})
    return answered.content[0].text


async def called_to_read(session: Any) -> str:
    answered = await session.call_tool("reader", {"uri": "mail://boxes/in"})
    return answered.content[0].text


@dataclass(frozen=True)
class Kind:
    """Something that needs consent: how clients ask for it, and what the request is."""

    ask: Callable[[Any], Awaitable[str]]
    method: str = ""
    is_named: bool = True

    def params(self, box: str) -> dict[str, Any]:
        return {"name": "inbox", "arguments": {"box": box}} if self.is_named else {"uri": f"mail://boxes/{box}"}


KINDS = {
    "tool": Kind(called, "tools/call"),
    "prompt": Kind(rendered, "prompts/get"),
    "template": Kind(reading("mail://boxes/in"), "resources/read", is_named=False),
    "resource": Kind(reading("mail://inbox")),
    "tool that reads": Kind(called_to_read),
    "tool that calls": Kind(called_to_call),
}


METHODS = [name for name, kind in KINDS.items() if kind.method]
"""One for each method."""


@pytest.fixture(params=KINDS)
def kind(request: Any) -> Kind:
    is_fastmcp = request.node.callspec.params.get("framework") != "sdk"
    if request.param == "tool that calls" and is_fastmcp and not hasattr(fastmcp.FastMCP, "call_tool"):
        pytest.skip("tools of FastMCP 2 do not call others by name")
    return KINDS[request.param]


def call_with(client: Client, token: str, person: Person | None, modern_client: bool, kind: Kind) -> Any:
    """Asks with FastMCP's client."""

    async def main() -> Any:
        transport = StreamableHttpTransport(client.server.resource, headers={"authorization": f"Bearer {token}"})
        more: dict[str, Any] = {} if person is None else {"elicitation_handler": person.fastmcp}
        if ModernClient is not None:
            more["mode"] = MODERN if modern_client else "legacy"
        async with fastmcp.Client(transport, **more) as session:
            return await kind.ask(session)

    return asyncio.run(asyncio.wait_for(main(), 20))


def code_of(error: BaseException) -> int | None:
    return getattr(getattr(error, "error", None), "code", None)


def test_clients_with_a_handshake_get_the_error_32042(
    framework: str, kind: Kind, authorization_server: AuthorizationServer
) -> None:
    mail = Mail(authorization_server)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        with pytest.raises(Exception, match="Connect your mailbox") as raised:
            call_with(client, token, Person(mail), False, kind)
        assert code_of(raised.value) == -32042
        data = raised.value.error.data
        (page,) = data["elicitations"]
        assert (page["mode"], page["url"]) == ("url", PAGE)
        assert page["message"] == "Connect your mailbox (mail: no grant)"
        assert page["elicitationId"]
        mail.is_connected = True
        assert "three letters in in" in call_with(client, token, Person(mail), False, kind)


@pytest.mark.parametrize("kind", METHODS, indirect=True)
def test_who_cannot_open_pages_is_not_sent_to_one(
    framework: str, kind: Kind, authorization_server: AuthorizationServer
) -> None:
    Mail(authorization_server)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        for is_modern in [False] if ModernClient is None else [False, True]:
            with pytest.raises(Exception, match="Connect your mailbox") as raised:
                call_with(client, token, None, is_modern, kind)
            assert code_of(raised.value) in (None, -32600)
            assert PAGE not in str(raised.value)


@pytest.mark.parametrize("kind", METHODS, indirect=True)
def test_without_a_page_there_is_nothing_to_open(
    framework: str, kind: Kind, authorization_server: AuthorizationServer
) -> None:
    mail = Mail(authorization_server, page=None)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        with pytest.raises(Exception, match="Connect your mailbox") as raised:
            call_with(client, token, Person(mail), False, kind)
        assert code_of(raised.value) in (None, -32600)


def test_a_tool_may_do_without(framework: str, authorization_server: AuthorizationServer) -> None:
    Mail(authorization_server)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        answered = result_of(client.call(token, "careful", {}, client.session(token)))
        assert "no mailbox yet" in str(answered["result"])


def test_another_error_is_no_missing_consent(framework: str, authorization_server: AuthorizationServer) -> None:
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        answered = result_of(client.call(token, "careless", {}, client.session(token)))
        assert answered["result"]["isError"]
        assert PAGE not in str(answered)


def test_a_request_that_a_tool_sends_in_its_process_is_answered_by_itself(
    framework: str, authorization_server: AuthorizationServer
) -> None:
    Mail(authorization_server)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        session = client.session(token)
        accept = {"accept": "application/json, text/event-stream"}
        headers = {"authorization": f"Bearer {token}", **accept, **client.session(token)}
        answered = result_of(client.call(token, "gateway", {"headers": headers}, session))
        assert "-32042" in str(answered["result"])


@modern
def test_from_2026_07_28_on_clients_are_sent_to_the_page_and_come_back(
    framework: str, kind: Kind, authorization_server: AuthorizationServer
) -> None:
    mail = Mail(authorization_server)
    person = Person(mail)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        assert "three letters in in" in call_with(client, token, person, True, kind)
    assert person.opened == [(PAGE, "Connect your mailbox (mail: no grant)")]
    assert mail.asked == 2


@modern
@pytest.mark.parametrize("framework", ["fastmcp", "sdk"], indirect=True)
@pytest.mark.parametrize("kind", METHODS, indirect=True)
def test_the_official_client_is_sent_to_the_page_too(
    framework: str, kind: Kind, authorization_server: AuthorizationServer
) -> None:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    mail = Mail(authorization_server)
    person = Person(mail)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)

        async def main() -> Any:
            async with httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http:
                transport = streamable_http_client(client.server.resource, http_client=http)
                async with ModernClient(transport, mode=MODERN, elicitation_callback=person.sdk) as session:
                    return await kind.ask(session)

        assert "three letters in in" in asyncio.run(asyncio.wait_for(main(), 20))
    assert [url for url, _ in person.opened] == [PAGE]


@modern
@pytest.mark.parametrize(
    ("kind", "action"),
    [("tool", "decline"), ("tool", "cancel"), ("prompt", "decline"), ("template", "cancel")],
    indirect=["kind"],
)
def test_who_declines_is_not_asked_again(
    framework: str, kind: Kind, action: str, authorization_server: AuthorizationServer
) -> None:
    mail = Mail(authorization_server)
    person = Person(mail, action)
    with mail_server(framework, authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        with pytest.raises(Exception, match="Connect your mailbox"):
            call_with(client, token, person, True, kind)
    assert len(person.opened) == 1


class Raw:
    """Requests of 2026-07-28, message by message."""

    def __init__(self, client: Client, kind: Kind) -> None:
        self.client = client
        self.kind = kind

    def __call__(self, token: str, state: str | None = None, box: str = "in") -> dict[str, Any]:
        capabilities = {"elicitation": {"form": {}, "url": {}}}
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }
        method = self.kind.method
        params: dict[str, Any] = {**self.kind.params(box), "_meta": meta}
        name = params.get("name") or params["uri"]
        if state is not None:
            params |= {"requestState": state, "inputResponses": {"consent": {"action": "accept"}}}
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return result_of(
            self.client.post(token, message, mcp_protocol_version=MODERN, mcp_method=method, mcp_name=name)
        )


@modern
@pytest.mark.parametrize("framework", ["fastmcp", "sdk"], indirect=True)
@pytest.mark.parametrize("kind", METHODS, indirect=True)
def test_a_state_counts_for_its_person_and_call_alone(
    framework: str, kind: Kind, authorization_server: AuthorizationServer
) -> None:
    mail = Mail(authorization_server)
    with mail_server(framework, authorization_server) as client:
        call = Raw(client, kind)
        resource = client.server.resource
        token = authorization_server.token(resource)
        asked = call(token)["result"]
        assert asked["resultType"] == "input_required"
        (page,) = [request["params"] for request in asked["inputRequests"].values()]
        assert (page["mode"], page["url"]) == ("url", PAGE)
        state = asked["requestState"]
        sealed = state.rpartition(".")[2]
        assert b"mail" not in base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))

        again = call(token, state)["result"]
        assert again["resultType"] == "input_required"
        mail.is_connected = True
        before = mail.asked
        for refused in (
            call(authorization_server.token(resource, sub="user-2"), state),
            call(authorization_server.token(resource, client_id="client-2"), state),
            call(token, state, box="other"),
            call(token, state[:-6] + "AAAAAA"),
            call(token, "x" * 200),
        ):
            assert refused["error"]["code"] == -32602
        assert mail.asked == before
        assert "three letters" in str(call(token, state)["result"])
        # With another token of the same person.
        assert "three letters" in str(call(authorization_server.token(resource), state)["result"])


@modern
@pytest.mark.parametrize("framework", ["fastmcp", "sdk"])
@pytest.mark.parametrize("kind", METHODS, indirect=True)
def test_the_guards_own_seal_holds_where_the_frameworks_is_open(
    framework: str, kind: Kind, authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp.server.request_state import RequestStateBoundary

    async def open_boundary(_self: Any, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        return await call_next(ctx)

    monkeypatch.setattr(RequestStateBoundary, "__call__", open_boundary)
    mail = Mail(authorization_server)
    clock = {"ahead": 0.0}
    keys = [b"\x01" * 32]
    options = {"clock": lambda: time.time() + clock["ahead"], "request_state_keys": keys}
    with (
        mail_server(framework, authorization_server, **options) as client,
        mail_server(framework, authorization_server) as strange,
    ):
        call = Raw(client, kind)
        resource = client.server.resource
        token = authorization_server.token(resource, exp=int(time.time()) + 3600)
        state = call(token)["result"]["requestState"]
        mail.is_connected = True
        before = mail.asked
        # A prompt may have the name and the arguments of a tool.
        others = [Raw(client, other) for name, other in KINDS.items() if name in METHODS and other != kind]
        for refused in (
            call(authorization_server.token(resource, sub="user-2"), state),
            call(token, state, box="other"),
            *(other(token, state) for other in others),
        ):
            assert refused["error"] == {
                "code": -32602,
                "message": "The requestState is not valid. Send the request without it.",
            }
        assert mail.asked == before
        assert "three letters" in str(call(token, state)["result"])
        clock["ahead"] = 601.0
        assert call(token, state)["error"]["code"] == -32602
        # What this server did not make is nobody's: the tool may have made it.
        other = authorization_server.token(strange.server.resource)
        assert "three letters" in str(Raw(strange, kind)(other, state)["result"])


async def test_processes_with_one_key_take_each_others_states(authorization_server: AuthorizationServer) -> None:
    async def made(*keys: bytes) -> DoorwardClient:
        return await DoorwardClient.create(authorization_server.issuer, dev_mode=True, request_state_keys=keys)

    old, new = b"\x01" * 32, b"\x02" * 32
    first = await made(old)
    guard = first.resource("https://mcp.example/mcp")
    claims = await guard.verify(authorization_server.token("https://mcp.example/mcp"))
    call = {"protocol_version": MODERN, "method": "tools/call", "params": "{}", "url_elicitation": True}
    consent = {"service": "mail", "cause": None, "consent_url": PAGE, "description": None}
    _, result = _core.consent_answer(first.core, claims, consent, call)

    def opened(client: DoorwardClient) -> str | None:
        return _core.refused_request_state(client.core, claims, result["requestState"], "tools/call", "{}")

    assert [opened(await made(*keys)) for keys in ((old,), (new, old), (new,))] == [None, None, "not_ours"]
    with pytest.raises(ValueError, match="32 random bytes"):
        await made(b"short")

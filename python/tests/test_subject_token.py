"""The caller's token, for exchanging it: whose it is, and who is shown it."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from support import AuthorizationServer, Client, result_of, serving

from doorward import (
    ASCredentials,
    DoorwardClient,
    Guard,
    SubjectToken,
    TokenExchangeOptions,
    TokenMissingError,
)
from doorward.asgi import GuardMiddleware, current_claims, current_subject_token

TOKEN = {
    "access_token": "for-mail",
    "token_type": "Bearer",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
CREDENTIALS = ASCredentials("mail-tools", "secret")


@pytest.fixture
def partner() -> Iterator[AuthorizationServer]:
    """Another authorization server, whose tokens are accepted as well."""
    server = AuthorizationServer()
    yield server
    server.close()


async def inbox(client: DoorwardClient) -> str:
    token = await client.exchange(TokenExchangeOptions(current_subject_token(), scope="mail.read"))
    return f"{current_claims().jti}: {token.access_token}"


async def fastmcp(server: AuthorizationServer, base_url: str, **options: Any) -> tuple[Any, Any]:
    framework = pytest.importorskip("fastmcp")
    from doorward.fastmcp import current_subject_token as of_fastmcp
    from doorward.fastmcp import doorward_auth

    assert of_fastmcp is current_subject_token
    auth = await doorward_auth(server.issuer, base_url, as_credentials=CREDENTIALS, dev_mode=True, **options)
    mcp = framework.FastMCP("mail", **auth)
    mcp.tool(name="inbox")(tool(auth.client))
    return mcp.http_app(path="/mcp"), auth.aclose


async def sdk(server: AuthorizationServer, base_url: str, **options: Any) -> tuple[Any, Any]:
    pytest.importorskip("mcp")
    try:
        from mcp.server.mcpserver import MCPServer as Server
    except ImportError:
        from mcp.server.fastmcp import FastMCP as Server
    from doorward.mcp import current_subject_token as of_sdk
    from doorward.mcp import doorward_mcp_auth, secure_app

    assert of_sdk is current_subject_token
    resource = base_url + "/mcp"
    auth = await doorward_mcp_auth(server.issuer, resource, as_credentials=CREDENTIALS, dev_mode=True, **options)
    mcp: Any = Server("mail", **auth)
    mcp.tool(name="inbox")(tool(auth.client))
    return secure_app(mcp), auth.aclose


def tool(client: DoorwardClient) -> Callable[[], Any]:
    async def called() -> str:
        try:
            return await inbox(client)
        except ValueError as error:
            return f"refused: {error}"

    return called


@pytest.fixture(params=[fastmcp, sdk], ids=["fastmcp", "sdk"])
def framework(request: Any) -> Any:
    return request.param


@contextmanager
def mail_server(framework: Any, server: AuthorizationServer, **options: Any) -> Iterator[Client]:
    async def make(base_url: str) -> tuple[Any, Any]:
        return await framework(server, base_url, **options)

    with serving(make) as running:
        yield Client(running)


def text(response: Any) -> str:
    assert response.status_code == 200, response.text
    return result_of(response)["result"]["content"][0]["text"]


def test_the_token_of_the_call_is_exchanged_and_not_that_of_the_session(
    framework: Any, authorization_server: AuthorizationServer
) -> None:
    authorization_server.answers["/token"] = lambda _form: (200, TOKEN)
    with mail_server(framework, authorization_server) as client:
        first = authorization_server.token(client.server.resource, jti="first")
        session = client.session(first)
        second = authorization_server.token(client.server.resource, jti="second")
        assert text(client.call(second, "inbox", {}, session)) == "second: for-mail"
        assert text(client.call(first, "inbox", {}, session)) == "first: for-mail"
    asked = [form["subject_token"] for _path, form, _headers in authorization_server.forms]
    assert asked == [[second], [first]]


def test_a_token_of_another_issuer_is_not_shown_to_the_first(
    framework: Any, authorization_server: AuthorizationServer, partner: AuthorizationServer
) -> None:
    for server in (authorization_server, partner):
        server.answers["/token"] = lambda _form: (200, TOKEN)
    with mail_server(framework, authorization_server, more_issuers=[partner.issuer]) as client:
        token = partner.token(client.server.resource, jti="theirs")
        answer = text(client.call(token, "inbox", {}, client.session(token)))
        assert answer.startswith("refused: ")
        assert partner.issuer in answer
        assert token not in answer
    assert authorization_server.forms == partner.forms == []


RESOURCE = "http://127.0.0.1:8080/mcp"


async def behind(
    server: AuthorizationServer, token: str, answer: Callable[[], Awaitable[Any]], more_issuers: Sequence[str] = ()
) -> Any:
    """What ``await answer()`` comes to in an application behind the middleware."""
    answers: list[Any] = []
    statuses: list[int] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        assert b"authorization" not in dict(scope["headers"])
        answers.append(await answer())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(PING).encode()}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + token.encode()), (b"content-type", b"application/json")],
    }
    async with Guard(server.issuer, RESOURCE, dev_mode=True, more_issuers=more_issuers) as guard:
        await GuardMiddleware(app, guard)(scope, receive, send)
    assert statuses[0] == 200
    return answers[0]


async def current() -> SubjectToken:
    return current_subject_token()


async def test_an_application_that_sees_no_token_can_exchange_it(authorization_server: AuthorizationServer) -> None:
    authorization_server.answers["/token"] = lambda _form: (200, TOKEN)
    token = authorization_server.token(RESOURCE, jti="called")
    async with await DoorwardClient.create(authorization_server.issuer, auth=CREDENTIALS) as client:
        assert await behind(authorization_server, token, lambda: inbox(client)) == "called: for-mail"
    assert authorization_server.forms[0][1]["subject_token"] == [token]


async def test_each_of_two_issuers_exchanges_its_own_tokens_alone(
    authorization_server: AuthorizationServer, partner: AuthorizationServer
) -> None:
    issuers = (authorization_server, partner)
    for server in issuers:
        server.answers["/token"] = lambda _form: (200, TOKEN)
    clients = [await DoorwardClient.create(server.issuer, auth=CREDENTIALS) for server in issuers]
    for server, client, other in zip(issuers, clients, reversed(clients), strict=True):
        token = server.token(RESOURCE)
        subject = await behind(authorization_server, token, current, [partner.issuer])
        assert subject.issuer == server.issuer == client.issuer
        with pytest.raises(ValueError, match=server.issuer):
            await other.exchange(TokenExchangeOptions(subject))
        assert (await client.exchange(TokenExchangeOptions(subject))).access_token == "for-mail"
        assert [form["subject_token"] for _path, form, _headers in server.forms] == [[token]]
    for client in clients:
        await client.aclose()


async def test_the_token_cannot_be_read(authorization_server: AuthorizationServer) -> None:
    token = authorization_server.token(RESOURCE)
    subject = await behind(authorization_server, token, current)
    signature = token.rpartition(".")[2]
    shown = [repr(subject), str(subject), f"{subject}", repr(TokenExchangeOptions(subject))]
    shown += [repr(getattr(subject, name)) for name in dir(subject)]
    assert not [text for text in shown if signature in text]
    for version in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(subject, version)
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="copied"):
            copied(subject)
    with pytest.raises(TypeError):
        SubjectToken()


def test_outside_a_request_there_is_no_token() -> None:
    with pytest.raises(TokenMissingError):
        current_subject_token()


def test_what_is_no_token_is_not_exchanged() -> None:
    with pytest.raises(TypeError, match="current_subject_token"):
        TokenExchangeOptions(current_subject_token)  # type: ignore[arg-type]

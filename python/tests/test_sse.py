"""The HTTP+SSE transport of old clients: its sessions are named in the address for messages."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support import AuthorizationServer, Client, Key, serving

pytest.importorskip("fastmcp")

import fastmcp

from doorward import InboundDPoPOptions
from doorward.fastmcp import doorward_auth
from doorward.mcp import current_claims, doorward_mcp_auth, install_request_context

try:
    from mcp.server.mcpserver import MCPServer
except ImportError:
    from mcp.server.fastmcp import FastMCP as MCPServer


@contextlib.contextmanager
def sse_server(framework: str, server: AuthorizationServer, **options: Any) -> Iterator[Client]:
    async def make(base_url: str) -> tuple[Any, Any]:
        if framework == "sdk":
            auth = await doorward_mcp_auth(server.issuer, base_url + "/sse", dev_mode=True, **options)
            mcp: Any = MCPServer("old", **auth)
            install_request_context(mcp)
        else:
            auth = await doorward_auth(server.issuer, base_url, mcp_path="/sse", dev_mode=True, **options)
            mcp = fastmcp.FastMCP("old", **auth)

        @mcp.tool()
        def whoami() -> str:
            return f"you are {current_claims().sub}"

        @mcp.tool()
        def write(x: str) -> str:
            return f"wrote {x}"

        app = mcp.sse_app() if framework == "sdk" else mcp.http_app(path="/sse", transport="sse")
        return app, auth.aclose

    with serving(make) as running:
        running.resource = running.base_url + "/sse"
        yield Client(running)


@pytest.fixture(params=["fastmcp", "sdk"])
def framework(request: Any) -> str:
    return request.param


class Stream:
    """A client's event stream, and the address that it was told."""

    def __init__(self, client: Client, response: httpx.Response) -> None:
        self.client = client
        self.response = response
        self.lines = response.iter_lines()
        self.address = client.server.base_url + self.data()

    def data(self) -> str:
        return next(line[5:].strip() for line in self.lines if line.startswith("data:"))

    def answer(self, identifier: int) -> dict[str, Any]:
        while True:
            message = json.loads(self.data())
            if message.get("id") == identifier:
                return message


@contextlib.contextmanager
def stream(client: Client, headers: dict[str, str]) -> Iterator[Stream]:
    with client.http.stream("GET", client.server.resource, headers=headers) as response:
        assert response.status_code == 200, response.read()
        yield Stream(client, response)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "old", "version": "1"},
    },
}


def call(tool: str, identifier: int = 2, **arguments: str) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": params}


def begun(client: Client, session: Stream, headers: dict[str, str]) -> None:
    assert client.http.post(session.address, json=INITIALIZE, headers=headers).status_code == 202
    session.answer(1)
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert client.http.post(session.address, json=ready, headers=headers).status_code == 202


def test_the_session_works_for_its_principal(framework: str, authorization_server: AuthorizationServer) -> None:
    with sse_server(framework, authorization_server) as client:
        mine = bearer(authorization_server.token(client.server.resource))
        with stream(client, mine) as session:
            begun(client, session, mine)
            # With another token of the same person and program.
            again = bearer(authorization_server.token(client.server.resource))
            assert client.http.post(session.address, json=call("whoami"), headers=again).status_code == 202
            assert "you are user-1" in str(session.answer(2))


def test_nobody_else_speaks_in_a_session(framework: str, authorization_server: AuthorizationServer) -> None:
    with sse_server(framework, authorization_server) as client:
        make, resource = authorization_server.token, client.server.resource
        mine = bearer(make(resource))
        others = [bearer(make(resource, sub="user-2")), bearer(make(resource, client_id="client-2"))]
        with stream(client, mine) as session, stream(client, others[0]) as own:
            begun(client, session, mine)
            identifier = session.address.partition("session_id=")[2]
            own_identifier = own.address.partition("session_id=")[2]
            base = session.address.partition("?")[0]
            for other in others:
                for query in (
                    f"session_id={identifier}",
                    f"session%5Fid={identifier}",
                    f"session_id=%{ord(identifier[0]):02x}{identifier[1:]}",
                    f"session_id={identifier.upper()}",
                    f"session_id={{{identifier}}}",
                    f"session_id={own_identifier}&session_id={identifier}",
                    f"x=1&session_id={identifier}",
                ):
                    refused = client.http.post(f"{base}?{query}", json=call("whoami"), headers=other)
                    assert refused.status_code == 404, query
            # A session of the other transport, or none, is no way either.
            both = client.http.post(
                session.address, json=call("whoami"), headers={**mine, "mcp-session-id": identifier}
            )
            assert both.status_code == 404
            assert client.http.post(base, json=call("whoami"), headers=others[0]).status_code == 400
            unknown = client.http.post(f"{base}?session_id={'0' * 32}", json=call("whoami"), headers=mine)
            assert unknown.status_code == 404


def test_messages_need_a_token_and_its_scopes(framework: str, authorization_server: AuthorizationServer) -> None:
    with sse_server(framework, authorization_server, tool_scopes={"write": ["mcp:write"]}) as client:
        resource = client.server.resource
        mine = bearer(authorization_server.token(resource))
        with stream(client, mine) as session:
            begun(client, session, mine)
            assert client.http.post(session.address, json=call("write", x="1")).status_code == 401
            refused = client.http.post(session.address, json=call("write", x="1"), headers=mine)
            assert refused.status_code == 403
            assert 'scope="mcp:write"' in refused.headers["www-authenticate"]
            more = bearer(authorization_server.token(resource, scope="mcp:read mcp:write"))
            assert client.http.post(session.address, json=call("write", x="1"), headers=more).status_code == 202
            assert "wrote 1" in str(session.answer(2))
        assert client.http.get(resource).status_code == 401


def test_proofs_are_for_the_address_of_the_messages(framework: str, authorization_server: AuthorizationServer) -> None:
    with sse_server(framework, authorization_server, inbound_dpop=InboundDPoPOptions(required=True)) as client:
        key = Key()
        token = authorization_server.bound_token(client.server.resource, key)

        def proved(method: str, url: str) -> dict[str, str]:
            return {"authorization": f"DPoP {token}", "dpop": key.proof(token, url, method)}

        with stream(client, proved("GET", client.server.resource)) as session:
            address = session.address.partition("?")[0]
            for url, status in ((address, 202), (client.server.resource, 401)):
                headers = proved("POST", url)
                assert client.http.post(session.address, json=INITIALIZE, headers=headers).status_code == status

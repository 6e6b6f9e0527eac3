"""The official SDK behind the guard, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import AuthorizationServer, Client, Key, assert_no_spelling_gets_around, result_of, serving

pytest.importorskip("mcp")

from doorward import InboundDPoPOptions
from doorward.mcp import (
    current_claims,
    doorward_mcp_auth,
    get_current_request,
    install_request_context,
    require_scope,
    secure_app,
)

try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server


@contextmanager
def sdk(server: AuthorizationServer, layer: bool = True, **options: Any) -> Iterator[Client]:
    async def make(base_url: str) -> tuple[Any, Any]:
        auth = await doorward_mcp_auth(issuer=server.issuer, resource=base_url + "/mcp", dev_mode=True, **options)
        mcp: Any = Server("test", **auth)

        @mcp.tool()
        def whoami() -> dict[str, Any]:
            from mcp.server.auth.middleware.auth_context import get_access_token

            claims = current_claims()
            token = get_access_token()
            return {
                "sub": claims.sub,
                "jti": claims.jti,
                "client_id": token.client_id,
                "resource": token.resource,
                "request": getattr(get_current_request(), "method", None),
            }

        @mcp.tool()
        def write(x: str) -> str:
            require_scope("mcp:write")
            return f"wrote {x}"

        app = secure_app(mcp) if layer else mcp.streamable_http_app()
        return app, auth.aclose

    with serving(make) as running:
        yield Client(running)


def structured(response: Any) -> dict[str, Any]:
    return result_of(response)["result"]["structuredContent"]


def test_a_tool_sees_the_claims(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server, scopes=["mcp:read"]) as client:
        token = authorization_server.token(client.server.resource)
        seen = structured(client.call(token, "whoami", {}, client.session(token)))
        assert seen["sub"] == "user-1"
        assert seen["client_id"] == "client-1"
        assert seen["resource"] == client.server.resource


@pytest.mark.parametrize(("layer", "status"), [(True, 503), (False, 500)])
def test_an_outage_is_not_blamed_on_the_token(
    authorization_server: AuthorizationServer, layer: bool, status: int
) -> None:
    """Clients throw tokens away that are answered with 401."""
    authorization_server.is_down = True
    with sdk(authorization_server, layer=layer) as client:
        response = client.initialize(authorization_server.token(client.server.resource))
        assert response.status_code == status
        assert "www-authenticate" not in response.headers


def test_a_session_goes_on_with_a_new_token_and_tools_see_that_one(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server) as client:
        session = client.session(authorization_server.token(client.server.resource, jti="first"))
        second = authorization_server.token(client.server.resource, jti="second")
        assert structured(client.call(second, "whoami", {}, session))["jti"] == "second"


def test_a_scope_of_an_earlier_token_is_gone(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server) as client:
        much = authorization_server.token(client.server.resource, scope="mcp:read mcp:write")
        session = client.session(much)
        assert "wrote 1" in client.call(much, "write", {"x": "1"}, session).text
        little = authorization_server.token(client.server.resource)
        answered = client.call(little, "write", {"x": "2"}, session)
        assert "wrote 2" not in answered.text
        assert "Missing required scope: mcp:write" in answered.text


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_no_spelling_of_the_path_gets_around_the_guard(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch, root_path: str
) -> None:
    """What the guard's layer takes for another path does not reach the server without a token."""
    monkeypatch.setattr("support.ROOT_PATH", root_path)
    with sdk(authorization_server) as client:
        assert_no_spelling_gets_around(client)


def test_no_credentials_lead_to_the_metadata(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server, scopes=["mcp:read"]) as client:
        response = client.initialize(None)
        assert response.status_code == 401
        assert "error=" not in response.headers["www-authenticate"]
        for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
            document = client.http.get(client.server.base_url + path).json()
            assert document["authorization_servers"] == [authorization_server.issuer]
            assert document["scopes_supported"] == ["mcp:read"]


def test_bad_tokens_are_invalid(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server) as client:
        for bad in (
            authorization_server.token("http://elsewhere.example/mcp"),
            authorization_server.token(client.server.resource, exp=int(time.time()) - 120),
            "nonsense",
        ):
            response = client.initialize(bad)
            assert response.status_code == 401
            assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_clock_that_is_15_seconds_off_is_no_harm(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server) as client:
        token = authorization_server.token(client.server.resource, exp=int(time.time()) - 15)
        assert client.initialize(token).status_code == 200


def test_scopes_on_all_requests_are_answered_with_403(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server, scopes=["mcp:admin"], enforce_scopes_on_all_requests=True) as client:
        response = client.initialize(authorization_server.token(client.server.resource))
        assert response.status_code == 403
        assert 'scope="mcp:admin"' in response.headers["www-authenticate"]


def test_a_tool_that_needs_more_is_answered_with_403_before_it_runs(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server, tool_scopes={"write": ["mcp:write"]}) as client:
        token = authorization_server.token(client.server.resource)
        response = client.call(token, "write", {"x": "1"}, client.session(token))
        assert response.status_code == 403
        assert 'scope="mcp:write"' in response.headers["www-authenticate"]


def test_dpop_works_end_to_end(authorization_server: AuthorizationServer) -> None:
    with sdk(authorization_server, inbound_dpop=InboundDPoPOptions(required=True)) as client:
        key = Key()
        token = authorization_server.bound_token(client.server.resource, key)
        proof = key.proof(token, client.server.resource)
        assert client.initialize(token, scheme="DPoP", dpop=proof).status_code == 200
        assert client.initialize(token, scheme="DPoP", dpop=proof).status_code == 401
        assert client.initialize(authorization_server.token(client.server.resource)).status_code == 401


class TestWithoutTheLayer:
    """`install_request_context` was forgotten."""

    def test_bearer_tokens_count(self, authorization_server: AuthorizationServer) -> None:
        with sdk(authorization_server, layer=False) as client:
            token = authorization_server.token(client.server.resource)
            assert client.initialize(token).status_code == 200

    def test_what_only_the_layer_can_check_is_refused(self, authorization_server: AuthorizationServer) -> None:
        with sdk(authorization_server, layer=False, tool_scopes={"write": ["mcp:write"]}) as client:
            token = authorization_server.token(client.server.resource)
            assert client.initialize(token).status_code == 401

    def test_bound_tokens_are_refused(self, authorization_server: AuthorizationServer) -> None:
        with sdk(authorization_server, layer=False, inbound_dpop=InboundDPoPOptions()) as client:
            key = Key()
            token = authorization_server.bound_token(client.server.resource, key)
            proof = key.proof(token, client.server.resource)
            assert client.initialize(token, dpop=proof).status_code == 401


async def test_the_layer_is_installed_once_and_only_where_it_belongs(
    authorization_server: AuthorizationServer,
) -> None:
    auth = await doorward_mcp_auth(authorization_server.issuer, "http://127.0.0.1:1/mcp", dev_mode=True)
    mcp: Any = Server("test", **auth)
    install_request_context(mcp)
    made = mcp.streamable_http_app
    install_request_context(mcp)
    assert mcp.streamable_http_app is made
    with pytest.raises(TypeError, match="doorward_mcp_auth"):
        install_request_context(Server("other"))
    assert sorted(auth) == ["auth", "token_verifier"]
    await auth.aclose()
    await auth.aclose()

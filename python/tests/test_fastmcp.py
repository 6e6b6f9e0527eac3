"""FastMCP behind the guard, over HTTP."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import AuthorizationServer, Client, Key, assert_no_spelling_gets_around, result_of, serving

pytest.importorskip("fastmcp")

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_access_token

from doorward import InboundDPoPOptions
from doorward.fastmcp import current_claims, doorward_auth


@contextmanager
def fastmcp(
    server: AuthorizationServer, extra: Callable[[Any], None] | None = None, **options: Any
) -> Iterator[Client]:
    async def make(base_url: str) -> tuple[Any, Any]:
        auth = await doorward_auth(issuer=server.issuer, base_url=base_url, dev_mode=True, **options)
        mcp: Any = FastMCP("test", **auth)

        @mcp.tool
        def whoami() -> dict[str, Any]:
            token = get_access_token()
            claims = current_claims()
            return {
                "sub": claims.sub,
                "jti": claims.jti,
                "token_jti": token.claims["jti"],
                "client_id": token.client_id,
                "scopes": token.scopes,
                "resource": token.resource,
            }

        @mcp.tool
        def write(x: str) -> str:
            return f"wrote {x}"

        @mcp.custom_route("/health", methods=["GET"])
        async def health(_request: Any) -> Any:
            from starlette.responses import PlainTextResponse

            return PlainTextResponse("well")

        if extra is not None:
            extra(mcp)
        return mcp.http_app(path="/mcp"), auth.aclose

    with serving(make) as running:
        yield Client(running)


def structured(response: Any) -> dict[str, Any]:
    return result_of(response)["result"]["structuredContent"]


def test_a_tool_sees_the_claims(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server, scopes=["mcp:read"]) as client:
        token = authorization_server.token(client.server.resource)
        session = client.session(token)
        seen = structured(client.call(token, "whoami", {}, session))
        assert seen["sub"] == "user-1"
        assert seen["client_id"] == "client-1"
        assert seen["scopes"] == ["mcp:read"]
        assert seen["resource"] == client.server.resource


def test_a_session_goes_on_with_a_new_token_and_tools_see_that_one(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server) as client:
        first = authorization_server.token(client.server.resource, jti="first")
        session = client.session(first)
        second = authorization_server.token(client.server.resource, jti="second")
        seen = structured(client.call(second, "whoami", {}, session))
        assert (seen["jti"], seen["token_jti"]) == ("second", "second")


def test_a_session_is_not_continued_by_somebody_else(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server) as client:
        session = client.session(authorization_server.token(client.server.resource))
        other = authorization_server.token(client.server.resource, sub="user-2")
        assert client.call(other, "whoami", {}, session).status_code == 404


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_no_spelling_of_the_path_gets_around_the_guard(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch, root_path: str
) -> None:
    """What the guard's layer takes for another path does not reach the server without a token."""
    monkeypatch.setattr("support.ROOT_PATH", root_path)
    with fastmcp(authorization_server) as client:
        assert_no_spelling_gets_around(client)


def test_no_credentials_lead_to_the_metadata(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server, scopes=["mcp:read"]) as client:
        response = client.initialize(None)
        assert response.status_code == 401
        challenge = response.headers["www-authenticate"]
        url = f"{client.server.base_url}/.well-known/oauth-protected-resource/mcp"
        assert challenge.startswith("Bearer ")
        assert "error=" not in challenge
        assert f'resource_metadata="{url}"' in challenge
        for address in (url, f"{client.server.base_url}/.well-known/oauth-protected-resource"):
            document = client.http.get(address)
            assert document.status_code == 200
            assert document.json()["authorization_servers"] == [authorization_server.issuer]
            assert document.json()["resource"] == client.server.resource
            assert document.json()["scopes_supported"] == ["mcp:read"]
            assert document.headers["access-control-allow-origin"] == "*"


def test_bad_tokens_are_invalid(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server) as client:
        resource = client.server.resource
        make = authorization_server.token
        for bad in (
            make(resource, exp=int(time.time()) - 120),
            make("http://elsewhere.example/mcp"),
            make(resource + "/"),
            make(resource, iss="http://other.example"),
            make(resource, typ="JWT"),
            make(resource, key=Key("unknown")),
            make(resource, client_id=None),
            "nonsense",
        ):
            response = client.initialize(bad)
            assert response.status_code == 401
            assert 'error="invalid_token"' in response.headers["www-authenticate"]
            assert response.json()["error"] == "invalid_token"


def test_a_clock_that_is_15_seconds_off_is_no_harm(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server) as client:
        token = authorization_server.token(client.server.resource, exp=int(time.time()) - 15)
        assert client.initialize(token).status_code == 200


def test_required_scopes_are_answered_with_403(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server, required_scopes=["mcp:admin"]) as client:
        response = client.initialize(authorization_server.token(client.server.resource))
        assert response.status_code == 403
        challenge = response.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="mcp:admin"' in challenge


def test_a_tool_that_needs_more_is_answered_with_403_before_it_runs(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server, tool_scopes={"write": ["mcp:write"]}) as client:
        little = authorization_server.token(client.server.resource)
        session = client.session(little)
        response = client.call(little, "write", {"x": "1"}, session)
        assert response.status_code == 403
        assert 'scope="mcp:write"' in response.headers["www-authenticate"]
        much = authorization_server.token(client.server.resource, scope="mcp:read mcp:write")
        answered = client.call(much, "write", {"x": "1"}, session)
        assert answered.status_code == 200
        assert "wrote 1" in answered.text


def test_fastmcps_own_require_scopes_works(authorization_server: AuthorizationServer) -> None:
    auth = pytest.importorskip("fastmcp.server.auth")
    if not hasattr(auth, "require_scopes"):
        pytest.skip("FastMCP 2 has no require_scopes")

    def extra(mcp: Any) -> None:
        @mcp.tool(auth=auth.require_scopes("mcp:admin"))
        def admin() -> str:
            return "only for admins"

    with fastmcp(authorization_server, extra) as client:
        little = authorization_server.token(client.server.resource)
        session = client.session(little)
        assert "only for admins" not in client.call(little, "admin", {}, session).text
        much = authorization_server.token(client.server.resource, scope="mcp:admin")
        assert "only for admins" in client.call(much, "admin", {}, session).text


def test_other_routes_stay_open(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server, tool_scopes={"write": ["mcp:write"]}) as client:
        health = f"{client.server.base_url}/health"
        assert client.http.get(health).text == "well"
        token = authorization_server.token(client.server.resource)
        assert client.http.get(health, headers={"authorization": f"Bearer {token}"}).text == "well"


def test_fastmcps_own_checks_are_left_to_routes_that_are_open(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doorward._adapter import TokenChecker

    asked: list[str] = []
    check = TokenChecker.check

    async def counted(self: TokenChecker, token: str) -> Any:
        asked.append(token)
        return await check(self, token)

    monkeypatch.setattr(TokenChecker, "check", counted)

    def extra(mcp: Any) -> None:
        @mcp.custom_route("/me", methods=["GET"])
        async def me(request: Any) -> Any:
            from starlette.responses import PlainTextResponse

            token = getattr(request.user, "access_token", None)
            return PlainTextResponse("nobody" if token is None else token.claims["sub"])

    with fastmcp(authorization_server, extra) as client:
        token = authorization_server.token(client.server.resource)
        seen = structured(client.call(token, "whoami", {}, client.session(token)))
        assert (seen["sub"], seen["client_id"]) == ("user-1", "client-1")
        assert asked == []
        me = f"{client.server.base_url}/me"
        assert client.http.get(me).text == "nobody"
        assert client.http.get(me, headers={"authorization": f"Bearer {token}"}).text == "user-1"
        assert asked == [token]


async def refuse(*_: Any) -> None:
    """Every token, as a provider would that knows of users who are banned."""


def of_another_class(mcp: Any) -> None:
    class Mine(type(mcp.auth)):  # type: ignore[misc]
        verify_token = refuse

    mcp.auth = Mine()


def on_the_instance(mcp: Any) -> None:
    mcp.auth.verify_token = refuse


def on_the_class(mcp: Any) -> None:
    type(mcp.auth).verify_token = refuse


@pytest.mark.parametrize("override", [of_another_class, on_the_instance, on_the_class])
def test_a_token_that_an_overridden_verify_token_refuses_gets_401(
    authorization_server: AuthorizationServer, override: Callable[[Any], None]
) -> None:
    with fastmcp(authorization_server, override) as client:
        response = client.initialize(authorization_server.token(client.server.resource))
        assert response.status_code == 401
        assert "error" in response.json()


def test_a_verify_token_that_is_overridden_while_the_server_runs_is_asked(
    authorization_server: AuthorizationServer,
) -> None:
    made: list[Any] = []
    with fastmcp(authorization_server, made.append) as client:
        token = authorization_server.token(client.server.resource)
        assert client.initialize(token).status_code == 200
        on_the_instance(made[0])
        assert client.initialize(token).status_code == 401


@pytest.mark.parametrize("runs", [False, True], ids=["before_the_server_is_made", "while_it_runs"])
@pytest.mark.parametrize("place", ["backend", "authentication", "context"])
def test_checks_that_somebody_has_patched_are_asked(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch, place: str, runs: bool
) -> None:
    from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
    from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
    from starlette.middleware.authentication import AuthenticationMiddleware

    owner, name = {
        "backend": (BearerAuthBackend, "authenticate"),
        "authentication": (AuthenticationMiddleware, "__call__"),
        "context": (AuthContextMiddleware, "__call__"),
    }[place]
    usual = getattr(owner, name)
    asked: list[str] = []

    # Called as the one that it takes the place of.
    @functools.wraps(usual)
    async def patched(*arguments: Any) -> Any:
        asked.append(name)
        return await usual(*arguments)

    if not runs:
        monkeypatch.setattr(owner, name, patched)
    with fastmcp(authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        if runs:
            assert client.initialize(token).status_code == 200
            assert asked == []
            monkeypatch.setattr(owner, name, patched)
        # The start of the application goes through them as well.
        asked.clear()
        assert client.initialize(token).status_code == 200
        assert asked == [name]


def test_a_framework_that_checks_in_another_way_is_asked(
    authorization_server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastmcp.server.auth import AuthProvider
    from starlette.middleware import Middleware

    passed: list[str] = []

    class Another:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                passed.append(scope["path"])
            await self.app(scope, receive, send)

    usual = AuthProvider.get_middleware
    monkeypatch.setattr(AuthProvider, "get_middleware", lambda self: [Middleware(Another), *usual(self)])
    with fastmcp(authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        assert structured(client.call(token, "whoami", {}, client.session(token)))["sub"] == "user-1"
        assert set(passed) == {"/mcp"}


def test_the_server_starts_without_the_authorization_server_and_heals(
    authorization_server: AuthorizationServer,
) -> None:
    authorization_server.is_down = True
    with fastmcp(authorization_server) as client:
        token = authorization_server.token(client.server.resource)
        response = client.initialize(token)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        authorization_server.is_down = False
        deadline = time.monotonic() + 15
        while (response := client.initialize(token)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert response.status_code == 200


class TestDPoP:
    """Bound tokens under the scheme DPoP."""

    @pytest.fixture
    def client(self, authorization_server: AuthorizationServer) -> Iterator[Client]:
        with fastmcp(authorization_server, inbound_dpop=InboundDPoPOptions()) as client:
            yield client

    def test_a_bound_token_counts_with_its_proof_once(
        self, authorization_server: AuthorizationServer, client: Client
    ) -> None:
        key = Key()
        token = authorization_server.bound_token(client.server.resource, key)
        proof = key.proof(token, client.server.resource)
        assert client.initialize(token, scheme="DPoP", dpop=proof).status_code == 200
        replayed = client.initialize(token, scheme="DPoP", dpop=proof)
        assert replayed.status_code == 401
        assert any(
            value.startswith("DPoP ") and "invalid_dpop_proof" in value
            for value in replayed.headers.get_list("www-authenticate")
        )

    def test_a_bound_token_is_no_bearer_token(self, authorization_server: AuthorizationServer, client: Client) -> None:
        key = Key()
        token = authorization_server.bound_token(client.server.resource, key)
        assert client.initialize(token).status_code == 401
        proof = key.proof(token, client.server.resource)
        assert client.initialize(token, dpop=proof).status_code == 401

    def test_a_proof_of_another_key_or_url_does_not_count(
        self, authorization_server: AuthorizationServer, client: Client
    ) -> None:
        key = Key()
        token = authorization_server.bound_token(client.server.resource, key)
        for proof in (
            Key().proof(token, client.server.resource),
            key.proof(token, client.server.base_url + "/other"),
            key.proof(token, client.server.resource, method="GET"),
            key.proof(token, client.server.resource, ath=None),
            key.proof(token, client.server.resource, iat=int(time.time()) - 400),
        ):
            assert client.initialize(token, scheme="DPoP", dpop=proof).status_code == 401

    def test_both_schemes_are_named_bearer_first(self, client: Client) -> None:
        challenges = client.initialize(None).headers.get_list("www-authenticate")
        assert [value.split(" ")[0] for value in challenges] == ["Bearer", "DPoP"]
        assert 'algs="' in challenges[1]

    def test_the_metadata_says_so(self, client: Client) -> None:
        document = client.http.get(f"{client.server.base_url}/.well-known/oauth-protected-resource/mcp").json()
        assert document["dpop_bound_access_tokens_required"] is False
        assert "ES256" in document["dpop_signing_alg_values_supported"]


def test_the_challenge_of_a_stateful_get_is_the_same(authorization_server: AuthorizationServer) -> None:
    with fastmcp(authorization_server) as client:
        for method in ("GET", "DELETE"):
            response = client.http.request(method, client.server.resource)
            assert response.status_code == 401

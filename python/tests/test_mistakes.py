"""A guard that cannot work is not made, and the message says what to write instead, in Python's words."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

import doorward
from doorward import ASCredentials, DoorwardClient, Guard, InboundDPoPOptions, TokenExchangeOptions
from doorward.errors import InvalidIssuerError, InvalidResourceError

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"
CREDENTIALS = ASCredentials("app", "secret")


@pytest.fixture(autouse=True)
def no_dev_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORWARD_DEV_MODE", raising=False)


@pytest.mark.parametrize(
    ("issuer", "fix"),
    [
        ("", "absolute"),
        ("as.example", "absolute"),
        ("/tenant", "absolute"),
        ("not a url", "percent-encode"),
        ("ftp://as.example", "must begin with https://"),
        ("http://as.example", "dev_mode=True"),
        ("http://10.0.0.1", "dev_mode=True"),
        ("https://AS.example", "lower case"),
        ("https://as.example?x", "must not have a query or fragment"),
        ("https://as.example#x", "must not have a query or fragment"),
        ("https://user@as.example", "must not have a user name"),
    ],
)
def test_an_issuer_that_is_none_is_refused(issuer: str, fix: str) -> None:
    for make in (
        lambda: Guard(issuer, RESOURCE),
        lambda: Guard(ISSUER, RESOURCE, more_issuers=[issuer]),
    ):
        with pytest.raises(InvalidIssuerError, match="the issuer") as raised:
            make()
        assert fix in str(raised.value)
        assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("resource", "fix"),
    [
        ("", "absolute"),
        ("/mcp", "absolute"),
        ("mcp.example/mcp", "absolute"),
        ("//mcp.example/mcp", "absolute"),
        ("http://mcp.example/mcp", "must begin with https://"),
        ("https://mcp.example/mcp#x", "fragment"),
        ("https://mcp.example/mcp#", "fragment"),
        ("https://user@mcp.example/mcp", "must not have a user name"),
        ("https://mcp.example/:mcp", "choose a plain path such as /mcp"),
    ],
)
def test_a_resource_that_is_none_is_refused(resource: str, fix: str) -> None:
    with pytest.raises(InvalidResourceError, match="resource") as raised:
        Guard(ISSUER, resource)
    assert fix in str(raised.value)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"scopes": "a b"}, TypeError, ["scopes must be a list", "['a', 'b']"]),
        ({"required_scopes": "a"}, TypeError, ["required_scopes must be a list"]),
        ({"tool_scopes": {"x": "a"}}, TypeError, ["tool_scopes['x'] must be a list"]),
        ({"scopes": [""]}, ValueError, ["at least one character"]),
        ({"scopes": ["a b"]}, ValueError, ["`a b`"]),
        ({"required_scopes": [""]}, ValueError, ["at least one character"]),
        ({"required_scopes": ["offline_access"]}, ValueError, ["`offline_access`", "leave it out"]),
        ({"tool_scopes": {"x": []}}, ValueError, ["`tool_scopes` names `x`", "leave `x` out"]),
        ({"prompt_scopes": {"x": []}}, ValueError, ["`prompt_scopes` names `x`"]),
        ({"resource_scopes": {"x:y": []}}, ValueError, ["`resource_scopes` names `x:y`"]),
        ({"resource_scopes": {"x:{y": ["a"]}}, ValueError, ["notes://{id}/body"]),
        ({"scope_hierarchy": {"admin": []}}, ValueError, ["`scope_hierarchy` names `admin`"]),
        ({"allowed_origins": ["*"]}, ValueError, ["https://app.example"]),
        ({"allowed_algorithms": ["HS256"]}, ValueError, ["HS256", "ES256"]),
        ({"allowed_algorithms": ["none"]}, ValueError, ["none", "ES256"]),
        ({"allowed_algorithms": []}, ValueError, ["at least one signature algorithm"]),
        ({"clock_skew_seconds": 61}, ValueError, ["60 seconds or less"]),
        ({"jwks_refresh_seconds": 0}, ValueError, ["jwks_refresh_seconds must be positive"]),
        ({"resource_metadata_url": "/prm"}, ValueError, ["`/prm`", "absolute"]),
        ({"resource_documentation": "docs"}, ValueError, ["`resource_documentation`", "absolute"]),
        ({"max_body": 0}, ValueError, ["`max_body`"]),
        ({"acr_values": ["a b"]}, ValueError, ["`acr_values`", "without spaces"]),
        ({"inbound_dpop": InboundDPoPOptions(max_proof_age_seconds=0)}, ValueError, ["at least one second"]),
        ({"inbound_dpop": InboundDPoPOptions(max_proof_age_seconds=3601)}, ValueError, ["at most an hour"]),
        ({"inbound_dpop": InboundDPoPOptions(allowed_proof_algorithms=[])}, ValueError, ["at least one"]),
        ({"inbound_dpop": InboundDPoPOptions(replay_capacity=0)}, ValueError, ["`replay_capacity`"]),
        ({"revocation_checker": doorward.RevocationFeed()}, ValueError, ["register one", "`as_credentials`"]),
        ({"revocation_checker": doorward.IntrospectionRevocation()}, ValueError, ["`as_credentials`"]),
        ({"issuer_credentials": {ISSUER: CREDENTIALS}}, ValueError, ["`as_credentials`", "`more_issuers`"]),
        ({"fetch_settings": doorward.FetchSettings(proxy="not a proxy")}, ValueError, ["proxy"]),
        ({"fetch_settings": doorward.FetchSettings(ca_certificates="not a certificate")}, ValueError, ["certificate"]),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_at_once(
    options: dict[str, Any], error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as raised:
        Guard(ISSUER, RESOURCE, **options)
    message = str(raised.value)
    assert all(word in message for word in words), message
    # Names that only Rust has would send people looking.
    assert not any(name in message for name in ("client_auth", "dev_mode(", "dpop_", "require_acr", "implies"))


class Hook:
    async def __call__(self, _decision: Any) -> None:
        raise AssertionError("nobody awaits it")

    async def method(self, _decision: Any) -> None:
        raise AssertionError("nobody awaits it")


@pytest.mark.parametrize("hook", [Hook(), Hook().method, functools.partial(Hook.method, Hook()), "hook"])
def test_a_hook_that_nobody_would_await_is_refused(hook: Any) -> None:
    with pytest.raises(TypeError, match="on_decision must be a plain function"):
        Guard(ISSUER, RESOURCE, on_decision=hook)


async def test_a_client_of_no_issuer_is_refused() -> None:
    for issuer in ("", "as.example", "http://as.example", "https://as.example#x"):
        with pytest.raises(InvalidIssuerError, match="the issuer"):
            await DoorwardClient.create(issuer)


@pytest.mark.parametrize("arguments", [("", "secret"), ("app", ""), ("app", None)])
def test_credentials_are_whole(arguments: tuple[str, str | None]) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        ASCredentials(*arguments)


def test_an_issuer_over_http_is_for_development(monkeypatch: pytest.MonkeyPatch) -> None:
    Guard("http://localhost:9000", "http://127.0.0.1:8080/mcp")
    Guard("http://as.internal", RESOURCE, dev_mode=True)
    with pytest.raises(InvalidIssuerError):
        Guard("http://as.internal", RESOURCE, dev_mode=False)
    monkeypatch.setenv("DOORWARD_DEV_MODE", "true")
    Guard("http://as.internal", RESOURCE)


@pytest.mark.parametrize(
    ("adapter", "connect", "where"),
    [
        ("doorward.fastmcp", "doorward_auth", {"base_url": "https://mcp.example"}),
        ("doorward.mcp", "doorward_mcp_auth", {"resource": RESOURCE}),
    ],
)
def test_one_string_is_no_list_of_scopes_for_an_adapter_either(
    adapter: str, connect: str, where: dict[str, str]
) -> None:
    with pytest.raises(TypeError, match=r"write \['mcp:echo'\]"):
        asyncio.run(getattr(pytest.importorskip(adapter), connect)(issuer=ISSUER, scopes="mcp:echo", **where))


@pytest.mark.parametrize("base_url", ["https://mcp.example?x=1", "https://mcp.example/#x"])
def test_a_base_url_is_an_address_alone(base_url: str) -> None:
    adapter = pytest.importorskip("doorward.fastmcp")
    with pytest.raises(ValueError, match="no query and no fragment"):
        asyncio.run(adapter.doorward_auth(issuer=ISSUER, base_url=base_url))


def test_a_base_url_that_ends_with_the_path_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("fastmcp")
    adapter = pytest.importorskip("doorward.fastmcp")

    async def connect() -> None:
        await (await adapter.doorward_auth(issuer=ISSUER, base_url="https://mcp.example/mcp")).aclose()

    asyncio.run(connect())
    assert "https://mcp.example/mcp/mcp" in caplog.text


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"scope": ["mail.read"]}, "one string, with spaces"),
        ({"resources": "https://mail.example/"}, r"write \['https://mail.example/'\]"),
        ({"audiences": "mail"}, r"write \['mail'\]"),
    ],
)
def test_what_an_exchange_asks_for_has_its_type(options: dict[str, Any], fix: str) -> None:
    with pytest.raises(TypeError, match=fix):
        TokenExchangeOptions(subject_token="t", **options)

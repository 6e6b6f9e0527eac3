"""A guard that cannot work is not made, and the message says what to write instead, in Python's words."""

from __future__ import annotations

import asyncio
import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support import AuthorizationServer

import doorward
from doorward import (
    ASCredentials,
    DoorwardClient,
    FetchSettings,
    Guard,
    InboundDPoPOptions,
    IntrospectionRevocation,
    PrivateKey,
    TokenExchangeOptions,
)
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
        ({"jwks_refresh_seconds": 0}, ValueError, ["jwks_refresh_seconds must be 1 or more"]),
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
    assert not names_rust(message)


def names_rust(message: str) -> bool:
    """Names that only Rust has would send people looking."""
    names = ("client_auth", "dev_mode(", "dpop_", "require_acr", "implies", "Settings.", "extract", "convert")
    return any(name in message for name in names)


@pytest.mark.parametrize(
    ("options", "error", "fix"),
    [
        ({"clock_skew_seconds": -1}, ValueError, "clock_skew_seconds must be 0 or more, not -1"),
        ({"clock_skew_seconds": 30.5}, TypeError, "clock_skew_seconds must be a whole number, not 30.5"),
        ({"clock_skew_seconds": None}, TypeError, "clock_skew_seconds must be a whole number, not None"),
        ({"clock_skew_seconds": True}, TypeError, "clock_skew_seconds must be a whole number, not True"),
        ({"jwks_refresh_seconds": 2**70}, ValueError, "jwks_refresh_seconds must be 9223372036854775807 or less"),
        ({"cache_max_entries": -1}, ValueError, "cache_max_entries must be 0 or more"),
        ({"max_body": -1}, ValueError, "max_body must be 0 or more"),
        ({"max_body": "4M"}, TypeError, "max_body must be a whole number, not '4M'"),
        ({"max_login_age_seconds": -1}, ValueError, "max_login_age_seconds must be 0 or more"),
        ({"max_login_age_seconds": "1h"}, TypeError, "max_login_age_seconds must be a whole number"),
        ({"hide_unavailable": "no"}, TypeError, "hide_unavailable must be True or False, not 'no'"),
        ({"root_metadata": 0}, TypeError, "root_metadata must be True or False"),
        ({"bind_sessions": None}, TypeError, "bind_sessions must be True or False"),
        ({"end_streams_with_token": 1}, TypeError, "end_streams_with_token must be True or False"),
        ({"dev_mode": "true"}, TypeError, "dev_mode must be True or False"),
        ({"fail_closed": "yes"}, TypeError, "fail_closed must be True or False"),
        ({"allowed_algorithms": "ES256"}, TypeError, "allowed_algorithms must be a list of strings, not one string"),
        ({"more_issuers": 5}, TypeError, "more_issuers must be a list of strings, not 5"),
        ({"scopes": [5]}, TypeError, "scopes must be a list of strings, and 5 is none"),
        ({"tool_scopes": ["a"]}, TypeError, "tool_scopes must be a mapping"),
        ({"issuer_credentials": [CREDENTIALS]}, TypeError, "issuer_credentials must be a mapping (dict), not list"),
        ({"tool_scopes": {5: ["a"]}}, TypeError, "a name in tool_scopes must be a string"),
        ({"resource_name": 5}, TypeError, "resource_name must be a string"),
        ({"resource_metadata_url": b"x"}, TypeError, "resource_metadata_url must be a string (str), not bytes"),
        ({"transport": 5}, TypeError, "transport must be a function"),
        ({"clock": 5}, TypeError, "clock must be a function"),
        ({"inbound_dpop": True}, TypeError, "inbound_dpop must be InboundDPoPOptions"),
        ({"as_credentials": ("app", "secret")}, TypeError, "credentials must be ASCredentials"),
        ({"fetch_settings": {}}, TypeError, "fetch_settings must be FetchSettings"),
    ],
)
def test_a_setting_of_another_type_or_out_of_range_is_named(
    options: dict[str, Any], error: type[Exception], fix: str
) -> None:
    with pytest.raises(error) as raised:
        Guard(ISSUER, RESOURCE, **options)
    assert str(raised.value).startswith(fix)
    assert not names_rust(str(raised.value))


SECRET = b"a-secret-of-bytes"


@pytest.mark.parametrize(
    ("make", "error", "fix"),
    [
        (lambda: Guard(None, RESOURCE), TypeError, "issuer must be a string"),  # type: ignore[arg-type]
        (lambda: Guard(ISSUER, b"x"), TypeError, "resource must be a string"),  # type: ignore[arg-type]
        (lambda: ASCredentials("app", SECRET), TypeError, "client_secret must be a string (str), not bytes"),  # type: ignore[arg-type]
        (lambda: ASCredentials("app", private_key="pem"), TypeError, "private_key must be a PrivateKey"),  # type: ignore[arg-type]
        (lambda: PrivateKey(SECRET), TypeError, "pem must be a string (str), not bytes"),  # type: ignore[arg-type]
        (lambda: FetchSettings(timeout=0), ValueError, "timeout must be a number of seconds, more than 0"),
        (lambda: FetchSettings(timeout=-1), ValueError, "timeout must be a number of seconds, more than 0"),
        (lambda: FetchSettings(timeout=math.nan), ValueError, "timeout must be a number of seconds, more than 0"),
        (lambda: FetchSettings(timeout=math.inf), ValueError, "timeout must be a number of seconds, more than 0"),
        (lambda: FetchSettings(timeout=1e300), ValueError, "timeout must be a number of seconds, more than 0"),
        (lambda: FetchSettings(timeout="5s"), TypeError, "timeout must be a number of seconds, not '5s'"),  # type: ignore[arg-type]
        (lambda: FetchSettings(proxy=b"x"), TypeError, "proxy must be a string"),  # type: ignore[arg-type]
        (lambda: IntrospectionRevocation(max_entries=-1), ValueError, "max_entries must be 0 or more"),
        (lambda: IntrospectionRevocation(ttl_seconds="5s"), TypeError, "ttl_seconds must be a number of seconds"),  # type: ignore[arg-type]
        (lambda: InboundDPoPOptions(max_proof_age_seconds=-1), ValueError, "max_proof_age_seconds must be 0 or more"),
        (lambda: InboundDPoPOptions(clock_skew_seconds=0.5), TypeError, "clock_skew_seconds must be a whole number"),  # type: ignore[arg-type]
        (lambda: InboundDPoPOptions(replay_capacity=-1), ValueError, "replay_capacity must be 0 or more"),
        (lambda: InboundDPoPOptions(replay_per_key=-1), ValueError, "replay_per_key must be 0 or more"),
        (lambda: InboundDPoPOptions(required="yes"), TypeError, "required must be True or False"),  # type: ignore[arg-type]
        (lambda: InboundDPoPOptions(nonce_keys=b"x" * 32), TypeError, "nonce_keys must be a list of keys"),  # type: ignore[arg-type]
        (lambda: InboundDPoPOptions(nonce_keys=["x" * 32]), TypeError, "nonce_keys must be keys of bytes"),  # type: ignore[list-item]
        (lambda: InboundDPoPOptions(nonce_keys=[b"x"]), ValueError, "nonce_keys must be keys of 32 random bytes"),
    ],
)
def test_options_say_themselves_what_they_cannot_be(
    make: Callable[[], object], error: type[Exception], fix: str
) -> None:
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value).startswith(fix)
    assert SECRET.decode() not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "error", "fix"),
    [
        ({"circuit_breaker_threshold": -1}, ValueError, "circuit_breaker_threshold must be 0 or more"),
        ({"circuit_breaker_cooldown_seconds": math.nan}, ValueError, "circuit_breaker_cooldown_seconds must be"),
        ({"cache_ttl_buffer_seconds": -1}, ValueError, "cache_ttl_buffer_seconds must be a number of seconds"),
        ({"default_ttl_seconds": "1h"}, TypeError, "default_ttl_seconds must be a number of seconds"),
        ({"cache_max_entries": -1}, ValueError, "cache_max_entries must be 0 or more"),
        ({"metadata_refresh_seconds": 0}, ValueError, "metadata_refresh_seconds must be 1 or more"),
        ({"request_state_keys": b"x" * 32}, TypeError, "request_state_keys must be a list of keys"),
        ({"dpop": "pem"}, TypeError, "dpop must be a PrivateKey"),
        ({"auth": ("app", "secret")}, TypeError, "credentials must be ASCredentials"),
        ({"transport": 5}, TypeError, "transport must be a function"),
        ({"clock": 5}, TypeError, "clock must be a function"),
    ],
)
async def test_a_setting_of_a_client_is_named(options: dict[str, Any], error: type[Exception], fix: str) -> None:
    with pytest.raises(error) as raised:
        await DoorwardClient.create(ISSUER, **options)
    assert str(raised.value).startswith(fix)
    assert not names_rust(str(raised.value))


async def test_the_largest_times_and_sizes_are_taken(authorization_server: AuthorizationServer) -> None:
    most = sys.maxsize
    async with Guard(
        authorization_server.issuer,
        RESOURCE,
        jwks_refresh_seconds=most,
        max_body=most,
        max_login_age_seconds=most,
        cache_max_entries=most,
        fetch_settings=FetchSettings(allow_http=True, timeout=float(2**60)),
    ) as guard:
        token = authorization_server.token(RESOURCE, auth_time=1)
        assert (await guard.verify(token)).sub == "user-1"


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

"""Authlib, for a second opinion: people's and programs' grants, introspection, revocation."""

from __future__ import annotations

import sys
import time
from functools import partial
from importlib.metadata import version
from typing import Any

import browser
import httpx
from assertion_keys import pem, private_key, public_jwk
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from machine import GRANT_EXCHANGE, register
from steps import MCP_URL, Checks, expect, metadata

CALLBACK = "http://127.0.0.1:33445/callback"
METADATA = metadata()
TOKEN_ENDPOINT = str(METADATA["token_endpoint"])
GRANTS = METADATA["grant_types_supported"]
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "doorward-e2e", "version": "1.0.0"},
    },
}

checks = Checks(f"authlib {version('authlib')}")


def session(client: dict[str, Any], **more: Any) -> OAuth2Client:
    method = client["token_endpoint_auth_method"]
    more = {"redirect_uri": CALLBACK, "code_challenge_method": "S256", "timeout": 20, **more}
    return OAuth2Client(client["client_id"], client.get("client_secret"), token_endpoint_auth_method=method, **more)


def taken(http: OAuth2Client) -> None:
    """The guard of the example server takes the session's token."""
    accepted = {"Accept": "application/json, text/event-stream"}
    answer = http.post(MCP_URL, json=INITIALIZE, headers=accepted)
    expect(answer.status_code == 200, f"the guard answered {answer.status_code}: {answer.text}")


def introspect(http: OAuth2Client, token: str) -> dict[str, Any]:
    answer = http.introspect_token(str(METADATA["introspection_endpoint"]), token=token)
    expect(answer.status_code == 200, f"{answer.status_code}: {answer.text}")
    return answer.json()


def refused(error: str, attempt: Any) -> str:
    try:
        answer = attempt()
    except OAuthError as refusal:
        expect(refusal.error == error, f"{refusal.error}: {refusal.description}")
        expect(refusal.description, "the error does not say what to change")
        return str(refusal.description)
    raise AssertionError(f"it was not refused: {answer}")


def code(client: dict[str, Any], **parameters: str) -> tuple[OAuth2Client, str, str]:
    """Where the person's visit ends, and the verifier."""
    http = session(client, scope="mcp:read offline_access")
    verifier = "a" * 43
    url, state = http.create_authorization_url(
        str(METADATA["authorization_endpoint"]), code_verifier=verifier, resource=MCP_URL, **parameters
    )
    http.state = state
    return http, browser.open_url(url, deliver=False), verifier


def people() -> None:
    wanted = {"client_name": checks.client, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    wanted["grant_types"] = ["authorization_code", "refresh_token"]
    answer = httpx.post(str(METADATA["registration_endpoint"]), json=wanted, timeout=20)
    client = answer.json()
    with checks.step("code and PKCE, registered by itself"):
        http, callback, verifier = code(client)
        token = http.fetch_token(TOKEN_ENDPOINT, authorization_response=callback, code_verifier=verifier)
        expect(token["refresh_token"], "no refresh token")
        taken(http)
        checks.detail = token["scope"]
    with checks.step("a wrong verifier"):
        other, callback, _ = code(client)
        attempt = partial(other.fetch_token, TOKEN_ENDPOINT, authorization_response=callback, code_verifier="b" * 43)
        checks.detail = refused("invalid_grant", attempt)
    with checks.step("refresh"):
        renewed = http.refresh_token(TOKEN_ENDPOINT, refresh_token=token["refresh_token"])
        expect(renewed["access_token"] != token["access_token"], "the access token is still the old one")
        expect(renewed["refresh_token"] != token["refresh_token"], "the refresh token was not rotated")
        taken(http)
    with checks.step("revocation"):
        http.revoke_token(
            str(METADATA["revocation_endpoint"]), token=renewed["refresh_token"], token_type_hint="refresh_token"
        ).raise_for_status()
        attempt = partial(http.refresh_token, TOKEN_ENDPOINT, refresh_token=renewed["refresh_token"])
        checks.detail = refused("invalid_grant", attempt)


def secrets() -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        with checks.step(f"client credentials, {method}"):
            client = register(client_name=method, grant_types=["client_credentials"], token_endpoint_auth_method=method)
            http = session(client)
            token = http.fetch_token(
                TOKEN_ENDPOINT, grant_type="client_credentials", scope="mcp:read", resource=MCP_URL
            )
            expect("refresh_token" not in token, "a program got a refresh token")
            taken(http)
            told = introspect(http, token["access_token"])
            expect(told["active"] and told["client_id"] == client["client_id"], str(told))
            http.revoke_token(str(METADATA["revocation_endpoint"]), token=token["access_token"]).raise_for_status()
            told = introspect(http, token["access_token"])
            expect(told == {"active": False}, str(told))
            stranger = session({**client, "client_secret": "not the secret"})
            attempt = partial(stranger.fetch_token, TOKEN_ENDPOINT, grant_type="client_credentials", resource=MCP_URL)
            checks.detail = refused("invalid_client", attempt)


def signing(client: dict[str, Any], private: str, algorithm: str, **claims: object) -> OAuth2Client:
    http = session({**client, "client_secret": private_key(private, algorithm)})
    # One audience is the token endpoint, as this library has it.
    method = PrivateKeyJWT(TOKEN_ENDPOINT, claims=claims or None, headers={"kid": "k1"}, alg=algorithm)
    http.register_client_auth_method(method)
    return http


def assertions() -> None:
    for algorithm in ("ES256", "RS256", "PS256", "Ed25519"):
        with checks.step(f"private_key_jwt, {algorithm}"):
            private = pem(algorithm)
            keys = {"keys": [public_jwk(private, algorithm, kid="k1")]}
            client = register(client_name=algorithm, grant_types=["client_credentials"], jwks=keys)
            wanted = {"grant_type": "client_credentials", "scope": "mcp:read", "resource": MCP_URL}
            short = int(time.time()) + 60
            http = signing(client, private, algorithm, exp=short)
            token = http.fetch_token(TOKEN_ENDPOINT, **wanted)
            taken(http)
            # The library keeps the `jti` of given claims: one object, one assertion.
            told = introspect(signing(client, private, algorithm, exp=short), token["access_token"])
            expect(told["active"] and told["sub"] == client["client_id"], str(told))
            # Its own choice is an hour, which is too long for a proof of this moment.
            long = signing(client, private, algorithm)
            checks.detail = refused("invalid_client", partial(long.fetch_token, TOKEN_ENDPOINT, **wanted))


def exchange() -> None:
    with checks.step("token exchange"):
        client = register(client_name="narrow", grant_types=["client_credentials", GRANT_EXCHANGE])
        http = session(client)
        subject = http.fetch_token(TOKEN_ENDPOINT, grant_type="client_credentials", resource=MCP_URL)
        narrow = {"subject_token": subject["access_token"], "subject_token_type": ACCESS_TOKEN, "resource": MCP_URL}
        token = http.fetch_token(TOKEN_ENDPOINT, grant_type=GRANT_EXCHANGE, scope="mcp:read", **narrow)
        expect(token["scope"] == "mcp:read" and token["issued_token_type"] == ACCESS_TOKEN, str(token))
        told = introspect(http, token["access_token"])
        expect(told["active"] and told["act"]["sub"] == client["client_id"], str(told))
        wider = {**narrow, "subject_token": token["access_token"]}
        attempt = partial(http.fetch_token, TOKEN_ENDPOINT, grant_type=GRANT_EXCHANGE, scope="mcp:write", **wider)
        checks.detail = refused("invalid_scope", attempt)


people()
for grant, run in (("client_credentials", secrets), ("client_credentials", assertions), (GRANT_EXCHANGE, exchange)):
    if grant in GRANTS:
        run()
    else:
        checks.not_offered(run.__name__, grant)
sys.exit(checks.failed)

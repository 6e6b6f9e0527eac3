"""The official SDK's providers for programs, 1.x and 2.x, and FastMCP with them or with its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from typing import Any

import jwt
from assertion_keys import pem, public_jwk
from fastmcp import Client
from machine import GRANT_JWT_BEARER, admin, register
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp_client import SDK, MemoryStorage, connect
from steps import ISSUER, MCP_URL, Checks, browser_walks, expect, metadata

GENERATION = int(SDK.split(".")[0])
FASTMCP = version("fastmcp")
METADATA = metadata()
GRANTS = METADATA["grant_types_supported"]
SCOPE = "scopes" if GENERATION == 1 else "scope"


def with_secret(scope: str | None, method: str) -> tuple[str, Any]:
    client = register(client_name=method, grant_types=["client_credentials"], token_endpoint_auth_method=method)
    provider = ClientCredentialsOAuthProvider(
        server_url=MCP_URL,
        storage=MemoryStorage(),
        client_id=client["client_id"],
        client_secret=client["client_secret"],
        token_endpoint_auth_method=method,
        issuer=ISSUER,
        **{SCOPE: scope},
    )
    return client["client_id"], provider


def keys(algorithm: str) -> tuple[str, Any]:
    """A client that is registered with a key, and what signs its assertions."""
    private = pem(algorithm)
    jwks = {"keys": [public_jwk(private, algorithm)]}
    client = register(client_name=algorithm, grant_types=["client_credentials"], jwks=jwks)
    expect(client["token_endpoint_auth_method"] == "private_key_jwt", str(client))
    client_id = client["client_id"]
    signing_algorithm = "EdDSA" if algorithm == "Ed25519" else algorithm
    signed = SignedJWTParameters(
        issuer=client_id, subject=client_id, signing_key=private, signing_algorithm=signing_algorithm
    )
    return client_id, signed.create_assertion_provider()


def with_keys(algorithm: str) -> tuple[str, Any]:
    client_id, assertion_provider = keys(algorithm)
    provider = PrivateKeyJWTOAuthProvider(
        server_url=MCP_URL,
        storage=MemoryStorage(),
        client_id=client_id,
        assertion_provider=assertion_provider,
        issuer=ISSUER,
        **{SCOPE: "mcp:read"},
    )
    return client_id, provider


async def call(session: Any, name: str, arguments: dict[str, Any]) -> str:
    result = await session.call_tool(name, arguments)
    text = "".join(getattr(part, "text", "") for part in result.content)
    if result.is_error if hasattr(result, "is_error") else result.isError:
        raise RuntimeError(text)
    snake = hasattr(result, "structured_content")
    return text + json.dumps(result.structured_content if snake else result.structuredContent)


async def walk(session: Any, client_id: str) -> None:
    """A program calls tools, and steps up for the one that wants more."""
    expect("through the door" in await call(session, "echo", {"text": "through the door"}), "echo did not echo")
    expect(client_id in await call(session, "whoami", {}), "whoami does not name the client")
    await call(session, "write", {"x": "ink"})
    expect(not browser_walks(), "a program opened the browser")


async def by_sdk(checks: Checks, name: str, make: Callable[[], tuple[str, Any]], walked: Any = walk) -> None:
    with checks.step(name):
        client_id, provider = make()
        async with AsyncExitStack() as stack:
            session = await connect(stack, provider)
            await walked(session, client_id)
        tokens = provider.context.current_tokens if hasattr(provider, "context") else None
        checks.detail = (tokens and tokens.scope) or ""


async def by_fastmcp(checks: Checks, name: str, made: tuple[str, Any]) -> None:
    client_id, provider = made
    with checks.step(name):
        async with Client(MCP_URL, auth=provider, timeout=60) as session:
            await walk(session, client_id)


def fastmcps_own() -> list[tuple[str, tuple[str, Any]]]:
    """FastMCP has providers of its own since 4; before, it takes the SDK's."""
    secret = "client_secret_basic"
    if int(FASTMCP.split(".")[0]) < 4:
        return [("client credentials", with_secret("mcp:read", secret)), ("private key", with_keys("RS256"))]
    from fastmcp.client.auth import ClientCredentialsOAuthProvider as Own
    from fastmcp.client.auth import PrivateKeyJWTOAuthProvider as OwnWithKeys

    client = register(client_name=secret, grant_types=["client_credentials"])
    client_id, assertion_provider = keys("RS256")
    return [
        (
            "client credentials",
            (
                client["client_id"],
                Own(client_id=client["client_id"], client_secret=client["client_secret"], issuer=ISSUER),
            ),
        ),
        (
            "private key",
            (
                client_id,
                OwnWithKeys(
                    client_id=client_id, assertion_provider=assertion_provider, scopes=["mcp:read"], issuer=ISSUER
                ),
            ),
        ),
    ]


def identity(scope: str) -> tuple[str, Any]:
    """An enterprise's identity provider vouches for a person (SEP-990): no browser, no consent page."""
    from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

    slug, private = f"idp-{uuid.uuid4().hex[:8]}", pem("ES256")
    idp = f"https://{slug}.example"
    client = register(
        client_name="enterprise", grant_types=[GRANT_JWT_BEARER], token_endpoint_auth_method="client_secret_post"
    )
    jwks = {"keys": [public_jwk(private, "ES256", kid="idp", alg="ES256")]}
    rule = {"name": "readers", "client_ids": [client["client_id"]], "resource": MCP_URL, "scope": "mcp:read"}
    trusted = {"slug": slug, "kind": "identity_provider", "issuer": idp, "jwks": jwks, "rules": [rule]}
    admin("POST", "trusted-issuers", trusted)
    people = {person["email"]: person["id"] for person in admin("GET", "users")["items"]}
    linked = {"subject": "ada-at-the-idp", "user": people[os.environ["E2E_EMAIL"]]}
    admin("POST", f"trusted-issuers/{slug}/subjects", linked)

    async def assertion(audience: str, resource: str) -> str:
        now = int(time.time())
        claims = {"iss": idp, "sub": "ada-at-the-idp", "email": "ada@example.com", "aud": audience}
        claims |= {"resource": resource, "client_id": client["client_id"], "scope": scope}
        claims |= {"iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}
        return jwt.encode(claims, private, "ES256", headers={"typ": "oauth-id-jag+jwt", "kid": "idp"})

    provider = IdentityAssertionOAuthProvider(
        server_url=MCP_URL,
        storage=MemoryStorage(),
        client_id=client["client_id"],
        client_secret=client["client_secret"],
        issuer=ISSUER,
        assertion_provider=assertion,
        scope=scope,
    )
    return client["client_id"], provider


async def for_a_person(session: Any, client_id: str) -> None:
    told = json.JSONDecoder().raw_decode(await call(session, "whoami", {}))[0]["claims"]
    expect(told["client_id"] == client_id, "whoami does not name the client")
    people = {person["id"] for person in admin("GET", "users")["items"]}
    expect(told["sub"] in people, f"the token is for {told['sub']}")
    expect(told["scope"] == "mcp:read", f"its scope is {told['scope']}")
    expect(not browser_walks(), "somebody opened the browser")


async def main() -> None:
    checks = Checks(f"mcp {SDK}")
    if "client_credentials" not in GRANTS:
        checks.not_offered("providers for programs", "client_credentials")
        return
    # The SDK 1.x posts the secret without the client_id that RFC 6749 section 2.3.1 wants beside it.
    for method in ("client_secret_basic", "client_secret_post")[:GENERATION]:
        await by_sdk(checks, f"client credentials, {method}", partial(with_secret, "mcp:read", method))
    # Without a scope of its own, the client asks for what the guard's metadata says.
    await by_sdk(checks, "client credentials, no scope", partial(with_secret, None, "client_secret_basic"))
    for algorithm in ("ES256", "RS256", "PS256", "Ed25519"):
        await by_sdk(checks, f"private key, {algorithm}", partial(with_keys, algorithm))
    if GENERATION > 1 and GRANT_JWT_BEARER in GRANTS:
        await by_sdk(checks, "identity assertion", partial(identity, "mcp:read"), for_a_person)
        # The provider vouches for more than its rule here allows, and the client asks for all of it.
        await by_sdk(checks, "identity assertion for more", partial(identity, "mcp:read mcp:write"), for_a_person)
    elif GENERATION > 1:
        checks.not_offered("identity assertion", GRANT_JWT_BEARER)

    checks_of_fastmcp = Checks(f"fastmcp {FASTMCP}")
    for name, made in fastmcps_own():
        await by_fastmcp(checks_of_fastmcp, name, made)
    sys.exit(checks.failed or checks_of_fastmcp.failed)


asyncio.run(main())

"""What programs write. A type checker finds nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import doorward
from doorward import (
    ASCredentials,
    Decision,
    DoorwardClient,
    DoorwardError,
    DPoPRequest,
    FetchSettings,
    Guard,
    GuardOptions,
    InboundDPoPOptions,
    InsufficientScopeError,
    IntrospectionRevocation,
    RevocationChecker,
    RevocationFeed,
    UsedProof,
    VerifiedClaims,
    VerifiedDPoPProof,
)
from doorward.asgi import GuardMiddleware
from doorward.fastmcp import doorward_auth
from doorward.mcp import doorward_mcp_auth

ISSUER, RESOURCE = "https://as.example", "https://mcp.example/mcp"


def plain_checker(claims: VerifiedClaims, token: str) -> bool:
    return claims.jti == token


async def checker(_claims: VerifiedClaims, _token: str) -> bool:
    return False


class Checker:
    async def __call__(self, claims: VerifiedClaims, token: str) -> bool:
        return claims.jti == token


class Store:
    async def insert(self, proof: UsedProof, now: int) -> bool:
        return proof.until > now


class PlainStore:
    def insert(self, proof: UsedProof, now: int) -> bool:
        return proof.until > now


async def transport(
    _method: str, _url: str, _headers: Mapping[str, str], _body: bytes | None
) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b""


def typed_hook(decision: Decision) -> None:
    if decision["claims"] is not None and not decision["allowed"]:
        print(decision["claims"].sub, decision["reason"], decision["needed_scopes"])


def older_hook(decision: Mapping[str, Any]) -> None:
    print(decision["allowed"])


checkers: list[RevocationChecker | IntrospectionRevocation | RevocationFeed | None] = [
    None,
    plain_checker,
    checker,
    Checker(),
    lambda _claims, _token: True,
    RevocationFeed(),
    IntrospectionRevocation(ttl_seconds=0),
]
guards = [Guard(ISSUER, RESOURCE, revocation_checker=chosen) for chosen in checkers]
hooks: list[Callable[[Decision], None]] = [typed_hook, older_hook]
options: GuardOptions = {"max_body": 1024, "more_issuers": ["https://b.example"], "on_decision": typed_hook}


async def application(_scope: Any, _receive: Any, _send: Any) -> None:
    pass


async def use() -> None:
    dpop = InboundDPoPOptions(replay_store=Store(), nonce_keys=[b"x" * 32])
    credentials = ASCredentials("id", "secret", method="client_secret_post")
    async with Guard(ISSUER, RESOURCE, ["a"], inbound_dpop=dpop, transport=transport, on_decision=older_hook) as guard:
        try:
            claims = await guard.verify("token", DPoPRequest("POST", RESOURCE, None))
            guard.require_named(claims, "prompt", "summary")
            has: bool = claims.has_claim("sub", None)
            thumbprint: str | None = claims.dpop_proof.jkt if claims.dpop_proof and has else None
            print(VerifiedDPoPProof(thumbprint or "x"))
        except InsufficientScopeError as error:
            print(error.required_scopes)
        except doorward.TokenExpiredError as expired:
            status, headers = doorward.response_headers_for(expired)
            print(status, headers)
        except DoorwardError as other:
            print(other.reason)
        if guard.revocation_status().state == "disconnected":
            print(guard.revocation_statuses())
        middleware: GuardMiddleware = guard.protect(application, path="/mcp", public=["/health"])
        print(middleware)
    Guard(ISSUER, RESOURCE, inbound_dpop=InboundDPoPOptions(replay_store=PlainStore()), **options)
    async with await DoorwardClient.create(ISSUER, auth=credentials, fetch_settings=FetchSettings(timeout=5)) as client:
        client.resource(RESOURCE, tool_scopes={"write": ["a"]}, hide_unavailable=True)
        token_type: Literal["Bearer", "DPoP", "N_A"] = (await client.client_credentials(["a"])).token_type
        print(token_type)
    await doorward_auth(ISSUER, "https://mcp.example", required_scopes=["a"], max_login_age_seconds=60)
    await doorward_mcp_auth(ISSUER, RESOURCE, tool_scopes={"write": ["a"]}, **options)

"""What a type checker must find, line by line: each names the code of its error."""

from __future__ import annotations

from typing import Any

from doorward import ASCredentials, Decision, DoorwardClient, FetchSettings, Guard, InboundDPoPOptions, VerifiedClaims
from doorward.fastmcp import doorward_auth
from doorward.mcp import doorward_mcp_auth

ISSUER, RESOURCE = "https://as.example", "https://mcp.example/mcp"


def checker_of_one(_claims: VerifiedClaims) -> bool:
    return False


async def asynchronous_hook(_decision: Decision) -> None:
    pass


def misspelt_hook(decision: Decision) -> None:
    print(decision["allwed"])  # typeddict-item


class NoStore:
    def insert(self, proof: str) -> bool:
        return bool(proof)


async def application(_scope: Any, _receive: Any, _send: Any) -> None:
    pass


async def use(guard: Guard, claims: VerifiedClaims, client: DoorwardClient) -> None:
    await doorward_auth(ISSUER, "https://mcp.example", tool_scoopes={"a": ["b"]})  # call-arg
    await doorward_auth(ISSUER, "https://mcp.example", more_issuers=5)  # arg-type
    await doorward_auth(ISSUER, "https://mcp.example", on_decision="x")  # arg-type
    await doorward_auth(ISSUER, "https://mcp.example", hide_unavailable="no")  # arg-type
    await doorward_mcp_auth(ISSUER, RESOURCE, prompt_scopes=3)  # arg-type
    await doorward_mcp_auth(ISSUER, RESOURCE, max_login_age_seconds="1h")  # arg-type
    client.resource(RESOURCE, tool_scoopes={"a": ["b"]})  # call-arg
    client.resource(RESOURCE, as_credentials=None)  # call-arg
    guard.protect(application, pathh="/mcp")  # call-arg
    guard.require_named(claims, "toool", "write")  # arg-type
    Guard(ISSUER, RESOURCE, revocation_checker=checker_of_one)  # arg-type
    Guard(ISSUER, RESOURCE, on_decision=asynchronous_hook)  # arg-type
    InboundDPoPOptions(replay_store=NoStore())  # arg-type
    ASCredentials("id", "secret", method="client_secret_pst")  # arg-type
    ASCredentials("id", b"secret")  # arg-type
    FetchSettings(timeout="5s")  # arg-type
    if guard.revocation_status().state == "conected":  # comparison-overlap
        print("never")
    if (await client.client_credentials()).token_type == "bearer":  # comparison-overlap
        print("never")
    claims.sub = "somebody"  # misc
    VerifiedClaims()  # call-arg

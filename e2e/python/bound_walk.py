"""The examples that take bound tokens alone, with tokens of Doorward's own server: a program proves its key there and here (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from machine import register
from steps import MCP_URL, Checks, expect, metadata

KEY = ec.generate_private_key(ec.SECP256R1())
JWK = {
    name: value
    for name, value in json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key())).items()
    if name in ("crv", "kty", "x", "y")
}
TOKEN_ENDPOINT = str(metadata()["token_endpoint"])
SESSION: dict[str, str] = {}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


THUMBPRINT = b64(hashlib.sha256(json.dumps(JWK, sort_keys=True, separators=(",", ":")).encode()).digest())


def proof(url: str, token: str | None = None) -> str:
    claims = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": url, "iat": int(time.time())}
    if token is not None:
        claims["ath"] = b64(hashlib.sha256(token.encode()).digest())
    return jwt.encode(claims, KEY, "ES256", headers={"typ": "dpop+jwt", "jwk": JWK})


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, head, text = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        status, head, text = refusal.code, refusal.headers, refusal.read()
    return status, {name.lower(): value for name, value in head.items()}, text.decode()


def own_token(proved: bool) -> dict[str, Any]:
    """A token of a program's own, bound to its key or not."""
    client = register(client_name="bound", grant_types=["client_credentials"], scope="mcp:read")
    form = {"grant_type": "client_credentials", "resource": MCP_URL, "scope": "mcp:read"}
    credentials = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
    if proved:
        headers["DPoP"] = proof(TOKEN_ENDPOINT)
    status, _, text = post(TOKEN_ENDPOINT, urllib.parse.urlencode(form).encode(), headers)
    expect(status == 200, f"the token endpoint answered {status}: {text}")
    return {**json.loads(text), "client_id": client["client_id"]}


def message(token: str, scheme: str, body: dict[str, Any], given: str | None) -> tuple[int, dict[str, str], str]:
    headers = {
        "Authorization": f"{scheme} {token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **SESSION,
    }
    if given is not None:
        headers["DPoP"] = given
    return post(MCP_URL, json.dumps(body).encode(), headers)


def request(method: str, params: dict[str, Any], identifier: int | None = 1) -> dict[str, Any]:
    body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return body if identifier is None else {**body, "id": identifier}


CLIENT = {"name": "bound", "version": "1"}
INITIALIZE = request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": CLIENT})


def main() -> None:
    checks = Checks("bound")
    bound, plain = own_token(proved=True), own_token(proved=False)
    token = bound["access_token"]
    with checks.step("the server binds the token to the key"):
        expect(bound["token_type"].lower() == "dpop", bound["token_type"])
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expect(claims["cnf"] == {"jkt": THUMBPRINT}, str(claims.get("cnf")))
    with checks.step("refused: unbound, stolen, unproved"):
        for scheme, text, given in (
            ("Bearer", plain["access_token"], None),
            ("DPoP", plain["access_token"], proof(MCP_URL, plain["access_token"])),
            ("Bearer", token, None),
            ("Bearer", token, proof(MCP_URL, token)),
            ("DPoP", token, None),
            ("DPoP", token, proof(TOKEN_ENDPOINT, token)),
            ("DPoP", token, proof(MCP_URL, plain["access_token"])),
        ):
            status, _, body = message(text, scheme, INITIALIZE, given)
            expect(status == 401, f"{scheme}: {status} {body}")
    with checks.step("a session with proofs"):
        first = proof(MCP_URL, token)
        status, head, text = message(token, "DPoP", INITIALIZE, first)
        expect(status == 200, f"{status} {text}")
        if "mcp-session-id" in head:
            SESSION["Mcp-Session-Id"] = head["mcp-session-id"]
        SESSION["MCP-Protocol-Version"] = "2025-11-25"
        message(token, "DPoP", request("notifications/initialized", {}, None), proof(MCP_URL, token))
        call = request("tools/call", {"name": "whoami", "arguments": {}}, 2)
        status, _, text = message(token, "DPoP", call, proof(MCP_URL, token))
        checks.detail = text[-200:]
        expect(status == 200 and THUMBPRINT in text and bound["client_id"] in text, f"{status} {text}")
    with checks.step("a proof counts once"):
        status, head, _ = message(token, "DPoP", INITIALIZE, first)
        expect(status == 401 and "invalid_dpop_proof" in head["www-authenticate"], f"{status} {head}")
    raise SystemExit(checks.failed)


if __name__ == "__main__":
    main()

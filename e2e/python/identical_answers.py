"""The same requests to every example server that the guard protects: the answers must be the same, field by field.

`BATTERY_SERVERS` names the servers: a JSON array of `{"label", "command", "port"}`, the reference first. Each is started with an issuer that lives in
this process, so that tokens of every kind can be made.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

COMPARED = (
    "www-authenticate",
    "content-type",
    "cache-control",
    "allow",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "vary",
    "retry-after",
)
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "write", "arguments": {"x": "ink"}}}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "identical-answers", "version": "1"},
    },
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A P-256 key that signs what it is told to, right or wrong."""

    def __init__(self, kid: str = "key-1") -> None:
        self.kid = kid
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": b64(numbers.x.to_bytes(32, "big")),
            "y": b64(numbers.y.to_bytes(32, "big")),
        }

    @property
    def thumbprint(self) -> str:
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        return b64(hashlib.sha256(canonical).digest())

    def sign(self, header: dict[str, Any], payload: dict[str, Any] | str) -> str:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        signed = f"{b64(json.dumps(header).encode())}.{b64(text.encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


KEY, CLIENT_KEY, OTHER_KEY = Key(), Key("client"), Key("other")


class Issuer(BaseHTTPRequestHandler):
    """Metadata and keys of the issuer, nothing else."""

    def do_GET(self) -> None:
        if self.path == "/jwks":
            document: dict[str, Any] = {"keys": [{**KEY.jwk, "kid": KEY.kid, "alg": "ES256", "use": "sig"}]}
        elif self.path.startswith("/.well-known/oauth-authorization-server"):
            issuer = self.server.issuer
            document = {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/jwks",
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }
        else:
            self.send_error(404)
            return
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Server:
    label: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def resource(self) -> str:
        return f"{self.base_url}/mcp"


@dataclass
class Ask:
    """One request, before the server is known."""

    method: str = "POST"
    path: str = "/mcp"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | dict[str, Any] | list[Any] | None = None


class World:
    """Makes tokens and proofs for one server."""

    def __init__(self, server: Server, issuer: str) -> None:
        self.server, self.issuer = server, issuer

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "ada",
            "aud": self.server.resource,
            "client_id": "client-1",
            "scope": "mcp:read",
            "jti": f"token-{time.time_ns()}",
            "iat": now,
            "exp": now + 300,
        } | changes
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, header: dict[str, Any] | None = None, key: Key = KEY, **changes: Any) -> str:
        head = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid} | (header or {})
        head = {name: value for name, value in head.items() if value is not ...}
        return key.sign(head, self.claims(**changes))

    def proof(self, token: str, key: Key = CLIENT_KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
        payload = {
            "jti": f"proof-{time.time_ns()}",
            "htm": "POST",
            "htu": self.server.resource,
            "iat": int(time.time()),
            "ath": b64(hashlib.sha256(token.encode()).digest()),
        } | changes
        payload = {name: value for name, value in payload.items() if value is not ...}
        return key.sign({"alg": "ES256", "typ": "dpop+jwt", "jwk": key.jwk} | (header or {}), payload)

    def bound(self, **changes: Any) -> str:
        return self.token(cnf={"jkt": CLIENT_KEY.thumbprint}, **changes)


def bearer(token: str, body: Any = INITIALIZE, *more: tuple[str, str], scheme: str = "Bearer") -> Ask:
    return Ask(headers=[("Authorization", f"{scheme} {token}"), *more], body=body)


def cases(world: World) -> Iterator[tuple[str, Ask]]:
    yield from metadata_cases()
    yield from credential_cases(world)
    yield from token_cases(world)
    yield from scope_cases(world)
    yield from dpop_cases(world)
    yield from message_cases(world)


def metadata_cases() -> Iterator[tuple[str, Ask]]:
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]:
        for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"]:
            yield f"{method} {path}", Ask(method, path)
        yield f"GET {path} from a page", Ask("GET", path, [("Origin", "https://page.example")])


def credential_cases(world: World) -> Iterator[tuple[str, Ask]]:
    good = world.token()
    for method in ["GET", "POST", "DELETE"]:
        yield f"{method} without credentials", Ask(method)
    yield "preflight", Ask("OPTIONS", headers=[("Origin", world.server.base_url), ("Access-Control-Request-Method", "POST")])
    yield "preflight of another page", Ask(
        "OPTIONS", headers=[("Origin", "https://page.example"), ("Access-Control-Request-Method", "POST")]
    )
    yield "another page", bearer(good, INITIALIZE, ("Origin", "https://page.example"))
    yield "own page", bearer(good, INITIALIZE, ("Origin", world.server.base_url))
    for name, value in {
        "basic": "Basic YTpi",
        "scheme alone": "Bearer",
        "two spaces": f"Bearer  {good}",
        "lower case": f"bearer {good}",
        "two tokens": f"Bearer {good} {good}",
        "comma": f"Bearer {good}, Basic YTpi",
        "not base64": "Bearer *",
    }.items():
        yield f"credentials: {name}", Ask(headers=[("Authorization", value)], body=INITIALIZE)
    twice = [("Authorization", f"Bearer {good}")] * 2
    yield "credentials twice", Ask(headers=twice, body=INITIALIZE)
    yield "a slash after the path", Ask(path="/mcp/", body=INITIALIZE)
    yield "a slash after the path, bad token", Ask(path="/mcp/", headers=[("Authorization", "Bearer x")], body=INITIALIZE)
    yield "token in the query", Ask(path=f"/mcp?access_token={good}", body=INITIALIZE)


def token_cases(world: World) -> Iterator[tuple[str, Ask]]:
    now = int(time.time())
    yield "valid token", bearer(world.token())
    changes: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 120},
        "expired a moment ago": {"exp": now - 15},
        "not yet": {"nbf": now + 120},
        "from the future": {"iat": now + 120},
        "another issuer": {"iss": "https://other.example"},
        "issuer with a slash": {"iss": f"{world.issuer}/"},
        "another audience": {"aud": "https://other.example/mcp"},
        "audience with a slash": {"aud": f"{world.server.resource}/"},
        "audience among others": {"aud": ["https://other.example", world.server.resource]},
        "audience of numbers": {"aud": [1]},
        "exp as text": {"exp": str(now + 300)},
        "exp as a fraction": {"exp": now + 300.5},
        "sub as a number": {"sub": 7},
        "scope as a list": {"scope": ["mcp:read"]},
        "cnf as text": {"cnf": "key"},
    }
    for name, change in changes.items():
        yield f"token: {name}", bearer(world.token(**change))
    for claim in ["iss", "aud", "sub", "client_id", "exp", "iat", "jti"]:
        yield f"token without {claim}", bearer(world.token(**{claim: ...}))
    headers: dict[str, dict[str, Any]] = {
        "typ JWT": {"typ": "JWT"},
        "no typ": {"typ": ...},
        "typ application/at+jwt": {"typ": "application/at+jwt"},
        "alg none": {"alg": "none"},
        "alg HS256": {"alg": "HS256"},
        "no kid": {"kid": ...},
        "unknown kid": {"kid": "nobody"},
        "crit": {"crit": ["exp"]},
        "jku": {"jku": "https://other.example/jwks"},
        "jwk": {"jwk": OTHER_KEY.jwk},
    }
    for name, header in headers.items():
        yield f"token header: {name}", bearer(world.token(header))
    yield "token signed by another key", bearer(world.token(key=OTHER_KEY))
    header, payload, signature = world.token().split(".")
    yield "token: padded signature", bearer(f"{header}.{payload}.{signature}=")
    yield "token without signature", bearer(f"{header}.{payload}.")
    yield "token of two parts", bearer(f"{header}.{payload}")
    repeated = json.dumps(world.claims())[:-1] + ', "sub": "eve"}'
    yield "token with a member twice", bearer(KEY.sign({"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}, repeated))
    yield "token: a list", bearer(KEY.sign({"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}, "[]"))
    yield "token: huge", bearer(world.token(pad="x" * 20_000))


def scope_cases(world: World) -> Iterator[tuple[str, Ask]]:
    yield "scope: none", bearer(world.token(scope=...))
    yield "scope: empty", bearer(world.token(scope=""))
    yield "scope: another", bearer(world.token(scope="mcp:write"))
    yield "tool without its scope", bearer(world.token(), CALL)
    yield "tool without any scope", bearer(world.token(scope="other"), CALL)
    yield "batch with a tool without its scope", bearer(world.token(), [CALL])
    yield "tool in a foreign spelling", bearer(world.token(), {**CALL, "Method": "tools/call"})


def dpop_cases(world: World) -> Iterator[tuple[str, Ask]]:
    bound, plain = world.bound(), world.token()

    def proved(*proofs: str, token: str = bound, scheme: str = "DPoP", body: Any = INITIALIZE) -> Ask:
        return bearer(token, body, *(("DPoP", proof) for proof in proofs), scheme=scheme)

    yield "bound token with its proof", proved(world.proof(bound))
    yield "bound token, tool without its scope", proved(world.proof(bound), body=CALL)
    yield "bound token without proof", proved()
    yield "bound token as bearer", bearer(bound)
    yield "bound token as bearer with proof", proved(world.proof(bound), scheme="Bearer")
    yield "plain token as DPoP", proved(world.proof(plain), token=plain)
    yield "plain token with proof", proved(world.proof(plain), token=plain, scheme="Bearer")
    yield "two proofs", proved(world.proof(bound), world.proof(bound))
    yield "two proofs in one header", proved(f"{world.proof(bound)}, {world.proof(bound)}")
    yield "proof of another key", proved(world.proof(bound, OTHER_KEY))
    used = world.proof(bound)
    yield "a proof", proved(used)
    yield "the same proof again", proved(used)
    changes: dict[str, dict[str, Any]] = {
        "another method": {"htm": "GET"},
        "another path": {"htu": f"{world.server.base_url}/other"},
        "another host": {"htu": "https://other.example/mcp"},
        "with a query": {"htu": f"{world.server.resource}?a=b"},
        "old": {"iat": int(time.time()) - 3600},
        "from the future": {"iat": int(time.time()) + 3600},
        "of another token": {"ath": "x" * 43},
        "without ath": {"ath": ...},
        "without jti": {"jti": ...},
        "with an empty jti": {"jti": ""},
        "without htm": {"htm": ...},
    }
    for name, change in changes.items():
        yield f"proof {name}", proved(world.proof(bound, **change))
    yield "proof with typ JWT", proved(world.proof(bound, header={"typ": "JWT"}))
    yield "proof with alg none", proved(world.proof(bound, header={"alg": "none"}))
    yield "proof with a private key", proved(world.proof(bound, header={"jwk": {**CLIENT_KEY.jwk, "d": "AA"}}))
    yield "no proof at all", proved("nothing")


def message_cases(world: World) -> Iterator[tuple[str, Ask]]:
    good = world.token(scope="mcp:read mcp:write")
    bodies: dict[str, Any] = {
        "not JSON": b"{",
        "not UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        "a member twice": b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
        "text": b'"ping"',
        "an empty batch": b"[]",
    }
    for name, body in bodies.items():
        yield f"body: {name}", bearer(good, body)
    yield "body: compressed", bearer(good, INITIALIZE, ("Content-Encoding", "gzip"))
    yield "a stream to resume without its session", Ask(
        "GET", headers=[("Authorization", f"Bearer {good}"), ("Last-Event-ID", "1")]
    )
    modern = ("MCP-Protocol-Version", "2026-07-28")
    yield "mirrored headers that differ", bearer(
        world.token(), CALL, modern, ("Mcp-Method", "tools/list"), ("Mcp-Name", "echo")
    )
    yield "mirrored headers, tool without its scope", bearer(
        world.token(), CALL, modern, ("Mcp-Method", "tools/call"), ("Mcp-Name", "write")
    )


def send(server: Server, ask: Ask) -> dict[str, Any]:
    connection = http.client.HTTPConnection("localhost", server.port, timeout=20)
    body = ask.body if isinstance(ask.body, bytes) or ask.body is None else json.dumps(ask.body).encode()
    connection.putrequest(ask.method, ask.path, skip_accept_encoding=True)
    headers = list(ask.headers)
    if ask.method in ("POST", "GET") and ask.path.startswith("/mcp"):
        headers.append(("Accept", "application/json, text/event-stream"))
    if body is not None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    elif ask.method == "POST":
        headers.append(("Content-Length", "0"))
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = b"" if is_stream(answer) else answer.read()
    connection.close()
    return shown(server, answer, content)


def is_stream(answer: http.client.HTTPResponse) -> bool:
    return (answer.getheader("content-type") or "").startswith("text/event-stream")


def shown(server: Server, answer: http.client.HTTPResponse, content: bytes) -> dict[str, Any]:
    """What is compared. What the MCP server itself answers is its own affair."""
    text = content.decode("utf-8", "replace").replace(f"localhost:{server.port}", "HOST")
    text = re.sub(r'("error_id": ?)"[^"]*"', r'\1"…"', text)
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = text
    if isinstance(body, dict) and "jsonrpc" in body and "error_id" not in text:
        return {"let through": True}
    if 200 <= answer.status < 300 and is_stream(answer):
        return {"let through": True}
    seen: dict[str, Any] = {"status": answer.status, "body": body}
    for name in COMPARED:
        values = [value.replace(f"localhost:{server.port}", "HOST") for value in answer.msg.get_all(name, [])]
        if values:
            seen[name] = values
    seen["dpop-nonce"] = answer.getheader("dpop-nonce") is not None
    return seen


def difference(reference: dict[str, Any], seen: dict[str, Any]) -> str:
    names = sorted(reference.keys() | seen.keys())
    return "; ".join(
        f"{name}: {reference.get(name)!r} there, {seen.get(name)!r} here" for name in names if reference.get(name) != seen.get(name)
    )


def report(label: str, step: str, trouble: str) -> None:
    line = {"client": label, "step": step, "ok": not trouble, "detail": trouble[:2000]}
    print(json.dumps(line), flush=True)


@contextmanager
def started(issuer: str, dpop: str) -> Iterator[list[Server]]:
    servers: list[Server] = []
    try:
        for given in json.loads(os.environ["BATTERY_SERVERS"]):
            port = given["port"]
            environment = os.environ | {
                "DOORWARD_ISSUER": issuer,
                "DOORWARD_BASE_URL": f"http://localhost:{port}",
                "DOORWARD_SCOPES": "mcp:read",
                "DOORWARD_DPOP": dpop,
                "PORT": str(port),
            }
            log = Path(f"{given['label']}-{dpop}.log").open("wb")
            process = subprocess.Popen(given["command"], env=environment, stdout=log, stderr=log)
            servers.append(Server(given["label"], port, process))
        for server in servers:
            wait_for(server)
        yield servers
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()


def wait_for(server: Server) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until:
        if server.process.poll() is not None:
            sys.exit(f"{server.label} ended with {server.process.returncode}")
        try:
            if send(server, Ask("GET", "/.well-known/oauth-protected-resource/mcp"))["status"] == 200:
                return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{server.label} was not ready in time")


def compare(issuer: str, dpop: str) -> None:
    with started(issuer, dpop) as servers:
        # Each server's own cases, in the same order: tokens and proofs name the server.
        answers = [
            {name: send(server, ask) for name, ask in cases(World(server, issuer))} for server in servers
        ]
    reference, others = answers[0], list(zip(servers[1:], answers[1:], strict=True))
    if os.environ.get("BATTERY_TABLE"):
        Path(os.environ["BATTERY_TABLE"]).with_suffix(f".{dpop}.json").write_text(json.dumps(reference, indent=1))
    for name, expected in reference.items():
        for server, seen in others:
            report(f"{server.label}, DPoP {dpop}", name, difference(expected, seen[name]))


def main() -> None:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    listening.issuer = f"http://localhost:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    for dpop in ["off", "accept", "require"]:
        compare(listening.issuer, dpop)


if __name__ == "__main__":
    main()

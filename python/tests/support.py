"""An authorization server to test against, its tokens, proofs of possession, and servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An ES256 key."""

    def __init__(self, kid: str = "key-1") -> None:
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key()))
        self.public.pop("key_ops", None)

    @property
    def thumbprint(self) -> str:
        members = {name: self.public[name] for name in ("crv", "kty", "x", "y")}
        return b64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.private, algorithm="ES256", headers=header)

    def proof(self, token: str, url: str, method: str = "POST", **changes: Any) -> str:
        claims = {
            "jti": secrets.token_hex(8),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": b64url(hashlib.sha256(token.encode()).digest()),
        }
        claims.update(changes)
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.sign(claims, typ="dpop+jwt", jwk=self.public)


class Held:
    """An answer that waits."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.released = threading.Event()

    def wait(self) -> None:
        self.asked.set()
        self.released.wait(60)


class AuthorizationServer:
    """Serves metadata, keys and whatever token endpoint a test gives it."""

    def __init__(self) -> None:
        self.key = Key()
        self.keys = [self.key]
        self.requests: list[tuple[str, str]] = []
        self.forms: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.more_metadata: dict[str, Any] = {}
        self.streams: dict[str, Callable[[BaseHTTPRequestHandler, dict[str, list[str]]], None]] = {}
        self.answers: dict[str, Callable[[dict[str, list[str]]], tuple[int, dict[str, Any]]]] = {}
        self.is_down = False
        self.held: dict[str, Held] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.requests.append(("GET", self.path))
                outer.wait(self.path)
                if outer.is_down:
                    self.reply(500, {})
                elif self.path.startswith("/.well-known/oauth-authorization-server"):
                    self.reply(200, outer.metadata)
                elif self.path == "/jwks":
                    keys = [{**key.public, "kid": key.kid, "alg": "ES256", "use": "sig"} for key in outer.keys]
                    self.reply(200, {"keys": keys})
                elif self.path in outer.streams:
                    outer.streams[self.path](self, {})
                else:
                    self.reply(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                form = parse_qs(body)
                outer.requests.append(("POST", self.path))
                outer.forms.append((self.path, form, {k.lower(): v for k, v in self.headers.items()}))
                if self.path in outer.streams:
                    outer.streams[self.path](self, form)
                    return
                outer.wait(self.path)
                answer = outer.answers.get(self.path)
                status, document = answer(form) if answer else (404, {})
                self.reply(status, document)

            def reply(self, status: int, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def hold(self, path: str) -> Held:
        """The next answer of a path waits until it is released."""
        held = self.held[path] = Held()
        return held

    def wait(self, path: str) -> None:
        held = self.held.pop(path, None)
        if held is not None:
            held.wait()

    @property
    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint": f"{self.issuer}/token",
            "introspection_endpoint": f"{self.issuer}/introspect",
            "revocation_endpoint": f"{self.issuer}/revoke",
            **self.more_metadata,
        }

    def token(self, resource: str, key: Key | None = None, typ: str = "at+jwt", **changes: Any) -> str:
        """A good access token, but for the changes; ``None`` takes a claim out."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": resource,
            "sub": "user-1",
            "client_id": "client-1",
            "jti": secrets.token_hex(8),
            "iat": now,
            "exp": now + 300,
            "scope": "mcp:read",
        }
        claims.update(changes)
        key = key or self.key
        kept = {name: value for name, value in claims.items() if value is not None}
        return key.sign(kept, kid=key.kid, typ=typ)

    def bound_token(self, resource: str, key: Key, **changes: Any) -> str:
        return self.token(resource, cnf={"jkt": key.thumbprint}, **changes)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Running:
    """A server in a thread of its own."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.resource = base_url + "/mcp"


ROOT_PATH = ""
"""What the servers are told that they are mounted at."""


@contextlib.contextmanager
def serving(make_app: Callable[[str], Awaitable[tuple[Any, Callable[[], Awaitable[None]]]]]) -> Iterator[Running]:
    """Serves what ``await make_app(base_url)`` makes: an application, and what closes it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    started = threading.Event()
    failed: list[BaseException] = []
    servers: list[uvicorn.Server] = []

    async def main() -> None:
        app, close = await make_app(base_url)
        config = uvicorn.Config(app, log_level="warning", lifespan="on", root_path=ROOT_PATH)
        server = uvicorn.Server(config)
        servers.append(server)
        serve = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started and not serve.done():
            await asyncio.sleep(0.01)
        started.set()
        await serve
        await close()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failed.append(error)
            started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(20)
    if failed:
        raise failed[0]
    try:
        yield Running(base_url)
    finally:
        servers[0].should_exit = True
        thread.join(10)
        if failed:
            raise failed[0]


class Client:
    """Speaks MCP over HTTP, as far as the tests need it."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.http = httpx.Client(timeout=20)

    def post(self, token: str | None, message: Any, scheme: str = "Bearer", **headers: str) -> httpx.Response:
        return self.http.post(self.server.resource, json=message, headers=self.headers(token, scheme, headers))

    def headers(self, token: str | None, scheme: str = "Bearer", more: dict[str, str] | None = None) -> dict[str, str]:
        headers = {"accept": "application/json, text/event-stream"}
        if token is not None:
            headers["authorization"] = f"{scheme} {token}"
        headers.update({name.replace("_", "-"): value for name, value in (more or {}).items()})
        return headers

    def initialize(self, token: str | None, **headers: str) -> httpx.Response:
        parameters = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters}
        return self.post(token, message, **headers)

    def session(self, token: str, **headers: str) -> dict[str, str]:
        """Begins a session and returns its headers."""
        response = self.initialize(token, **headers)
        assert response.status_code == 200, response.text
        session = response.headers.get("mcp-session-id")
        more = {"mcp-session-id": session, "mcp-protocol-version": "2025-06-18"} if session else {}
        self.post(token, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **more)
        return more

    def call(self, token: str, tool: str, arguments: dict[str, Any], session: dict[str, str]) -> httpx.Response:
        message = {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
        return self.post(token, message, **session)


def result_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC message of an answer, whether it came as JSON or as an event."""
    if response.headers["content-type"].startswith("application/json"):
        return response.json()
    data = [line[5:] for line in response.text.splitlines() if line.startswith("data:") and line[5:].strip()]
    return json.loads(data[-1])


SPELLINGS_OF_MCP = [
    "//mcp",
    "///mcp//",
    "/mcp/",
    "/mcpx",
    "/mcp;x=1",
    "/mcp%00",
    "/%6dcp",
    "/%256dcp",
    "/%2fmcp",
    "/./mcp",
    "/x/../mcp",
    "/x/..//mcp",
    "/x/%2e%2e/mcp",
    "/x/..%2fmcp",
    "/x/..;y/mcp",
    "/;x/mcp",
    "/\\mcp",
    "/x\\..\\mcp",
    "/x/api/mcp",
    "/apimcp",
    "/api//mcp",
    "/api/mcp",
]
"""What some framework or other might take for ``/mcp``, or might think that it is below it."""


def assert_no_spelling_gets_around(client: Client) -> None:
    """None of them reaches the server without a token."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for path in SPELLINGS_OF_MCP:
        answer = client.http.post(client.server.base_url + path, json=message, headers=client.headers(None))
        assert answer.status_code in (307, 401, 404), path


def over_transport(server: AuthorizationServer) -> Callable[..., Awaitable[Any]]:
    """A transport in Python that serves the server's documents without a connection."""

    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> Any:
        keys = {"keys": [{**server.key.public, "kid": server.key.kid}]}
        document = keys if url.endswith("/jwks") else server.metadata
        return 200, {"content-type": "application/json"}, json.dumps(document).encode()

    return transport

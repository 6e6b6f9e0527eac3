"""Any ASGI application behind Doorward's guard. Here: an application written by hand that answers MCP without any framework.

Environment: `DOORWARD_ISSUER`, `DOORWARD_BASE_URL`, `PORT`, `DOORWARD_SCOPES` (what every request needs; `mcp:read`),
`DOORWARD_DPOP` (`off`, `accept` or `require`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from doorward import Guard, InboundDPoPOptions
from doorward.asgi import GuardMiddleware, current_claims

DPOP = {
    "off": None,
    "accept": InboundDPoPOptions(),
    "require": InboundDPoPOptions(required=True),
}
VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26")


def whoami() -> dict[str, Any]:
    """Say who calls, by the claims of the access token."""
    claims = current_claims()
    return {
        "subject": claims.sub,
        "client_id": claims.client_id,
        "scopes": list(claims.scopes),
        "claims": dict(claims.raw),
    }


TOOLS: dict[str, tuple[Callable[..., Any], str, dict[str, str]]] = {
    "echo": (lambda text: text, "Say what it was told", {"text": "string"}),
    "add": (lambda a, b: a + b, "Add two numbers", {"a": "number", "b": "number"}),
    "whoami": (whoami, "Say who calls, by the claims of the access token", {}),
    "write": (lambda x: f"wrote {x}", "Write, which needs the scope mcp:write", {"x": "string"}),
}


def answer(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The result of a request."""
    if method == "initialize":
        asked = parameters.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "doorward-example", "version": "1"},
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [described(name) for name in TOOLS]}
    if method == "tools/call" and parameters.get("name") in TOOLS:
        result = TOOLS[parameters["name"]][0](**parameters.get("arguments", {}))
        content = [{"type": "text", "text": result if isinstance(result, str) else json.dumps(result)}]
        structured = {"structuredContent": result} if isinstance(result, dict) else {}
        return {"content": content, "isError": False, **structured}
    raise LookupError(method)


def described(name: str) -> dict[str, Any]:
    """A tool as clients see it."""
    _, description, parameters = TOOLS[name]
    properties = {parameter: {"type": kind} for parameter, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"name": name, "description": description, "inputSchema": schema}


async def app(
    scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """The application. It knows nothing of tokens."""
    if scope["type"] != "http":
        return
    if scope["path"] != "/mcp" or scope["method"] != "POST":
        await respond(send, 404 if scope["path"] != "/mcp" else 405, None)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    request = json.loads(body)
    if "id" not in request:
        await respond(send, 202, None)
        return
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        reply["result"] = answer(request["method"], request.get("params") or {})
    except LookupError:
        reply["error"] = {"code": -32601, "message": "no such method or tool"}
    await respond(send, 200, reply)


async def respond(send: Callable[[Any], Awaitable[None]], status: int, document: dict[str, Any] | None) -> None:
    """Send a JSON document, or none."""
    body = b"" if document is None else json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    base_url = os.environ.get("DOORWARD_BASE_URL", f"http://localhost:{port}")
    # doorward:begin
    guard = Guard(
        issuer=os.environ.get("DOORWARD_ISSUER", "http://localhost:9000"),
        resource=f"{base_url}/mcp",
        required_scopes=os.environ.get("DOORWARD_SCOPES", "mcp:read").split(),
        tool_scopes={"write": ["mcp:write"]},
        inbound_dpop=DPOP[os.environ.get("DOORWARD_DPOP", "off")],
        dev_mode=True,
    )
    protected = GuardMiddleware(app, guard=guard, path="/mcp")
    # doorward:end
    uvicorn.run(protected, host="127.0.0.1", port=port, lifespan="off")

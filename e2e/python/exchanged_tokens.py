"""The examples whose tool exchanges the caller's token, with an authorization server that lives here and does as it is told.

`BATTERY_SERVERS` as in `identical_answers.py`.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import threading
import urllib.parse
from http.server import ThreadingHTTPServer
from typing import Any

from identical_answers import INITIALIZE, Issuer, Server, World, report, started

GRANTED = {
    "access_token": "for-mail",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "mail.read",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
}
CONSENT = {
    "error": "consent_required",
    "error_description": "The mailbox is not connected yet.",
    "service_id": "mail",
    "consent_url": "https://as.example/connect/mail",
}


class Exchanging(Issuer):
    """Answers every exchange with what it was told last, and keeps what it was asked."""

    answer: tuple[int, dict[str, Any]] = (200, GRANTED)
    asked: list[tuple[str, dict[str, str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Exchanging.asked.append((self.headers.get("Authorization", ""), dict(urllib.parse.parse_qsl(body))))
        status, document = Exchanging.answer
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Session:
    """An MCP session of a client that can open pages."""

    def __init__(self, server: Server, token: str) -> None:
        self.server, self.token, self.session = server, token, ""
        capable = {**INITIALIZE["params"], "capabilities": {"elicitation": {"url": {}}}}
        self.post({**INITIALIZE, "params": capable})
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def post(self, message: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost", self.server.port, timeout=20)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": "2025-11-25",
        } | ({"Mcp-Session-Id": self.session} if self.session else {})
        connection.request("POST", "/mcp", json.dumps(message), headers)
        answer = connection.getresponse()
        self.session = answer.getheader("mcp-session-id") or self.session
        text = answer.read().decode()
        connection.close()
        found = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:") and line[5:].strip()]
        if text.startswith("{"):
            found = [json.loads(text)]
        return next((document for document in found if document.get("id") == message.get("id")), {})

    def inbox(self) -> dict[str, Any]:
        return self.post({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "inbox", "arguments": {}}})


def expect(label: str, step: str, seen: Any, expected: Any) -> None:
    report(label, step, "" if seen == expected else f"{seen!r}, not {expected!r}")


def check(server: Server, issuer: str) -> None:
    token = World(server, issuer).token(scope="mcp:read mail.read")
    session = Session(server, token)
    Exchanging.asked.clear()
    Exchanging.answer = (200, GRANTED)
    result = session.inbox().get("result", {})
    expect(server.label, "exchanged", result.get("structuredContent"), {"scope": "mail.read", "expires_in": 300})
    authorization, form = Exchanging.asked[-1] if Exchanging.asked else ("", {})
    expect(server.label, "one request", len(Exchanging.asked), 1)
    basic = "Basic " + base64.b64encode(b"mail-tools:s3cret").decode()
    expect(server.label, "client authentication", authorization, basic)
    expected = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": "https://mail.example/",
        "scope": "mail.read",
    }
    expect(server.label, "form", form, expected)
    Exchanging.answer = (400, CONSENT)
    answered = session.inbox()
    error = answered.get("error", {})
    pages = [elicitation["url"] for elicitation in error.get("data", {}).get("elicitations", [])]
    expect(server.label, "consent first", (error.get("code") or answered, pages), (-32042, [CONSENT["consent_url"]]))
    Exchanging.answer = (400, {"error": "invalid_target"})
    refused = session.inbox()
    failed = "error" in refused or bool(refused.get("result", {}).get("isError"))
    expect(server.label, "refused", failed, True)


def main() -> None:
    os.environ["DOORWARD_CLIENT_SECRET"] = "s3cret"
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Exchanging)
    listening.issuer = f"http://localhost:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    with started(listening.issuer, "off") as servers:
        for server in servers:
            check(server, listening.issuer)


if __name__ == "__main__":
    main()

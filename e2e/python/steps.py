"""What the Python walks share: settings from the environment and one JSON line a step."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ISSUER = os.environ["DOORWARD_ISSUER"]
MCP_URL = os.environ["MCP_URL"]
# Given, as one that a client finds free may be another connection's by the time it listens.
CALLBACK_PORT = urllib.parse.urlsplit(os.environ["MCP_OAUTH_CALLBACK_URL"]).port
# Whether the MCP server answers a missing tool scope with HTTP 403 (a guard) or inside HTTP 200 (FastMCP).
STEPS_UP = os.environ.get("E2E_STEP_UP", "1") == "1"
# FastMCP hides a tool from callers without its scopes.
TOOLS = {"echo", "add", "whoami"} | ({"write"} if STEPS_UP else set())


class Walk:
    """Steps that build on one another: the first failing one ends the walk."""

    goes_on = False

    def __init__(self, client: str) -> None:
        self.client = client
        self.detail = ""
        self.failed = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Reports the block as one step."""
        self.detail, started = "", time.monotonic()
        try:
            yield
        except BaseException as error:
            self.report(name, False, started, f"{type(error).__name__}: {flatten(error)}{browser_trouble()}")
            if not self.goes_on:
                os._exit(1)
            self.failed = True
            return
        self.report(name, True, started, self.detail)

    def report(self, name: str, ok: bool, started: float, detail: str) -> None:
        milliseconds = round((time.monotonic() - started) * 1000)
        line = {"client": self.client, "step": name, "ok": ok, "ms": milliseconds, "detail": detail}
        print(json.dumps(line), flush=True)


class Checks(Walk):
    """Steps that do not build on one another: all of them run."""

    goes_on = True

    def not_offered(self, name: str, needed: str) -> None:
        """Says that a check was not run, because the server's metadata does not offer what it needs."""
        print(json.dumps({"client": self.client, "step": name, "offered": False, "detail": needed}), flush=True)


def flatten(error: BaseException) -> str:
    """The leaves of exception groups: task groups hide the reason otherwise."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(flatten(inner) for inner in error.exceptions)
    return str(error) or repr(error)


def expect(condition: object, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)


def browser_walks() -> list[dict[str, object]]:
    path = Path(os.environ["E2E_BROWSER_LOG"])
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def browser_trouble() -> str:
    failed = [walk for walk in browser_walks() if not walk["ok"]]
    return f" (browser: {failed[-1]['detail']})" if failed else ""


def revoke(metadata: dict[str, object], client_id: str, refresh_token: str) -> None:
    """Ends the grant as a person or an operator would: RFC 7009, refresh token."""
    form = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": client_id}
    endpoint = str(metadata["revocation_endpoint"])
    request = urllib.request.Request(endpoint, urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        expect(answer.status == 200, f"revocation answered {answer.status}")


def metadata() -> dict[str, object]:
    parts = urllib.parse.urlsplit(ISSUER)
    well_known = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"
    with urllib.request.urlopen(well_known, timeout=10) as answer:
        return json.load(answer)

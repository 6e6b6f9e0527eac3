"""The example of one guarded route in a FastAPI application, with a token of Doorward's own server."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request

from bound_walk import own_token, post
from steps import MCP_URL, Checks, expect

BASE_URL = MCP_URL.removesuffix("/mcp")


def get(path: str) -> dict[str, object]:
    with urllib.request.urlopen(BASE_URL + path, timeout=20) as answer:
        return json.load(answer)


def ask(method: str, token: str | None) -> tuple[int, dict[str, str], str]:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return post(MCP_URL, json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode(), headers)


def main() -> None:
    checks = Checks("fastapi")
    token, client_id = (own := own_token(proved=False))["access_token"], own["client_id"]
    with checks.step("other routes are open"):
        expect(get("/health") == {"status": "up"}, str(get("/health")))
    with checks.step("the guarded route is not"):
        status, head, _ = ask("ping", None)
        expect(status == 401 and "resource_metadata=" in head["www-authenticate"], f"{status} {head}")
        found = get(urllib.parse.urlsplit(head["www-authenticate"].split('resource_metadata="')[1].split('"')[0]).path)
        expect(found["resource"] == MCP_URL, str(found))
    with checks.step("with a token it answers"):
        status, _, text = ask("ping", token)
        expect(status == 200 and json.loads(text)["result"] == {}, f"{status} {text}")
    with checks.step("and knows who asks"):
        status, _, text = ask("tools/list", token)
        checks.detail = text
        expect(status == 200 and client_id in text, f"{status} {text}")
    raise SystemExit(checks.failed)


main()

"""What the checks of grants for programs share: the admin API."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

GRANT_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANT_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def admin(method: str, path: str, body: object = None) -> Any:
    """A request to the admin API."""
    headers = {"Authorization": f"Bearer {os.environ['DOORWARD_ADMIN_KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{os.environ['DOORWARD_ADMIN_URL']}/admin/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
    except urllib.error.HTTPError as refusal:
        raise AssertionError(f"{method} /admin/{path} answered {refusal.code}: {refusal.read().decode()}") from refusal
    return json.loads(text) if text else None


def register(**client: object) -> dict[str, Any]:
    """Registers a client as an operator does; what it is gets the scopes of the example servers."""
    return admin("POST", "clients", {"scope": "mcp:read mcp:write", **client})

"""How keys are fetched with the HTTP client that the application uses already."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from typing import Any, Protocol

from doorward.options import Transport

TIMEOUT_SECONDS = 10.0


class AsyncClient(Protocol):
    """What is asked of `httpx.AsyncClient` and `httpx2.AsyncClient`."""

    async def request(self, method: str, url: str, /, **options: Any) -> Any:
        """Send a request."""
        ...


def transport_over(client: AsyncClient | None) -> Transport | None:
    """Requests through this client; else through `httpx2` or `httpx`, with a fresh client for each. `None` without any of them."""
    module = None if client is not None else _installed("httpx2") or _installed("httpx")
    if client is None and module is None:
        return None

    async def transport(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, Any, bytes]:
        owned = contextlib.nullcontext(client) if module is None else module.AsyncClient(timeout=TIMEOUT_SECONDS)
        async with owned as connected:
            answer = await connected.request(method, url, headers=dict(headers), content=body, follow_redirects=False)
            return answer.status_code, list(answer.headers.items()), answer.content

    return transport


def _installed(name: str) -> Any | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None

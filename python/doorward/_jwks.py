"""How documents are fetched with the HTTP client that the application uses already."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

TIMEOUT_SECONDS = 10.0

# The status, the headers and the body of what lies at a URL.
Fetched = tuple[int, list[tuple[str, str]], bytes]
DocumentSource = Callable[[str], Awaitable[Fetched]]


class AsyncClient(Protocol):
    """What is asked of `httpx.AsyncClient` and `httpx2.AsyncClient`."""

    async def get(self, url: str, /, **options: Any) -> Any:
        """Send a GET request."""
        ...


def document_source(client: AsyncClient | None) -> DocumentSource | None:
    """Fetch with this client; else with `httpx2` or `httpx`, a fresh client for each document. `None` without any of them."""
    module = None if client is not None else _installed("httpx2") or _installed("httpx")
    if client is None and module is None:
        return None

    async def fetch(url: str) -> Fetched:
        owned = contextlib.nullcontext(client) if module is None else module.AsyncClient(timeout=TIMEOUT_SECONDS)
        async with owned as connected:
            answer = await connected.get(url, headers={"accept": "application/json"}, follow_redirects=False)
            return answer.status_code, list(answer.headers.items()), answer.content

    return fetch


def _installed(name: str) -> Any | None:
    # An import that fails is tried once: document sources are made when servers are put together.
    try:
        return importlib.import_module(name)
    except ImportError:
        return None

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import AuthorizationServer


@pytest.fixture
def authorization_server() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    yield server
    server.close()

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from support import AuthorizationServer


@pytest.fixture
def authorization_server() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    yield server
    server.close()


def pytest_runtest_makereport(item: Any, call: Any) -> None:
    """Takes down which vectors of ``conformance/`` were run to their end."""
    mark = item.get_closest_marker("vectors")
    if mark is not None and call.when == "call" and call.excinfo is None:
        name = item.callspec.id if hasattr(item, "callspec") else item.name
        item.config.stash.setdefault(VECTORS, defaultdict(list))[mark.args[0]].append(name)


VECTORS: Any = pytest.StashKey()


def pytest_configure(config: Any) -> None:
    config.addinivalue_line("markers", "vectors(file): runs the vectors of a file of conformance/")


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """The case ids: what an implementation was held against."""
    for file, names in sorted(config.stash.get(VECTORS, {}).items()):
        terminalreporter.write_line(f"conformance/{file}: {len(names)} vectors as they say")
        for name in names:
            terminalreporter.write_line(f"  {name}")

"""The examples say how little it takes; this counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# Lines between `doorward:begin` and `doorward:end` that say something: a bracket alone does not.
AUTH_LINES = {
    "python/fastmcp/basic.py": 5,
    "python/fastmcp/retrofit_after.py": 5,
    "python/fastmcp/workers.py": 5,
    "python/mcp/basic.py": 5,
    "python/asgi/fastapi_app.py": 4,
    "python/fastmcp/tool_scopes.py": 7,
    "python/fastmcp/dpop.py": 8,
    "python/fastmcp/exchange.py": 9,
    "python/fastmcp/server.py": 8,
    "python/mcp/server.py": 8,
    "python/asgi/server.py": 8,
    "rust/basic/src/main.rs": 6,
    "rust/guard/tool-scopes/main.rs": 6,
    "rust/guard/dpop/main.rs": 4,
    "rust/guard/exchange/main.rs": 4,
    "rust/embedded/src/main.rs": 4,
}


@pytest.mark.parametrize(("example", "lines"), AUTH_LINES.items())
def test_an_example_has_as_few_lines_of_authorization_as_it_promises(example: str, lines: int) -> None:
    text = (EXAMPLES / example).read_text()
    blocks = re.findall(r"(?:#|//) doorward:begin\n(.*?)(?:#|//) doorward:end", text, re.DOTALL)
    assert len(blocks) == 1
    assert sum(bool(re.search(r"\w", line)) for line in blocks[0].splitlines()) == lines


def test_every_example_with_marks_is_counted() -> None:
    files = [*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("*.rs")]
    marked = {str(file.relative_to(EXAMPLES)) for file in files if "doorward:begin" in file.read_text()}
    assert marked == AUTH_LINES.keys()


def test_the_retrofit_leaves_the_tools_as_they_were() -> None:
    def tools(name: str) -> list[str]:
        text = (EXAMPLES / "python/fastmcp" / name).read_text()
        found = re.findall(r"( *)@mcp\.tool\(\)\n((?:.+\n)+)", text)
        return [body.replace("\n" + indent, "\n").removeprefix(indent) for indent, body in found]

    assert tools("retrofit_before.py") == tools("retrofit_after.py") != []

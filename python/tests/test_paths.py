"""Which paths are guarded, whatever the application behind takes for the same path."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from support import SPELLINGS_OF_MCP

from doorward import Guard
from doorward.asgi import GuardMiddleware


def collapsing(scope: Any) -> str:
    """As Litestar: the root path is cut out wherever it occurs first, slashes are collapsed, none is left at the end."""
    root = scope["root_path"]
    path = scope["path"].split(root, maxsplit=1)[-1] if root else scope["path"]
    return re.sub("/+", "/", "/" + path.rstrip("/"))


def collapsing_first(scope: Any) -> str:
    """The other way round."""
    path = re.sub("/+", "/", scope["path"])
    return "/" + path.split(scope["root_path"], maxsplit=1)[-1].lstrip("/") if scope["root_path"] else path


def looking_inside(scope: Any) -> str:
    """As Quart: a proxy's form of a request is taken apart, and the root path cut out."""
    path, root = scope["path"], scope["root_path"]
    path = path if path[:1] == "/" else urlsplit(path).path
    return path.split(root, 1)[-1] if root else path


def prefix_removed(scope: Any) -> str:
    """As Django: the root path need not end at a slash."""
    return "/" + scope["path"].removeprefix(scope["root_path"]).lstrip("/")


def as_sent(scope: Any) -> str:
    return unquote(scope["raw_path"].decode("latin-1"))


def decoded_again(scope: Any) -> str:
    return unquote(scope["path"])


def dots_resolved(scope: Any) -> str:
    path: list[str] = []
    for segment in re.split(r"[/\\]+", scope["path"]):
        if segment == "..":
            path = path[:-1]
        elif segment not in ("", "."):
            path.append(segment.partition(";")[0])
    return "/" + "/".join(path)


ROUTERS = [collapsing, collapsing_first, looking_inside, prefix_removed, as_sent, decoded_again, dots_resolved]


async def reached(layer: GuardMiddleware, seen: list[str], sent: str, root_path: str = "") -> list[str]:
    """What the application sees of a request without a token."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    seen.clear()
    raw = sent.encode("ascii")
    scope = {"type": "http", "method": "GET", "path": unquote(sent), "raw_path": raw, "root_path": root_path}
    await layer({**scope, "headers": [], "query_string": b""}, receive, send)
    return list(seen)


def layer_before(route: Callable[[Any], str], seen: list[str], **options: Any) -> GuardMiddleware:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(route(scope))

    return GuardMiddleware(app, Guard("https://issuer.example", "https://mcp.example/mcp"), **options)


@pytest.mark.parametrize("route", ROUTERS, ids=lambda route: route.__name__)
@pytest.mark.parametrize("root_path", ["", "/", "/api", "/api/", "/x/api"])
async def test_no_spelling_of_the_guarded_path_is_open(route: Any, root_path: str) -> None:
    seen: list[str] = []
    layer = layer_before(route, seen, path="/mcp")
    random = Random(7)
    pieces = ["/", "//", "\\", ".", "..", "mcp", "m", "cp", "x", "api", "%2f", "%2e", "%6d", "%25", ";y", "%5c"]
    made = ["/" + "".join(random.choices(pieces, k=random.randint(1, 7))) for _ in range(3000)]
    opened = 0
    for sent in [*SPELLINGS_OF_MCP, "http://mcp.example/mcp", *made]:
        for path in await reached(layer, seen, sent, root_path):
            opened += 1
            assert not path.startswith("/mcp"), sent
    assert opened > 100
    await layer.guard.aclose()


async def test_a_guarded_path_below_others_is_guarded_in_every_spelling() -> None:
    seen: list[str] = []
    layer = layer_before(collapsing, seen, path="/m/mcp")
    for sent in ("/m/mcp", "/m//mcp", "//m/mcp", "/m/mcpx", "/m/mcp/x", "/m/./mcp"):
        assert await reached(layer, seen, sent) == [], sent
    for sent in ("/m", "/m/", "/m/mc", "/mcp", "/n/m/mcp"):
        assert await reached(layer, seen, sent) != [], sent
    await layer.guard.aclose()


async def test_letter_case_opens_nothing() -> None:
    """For frameworks that do not mind it."""
    seen: list[str] = []
    layer = layer_before(lambda scope: scope["path"].lower(), seen, path="/Mcp")
    for sent in ("/mcp", "/MCP", "/mCp/tools", "/%4dcp", "//MCP"):
        assert await reached(layer, seen, sent) == [], sent
    assert await reached(layer, seen, "/Other") == ["/other"]
    await layer.guard.aclose()


async def test_a_mount_that_begins_like_the_guarded_path_guards_nothing_else() -> None:
    seen: list[str] = []
    layer = layer_before(collapsing, seen, path="/mcp")
    assert await reached(layer, seen, "/mcp-server/health", "/mcp-server") == ["/health"]
    for sent in ("/mcp-server/mcp", "/mcp-server//mcp", "/mcp-server/MCP/x", "/mcp-server/%6dcp"):
        assert await reached(layer, seen, sent, "/mcp-server") == [], sent
    await layer.guard.aclose()


@pytest.mark.parametrize("sent", ["/x[1]", "/a|b", "/a%2Cb", "/caf%c3%a9", "/caf%C3%A9", "/a%20b"])
async def test_what_is_public_may_be_written_as_clients_do(sent: str) -> None:
    seen: list[str] = []
    layer = layer_before(lambda scope: scope["path"], seen, public=[unquote(sent)])
    assert await reached(layer, seen, sent) == [unquote(sent)]
    for hidden in ("/%2e" + sent, sent.replace("a", "%2561"), "/x/%2e%2e" + sent):
        assert await reached(layer, seen, hidden) == [] or hidden == sent, hidden
    await layer.guard.aclose()


async def test_an_application_that_ignores_its_mount_is_guarded() -> None:
    """It routes by the whole path, and the operator named that one."""
    seen: list[str] = []
    layer = layer_before(lambda scope: scope["path"], seen, path="/api/mcp")
    for sent in ("/api/mcp", "/api//mcp", "/api/mcp/x"):
        assert await reached(layer, seen, sent, "/api") == [], sent
    assert await reached(layer, seen, "/api/open", "/api") == ["/api/open"]
    await layer.guard.aclose()


async def test_public_paths_are_public_only_as_they_are_written() -> None:
    seen: list[str] = []
    layer = layer_before(as_sent, seen, public=["/health", "/a b"])
    for sent, root_path in (("/health", ""), ("/a%20b", ""), ("/api/health", "/api")):
        assert await reached(layer, seen, sent, root_path) == [unquote(sent)], sent
    for sent in ("//health", "/health/", "/%68ealth", "/x/../health", "/health;x", "/healthx", "/HEALTH", "/a+b"):
        assert await reached(layer, seen, sent) == [], sent
    await layer.guard.aclose()


@pytest.mark.parametrize("given", ["/mcp", "mcp", "/mcp/", "//mcp", "/%6dcp"])
async def test_the_guarded_path_may_be_written_loosely(given: str) -> None:
    seen: list[str] = []
    layer = layer_before(dots_resolved, seen, path=given)
    assert await reached(layer, seen, "/mcp") == []
    assert await reached(layer, seen, quote("/öffentlich")) == ["/öffentlich"]
    await layer.guard.aclose()


@pytest.mark.parametrize("given", ["/a/../mcp", "/mcp?x", "/mcp#x", "/./mcp", "/%2e%2e"])
def test_a_guarded_path_that_no_request_has_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="must be written as a router has it"):
        layer_before(as_sent, [], path=given)

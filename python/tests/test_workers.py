"""Servers that are made when their module is imported, which uvicorn does inside an event loop in each of its workers."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import AuthorizationServer, Client, Running, result_of

from doorward import DoorwardClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/python"

SDK = """
import os

from doorward.mcp import doorward_mcp_auth_sync, secure_app

try:
    from mcp.server.mcpserver import MCPServer
    of_server, of_app = {}, {"stateless_http": True}
except ImportError:
    from mcp.server.fastmcp import FastMCP as MCPServer
    of_server, of_app = {"stateless_http": True}, {}

auth = doorward_mcp_auth_sync(
    issuer=os.environ["DOORWARD_ISSUER"],
    resource=os.environ["DOORWARD_BASE_URL"] + "/mcp",
    required_scopes=["mcp:echo"],
)
mcp = MCPServer("demo-server", **auth, **of_server)


@mcp.tool()
def echo(text: str) -> str:
    return text


app = secure_app(mcp, **of_app)
"""


@contextmanager
def workers(server: AuthorizationServer, folder: Path, log: Path) -> Iterator[Client]:
    """``uvicorn workers:app --workers 2`` in a folder."""
    # Nobody else gets the port before the program has it: servers reuse addresses.
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    port = kept.getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "workers:app", "--workers", "2", "--port", str(port)]
    environment = {**os.environ, "DOORWARD_ISSUER": server.issuer, "DOORWARD_BASE_URL": base_url}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: log.read_text().count("Application startup complete") == 2, process, log)
        yield Client(Running(base_url))
    finally:
        process.terminate()
        process.wait(30)
        kept.close()


def until(is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while not is_so():
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def check(server: AuthorizationServer, client: Client) -> None:
    token = server.token(client.server.resource, scope="mcp:echo")
    for number in range(8):
        # A connection each: either worker may take it.
        answer = Client(client.server).call(token, "echo", {"text": f"call {number}"}, {})
        assert result_of(answer)["result"]["content"][0]["text"] == f"call {number}"
        assert Client(client.server).call("none", "echo", {"text": ""}, {}).status_code == 401


def test_the_example_for_fastmcp_runs_in_several_workers(
    authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    pytest.importorskip("fastmcp")
    with workers(authorization_server, EXAMPLES / "fastmcp", tmp_path / "log") as client:
        check(authorization_server, client)


def test_a_server_on_the_official_sdk_runs_in_several_workers(
    authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    pytest.importorskip("mcp")
    (tmp_path / "workers.py").write_text(SDK)
    with workers(authorization_server, tmp_path, tmp_path / "log") as client:
        check(authorization_server, client)


def twins() -> list[tuple[Any, Any, int]]:
    """What is awaited, what is not, and how many arguments they need."""
    pytest.importorskip("fastmcp")
    from doorward.fastmcp import doorward_auth, doorward_auth_sync
    from doorward.mcp import doorward_mcp_auth, doorward_mcp_auth_sync

    return [
        (doorward_auth, doorward_auth_sync, 2),
        (doorward_mcp_auth, doorward_mcp_auth_sync, 2),
        (DoorwardClient.create, DoorwardClient.create_sync, 1),
    ]


async def test_what_is_awaited_is_the_same_as_what_is_not(authorization_server: AuthorizationServer) -> None:
    for awaited, at_once, needed in twins():
        assert inspect.iscoroutinefunction(awaited)
        assert inspect.signature(awaited) == inspect.signature(at_once)
        assert awaited.__name__ + "_sync" == at_once.__name__
        arguments = [authorization_server.issuer, "http://127.0.0.1:8080/mcp"][:needed]
        async with await awaited(*arguments) as one, at_once(*arguments) as other:
            assert type(one) is type(other)

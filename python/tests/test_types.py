"""What type checkers, and programs that ask at run time, find in this package."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import AuthorizationServer

import doorward
from doorward import DoorwardClient, Guard, GuardOptions, RevocationChecker, Transport, errors

MODULES = [
    f"doorward{name}"
    for name in ("", *(f".{path.stem}" for path in Path(doorward.__file__).parent.glob("*.py") if path.stem[0] != "_"))
]
HERE = Path(__file__).parent


def functions(owner: type) -> Iterator[Any]:
    for member in vars(owner).values():
        member = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        member = member.fget if isinstance(member, property) else member
        if inspect.isfunction(member) and member.__module__.startswith("doorward"):
            yield member


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_says_its_types_at_run_time(name: str) -> None:
    module = importlib.import_module(name)
    for member in (getattr(module, name) for name in module.__all__):
        if inspect.isclass(member):
            typing.get_type_hints(member)
            for function in functions(member):
                typing.get_type_hints(function)
        elif inspect.isfunction(member):
            typing.get_type_hints(member)


def test_aliases_can_be_part_of_annotations() -> None:
    for alias in (RevocationChecker, Transport, doorward.ReplayStore):
        assert type(None) in typing.get_args(alias | None)


def test_every_error_is_named_at_the_top() -> None:
    assert set(errors.__all__) <= set(doorward.__all__)
    assert all(hasattr(doorward, name) for name in doorward.__all__)


@pytest.mark.parametrize("adapter", ["doorward.fastmcp.doorward_auth", "doorward.mcp.doorward_mcp_auth"])
def test_options_of_a_guard_are_all_known_by_name(adapter: str) -> None:
    module, name = adapter.rsplit(".", 1)
    of_guard = typing.get_type_hints(Guard.__init__)
    further = typing.get_type_hints(GuardOptions)
    assert {name: of_guard[name] for name in further} == further
    # What the client says for its resources.
    of_client = {"issuer", "as_credentials", "jwks_refresh_seconds", "dev_mode", "fetch_settings", "transport", "clock"}
    resource = set(inspect.signature(DoorwardClient.resource).parameters) - {"self", "options"}
    assert resource | of_client | set(further) == set(inspect.signature(Guard).parameters)
    assert not resource & set(further)
    named = set(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    assert resource - named <= {"resource"}
    assert not named & set(further)


async def test_a_decision_has_the_keys_of_its_type(authorization_server: AuthorizationServer) -> None:
    told: list[Any] = []
    async with Guard(authorization_server.issuer, "http://127.0.0.1/mcp", on_decision=told.append) as guard:
        guard.core.admit("GET", b"/mcp", b"", [(b"authorization", b"Bearer bad")], None)
    assert [set(decision) for decision in told] == [set(doorward.Decision.__annotations__)]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package alone: frameworks have types of their own, of many versions, and take long to read."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("types")
    shutil.copytree(Path(doorward.__file__).parent, folder / "doorward")
    shutil.copytree(HERE / "typed", folder / "typed")
    return folder


def mypy(package: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=600, check=False).stdout


STRICT = [
    "mypy",
    "--strict",
    "--ignore-missing-imports",
    "--allow-subclassing-any",
    "--no-site-packages",
    "--no-pretty",
]


def test_a_type_checker_finds_nothing_in_the_package_and_in_good_uses(package: Path) -> None:
    said = mypy(package, *STRICT, "--no-error-summary", "doorward", "typed/good.py")
    assert said == ""


def test_a_type_checker_finds_what_cannot_work(package: Path) -> None:
    said = mypy(package, *STRICT, "--follow-imports=silent", "typed/bad.py")
    found = {int(line): code for line, code in re.findall(r"^typed/bad\.py:(\d+): error: .*\[([\w-]+)\]$", said, re.M)}
    source = (HERE / "typed/bad.py").read_text().splitlines()
    expected = {
        number: marked[1]
        for number, line in enumerate(source, 1)
        if (marked := re.search(r"  # ([\w-]+)$", line)) is not None
    }
    assert found == expected, said


def test_the_stub_of_the_core_is_true(package: Path) -> None:
    said = mypy(package, "mypy.stubtest", "doorward._core", "--concise")
    assert said.startswith("Success") or said == "", said

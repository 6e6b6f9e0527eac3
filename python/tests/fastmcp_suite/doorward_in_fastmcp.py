"""A pytest plugin: FastMCP's own tests with Doorward's verifier and key pair in place of FastMCP's.

`pytest -p doorward_in_fastmcp` loads it before any test module is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fastmcp.server.auth.providers.jwt as in_place_of
import pytest

from doorward import jwt

# Why a test of theirs cannot pass here. An entry that passes fails the run: the list must not outlive its reasons.
CANNOT_PASS = {
    "TestEdDSAJWT::test_static_public_key[Ed448]": "AWS-LC, which checks every signature here, has no Ed448",
}

_verified = 0


def _counted(verify: Callable[..., Any]) -> Callable[..., Any]:
    async def load_access_token(self: jwt.JWTVerifier, token: str) -> Any:
        global _verified
        _verified += 1
        return await verify(self, token)

    return load_access_token


jwt.JWTVerifier.load_access_token = _counted(jwt.JWTVerifier.load_access_token)
in_place_of.JWTVerifier = jwt.JWTVerifier
in_place_of.RSAKeyPair = jwt.RSAKeyPair


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is known not to pass."""
    for item in items:
        for name, reason in CANNOT_PASS.items():
            if item.nodeid.endswith(name):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which our verifier was never asked shows nothing."""
    if session.exitstatus == pytest.ExitCode.OK and _verified == 0:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how often our verifier was asked."""
    terminalreporter.write_line(f"doorward.jwt was asked about {_verified} tokens")

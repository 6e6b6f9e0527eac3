"""The framework's own `TokenVerifier` and `AccessToken`, or plain ones where there is no framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

__all__ = ["AccessToken", "TokenVerifier"]

if TYPE_CHECKING:
    from fastmcp.server.auth import AccessToken
    from fastmcp.server.auth import TokenVerifier as _Base
else:
    try:
        from fastmcp.server.auth import AccessToken
        from fastmcp.server.auth import TokenVerifier as _Base
    except ImportError:
        _Base = object
        try:
            from mcp.server.auth.provider import AccessToken
        except ImportError:

            @dataclass
            class AccessToken:
                """A verified token, shaped as in the official SDK."""

                token: str
                client_id: str
                scopes: list[str]
                expires_at: int | None = None
                resource: str | None = None
                subject: str | None = None
                claims: dict[str, Any] = field(default_factory=dict)


class TokenVerifier(_Base):
    """FastMCP's `TokenVerifier` where FastMCP is installed."""

    def __init__(self, *, base_url: Any = None, required_scopes: list[str] | None = None) -> None:
        if _Base is object:
            self.base_url = base_url
            self.required_scopes = required_scopes or []
        else:
            super().__init__(base_url=base_url, required_scopes=required_scopes)

"""A key pair for tests of servers that verify tokens."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Protocol

from doorward import _core


class Secret:
    """Text that does not show itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('**********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class SecretText(Protocol):
    """Text that has to be asked for: `Secret` here, or pydantic's `SecretStr`."""

    def get_secret_value(self) -> str:
        """The text."""
        ...


@dataclass(frozen=True, kw_only=True, repr=False)
class RSAKeyPair:
    """An RSA key pair that signs tokens for tests. Real tokens come from an authorization server."""

    private_key: SecretText
    public_key: str

    @classmethod
    def generate(cls) -> RSAKeyPair:
        """Make a pair of 2048 bits."""
        private_key, public_key = _core.generate_rsa_key_pair()
        return cls(private_key=Secret(private_key), public_key=public_key)

    def create_token(
        self,
        subject: str = "fastmcp-user",
        issuer: str = "https://fastmcp.example.com",
        audience: str | list[str] | None = None,
        scopes: list[str] | None = None,
        expires_in_seconds: int = 3600,
        additional_claims: dict[str, Any] | None = None,
        kid: str | None = None,
    ) -> str:
        """A token signed with RS256.

        Args:
            subject: `sub`
            issuer: `iss`
            audience: `aud`; left out by default.
            scopes: `scope`; left out by default.
            expires_in_seconds: How long the token counts from now on; negative for one that is expired.
            additional_claims: Claims that are added; they win over those above.
            kid: The name of the key, for verifiers that choose it from a set.
        """
        now = int(time.time())
        claims: dict[str, Any] = {"iss": issuer, "sub": subject, "iat": now, "exp": now + expires_in_seconds}
        if audience:
            claims["aud"] = audience
        if scopes:
            claims["scope"] = " ".join(scopes)
        claims.update(additional_claims or {})
        return _core.sign_rs256(self.private_key.get_secret_value(), json.dumps(claims), kid)

    def __repr__(self) -> str:
        return f"RSAKeyPair(public_key={self.public_key!r})"

"""What is asked of the authorization server, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from doorward import _core
from doorward._words import words

__all__ = [
    "GRANT_TYPE_TOKEN_EXCHANGE",
    "TOKEN_TYPE_ACCESS_TOKEN",
    "IntrospectionResponse",
    "TokenExchangeOptions",
    "TokenResponse",
]

GRANT_TYPE_TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@dataclass(frozen=True)
class TokenExchangeOptions:
    """A token exchange (RFC 8693).

    Attributes:
        subject_token: The token to exchange, mostly that of the request that is being answered: ``current_subject_token()``.
        subject_token_type: Its type. Default: an access token.
        actor_token: A token of the one who acts.
        actor_token_type: Its type. Default: an access token.
        requested_token_type: What should come out. Default: the server decides, which must be an access token.
        scope: The scopes that are wanted, separated by spaces.
        resources: The URLs of the services that the new token is for.
        audiences: Their names at the authorization server.
    """

    subject_token: str | _core.SubjectToken = field(repr=False)
    subject_token_type: str = ""
    actor_token: str = field(default="", repr=False)
    actor_token_type: str = ""
    requested_token_type: str = ""
    scope: str = ""
    resources: Sequence[str] = ()
    audiences: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.subject_token, str | _core.SubjectToken):
            raise TypeError("subject_token must be a token, or what current_subject_token() returns")
        if not self.subject_token:
            raise ValueError("a token exchange needs a subject_token")
        if not isinstance(self.scope, str):
            raise TypeError("scope must be one string, with spaces between the scopes")
        words("resources", self.resources)
        words("audiences", self.audiences)


@dataclass(frozen=True)
class TokenResponse:
    """A token, with what the authorization server says about it.

    Attributes:
        access_token: The token.
        token_type: ``Bearer``, ``DPoP``, or ``N_A`` for what is no access token.
        expires_in: For how many seconds from now on it counts, if the server says so.
        scope: What was granted; empty means what was asked for.
        refresh_token: A refresh token, where the server issues one.
        issued_token_type: What came out of an exchange.
    """

    access_token: str = field(repr=False)
    token_type: Literal["Bearer", "DPoP", "N_A"]
    expires_in: int | None = None
    scope: str = ""
    refresh_token: str | None = field(default=None, repr=False)
    issued_token_type: str | None = None


@dataclass(frozen=True)
class IntrospectionResponse:
    """What the authorization server says about a token (RFC 7662 §2.2). Of one that does not count, nothing else."""

    active: bool
    scope: str = ""
    client_id: str | None = None
    username: str | None = None
    token_type: str | None = None
    exp: int | None = None
    iat: int | None = None
    nbf: int | None = None
    sub: str | None = None
    aud: Sequence[str] = ()
    iss: str | None = None
    jti: str | None = None
    cnf_jkt: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

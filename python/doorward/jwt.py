"""FastMCP's `JWTVerifier`, the older `BearerAuthProvider` and the test key pair `RSAKeyPair`, verified in Rust.

Change the import and keep the arguments::

    from doorward.jwt import JWTVerifier, RSAKeyPair

The classes are FastMCP providers where FastMCP is installed (2.14 or newer), and plain token verifiers for the official SDK where it is
not. For a server that trusts a Doorward issuer, `doorward.fastmcp.doorward_auth` does more: discovery, resource metadata, DPoP, 403 with
the scopes that are needed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Coroutine, Sequence
from typing import Any

from doorward import _core
from doorward._access_token import access_tokens
from doorward._coroutine import as_coroutine_function
from doorward._jwks import AsyncClient, transport_over
from doorward._key_pair import RSAKeyPair
from doorward._token_verifier import AccessToken, TokenVerifier
from doorward.errors import DoorwardError

__all__ = ["BearerAuthProvider", "JWTVerifier", "RSAKeyPair"]

_log = logging.getLogger("doorward.jwt")

_SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
_ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"})


class JWTVerifier(TokenVerifier):
    """Verifies JSON Web Tokens with a fixed key, a shared secret, or the keys that an issuer publishes.

    It takes FastMCP's arguments and answers as FastMCP's does: an `AccessToken`, or `None` for a token that does not count.
    """

    def __init__(
        self,
        *,
        public_key: str | bytes | None = None,
        jwks_uri: str | None = None,
        issuer: str | list[str] | None = None,
        audience: str | list[str] | None = None,
        algorithm: str | None = None,
        required_scopes: list[str] | str | None = None,
        base_url: Any = None,
        ssrf_safe: bool = False,
        http_client: AsyncClient | None = None,
        jwks_refresh_interval: float = 30.0,
    ) -> None:
        """Check the arguments; nothing is fetched before the first token comes.

        Args:
            public_key: The key in PEM form, or the shared secret of an HS algorithm.
            jwks_uri: Where the issuer publishes its keys. One of `public_key` and `jwks_uri` is needed, not both.
            issuer: What `iss` must be, or a list of what it may be. `None` leaves it unchecked.
            audience: What `aud` must contain, or a list of which one is enough. `None` leaves it unchecked: then every
                token of the issuer counts, whomever it was made for.
            algorithm: The one algorithm that counts. Default: RS256.
            required_scopes: Without every one of these a token does not count.
            base_url: Where this server is reached, for FastMCP.
            ssrf_safe: Fetch the keys from public HTTPS addresses alone.
            http_client: An `httpx` or `httpx2` client for the keys; its owner closes it.
            jwks_refresh_interval: The shortest time between two looks for a key that was not there, in seconds.

        Raises:
            ValueError: When the arguments do not go together; the message says what to change.
        """
        algorithm = algorithm or "RS256"
        _check(public_key, jwks_uri, algorithm, ssrf_safe, http_client, jwks_refresh_interval)
        scopes = _scopes(required_scopes)
        super().__init__(base_url=base_url, required_scopes=scopes)
        self.public_key = public_key
        self.jwks_uri = jwks_uri
        self.issuer = issuer
        self.audience = audience
        self.algorithm = algorithm
        self.ssrf_safe = ssrf_safe
        # A key that cannot be read must not stop a server from being put together: it then verifies nothing.
        self._verifier: _core.JwtVerifier | None = None
        try:
            self._verifier = _core.JwtVerifier(
                {
                    "public_key": public_key.encode() if isinstance(public_key, str) else public_key,
                    "jwks_uri": jwks_uri,
                    "issuers": _listed(issuer),
                    "audiences": _listed(audience),
                    "algorithm": algorithm,
                    "refresh_interval": float(jwks_refresh_interval),
                    "public_addresses_only": ssrf_safe,
                    "transport": transport_over(http_client) if jwks_uri and not ssrf_safe else None,
                },
                access_tokens(AccessToken),
            )
        except ValueError as error:
            _log.error("no token will be accepted: %s", error)

    @as_coroutine_function
    def verify_token(self, token: str) -> Coroutine[Any, Any, AccessToken | None]:
        """The verified token, or `None` when it does not count."""
        return self.load_access_token(token)

    async def load_access_token(self, token: str) -> AccessToken | None:
        """The verified token, or `None` when it does not count."""
        if self._verifier is None:
            return None
        try:
            verified = self._verifier.verify(token)
            access: AccessToken = verified if type(verified) is AccessToken else await verified
        except DoorwardError as refused:
            _log.info("a token was refused: %s", refused)
            return None
        except UnicodeEncodeError:
            _log.info("a token was refused: it is no text")
            return None
        if self.required_scopes and not self._has_required(access.scopes):
            _log.info("a token was refused: it lacks a required scope")
            return None
        return access

    def _has_required(self, scopes: list[str]) -> bool:
        return set(self.required_scopes) <= set(scopes)


class BearerAuthProvider(JWTVerifier):
    """FastMCP's `BearerAuthProvider` of 2.6 to 2.13, with its old arguments, on today's FastMCP.

    A token that lacks a required scope is answered with 403 by the server, as it was then.
    """

    def __init__(
        self,
        public_key: str | None = None,
        jwks_uri: str | None = None,
        issuer: str | None = None,
        algorithm: str | None = None,
        audience: str | list[str] | None = None,
        required_scopes: list[str] | None = None,
    ) -> None:
        """Check the arguments; nothing is fetched before the first token comes.

        Args:
            public_key: The key in PEM form.
            jwks_uri: Where the issuer publishes its keys. One of the two is needed, not both.
            issuer: What `iss` must be. `None` leaves it unchecked.
            algorithm: The one algorithm that counts. Default: RS256.
            audience: What `aud` must contain. `None` leaves it unchecked.
            required_scopes: The scopes that every request needs.

        Raises:
            ValueError: When the arguments do not go together; the message says what to change.
        """
        super().__init__(
            public_key=public_key,
            jwks_uri=jwks_uri,
            issuer=issuer,
            algorithm=algorithm,
            audience=audience,
            required_scopes=required_scopes,
        )

    def _has_required(self, scopes: list[str]) -> bool:
        # The server in front answers 403 itself (RFC 6750 §3.1).
        return True


def _check(
    public_key: str | bytes | None,
    jwks_uri: str | None,
    algorithm: str,
    ssrf_safe: bool,
    http_client: AsyncClient | None,
    refresh_interval: float,
) -> None:
    if not public_key and not jwks_uri:
        raise ValueError("Either public_key or jwks_uri must be provided")
    if public_key and jwks_uri:
        raise ValueError("Provide either public_key or jwks_uri, not both")
    if jwks_uri and ssrf_safe and http_client is not None:
        raise ValueError("http_client cannot be used with ssrf_safe=True: leave one of the two out")
    if algorithm in _SYMMETRIC:
        if jwks_uri:
            raise ValueError(f"{algorithm} cannot be used with jwks_uri: give the shared secret as public_key")
        if public_key and _looks_like_pem(public_key):
            raise ValueError(
                f"HS algorithms require a shared secret, and public_key is a PEM document: name its algorithm, not {algorithm}"
            )
    elif algorithm not in _ASYMMETRIC:
        known = ", ".join(sorted(_ASYMMETRIC | _SYMMETRIC))
        raise ValueError(f"Unsupported algorithm: {algorithm}. Choose one of {known}")
    if not math.isfinite(refresh_interval) or refresh_interval < 0:
        raise ValueError("jwks_refresh_interval must be finite and non-negative")


def _looks_like_pem(key: str | bytes) -> bool:
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
    return "-----BEGIN " in text


def _listed(value: str | Sequence[str] | None) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else list(value)


def _scopes(given: list[str] | str | None) -> list[str] | None:
    """Scopes as a list; a string has them separated by spaces or commas."""
    return given.replace(",", " ").split() if isinstance(given, str) else given

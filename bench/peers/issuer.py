"""An issuer for the measurements: its keys, its tokens and proofs by a client's key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils


def private_key(fixtures: dict[str, Any]) -> ec.EllipticCurvePrivateKey:
    """The key of the fixtures' tokens."""
    key = serialization.load_pem_private_key(fixtures["private_key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def public_pem(fixtures: dict[str, Any]) -> str:
    """Its public half."""
    pem, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key(fixtures).public_key().public_bytes(pem, form).decode()


def document(fixtures: dict[str, Any], url: str) -> dict[str, Any]:
    """The key set or, at any other URL, the metadata of the issuer."""
    return fixtures["jwks"] if url == fixtures["jwks_uri"] else metadata(fixtures["issuer"], fixtures["jwks_uri"])


def metadata(issuer: str, jwks_uri: str) -> dict[str, Any]:
    """RFC 8414 §2."""
    return {
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "response_types_supported": ["code"],
    }


@contextmanager
def served(fixtures: dict[str, Any]) -> Iterator[str]:
    """The URL of an issuer with the same key, for libraries that fetch it themselves."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = fixtures["jwks"] if self.path == "/jwks" else metadata(url, f"{url}/jwks")
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()


async def keys_of(guard: Any, fixtures: dict[str, Any]) -> None:
    """Waits until a `doorward.Guard` has the keys of the fixtures."""
    from doorward.errors import JWKSFetchError

    while True:
        try:
            await guard.verify(fixtures["tokens"][-1])
            return
        except JWKSFetchError:
            await asyncio.sleep(0.01)


def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(key: ec.EllipticCurvePrivateKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A JWS with ES256 (RFC 7518 §3.4)."""
    signing_input = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    der = key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
    numbers = utils.decode_dss_signature(der)
    return f"{signing_input}.{encode(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


class Tokens:
    """Tokens like those of the fixtures, of another issuer or bound to a client's key."""

    def __init__(self, fixtures: dict[str, Any], issuer: str) -> None:
        self._key = private_key(fixtures)
        self._resource = fixtures["resource"]
        header, claims, _ = fixtures["tokens"][0].split(".")
        self._header = json.loads(base64.urlsafe_b64decode(header + "=="))
        self._claims = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"iss": issuer}
        self._client_key = ec.generate_private_key(ec.SECP256R1())
        public = self._client_key.public_key().public_numbers()
        self._jwk = {
            "crv": "P-256",
            "kty": "EC",
            "x": encode(public.x.to_bytes(32, "big")),
            "y": encode(public.y.to_bytes(32, "big")),
        }
        canonical = json.dumps(self._jwk, separators=(",", ":"), sort_keys=True)  # RFC 7638 §3
        self._thumbprint = encode(hashlib.sha256(canonical.encode()).digest())
        self._numbers = itertools.count()

    def bearer(self, **claims: Any) -> str:
        """A token that nobody has seen, of another person than every other."""
        number = next(self._numbers)
        names = enumerate(("gid", "jti", "sub"))
        own = {name: f"1d2e3f40-5b6c-4d7e-8f90-{place}{number:011x}" for place, name in names}
        # As if people had signed in over the last minutes.
        times = {name: self._claims[name] - number % 97 for name in ("auth_time", "exp", "iat")}
        return sign(self._key, self._header, self._claims | own | times | claims)

    def bound(self) -> tuple[str, str]:
        """A token that is bound to the client's key, and a proof for a POST to the resource (RFC 9449 §4.2)."""
        token = self.bearer(cnf={"jkt": self._thumbprint})
        proof = {
            "jti": f"proof-{next(self._numbers):012x}",
            "htm": "POST",
            "htu": self._resource,
            "iat": int(time.time()),
            "ath": encode(hashlib.sha256(token.encode()).digest()),
        }
        return token, sign(self._client_key, {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._jwk}, proof)

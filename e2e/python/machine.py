"""What the checks of grants for programs share: the admin API and keys that sign assertions."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import import_key

GRANT_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANT_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def admin(method: str, path: str, body: object = None) -> Any:
    """A request to the admin API."""
    headers = {"Authorization": f"Bearer {os.environ['DOORWARD_ADMIN_KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{os.environ['DOORWARD_ADMIN_URL']}/admin/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def register(**client: object) -> dict[str, Any]:
    """Registers a client as an operator does; what it is gets the scopes of the example servers."""
    return admin("POST", "clients", {"scope": "mcp:read mcp:write", **client})


def pem(algorithm: str) -> str:
    """A private key for assertions."""
    key: Any
    if algorithm == "ES256":
        key = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == "Ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def private_key(private: str, algorithm: str) -> Any:
    """The same key, as Authlib wants it."""
    return import_key(private, {"ES256": "EC", "Ed25519": "OKP"}.get(algorithm, "RSA"))


def public_jwk(private: str, algorithm: str, **members: str) -> dict[str, Any]:
    """The public half, as clients register it."""
    return {**private_key(private, algorithm).as_dict(private=False), **members}

"""Keys with which clients sign that they are themselves."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import import_key


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

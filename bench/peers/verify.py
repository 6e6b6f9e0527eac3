"""What Python libraries need to check an access token: nanoseconds of processor time a call, as one JSON object.

Usage: verify.py FIXTURES SECONDS, with the file that `verify --fixtures` writes. Each figure is the median of slices of the
time, measured inside of one running event loop where the library is asynchronous.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

SLICES = 15


class Meter:
    """Measures calls in slices of processor time of this thread."""

    def __init__(self, seconds: float) -> None:
        self.slice = seconds * 1e9 / SLICES
        self.figures: dict[str, float] = {}

    async def asynchronous(self, name: str, call: Callable[[int], Awaitable[Any]]) -> None:
        assert await call(0), f"{name} refuses a good token"
        figures, number = [], 1
        for _ in range(SLICES):
            count, started = 0, time.thread_time_ns()
            while (spent := time.thread_time_ns() - started) < self.slice:
                for _ in range(20):
                    await call(number)
                    number += 1
                count += 20
            figures.append(spent / count)
        self.figures[name] = statistics.median(figures)

    async def synchronous(self, name: str, call: Callable[[int], Any]) -> None:
        assert call(0), f"{name} refuses a good token"
        figures, number = [], 1
        for _ in range(SLICES):
            count, started = 0, time.thread_time_ns()
            while (spent := time.thread_time_ns() - started) < self.slice:
                for _ in range(20):
                    call(number)
                    number += 1
                count += 20
            figures.append(spent / count)
        self.figures[name] = statistics.median(figures)


async def pyjwt(meter: Meter, fixtures: dict[str, Any]) -> None:
    import jwt

    key = jwt.PyJWK(fixtures["jwks"]["keys"][0]).key
    tokens = fixtures["tokens"]

    def check(number: int) -> Any:
        return jwt.decode(
            tokens[number % len(tokens)],
            key,
            algorithms=["ES256"],
            audience=fixtures["resource"],
            issuer=fixtures["issuer"],
        )

    await meter.synchronous("PyJWT", check)


async def joserfc(meter: Meter, fixtures: dict[str, Any]) -> None:
    from joserfc import jwk, jwt

    key = jwk.ECKey.import_key(fixtures["jwks"]["keys"][0])
    tokens = fixtures["tokens"]
    claims = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": fixtures["issuer"]},
        aud={"essential": True, "value": fixtures["resource"]},
        exp={"essential": True},
    )

    def check(number: int) -> Any:
        token = jwt.decode(tokens[number % len(tokens)], key, algorithms=["ES256"])
        claims.validate(token.claims)
        return token.claims

    await meter.synchronous("joserfc", check)


def public_pem(fixtures: dict[str, Any]) -> str:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(fixtures["private_key"].encode(), None)
    return (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


async def cryptography(meter: Meter, fixtures: dict[str, Any]) -> None:
    """The bare signature in Python's usual library, the floor of all that use it."""
    import base64

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    private = serialization.load_pem_private_key(fixtures["private_key"].encode(), None)
    public = private.public_key()
    signing_input, _, signature = fixtures["tokens"][0].rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    data, algorithm = signing_input.encode(), ec.ECDSA(hashes.SHA256())

    def check(_: int) -> bool:
        public.verify(der, data, algorithm)
        return True

    await meter.synchronous("cryptography, signature alone", check)


async def fastmcp(meter: Meter, fixtures: dict[str, Any]) -> None:
    from fastmcp.server.auth.providers.jwt import JWTVerifier

    verifier = JWTVerifier(
        public_key=public_pem(fixtures),
        issuer=fixtures["issuer"],
        audience=fixtures["resource"],
        algorithm="ES256",
    )
    tokens = fixtures["tokens"]
    await meter.asynchronous(
        "FastMCP JWTVerifier", lambda number: verifier.verify_token(tokens[number % len(tokens)])
    )


async def doorward(meter: Meter, fixtures: dict[str, Any]) -> None:
    from doorward.jwt import JWTVerifier

    verifier = JWTVerifier(
        public_key=public_pem(fixtures),
        issuer=fixtures["issuer"],
        audience=fixtures["resource"],
        algorithm="ES256",
    )
    tokens = fixtures["tokens"]
    await meter.asynchronous(
        "doorward JWTVerifier", lambda number: verifier.verify_token(tokens[number % len(tokens)])
    )


LIBRARIES = [cryptography, pyjwt, joserfc, fastmcp, doorward]


async def main(path: str, seconds: float) -> None:
    with open(path, encoding="utf-8") as file:
        fixtures = json.load(file)
    meter = Meter(seconds)
    for library in LIBRARIES:
        await library(meter, fixtures)
    print(json.dumps(meter.figures))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))

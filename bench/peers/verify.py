"""What Python libraries need to check an access token: nanoseconds of processor time a call, as one JSON object.

Usage: verify.py FIXTURES SECONDS [VERIFY], with the file that `verify --fixtures` writes. Every library is measured in every
round, one after the other, inside of a running event loop where it is asynchronous; a figure is the median of its rounds.
With the program VERIFY, each round begins with the bare signature check of aws-lc over tokens like these, and the ratios to
it go to standard error.

Every check has a process of its own, as the bare one has: what one library keeps, and leaves behind, is in no other's figure.
It is called some times before it is measured, with other tokens.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import issuer
from issuer import public_pem

RAW = "raw ES256, tokens never seen"
CALLS = 200
"""Calls in a round."""
WARM = 50
"""Calls before them."""

Arguments = Sequence[tuple[Any, ...]]


@dataclass
class Check:
    """One way to check tokens.

    Attributes:
        check: The function.
        arguments: Makes so many sets of arguments that it has not seen before; it is called once with each.
        times: How often the check is called with each of them in turn; only the last time counts.
    """

    check: Callable[..., Any]
    arguments: Callable[[int], Arguments]
    is_asynchronous: bool = True
    times: int = 1

    async def measure(self) -> float:
        """Nanoseconds of this thread a call."""
        first, arguments = self.arguments(WARM), self.arguments(CALLS)
        for _ in range(1, self.times):
            await self.call(arguments)
        gc.collect()
        await self.call(first)
        started = time.thread_time_ns()
        await self.call(arguments)
        return (time.thread_time_ns() - started) / len(arguments)

    async def call(self, arguments: Arguments) -> None:
        """Calls it with each. A check that refuses raises an exception or returns what counts as nothing."""
        check = self.check
        if self.is_asynchronous:
            for each in arguments:
                if not await check(*each):
                    raise SystemExit("a good token is refused")
        else:
            for each in arguments:
                if not check(*each):
                    raise SystemExit("a good token is refused")


def pyjwt(fixtures: dict[str, Any]) -> Callable[[str], Any]:
    """PyJWT."""
    import jwt

    key = jwt.PyJWK(fixtures["jwks"]["keys"][0]).key
    expected = {"algorithms": ["ES256"], "audience": fixtures["resource"], "issuer": fixtures["issuer"]}
    return lambda token: jwt.decode(token, key, **expected)


def joserfc(fixtures: dict[str, Any]) -> Callable[[str], Any]:
    """The library joserfc, with the claims that an access token must have."""
    from joserfc import jwk, jwt

    key = jwk.ECKey.import_key(fixtures["jwks"]["keys"][0])
    claims = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": fixtures["issuer"]},
        aud={"essential": True, "value": fixtures["resource"]},
        exp={"essential": True},
    )

    def check(token: str) -> Any:
        read = jwt.decode(token, key, algorithms=["ES256"])
        claims.validate(read.claims)
        return read.claims

    return check


def cryptography(fixtures: dict[str, Any]) -> tuple[Callable[..., Any], Callable[[str], tuple[bytes, bytes]]]:
    """The bare signature in Python's usual library, the floor of all that use it; and what reads its arguments."""
    import base64

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    public = issuer.private_key(fixtures).public_key()
    algorithm = ec.ECDSA(hashes.SHA256())

    def read(token: str) -> tuple[bytes, bytes]:
        signing_input, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        numbers = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        return utils.encode_dss_signature(*numbers), signing_input.encode()

    def check(der: bytes, data: bytes) -> bool:
        public.verify(der, data, algorithm)
        return True

    return check, read


def jwt_verifier(kind: Callable[..., Any], fixtures: dict[str, Any]) -> Any:
    """A `JWTVerifier`, FastMCP's or ours."""
    return kind(
        public_key=public_pem(fixtures),
        issuer=fixtures["issuer"],
        audience=fixtures["resource"],
        algorithm="ES256",
    )


def transport_of(fixtures: dict[str, Any]) -> Any:
    """The way to the issuer, without a network."""

    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> tuple[int, list[Any], bytes]:
        return 200, [("content-type", "application/json")], json.dumps(issuer.document(fixtures, url)).encode()

    return transport


async def doorward_guard(fixtures: dict[str, Any], **options: Any) -> Any:
    """A guard that has its keys."""
    import doorward

    transport = transport_of(fixtures)
    guard = doorward.Guard(fixtures["issuer"], fixtures["resource"], transport=transport, **options)
    await issuer.keys_of(guard, fixtures)
    return guard


async def doorward_provider(fixtures: dict[str, Any]) -> Any:
    """FastMCP's provider with a guard that has its keys."""
    from doorward.fastmcp import doorward_auth

    base_url = fixtures["resource"].removesuffix("/mcp")
    auth = await doorward_auth(fixtures["issuer"], base_url, transport=transport_of(fixtures))
    await issuer.keys_of(auth.guard, fixtures)
    return auth["auth"]


async def authplane(fixtures: dict[str, Any], url: str, **options: Any) -> Any:
    """The resource of an issuer that is served at this URL."""
    from authplane import AuthplaneClient

    client = await AuthplaneClient.create(url, dev_mode=True)
    return client.resource(fixtures["resource"], ["tools/read"], **options)


def bearer(fixtures: dict[str, Any], issuer_url: str) -> Callable[[int], Arguments]:
    """Makes tokens of an issuer."""
    tokens = issuer.Tokens(fixtures, issuer_url)
    return lambda count: [(tokens.bearer(),) for _ in range(count)]


def bound(fixtures: dict[str, Any], issuer_url: str) -> Callable[[int], Arguments]:
    """Makes tokens that are bound to a key, each with a proof."""
    import doorward

    tokens = issuer.Tokens(fixtures, issuer_url)

    def arguments(count: int) -> Arguments:
        pairs = (tokens.bound() for _ in range(count))
        return [(token, doorward.DPoPRequest("POST", fixtures["resource"], proof)) for token, proof in pairs]

    return arguments


async def check_cryptography(fixtures: dict[str, Any], _url: str) -> Check:
    tokens = issuer.Tokens(fixtures, fixtures["issuer"])
    signature, read = cryptography(fixtures)
    return Check(signature, lambda count: [read(tokens.bearer()) for _ in range(count)], is_asynchronous=False)


async def check_jwt_verifier(fixtures: dict[str, Any], _url: str, times: int = 1) -> Check:
    from doorward.jwt import JWTVerifier

    verify = jwt_verifier(JWTVerifier, fixtures).verify_token
    return Check(verify, bearer(fixtures, fixtures["issuer"]), times=times)


async def check_provider(fixtures: dict[str, Any], _url: str) -> Check:
    return Check((await doorward_provider(fixtures)).verify_token, bearer(fixtures, fixtures["issuer"]))


async def check_guard(fixtures: dict[str, Any], _url: str, times: int = 1) -> Check:
    return Check((await doorward_guard(fixtures)).verify, bearer(fixtures, fixtures["issuer"]), times=times)


async def check_fastmcp(fixtures: dict[str, Any], _url: str) -> Check:
    from fastmcp.server.auth.providers.jwt import JWTVerifier

    return Check(jwt_verifier(JWTVerifier, fixtures).verify_token, bearer(fixtures, fixtures["issuer"]))


async def check_pyjwt(fixtures: dict[str, Any], _url: str) -> Check:
    return Check(pyjwt(fixtures), bearer(fixtures, fixtures["issuer"]), is_asynchronous=False)


async def check_joserfc(fixtures: dict[str, Any], _url: str) -> Check:
    return Check(joserfc(fixtures), bearer(fixtures, fixtures["issuer"]), is_asynchronous=False)


async def check_authplane(fixtures: dict[str, Any], url: str) -> Check:
    return Check((await authplane(fixtures, url)).verify, bearer(fixtures, url))


async def check_guard_with_proof(fixtures: dict[str, Any], _url: str) -> Check:
    import doorward

    guard = await doorward_guard(fixtures, inbound_dpop=doorward.InboundDPoPOptions())
    return Check(guard.verify, bound(fixtures, fixtures["issuer"]))


async def check_authplane_with_proof(fixtures: dict[str, Any], url: str) -> Check:
    import authplane as authplane_sdk

    options = authplane_sdk.InboundDPoPOptions(allowed_proof_algorithms=["ES256"])
    guard = await authplane(fixtures, url, inbound_dpop=options)

    def verify(token: str, request: Any) -> Any:
        return guard.verify(token, dpop_request=request)

    return Check(verify, bound(fixtures, url))


Way = Callable[[dict[str, Any], str], Awaitable[Check]]
"""Makes a check, of the fixtures and the URL of an issuer with the same key."""

WAYS: dict[str, Way] = {
    "cryptography, signature alone": check_cryptography,
    "doorward JWTVerifier, token never seen": check_jwt_verifier,
    "doorward JWTVerifier, seen before": partial(check_jwt_verifier, times=3),
    "doorward_auth, token never seen": check_provider,
    "doorward Guard, token never seen": check_guard,
    "doorward Guard, seen before": partial(check_guard, times=3),
    "FastMCP JWTVerifier": check_fastmcp,
    "PyJWT": check_pyjwt,
    "joserfc": check_joserfc,
    "authplane-sdk": check_authplane,
    "doorward Guard, token and proof never seen": check_guard_with_proof,
    "authplane-sdk, token and proof": check_authplane_with_proof,
}
"""Everything that is measured, in the order in which it is."""


def raw_check(program: str, fixtures: str) -> float:
    """Nanoseconds for the signature of each of the tokens alone."""
    done = subprocess.run([program, "--raw", fixtures], check=True, capture_output=True)
    return float(json.loads(done.stdout)[RAW])


async def answer(path: str, name: str) -> None:
    """Measures one way, once for each line that comes; nanoseconds a call as a line each."""
    with open(path, encoding="utf-8") as file:
        fixtures = json.load(file)
    with issuer.served(fixtures) as url:
        check = await WAYS[name](fixtures, url)
        gc.collect()
        # What was imported is not looked through again and again.
        gc.freeze()
        print("ready", flush=True)
        # It blocks the loop: between two rounds nothing may run in it.
        for _ in sys.stdin:
            print(await check.measure(), flush=True)


class Worker:
    """The process of one way."""

    def __init__(self, path: str, name: str) -> None:
        command = [sys.executable, __file__, "--way", path, name]
        self.name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} cannot be measured")
        return line

    def measure(self) -> float:
        """Nanoseconds a call."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return float(self._read())

    def end(self) -> None:
        """Waits until it has gone."""
        self._process.communicate()


def main(path: str, seconds: float, program: str | None = None) -> None:
    """Measures and prints."""
    # A call takes about 0.1 ms.
    rounds = max(3, round(seconds * 1e4 / CALLS))
    figures: dict[str, list[float]] = {}
    workers = [Worker(path, name) for name in WAYS]
    for _ in range(rounds):
        if program is not None:
            figures.setdefault(RAW, []).append(raw_check(program, path))
        for worker in workers:
            figures.setdefault(worker.name, []).append(worker.measure())
    for worker in workers:
        worker.end()
    for name, values in figures.items():
        if RAW in figures:
            ratio = statistics.median(value / raw for value, raw in zip(values, figures[RAW], strict=True))
            print(f"{statistics.median(values) / 1e3:8.2f} µs {ratio:6.3f}  {name}", file=sys.stderr)
    print(json.dumps({name: statistics.median(values) for name, values in figures.items()}))


if __name__ == "__main__":
    if sys.argv[1] == "--way":
        asyncio.run(answer(*sys.argv[2:]))
    else:
        main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])

"""What Python libraries need to check an access token: nanoseconds of processor time a call, as one JSON object.

Usage: verify.py FIXTURES SECONDS [VERIFY], with the file that `verify --fixtures` writes. Every library is measured in every
round, one after the other, inside of one running event loop where it is asynchronous; a figure is the median of its rounds.
With the program VERIFY, each round begins with the bare signature check of aws-lc over the same tokens, and the ratios to it
go to standard error.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import issuer
from issuer import public_pem

RAW = "raw ES256, tokens never seen"
CALLS = 200
"""Tokens in a round: each is seen by a library for the first time, as long as that was made for the round."""

Arguments = Sequence[tuple[Any, ...]]


@dataclass
class Check:
    """One way to check tokens.

    Attributes:
        prepare: Called before each round; returns the check.
        arguments: What one round calls the check with; gets the number of the round.
        times: How often the check is called with each of them in turn; only the last time counts.
    """

    name: str
    prepare: Callable[[], Awaitable[Callable[..., Any]]]
    arguments: Callable[[int], Arguments]
    is_asynchronous: bool = True
    times: int = 1

    async def measure(self, number: int) -> float:
        """Nanoseconds of this thread a call."""
        check, arguments = await self.prepare(), self.arguments(number)
        for _ in range(1, self.times):
            await self.call(check, arguments)
        started = time.thread_time_ns()
        await self.call(check, arguments)
        return (time.thread_time_ns() - started) / len(arguments)

    async def call(self, check: Callable[..., Any], arguments: Arguments) -> None:
        """Calls it with each. A check that refuses raises an exception or returns what counts as nothing."""
        if self.is_asynchronous:
            for each in arguments:
                if not await check(*each):
                    raise SystemExit(f"{self.name} refuses a good token")
        else:
            for each in arguments:
                if not check(*each):
                    raise SystemExit(f"{self.name} refuses a good token")


def pyjwt(fixtures: dict[str, Any]) -> Callable[[str], Any]:
    import jwt

    key = jwt.PyJWK(fixtures["jwks"]["keys"][0]).key
    expected = {"algorithms": ["ES256"], "audience": fixtures["resource"], "issuer": fixtures["issuer"]}
    return lambda token: jwt.decode(token, key, **expected)


def joserfc(fixtures: dict[str, Any]) -> Callable[[str], Any]:
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


def cryptography(fixtures: dict[str, Any]) -> Callable[[str], Any]:
    """The bare signature in Python's usual library, the floor of all that use it."""
    import base64

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    public = issuer.private_key(fixtures).public_key()
    algorithm = ec.ECDSA(hashes.SHA256())
    parts = {}
    for token in fixtures["tokens"]:
        signing_input, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        parts[token] = (der, signing_input.encode())

    def check(token: str) -> bool:
        der, data = parts[token]
        public.verify(der, data, algorithm)
        return True

    return check


def jwt_verifier(kind: Callable[..., Any], fixtures: dict[str, Any]) -> Any:
    return kind(
        public_key=public_pem(fixtures),
        issuer=fixtures["issuer"],
        audience=fixtures["resource"],
        algorithm="ES256",
    )


async def doorward_guard(fixtures: dict[str, Any], token: str, **options: Any) -> Any:
    """A guard that has its keys."""
    import doorward
    from doorward.errors import JWKSFetchError

    async def transport(_method: str, url: str, _headers: Any, _body: Any) -> tuple[int, list[Any], bytes]:
        return 200, [("content-type", "application/json")], json.dumps(issuer.document(fixtures, url)).encode()

    guard = doorward.Guard(fixtures["issuer"], fixtures["resource"], transport=transport, **options)
    while True:
        try:
            await guard.verify(token)
            return guard
        except JWKSFetchError:
            await asyncio.sleep(0.01)


async def authplane(fixtures: dict[str, Any], url: str, **options: Any) -> Any:
    """The resource of an issuer that is served at this URL."""
    from authplane import AuthplaneClient

    client = await AuthplaneClient.create(url, dev_mode=True)
    return client.resource(fixtures["resource"], ["tools/read"], **options)


async def checks(fixtures: dict[str, Any], issuer_url: str) -> list[Check]:
    """Everything that is measured."""
    import authplane as authplane_sdk
    import doorward
    from doorward.jwt import JWTVerifier as Doorward
    from fastmcp.server.auth.providers.jwt import JWTVerifier as FastMCP

    all_tokens = fixtures["tokens"]

    def tokens(number: int) -> Arguments:
        start = number * CALLS % len(all_tokens)
        return [(token,) for token in all_tokens[start : start + CALLS]]

    def same(check: Any) -> Callable[[], Awaitable[Any]]:
        async def prepare() -> Any:
            return check

        return prepare

    async def new_verifier() -> Any:
        verifier = jwt_verifier(Doorward, fixtures)
        await verifier.verify_token(all_tokens[-1])
        return verifier.verify_token

    async def new_guard() -> Any:
        return (await doorward_guard(fixtures, all_tokens[-1])).verify

    async def new_dpop_guard() -> Any:
        options = doorward.InboundDPoPOptions()
        return (await doorward_guard(fixtures, all_tokens[-1], inbound_dpop=options)).verify

    theirs = await authplane(fixtures, issuer_url)
    theirs_with_proofs = await authplane(
        fixtures, issuer_url, inbound_dpop=authplane_sdk.InboundDPoPOptions(allowed_proof_algorithms=["ES256"])
    )
    their_tokens = issuer.Tokens(fixtures, issuer_url)
    bound_tokens = issuer.Tokens(fixtures, fixtures["issuer"])
    request = doorward.DPoPRequest

    def bound(tokens: issuer.Tokens) -> Callable[[int], Arguments]:
        def arguments(_number: int) -> Arguments:
            pairs = (tokens.bound() for _ in range(CALLS))
            return [(token, request("POST", fixtures["resource"], proof)) for token, proof in pairs]

        return arguments

    def verify_theirs(token: str, request: Any) -> Any:
        return theirs_with_proofs.verify(token, dpop_request=request)

    fastmcp = jwt_verifier(FastMCP, fixtures)
    return [
        Check("cryptography, signature alone", same(cryptography(fixtures)), tokens, is_asynchronous=False),
        Check("doorward JWTVerifier, token never seen", new_verifier, tokens),
        Check("doorward JWTVerifier, seen before", new_verifier, tokens, times=3),
        Check("doorward Guard, token never seen", new_guard, tokens),
        Check("doorward Guard, seen before", new_guard, tokens, times=3),
        Check("FastMCP JWTVerifier", same(fastmcp.verify_token), tokens),
        Check("PyJWT", same(pyjwt(fixtures)), tokens, is_asynchronous=False),
        Check("joserfc", same(joserfc(fixtures)), tokens, is_asynchronous=False),
        Check("authplane-sdk", same(theirs.verify), lambda _: [(their_tokens.bearer(),) for _ in range(CALLS)]),
        Check("doorward Guard, token and proof never seen", new_dpop_guard, bound(bound_tokens)),
        Check("authplane-sdk, token and proof", same(verify_theirs), bound(their_tokens)),
    ]


def raw_check(program: str, fixtures: str) -> float:
    """Nanoseconds for the signature of each of the tokens alone."""
    done = subprocess.run([program, "--raw", fixtures], check=True, capture_output=True)
    return float(json.loads(done.stdout)[RAW])


async def main(path: str, seconds: float, program: str | None = None) -> None:
    with open(path, encoding="utf-8") as file:
        fixtures = json.load(file)
    # A call takes about 0.1 ms.
    rounds = max(3, round(seconds * 1e4 / CALLS))
    figures: dict[str, list[float]] = {}
    with issuer.served(fixtures) as url:
        all_checks = await checks(fixtures, url)
        for number in range(rounds):
            if program is not None:
                figures.setdefault(RAW, []).append(raw_check(program, path))
            for check in all_checks:
                figures.setdefault(check.name, []).append(await check.measure(number))
    for name, values in figures.items():
        if RAW in figures:
            ratio = statistics.median(value / raw for value, raw in zip(values, figures[RAW], strict=True))
            print(f"{statistics.median(values) / 1e3:8.2f} µs {ratio:6.3f}  {name}", file=sys.stderr)
    print(json.dumps({name: statistics.median(values) for name, values in figures.items()}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))

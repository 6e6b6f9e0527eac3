"""What Python libraries need to check an access token: nanoseconds of processor time a call, as one JSON object.

Usage: verify.py FIXTURES SECONDS [VERIFY], with the file that `verify --fixtures` writes. Every library is measured in every
round, one after the other, inside of one running event loop where it is asynchronous; a figure is the median of its rounds.
With the program VERIFY, each round begins with the bare signature check of aws-lc over tokens like these, and the ratios to
it go to standard error.

A check is called some times before it is measured, with other tokens, and what others have left behind is collected: the bare
check runs in a process of its own as well, which does nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
        arguments: Makes so many that no library has seen before; a check is called once with each.
        times: How often the check is called with each of them in turn; only the last time counts.
    """

    name: str
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
                    raise SystemExit(f"{self.name} refuses a good token")
        else:
            for each in arguments:
                if not check(*each):
                    raise SystemExit(f"{self.name} refuses a good token")


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


async def checks(fixtures: dict[str, Any], issuer_url: str) -> list[Check]:
    """Everything that is measured."""
    import authplane as authplane_sdk
    import doorward
    from doorward.jwt import JWTVerifier as Doorward
    from fastmcp.server.auth.providers.jwt import JWTVerifier as FastMCP

    own, theirs = issuer.Tokens(fixtures, fixtures["issuer"]), issuer.Tokens(fixtures, issuer_url)

    def bearer(tokens: issuer.Tokens) -> Callable[[int], Arguments]:
        return lambda count: [(tokens.bearer(),) for _ in range(count)]

    def bound(tokens: issuer.Tokens) -> Callable[[int], Arguments]:
        def arguments(count: int) -> Arguments:
            pairs = (tokens.bound() for _ in range(count))
            return [(token, doorward.DPoPRequest("POST", fixtures["resource"], proof)) for token, proof in pairs]

        return arguments

    verifier = jwt_verifier(Doorward, fixtures).verify_token
    provider = (await doorward_provider(fixtures)).verify_token
    guard = (await doorward_guard(fixtures)).verify
    guard_of_proofs = (await doorward_guard(fixtures, inbound_dpop=doorward.InboundDPoPOptions())).verify
    their_guard = (await authplane(fixtures, issuer_url)).verify
    their_options = authplane_sdk.InboundDPoPOptions(allowed_proof_algorithms=["ES256"])
    their_guard_of_proofs = (await authplane(fixtures, issuer_url, inbound_dpop=their_options)).verify

    def verify_theirs(token: str, request: Any) -> Any:
        return their_guard_of_proofs(token, dpop_request=request)

    signature, read = cryptography(fixtures)
    never_seen, with_proof = bearer(own), bound(own)
    return [
        Check(
            "cryptography, signature alone",
            signature,
            lambda count: [read(own.bearer()) for _ in range(count)],
            is_asynchronous=False,
        ),
        Check("doorward JWTVerifier, token never seen", verifier, never_seen),
        Check("doorward JWTVerifier, seen before", verifier, never_seen, times=3),
        Check("doorward_auth, token never seen", provider, never_seen),
        Check("doorward Guard, token never seen", guard, never_seen),
        Check("doorward Guard, seen before", guard, never_seen, times=3),
        Check("FastMCP JWTVerifier", jwt_verifier(FastMCP, fixtures).verify_token, never_seen),
        Check("PyJWT", pyjwt(fixtures), never_seen, is_asynchronous=False),
        Check("joserfc", joserfc(fixtures), never_seen, is_asynchronous=False),
        Check("authplane-sdk", their_guard, bearer(theirs)),
        Check("doorward Guard, token and proof never seen", guard_of_proofs, with_proof),
        Check("authplane-sdk, token and proof", verify_theirs, bound(theirs)),
    ]


def raw_check(program: str, fixtures: str) -> float:
    """Nanoseconds for the signature of each of the tokens alone."""
    done = subprocess.run([program, "--raw", fixtures], check=True, capture_output=True)
    return float(json.loads(done.stdout)[RAW])


async def main(path: str, seconds: float, program: str | None = None) -> None:
    """Measures and prints."""
    with open(path, encoding="utf-8") as file:
        fixtures = json.load(file)
    # A call takes about 0.1 ms.
    rounds = max(3, round(seconds * 1e4 / CALLS))
    figures: dict[str, list[float]] = {}
    with issuer.served(fixtures) as url:
        all_checks = await checks(fixtures, url)
        gc.collect()
        # What was imported is not looked through again and again.
        gc.freeze()
        for _ in range(rounds):
            if program is not None:
                figures.setdefault(RAW, []).append(raw_check(program, path))
            for check in all_checks:
                figures.setdefault(check.name, []).append(await check.measure())
    for name, values in figures.items():
        if RAW in figures:
            ratio = statistics.median(value / raw for value, raw in zip(values, figures[RAW], strict=True))
            print(f"{statistics.median(values) / 1e3:8.2f} µs {ratio:6.3f}  {name}", file=sys.stderr)
    print(json.dumps({name: statistics.median(values) for name, values in figures.items()}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))

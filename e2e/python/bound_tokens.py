"""Two examples that take bound tokens alone, with tokens of an issuer that lives here.

`BATTERY_SERVERS` as in `identical_answers.py`. Each server must let a bound token with its proof through, once, and refuse everything else.
"""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer

from identical_answers import INITIALIZE, Ask, Issuer, Server, World, bearer, report, send, started


def trouble(server: Server, ask: Ask, expected: str) -> str:
    seen = send(server, ask)
    got = "let through" if "let through" in seen else f"{seen['status']} {seen.get('www-authenticate')}"
    return "" if expected in got else f"expected {expected}, got {got}"


def check(server: Server, issuer: str) -> None:
    world = World(server, issuer)
    plain, bound = world.token(), world.bound()
    proved = bearer(bound, INITIALIZE, ("DPoP", world.proof(bound)), scheme="DPoP")
    cases = {
        "no token": (Ask(), "DPoP algs="),
        "a plain token": (bearer(plain), 'error="invalid_token"'),
        "a bound token as bearer": (bearer(bound), 'error="invalid_token"'),
        "a bound token without proof": (bearer(bound, scheme="DPoP"), 'error="invalid_dpop_proof"'),
        "a bound token with its proof": (proved, "let through"),
        "the same proof again": (proved, 'error="invalid_dpop_proof"'),
    }
    for name, (ask, expected) in cases.items():
        report(server.label, name, trouble(server, ask, expected))


def main() -> None:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    listening.issuer = f"http://localhost:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    with started(listening.issuer, "require") as servers:
        for server in servers:
            check(server, listening.issuer)


if __name__ == "__main__":
    main()

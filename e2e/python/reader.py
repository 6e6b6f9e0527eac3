#!/usr/bin/env python3
"""What a reader of the how-to pages has and a shell has not: a browser with a person at it, and keys to sign with.

Standard library and `openssl` only.

    reader.py approve URL                  signs in and allows; prints the URL at which the client is called back
    reader.py code URL                     the same, and prints the code in it
    reader.py device URL                   signs in and allows what a device asked for
    reader.py key FILE                     makes an RSA key, and prints the JWK Set with its public half
    reader.py jwt FILE TYP CLAIMS          signs claims (JSON); `iat`, `exp` and `jti` are added where they are missing
    reader.py proof FILE METHOD URL        a DPoP proof for this request
    reader.py thumbprint FILE              the RFC 7638 thumbprint of the key

Environment: E2E_EMAIL, E2E_PASSWORD.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import sys
import time
from urllib.parse import parse_qs, urljoin, urlsplit

import browser


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def public(file: str) -> dict[str, str]:
    modulus = openssl("rsa", "-in", file, "-noout", "-modulus").decode().strip().split("=")[1]
    return {"kty": "RSA", "n": encoded(bytes.fromhex(modulus)), "e": "AQAB"}


def thumbprint(file: str) -> str:
    key = public(file)
    canonical = json.dumps({name: key[name] for name in sorted(key)}, separators=(",", ":"))
    return encoded(hashlib.sha256(canonical.encode()).digest())


def signed(file: str, header: dict[str, object], claims: dict[str, object]) -> str:
    parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", **header}, claims)]
    signature = openssl("dgst", "-sha256", "-sign", file, data=".".join(parts).encode())
    return ".".join([*parts, encoded(signature)])


def timed(claims: dict[str, object]) -> dict[str, object]:
    now = int(time.time())
    return {"iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(16), **claims}


def allow_device(url: str) -> None:
    """The page where the code is typed is filled in already; then come sign-in and consent, in this order."""
    person = browser.person()
    here, answer = url, person.request("GET", url)
    for _ in range(browser.MAX_HOPS):
        while answer.status in (301, 302, 303, 307, 308):
            here = urljoin(here, answer.headers["Location"])
            answer = person.request("GET", here)
        reader = browser.FormReader()
        reader.feed(answer.body)
        form = next((form for form in reader.forms if form.has("user_code")), None)
        if form is not None:
            here = urljoin(here, form.action or here)
            answer = person.request("POST", here, form.fields + form.buttons[:1])
        elif any(form.has("password") or form.has("decision") for form in reader.forms):
            here, answer = person.answer_page(here, answer)
        else:
            break
    if person.pages[-1:] != ["consent"] or answer.status != 200:
        raise RuntimeError(f"not allowed: {person.pages} {answer.status} {' '.join(reader.text)[:400]}")


def main() -> None:
    command, *arguments = sys.argv[1:]
    if command == "approve":
        print(browser.person().walk(*arguments))
    elif command == "code":
        print(parse_qs(urlsplit(browser.person().walk(*arguments)).query)["code"][0])
    elif command == "device":
        allow_device(*arguments)
    elif command == "key":
        openssl("genrsa", "-out", arguments[0], "2048")
        kid = thumbprint(arguments[0])
        print(json.dumps({"keys": [{**public(arguments[0]), "kid": kid, "use": "sig", "alg": "RS256"}]}))
    elif command == "jwt":
        file, typ, claims = arguments
        print(signed(file, {"typ": typ, "kid": thumbprint(file)}, timed(json.loads(claims))))
    elif command == "proof":
        file, method, url = arguments
        claims = {"htm": method, "htu": url, "iat": int(time.time()), "jti": secrets.token_urlsafe(16)}
        print(signed(file, {"typ": "dpop+jwt", "jwk": public(file)}, claims))
    elif command == "thumbprint":
        print(thumbprint(*arguments))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

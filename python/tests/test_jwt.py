"""`doorward.jwt`: FastMCP's arguments, FastMCP's answers, and what is stricter."""

from __future__ import annotations

import base64
import json
import logging
import time
from typing import Any

import pytest

from doorward.jwt import BearerAuthProvider, JWTVerifier, RSAKeyPair

ISSUER = "https://issuer.example"
AUDIENCE = "https://mcp.example/mcp"
JWKS_URI = f"{ISSUER}/jwks"


@pytest.fixture(scope="module")
def key_pair() -> RSAKeyPair:
    return RSAKeyPair.generate()


def token_of(key_pair: RSAKeyPair, **changes: Any) -> str:
    arguments: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "scopes": ["read"]} | changes
    return key_pair.create_token(**arguments)


def verifier_of(key_pair: RSAKeyPair, **changes: Any) -> JWTVerifier:
    arguments: dict[str, Any] = {"public_key": key_pair.public_key, "issuer": ISSUER, "audience": AUDIENCE} | changes
    return JWTVerifier(**arguments)


def part(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return read


class Client:
    """As much of an HTTP client as is asked for. Counts."""

    def __init__(self, *documents: Any, status: int = 200) -> None:
        self.documents, self.status, self.asked = list(documents), status, 0

    async def request(self, method: str, url: str, /, **options: Any) -> Any:
        assert (method, url) == ("GET", JWKS_URI)
        self.asked += 1
        document = self.documents.pop(0) if len(self.documents) > 1 else self.documents[0]

        class Answer:
            status_code = self.status
            headers = {"content-type": "application/json"}
            content = json.dumps(document).encode()

        return Answer()


def jwks_of(key_pair: RSAKeyPair, kid: str | None) -> dict[str, Any]:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    numbers = load_pem_public_key(key_pair.public_key.encode()).public_numbers()

    def number(value: int) -> str:
        return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()

    key = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), "alg": "RS256"}
    return {"keys": [key if kid is None else {**key, "kid": kid}]}


class TestKeyPair:
    def test_keys_are_pem_and_the_private_one_hides(self, key_pair: RSAKeyPair) -> None:
        assert key_pair.public_key.startswith("-----BEGIN PUBLIC KEY-----")
        assert key_pair.private_key.get_secret_value().startswith("-----BEGIN PRIVATE KEY-----")
        assert "PRIVATE" not in f"{key_pair!r} {key_pair.private_key!r} {key_pair.private_key}"

    def test_a_key_pair_cannot_be_changed(self, key_pair: RSAKeyPair) -> None:
        with pytest.raises(AttributeError):
            key_pair.public_key = "another"  # type: ignore[misc]

    def test_without_arguments_a_token_has_the_defaults_of_old(self, key_pair: RSAKeyPair) -> None:
        token = key_pair.create_token()
        claims = part(token, 1)
        assert part(token, 0) == {"alg": "RS256", "typ": "JWT"}
        assert claims["sub"] == "fastmcp-user"
        assert claims["iss"] == "https://fastmcp.example.com"
        assert claims["exp"] - claims["iat"] == 3600
        assert "aud" not in claims and "scope" not in claims

    def test_every_argument_is_in_the_token(self, key_pair: RSAKeyPair) -> None:
        token = key_pair.create_token(
            subject="ada",
            issuer=ISSUER,
            audience=["a", "b"],
            scopes=["read", "write"],
            expires_in_seconds=60,
            additional_claims={"email": "ada@example.com", "sub": "eve"},
            kid="key-1",
        )
        assert part(token, 0)["kid"] == "key-1"
        claims = part(token, 1)
        assert claims["aud"] == ["a", "b"]
        assert claims["scope"] == "read write"
        assert claims["email"] == "ada@example.com"
        assert claims["sub"] == "eve"
        assert claims["exp"] - claims["iat"] == 60

    def test_pydantics_secret_can_be_brought_along(self, key_pair: RSAKeyPair) -> None:
        from pydantic import SecretStr

        other = RSAKeyPair(
            private_key=SecretStr(key_pair.private_key.get_secret_value()), public_key=key_pair.public_key
        )
        assert part(other.create_token(), 0)["alg"] == "RS256"


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "Either public_key or jwks_uri"),
            ({"public_key": "k", "jwks_uri": JWKS_URI}, "not both"),
            ({"public_key": "k", "algorithm": "none"}, "Unsupported algorithm"),
            ({"public_key": "k", "algorithm": "Ed448"}, "Unsupported algorithm"),
            ({"jwks_uri": JWKS_URI, "algorithm": "HS256"}, "cannot be used with jwks_uri"),
            ({"public_key": "-----BEGIN PUBLIC KEY-----", "algorithm": "HS256"}, "require a shared secret"),
            ({"jwks_uri": JWKS_URI, "ssrf_safe": True, "http_client": Client({})}, "ssrf_safe"),
            ({"jwks_uri": JWKS_URI, "jwks_refresh_interval": -1}, "jwks_refresh_interval"),
            ({"jwks_uri": JWKS_URI, "jwks_refresh_interval": float("nan")}, "jwks_refresh_interval"),
        ],
    )
    def test_what_cannot_work_is_refused_when_it_is_made(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            JWTVerifier(**arguments)

    async def test_a_key_that_cannot_be_read_is_logged_and_verifies_nothing(
        self, key_pair: RSAKeyPair, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR, "doorward.jwt"):
            verifier = JWTVerifier(public_key="dummy-key")
        assert "no token will be accepted" in caplog.text
        assert await verifier.verify_token(token_of(key_pair)) is None

    def test_arguments_can_be_read_back(self, key_pair: RSAKeyPair) -> None:
        verifier = verifier_of(key_pair, required_scopes="read, write", base_url="https://mcp.example")
        assert verifier.public_key == key_pair.public_key
        assert (verifier.issuer, verifier.audience, verifier.algorithm) == (ISSUER, AUDIENCE, "RS256")
        assert verifier.required_scopes == ["read", "write"]
        assert str(verifier.base_url).rstrip("/") == "https://mcp.example"


class TestTokens:
    async def test_a_good_token_becomes_an_access_token(self, key_pair: RSAKeyPair) -> None:
        token = token_of(key_pair, subject="ada", additional_claims={"client_id": "app", "email": "a@example.com"})
        access = await verifier_of(key_pair).verify_token(token)
        assert access is not None
        assert (access.token, access.client_id, access.scopes) == (token, "app", ["read"])
        assert access.expires_at == part(token, 1)["exp"]
        if "claims" in type(access).model_fields:
            assert access.claims == part(token, 1)

    @pytest.mark.parametrize(
        ("claims", "client_id"),
        [({"client_id": "a", "azp": "b"}, "a"), ({"azp": "b"}, "b"), ({}, "fastmcp-user"), ({"sub": ""}, "unknown")],
    )
    async def test_the_client_is_the_first_that_is_named(
        self, key_pair: RSAKeyPair, claims: dict[str, str], client_id: str
    ) -> None:
        access = await verifier_of(key_pair).verify_token(token_of(key_pair, additional_claims=claims))
        assert access is not None and access.client_id == client_id

    @pytest.mark.parametrize(
        "changes",
        [
            {"issuer": "https://other.example"},
            {"issuer": f"{ISSUER}/"},
            {"audience": "https://other.example"},
            {"audience": None},
            {"expires_in_seconds": -3600},
            {"additional_claims": {"nbf": int(time.time()) + 3600}},
            {"additional_claims": {"exp": "tomorrow"}},
            {"additional_claims": {"cnf": {"jkt": "a" * 43}}},
        ],
    )
    async def test_what_does_not_count_is_none(self, key_pair: RSAKeyPair, changes: dict[str, Any]) -> None:
        assert await verifier_of(key_pair).verify_token(token_of(key_pair, **changes)) is None

    async def test_another_key_pair_signs_nothing_here(self, key_pair: RSAKeyPair) -> None:
        assert await verifier_of(key_pair).verify_token(token_of(RSAKeyPair.generate())) is None

    async def test_nothing_that_is_no_token_raises(self, key_pair: RSAKeyPair) -> None:
        for text in ["", " ", ".", "..", "a.b.c", "é", "\ud800", "x" * 100_000]:
            assert await verifier_of(key_pair).verify_token(text) is None

    async def test_a_missing_scope_is_none_for_the_verifier_and_left_to_the_server_by_the_provider(
        self, key_pair: RSAKeyPair
    ) -> None:
        token = token_of(key_pair)
        assert await verifier_of(key_pair, required_scopes=["read", "write"]).verify_token(token) is None
        provider = BearerAuthProvider(key_pair.public_key, None, ISSUER, "RS256", AUDIENCE, ["read", "write"])
        access = await provider.verify_token(token)
        assert access is not None and access.scopes == ["read"]
        assert provider.required_scopes == ["read", "write"]

    async def test_a_shared_secret_verifies_its_own_algorithm_alone(self) -> None:
        import hashlib
        import hmac

        def signed(name: str, digest: Any) -> str:
            def text(document: dict[str, Any]) -> str:
                return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()

            head = f"{text({'alg': name})}.{text({'sub': 'ada', 'exp': int(time.time()) + 60})}"
            mac = hmac.new(b"short", head.encode(), digest).digest()
            return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

        verifier = JWTVerifier(public_key="short", algorithm="HS384")
        assert await verifier.verify_token(signed("HS384", hashlib.sha384)) is not None
        assert await verifier.verify_token(signed("HS256", hashlib.sha256)) is None


class TestKeySets:
    @pytest.mark.parametrize(("in_set", "in_token"), [("key-1", "key-1"), ("key-1", None), (None, None)])
    async def test_keys_are_fetched_once_with_the_given_client(
        self, key_pair: RSAKeyPair, in_set: str | None, in_token: str | None
    ) -> None:
        client = Client(jwks_of(key_pair, in_set))
        verifier = JWTVerifier(jwks_uri=JWKS_URI, issuer=ISSUER, audience=AUDIENCE, http_client=client)
        for _ in range(3):
            assert await verifier.verify_token(token_of(key_pair, kid=in_token)) is not None
        assert client.asked == 1

    async def test_unknown_keys_share_one_look(self, key_pair: RSAKeyPair) -> None:
        client = Client(jwks_of(key_pair, "key-1"))
        verifier = JWTVerifier(jwks_uri=JWKS_URI, http_client=client)
        assert await verifier.verify_token(token_of(key_pair, kid="key-1")) is not None
        for number in range(10):
            assert await verifier.verify_token(token_of(key_pair, kid=f"other-{number}")) is None
        assert client.asked <= 2

    async def test_without_an_interval_a_rotated_key_counts_at_once(self, key_pair: RSAKeyPair) -> None:
        client = Client(jwks_of(key_pair, "key-1"), jwks_of(key_pair, "key-2"))
        verifier = JWTVerifier(jwks_uri=JWKS_URI, http_client=client, jwks_refresh_interval=0)
        assert await verifier.verify_token(token_of(key_pair, kid="key-1")) is not None
        assert await verifier.verify_token(token_of(key_pair, kid="key-2")) is not None

    async def test_an_outage_is_none_and_not_an_error(self, key_pair: RSAKeyPair) -> None:
        client = Client({}, status=503)
        verifier = JWTVerifier(jwks_uri=JWKS_URI, http_client=client)
        assert await verifier.verify_token(token_of(key_pair, kid="key-1")) is None

    async def test_an_unsafe_address_is_not_asked(self, key_pair: RSAKeyPair) -> None:
        verifier = JWTVerifier(jwks_uri="https://127.0.0.1:1/jwks", ssrf_safe=True)
        assert await verifier.verify_token(token_of(key_pair, kid="key-1")) is None

"""Access tokens that are put together without pydantic's validation are those that it would have made."""

from __future__ import annotations

import inspect
import json
from typing import Any
from unittest import mock

import pytest
from pydantic import BaseModel, Field, field_validator

from doorward import _core
from doorward._access_token import access_tokens
from doorward._token_verifier import AccessToken
from doorward.jwt import JWTVerifier, RSAKeyPair

SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
ODD = {
    "text": 'quotes " and \\ and \n, ünïcode, \U0001f511, ',
    "empty": "",
    "nothing": None,
    "flags": [True, False],
    "integers": [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1],
    "floats": [0.1, -2.5e-3, 1e300, 5e-324, 1.7976931348623157e308, 35.02239169137772],
    "deep": {"list": [{"of": [{"objects": {}}]}, []], "iss": "another"},
}


@pytest.fixture(scope="module")
def key_pair() -> RSAKeyPair:
    return RSAKeyPair.generate()


def signed(key_pair: RSAKeyPair, **claims: Any) -> str:
    return _core.sign_rs256(key_pair.private_key.get_secret_value(), json.dumps(claims), None)


async def verified(key_pair: RSAKeyPair, **claims: Any) -> list[Any]:
    """What comes of a token for the first time, when it is remembered, and when it comes again."""
    verifier = JWTVerifier(public_key=key_pair.public_key)
    token = signed(key_pair, **claims)
    return [await verifier.verify_token(token) for _ in range(3)]


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "someone", "client_id": "program", "scope": "read write", "exp": 4102444800, "odd": ODD},
        {"sub": "someone", "azp": "program", "scp": ["read"], "exp": 4102444800, "aud": ["one", "two"]},
        {"sub": "someone", "client_id": "", "scope": "", "amr": ["pwd"]},
        {"iss": "nobody in particular"},
    ],
)
async def test_an_access_token_is_the_one_that_pydantic_makes(key_pair: RSAKeyPair, claims: dict[str, Any]) -> None:
    token = signed(key_pair, **claims)
    fields = {
        "token": token,
        "client_id": claims.get("client_id") or claims.get("azp") or claims.get("sub") or "unknown",
        "scopes": (claims.get("scope") or "").split() or claims.get("scp", []),
        "expires_at": claims.get("exp"),
        "subject": claims.get("sub"),
        "claims": claims,
    }
    validated = AccessToken(**{name: value for name, value in fields.items() if name in AccessToken.model_fields})
    for access in await verified(key_pair, **claims):
        assert type(access) is AccessToken
        assert access == validated
        for slot in SLOTS:
            assert getattr(access, slot) == getattr(validated, slot)
        assert access.model_dump_json() == validated.model_dump_json()
        # Numbers of another type are equal as well.
        assert repr(access.model_dump()) == repr(validated.model_dump())


async def test_a_changed_access_token_changes_no_other(key_pair: RSAKeyPair) -> None:
    claims = {"sub": "someone", "scope": "read", "odd": ODD}
    verifier = JWTVerifier(public_key=key_pair.public_key)
    token = signed(key_pair, **claims)
    for _ in range(4):
        access = await verifier.verify_token(token)
        assert access is not None
        assert access.scopes == ["read"]
        assert access.claims == claims
        access.scopes.append("write")
        access.claims["odd"]["deep"]["list"].append("more")
        access.claims["more"] = True
        access.client_id = "another"
        access.__pydantic_fields_set__.clear()


ALIKE = [
    '{"aud":["one","two"],"client_id":"program","exp":4102444800,"iat":0,"scope":"read write","sub":"someone"}',
    '{"aud":["one","two"],"client_id":"another","exp":4102444801,"iat":10,"scope":"read","sub":"schönes Café"}',
    '{"aud":["one"],"client_id":"program","exp":4102444800,"iat":0,"scope":"read write","sub":"someone"}',
    '{"aud":["three"],"client_id":"program","exp":4102444800,"iat":0,"scope":"","sub":""}',
    '{"aud":"one","client_id":"program","exp":4102444800,"iat":0,"scope":"read write ","sub":"someone "}',
    '{"aud":["one","two"],"client_id":"program","exp":41024448000,"iat":7,"scope":"read write","sub":"someone"}',
    '{"aud":["one","two"],"client_id":"program","exp":4102444800,"iat":0,"scope":"read write"}',
    '{"aud":["one","two"],"client_id":"program","exp":4102444800,"iat":0,"scope":"read","sub":"someone","x":null}',
    '{"client_id":"program","aud":["one","two"],"exp":4102444800,"iat":0,"scope":"read write","sub":"someone"}',
    '{"aud":["one","two"],"client_id":"program","exp":4102444800,"iat":0,"scope":"read write","sub":"\\u0073omeone"}',
    '{"aud":["one","two"],"client_id":"program","exp":4102444800,"iat":0,"scope":"read write","sub":"a\\"b"}',
    '{ "aud":["one", "two"], "client_id":"program", "exp":4102444800, "iat":0, "scope":"read", "sub":"someone" }',
    '{"aud":["one","two"],"exp":4102444800,"more":{"sub":"a,b"},"n":1.5,"m":1e3,"l":[1,[true]],"sub":"someone"}',
    '{"aud":["one","two"],"exp":4102444800,"more":null,"n":18446744073709551615,"m":10,"l":true,"sub":"someone"}',
    '{"aud":["one","two"],"exp":4102444800,"more":false,"n":99999999999999999,"m":1.0,"l":["]","}"],"sub":"x"}',
    '{"sub":"someone","exp":4102444800,"roles": [["read"]],"iat":1}',
    '{"sub":"another","exp":4102444800,"roles": [["read"]],"iat":1}',
    '{"aud":["one","two"],"exp":4102444800,"more":-5,"n":9999999999999999999,"m":12.25,"l":[],"sub":"x"}',
]
"""Claims of tokens that have much in common, or little that shows."""


@pytest.mark.parametrize("first", ALIKE)
async def test_claims_do_not_depend_on_the_tokens_before(key_pair: RSAKeyPair, first: str) -> None:
    access_tokens.cache_clear()
    verifier = JWTVerifier(public_key=key_pair.public_key)
    private_key = key_pair.private_key.get_secret_value()
    for document in [first, *ALIKE, *ALIKE]:
        claims = json.loads(document)
        access = await verifier.verify_token(_core.sign_rs256(private_key, document, None))
        assert access is not None
        # With the order of the members, and with numbers of the same type.
        assert repr(access.claims) == repr(claims)
        assert access.scopes == claims.get("scope", "").split()
        assert access.client_id == claims.get("client_id", claims.get("sub"))
        access.scopes.append("admin")
        for value in access.claims.values():
            if isinstance(value, list):
                for inner in value:
                    if isinstance(inner, list):
                        inner.append("changed")
                value.append("changed")
        access.claims["changed"] = True


async def test_claims_of_many_forms_are_those_of_their_tokens(key_pair: RSAKeyPair) -> None:
    """More forms than are remembered, each of many tokens, in turn."""
    verifier = JWTVerifier(public_key=key_pair.public_key)
    private_key = key_pair.private_key.get_secret_value()
    for number in range(100):
        for form in range(6):
            claims: dict[str, Any] = {f"c{other}": other for other in range(form)}
            claims |= {"sub": f"s{number}", "exp": 4102444800 + number % 2, "jti": str(number)}
            claims["roles"] = ["one", {"two": [number % 3]}]
            document = json.dumps(claims, separators=(",", ":"))
            access = await verifier.verify_token(_core.sign_rs256(private_key, document, None))
            assert access is not None
            assert repr(access.claims) == repr(claims)
            assert (access.client_id, access.expires_at) == (claims["sub"], claims["exp"])
            access.claims["roles"][1]["two"].append("changed")


class Odd(BaseModel):
    token: str
    client_id: str
    scopes: list[str]
    expires_at: int | None = None


class Checked(Odd):
    @field_validator("client_id")
    @classmethod
    def upper(cls, value: str) -> str:
        return value.upper()


class Bounded(Odd):
    client_id: str = Field(max_length=3)


class Curious(Odd):
    def model_post_init(self, context: Any) -> None:
        self.client_id = "curious"


class More(Odd):
    made_by: str = "pydantic"


class Own(Odd):
    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields | {"client_id": "own"})


@pytest.mark.parametrize(
    ("kind", "client_id"), [(Checked, "PROGRAM"), (Curious, "curious"), (More, "program"), (Own, "own")]
)
async def test_a_model_with_rules_of_its_own_is_asked(
    key_pair: RSAKeyPair, monkeypatch: pytest.MonkeyPatch, kind: type[Odd], client_id: str
) -> None:
    monkeypatch.setattr("doorward.jwt.AccessToken", kind)
    for access in await verified(key_pair, sub="program", scope="read", exp=4102444800):
        assert type(access) is kind
        assert access == kind(token=access.token, client_id="program", scopes=["read"], expires_at=4102444800)
        assert access.client_id == client_id


async def test_a_model_that_refuses_a_value_refuses_it_here(
    key_pair: RSAKeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.jwt.AccessToken", Bounded)
    with pytest.raises(ValueError, match="client_id"):
        await verified(key_pair, sub="program", scope="read")


def test_makers_are_made_once() -> None:
    assert access_tokens(AccessToken) is access_tokens(AccessToken)
    assert access_tokens(AccessToken) is not access_tokens(AccessToken, "https://mcp.example/mcp")


def test_mocks_take_verify_token_for_a_coroutine_function() -> None:
    assert isinstance(mock.create_autospec(JWTVerifier).verify_token, mock.AsyncMock) or inspect.iscoroutinefunction(
        mock.create_autospec(JWTVerifier).verify_token
    )

from asyncio import Future
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn, final

__all__ = [
    "AccessTokens",
    "Client",
    "EventFilter",
    "Guard",
    "JwtVerifier",
    "SubjectToken",
    "VerifiedClaims",
    "VerifiedDPoPProof",
    "Visit",
    "__version__",
    "challenge",
    "check_proof",
    "consent_answer",
    "generate_rsa_key_pair",
    "refused_request_state",
    "shut_down",
    "sign_rs256",
]

__version__: str

_Headers = Sequence[tuple[bytes, bytes]]
_Status = tuple[Literal["off", "asks", "connected", "disconnected"], int | None, str | None]
_Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

@final
class VerifiedDPoPProof:
    """The proof that came with a bound token."""

    def __new__(cls, jkt: str) -> VerifiedDPoPProof: ...
    @property
    def jkt(self) -> str:
        """The RFC 7638 thumbprint of the key."""

@final
class VerifiedClaims:
    """The claims of a verified access token. Cannot be changed."""

    def __new__(cls, made_by: NoReturn, /) -> VerifiedClaims: ...
    @property
    def sub(self) -> str:
        """``sub``: the person or, without one, the client for whom the request is made."""
    @property
    def client_id(self) -> str:
        """``client_id``: the program that makes the request."""
    @property
    def scopes(self) -> tuple[str, ...]:
        """``scope``. Empty when nothing was granted."""
    @property
    def issuer(self) -> str:
        """``iss``"""
    @property
    def audience(self) -> tuple[str, ...]:
        """``aud``"""
    @property
    def expires_at(self) -> int:
        """``exp``, in seconds since 1970."""
    @property
    def issued_at(self) -> int:
        """``iat``, in seconds since 1970."""
    @property
    def not_before(self) -> int:
        """``nbf``, in seconds since 1970; 0 when the token has none."""
    @property
    def jti(self) -> str:
        """``jti``: names this token."""
    @property
    def kid(self) -> str:
        """``kid`` of the header: the issuer's key that signed the token."""
    @property
    def grant_id(self) -> str | None:
        """``gid``: the grant that the token comes from, if the server says so."""
    @property
    def agent_id(self) -> str:
        """``agent_id``; empty when the token has none."""
    @property
    def agent_chain(self) -> tuple[str, ...]:
        """``agent_chain``; empty when the token has none."""
    @property
    def act(self) -> Mapping[str, Any] | None:
        """``act``: who acts for the subject (RFC 8693 §4.1). Only the outermost actor counts for decisions."""
    @property
    def may_act(self) -> Mapping[str, Any] | None:
        """``may_act``: who may act for the subject (RFC 8693 §4.4)."""
    @property
    def dpop_proof(self) -> VerifiedDPoPProof | None:
        """The key that the token is bound to and that the sender has proved to have; ``None`` for bearer tokens."""
    @property
    def raw(self) -> Mapping[str, Any]:
        """Every claim of the token, as mappings and tuples that cannot be changed."""
    def to_dict(self) -> dict[str, Any]:
        """Every claim of the token, as a new dictionary."""
    def has_scope(self, scope: str) -> bool:
        """Whether the scope was granted."""
    def require_scope(self, scope: str) -> None:
        """Raises ``InsufficientScopeError`` unless the scope was granted."""
    def require_scopes(self, scopes: Sequence[str]) -> None:
        """Raises ``InsufficientScopeError``, which names them all, unless every scope was granted."""
    def has_claim(self, key: str, value: object = None) -> bool:
        """Whether the token has the claim, or has it with this value. ``None`` is any value."""
    def __copy__(self) -> VerifiedClaims: ...
    def __deepcopy__(self, memo: object, /) -> VerifiedClaims: ...
    def __hash__(self) -> int: ...

@final
class SubjectToken:
    """The access token with which a request came, as a thing that cannot be read, only exchanged at its issuer.

    ``current_subject_token()`` gives it. It cannot be pickled or copied.
    """

    @property
    def issuer(self) -> str:
        """``iss``: where it can be exchanged."""

@final
class Guard:
    def __new__(cls, issuer: str, resource: str, settings: Mapping[str, Any]) -> Guard: ...
    def start(self) -> None: ...
    def verify(self, token: str) -> VerifiedClaims | Future[VerifiedClaims]: ...
    def verify_dpop(
        self, token: str, proof: str | None, method: str, url: str
    ) -> VerifiedClaims | Future[VerifiedClaims]: ...
    def admit(
        self, method: str, path: bytes, query: bytes, headers: _Headers, served_at: str | None
    ) -> Visit | _Answer | Future[Visit | _Answer]: ...
    def metadata_answer(self, method: str, path: str) -> _Answer | None: ...
    def metadata(self) -> Any: ...
    def require_named(self, claims: VerifiedClaims, kind: Literal["tool", "prompt", "resource"], name: str) -> None: ...
    def revocation_status(self) -> _Status: ...
    def revocation_statuses(self) -> list[tuple[str, _Status]]: ...
    def metrics(
        self,
    ) -> tuple[int, dict[str, int], tuple[bool, int, int, int] | None, list[tuple[str, float | None, int]]]: ...
    @property
    def metadata_url(self) -> str: ...
    @property
    def metadata_paths(self) -> list[str]: ...

@final
class Visit:
    @property
    def max_body(self) -> int: ...
    def authorize(self, body: bytes) -> _Answer | Future[_Answer | None] | None: ...
    def refuse_body(self, fault: str) -> _Answer: ...
    def pass_on(
        self, headers: _Headers, keep: bool
    ) -> tuple[VerifiedClaims, list[tuple[bytes, bytes]], str, bool, SubjectToken | None]: ...
    def leave(
        self, status: int, headers: list[tuple[bytes, bytes]]
    ) -> tuple[list[tuple[bytes, bytes]], Literal["json", "events"] | None]: ...
    def filter_list(self, body: bytes) -> bytes | None: ...
    def event_filter(self) -> EventFilter: ...
    def has_expired(self) -> bool: ...
    def ended(self) -> Future[bool] | bool | None: ...

@final
class EventFilter:
    def push(self, part: bytes) -> bytes: ...

@final
class Client:
    def __new__(cls, issuer: str, settings: Mapping[str, Any]) -> Client: ...
    def client_credentials(
        self, scopes: Sequence[str], resources: Sequence[str]
    ) -> dict[str, Any] | Future[dict[str, Any]]: ...
    def exchange(self, wanted: Mapping[str, Any]) -> dict[str, Any] | Future[dict[str, Any]]: ...
    def introspect(self, token: str) -> dict[str, Any] | Future[dict[str, Any]]: ...
    def revoke(self, token: str) -> Future[None] | None: ...
    def dpop_proof(self, method: str, url: str, access_token: str | None) -> str: ...
    def remember_dpop_nonce(self, url: str, nonces: Sequence[str]) -> bool: ...

@final
class JwtVerifier:
    def __new__(cls, settings: Mapping[str, Any], tokens: AccessTokens) -> JwtVerifier: ...
    def verify(self, token: str) -> Any: ...

@final
class AccessTokens:
    def __new__(
        cls, kind: type[Any], names: Sequence[str], resource: str | None, setters: Sequence[Any] | None
    ) -> AccessTokens: ...
    def make(self, claims: VerifiedClaims, token: str, lasts_until: int | None = None) -> Any: ...

def check_proof(proof: str, request: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]: ...
def consent_answer(
    client: Client, claims: VerifiedClaims, consent: Mapping[str, Any], call: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]: ...
def refused_request_state(
    client: Client, claims: VerifiedClaims, state: str, method: str, params: str
) -> str | None: ...
def challenge(
    scheme: str,
    error: str | None,
    description: str | None,
    scopes: Sequence[str],
    resource_metadata: str | None,
    algorithms: Sequence[str],
    realm: str,
) -> str: ...
def generate_rsa_key_pair() -> tuple[str, str]: ...
def sign_rs256(private_key: str, claims: str, kid: str | None = None) -> str: ...
def shut_down() -> None: ...

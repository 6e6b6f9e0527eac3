"""The guard of one protected resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from doorward import _checks, _core
from doorward._asgi_types import ASGIApp
from doorward._words import words
from doorward.challenges import www_authenticate, www_authenticate_challenges
from doorward.errors import TokenMissingError
from doorward.metrics import FeedMetrics, KeyMetrics, MetricsSnapshot
from doorward.options import (
    ACCESS_TOKEN_ALGORITHMS,
    ASCredentials,
    Decision,
    FetchSettings,
    InboundDPoPOptions,
    IntrospectionRevocation,
    RevocationChecker,
    RevocationFeed,
    Transport,
    clock_for_core,
    credentials_for_core,
    decision_hook_for_core,
    dpop_for_core,
    network_for_core,
    revocation_for_core,
    transport_for_core,
)

__all__ = ["DPoPRequest", "DPoPRequestContext", "DoorwardResource", "Guard", "RevocationStatus"]


V = TypeVar("V")

Kind: TypeAlias = Literal["tool", "prompt", "resource"]
"""What MCP has scopes for."""


class DPoPRequestContext(Protocol):
    """What a proof was made for."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def url(self) -> str:
        """The URL that the client asked for, or its path."""

    @property
    def proof(self) -> str | None:
        """The ``DPoP`` header; ``None`` when there was none."""


@dataclass(frozen=True)
class DPoPRequest:
    """The plain ``DPoPRequestContext``."""

    method: str
    url: str
    proof: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RevocationStatus:
    """How well a guard knows what was revoked.

    Attributes:
        state: ``off``, ``asks`` (about tokens, when they come), ``connected`` or ``disconnected`` (from the feed).
        since: Since when, in seconds since 1970.
        reason: Why it is not connected, in one word.
    """

    state: Literal["off", "asks", "connected", "disconnected"]
    since: int | None = None
    reason: str | None = None


class DoorwardResource:
    """One protected resource: verifies tokens for it and says what it is.

    Made by :class:`Guard`, or by ``DoorwardClient.resource``.
    """

    judges_messages = False
    """Whether a token alone does not decide: what a request asks for counts as well."""

    def __init__(
        self, core: _core.Guard, issuer: str, resource: str, scopes: Sequence[str], required_scopes: Sequence[str]
    ) -> None:
        self._core: _core.Guard | None = core
        self.issuer = issuer
        self.resource = resource
        self.scopes = tuple(scopes)
        self.required_scopes = tuple(required_scopes)

    @property
    def core(self) -> _core.Guard:
        """The guard in Rust."""
        core = self._core  # once: another thread may close the guard meanwhile
        if core is None:
            raise RuntimeError("the guard is closed")
        return core

    def start(self) -> None:
        """Begins to fetch the issuer's keys. Happens by itself with the first token."""
        self.core.start()

    async def verify(self, token: str, request: DPoPRequestContext | None = None) -> _core.VerifiedClaims:
        """The claims of a good token.

        Args:
            token: The access token.
            request: What the proof is for, where DPoP is on and the token came as ``Authorization: DPoP``. Its proof is
                spent. Without it the token counts as a bearer token.

        Raises:
            DoorwardError: The subclass says why the token is no good, or that nobody can tell (``JWKSFetchError``).
        """
        if not token or token.isspace():
            raise TokenMissingError("there is no access token")
        core = self.core
        if request is None:
            outcome = core.verify(token)
        else:
            outcome = core.verify_dpop(token, request.proof, request.method, request.url)
        if type(outcome) is _core.VerifiedClaims:
            return outcome
        claims: _core.VerifiedClaims = await outcome
        return claims

    verify_token = verify

    def require_named(self, claims: _core.VerifiedClaims, kind: Kind, name: str) -> None:
        """Raises ``InsufficientScopeError`` unless a token may use something that its request does not name.

        What the request itself names was checked before it reached the server; a tool may call others.

        Args:
            claims: The claims of the token.
            kind: ``tool``, ``prompt`` or ``resource``.
            name: Its name, or the URI of the resource.
        """
        self.core.require_named(claims, kind, name)

    @property
    def resource_metadata_url(self) -> str:
        """Where clients find the resource metadata (RFC 9728 §3.1)."""
        return self.core.metadata_url

    prm_document_url = resource_metadata_url

    @property
    def metadata_paths(self) -> list[str]:
        """The paths at which the resource metadata must be served."""
        return self.core.metadata_paths

    def revocation_status(self) -> RevocationStatus:
        """How well this guard knows what was revoked; of several issuers that it follows, what it knows least of."""
        return RevocationStatus(*self.core.revocation_status())

    def revocation_statuses(self) -> dict[str, RevocationStatus]:
        """The same for each issuer. ``off`` for one that the guard has no credentials for."""
        return {issuer: RevocationStatus(*status) for issuer, status in self.core.revocation_statuses()}

    def metrics(self) -> MetricsSnapshot:
        """The counts since this guard was made, to be handed to whatever metrics library the program uses.

        Requests that an adapter or ``GuardMiddleware`` decided are counted, and no token that :meth:`verify` was asked
        about alone.
        """
        allowed, refused, feed, keys = self.core.metrics()
        return MetricsSnapshot(
            allowed=allowed,
            refused=MappingProxyType(refused),
            feed=None if feed is None else FeedMetrics(*feed),
            keys=tuple(KeyMetrics(*of_issuer) for of_issuer in keys),
        )

    def prm_response(self) -> dict[str, Any]:
        """The resource metadata (RFC 9728 §2)."""
        document: dict[str, Any] = self.core.metadata()
        return document

    def www_authenticate(self, error: BaseException, *, realm: str = "", verbose_description: bool = False) -> str:
        """The challenge for an error, which leads to this resource's metadata."""
        return www_authenticate(
            error,
            realm=realm,
            resource_metadata_url=self.resource_metadata_url,
            verbose_description=verbose_description,
        )

    def www_authenticate_challenges(self, error: BaseException) -> list[str]:
        """The challenges of every scheme that this resource takes."""
        algorithms: list[str] = self.prm_response().get("dpop_signing_alg_values_supported", [])
        return www_authenticate_challenges(
            error,
            schemes=("Bearer", "DPoP") if algorithms else ("Bearer",),
            algs=algorithms,
            resource_metadata_url=self.resource_metadata_url,
        )

    def protect(
        self,
        app: ASGIApp,
        *,
        path: str | None = None,
        public: Iterable[str] = (),
        keep_authorization: bool = False,
    ) -> GuardMiddleware:
        """The application behind this guard; ``doorward.asgi.GuardMiddleware`` says what the options are."""
        return GuardMiddleware(app, self, path=path, public=public, keep_authorization=keep_authorization)

    async def aclose(self) -> None:
        """Stops everything that runs for this guard. Harmless when it is closed already."""
        self._core = None

    async def __aenter__(self) -> DoorwardResource:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Guard(DoorwardResource):
    """Stands in front of an MCP server and lets only requests with a good access token through.

    Does no I/O: the issuer's keys are fetched in the background, when they are first needed, and an authorization server
    that is not there yet is asked again.

    Args:
        issuer: The authorization server. Compared byte for byte with what tokens say.
        resource: The public URL of the MCP server, compared likewise.
        scopes: What clients should ask for at first (``scopes_supported``). Default: the required scopes.
        required_scopes: What every request needs.
        tool_scopes: What tools need besides. A call without is answered with 403 before the tool runs.
        prompt_scopes: The same for prompts.
        resource_scopes: The same for resources, by URI or a template like ``file:///{path*}``.
        scope_hierarchy: Which scopes contain others: ``{"admin": ["write"], "write": ["read"]}``.
        hide_unavailable: Lists of tools, prompts and resources leave out what the token may not call.
        inbound_dpop: Whether tokens may, or must, be bound to a key of the client. Default: bearer tokens only.
        allowed_algorithms: The signature algorithms of tokens. Default: ES256, EdDSA, RS256, PS256.
        clock_skew_seconds: How far clocks may be apart, at most 60.
        jwks_refresh_seconds: The longest time between two refreshes of the issuer's keys.
        cache_max_entries: How many verified tokens are remembered; 0 turns it off.
        max_body: The largest request body, in bytes.
        resource_name: A name for people, in the resource metadata.
        resource_documentation: A page for developers, in the resource metadata.
        resource_metadata_url: Where challenges say that the metadata is, if it is served somewhere else.
        root_metadata: Whether the resource metadata is served at the root of the host as well.
        allowed_origins: Origins of web pages that may call this server.
        bind_sessions: Whether an MCP session can only be used by the principal that began it.
        end_streams_with_token: Whether event streams end with the token that opened them, or when it is revoked.
        max_login_age_seconds: How long ago the person may have signed in (``auth_time``). Else the answer is 401
            ``insufficient_user_authentication`` (RFC 9470). Default: it does not matter.
        acr_values: In which ways the person may have signed in (``acr``), the most wanted first. Default: likewise.
        more_issuers: Other authorization servers whose tokens are accepted as well.
        as_credentials: What this program proves to the authorization server who it is with.
        issuer_credentials: The same for ``more_issuers``, by issuer, so that their revocations are followed as well. The
            credentials of one are never shown to another.
        revocation_checker: How the guard learns that a token was revoked before its end: an ``IntrospectionRevocation``, a
            ``RevocationFeed``, or ``checker(claims, token)``, which is true for revoked tokens and asked with every
            request. An ``async def`` runs in the event loop, so it must not block; a plain function in one of eight threads.
            Default: not at all.
        fail_closed: Where that cannot be told, requests are answered with 503. Default: they pass, and the log says so. That is
            what programs expect that come from other libraries; new ones should set it. Whatever it says, the answer is 503
            where a checker was not even begun for five seconds, returned neither ``True`` nor ``False``, or raised what says
            that the program is wrong (``TypeError``, ``AttributeError``, ``NameError``, ``ImportError``).
        on_decision: Is told of every decision (``Decision``). Called in the event loop of the request, so it must not block. A plain
            function: nobody would await an ``async def``.
        dev_mode: Whether an authorization server off this machine may use ``http``.
            Default: what ``DOORWARD_DEV_MODE`` says.
        fetch_settings: How the authorization server is reached; decides instead of ``dev_mode``.
        transport: How the authorization server is reached: ``await transport(method, url, headers, body)`` returns
            ``(status, headers, body)``. Default: HTTP, in Rust.
        clock: Says what time it is, in seconds since 1970. Default: the system's.

    Raises:
        ValueError: A setting cannot be used; the message says what to change.
    """

    def __init__(
        self,
        issuer: str,
        resource: str,
        scopes: Iterable[str] | None = None,
        *,
        required_scopes: Iterable[str] | None = None,
        tool_scopes: Mapping[str, Iterable[str]] | None = None,
        prompt_scopes: Mapping[str, Iterable[str]] | None = None,
        resource_scopes: Mapping[str, Iterable[str]] | None = None,
        scope_hierarchy: Mapping[str, Iterable[str]] | None = None,
        hide_unavailable: bool = False,
        inbound_dpop: InboundDPoPOptions | None = None,
        allowed_algorithms: Iterable[str] | None = None,
        clock_skew_seconds: int = 30,
        jwks_refresh_seconds: int = 300,
        cache_max_entries: int = 10_000,
        max_body: int = 4 * 1024 * 1024,
        resource_name: str | None = None,
        resource_documentation: str | None = None,
        resource_metadata_url: str | None = None,
        root_metadata: bool = True,
        allowed_origins: Iterable[str] = (),
        bind_sessions: bool = True,
        end_streams_with_token: bool = True,
        max_login_age_seconds: int | None = None,
        acr_values: Iterable[str] = (),
        more_issuers: Iterable[str] = (),
        as_credentials: ASCredentials | None = None,
        issuer_credentials: Mapping[str, ASCredentials] | None = None,
        revocation_checker: RevocationChecker | IntrospectionRevocation | RevocationFeed | None = None,
        fail_closed: bool = False,
        on_decision: Callable[[Decision], None] | None = None,
        dev_mode: bool | None = None,
        fetch_settings: FetchSettings | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        _checks.text("issuer", issuer)
        _checks.text("resource", resource)
        for name, value in (
            ("resource_name", resource_name),
            ("resource_documentation", resource_documentation),
            ("resource_metadata_url", resource_metadata_url),
        ):
            if value is not None:
                _checks.text(name, value)
        required = words("required_scopes", required_scopes)
        advertised = words("scopes", scopes)
        settings: dict[str, Any] = {
            "scopes": advertised,
            "required_scopes": required,
            "tool_scopes": _named("tool_scopes", tool_scopes),
            "prompt_scopes": _named("prompt_scopes", prompt_scopes),
            "resource_scopes": _named("resource_scopes", resource_scopes),
            "scope_hierarchy": _named("scope_hierarchy", scope_hierarchy),
            "hide_unavailable": _checks.flag("hide_unavailable", hide_unavailable),
            "more_issuers": words("more_issuers", more_issuers),
            "algorithms": words(
                "allowed_algorithms", ACCESS_TOKEN_ALGORITHMS if allowed_algorithms is None else allowed_algorithms
            ),
            "clock_skew_seconds": _checks.whole("clock_skew_seconds", clock_skew_seconds),
            "jwks_refresh_seconds": _checks.whole("jwks_refresh_seconds", jwks_refresh_seconds, 1),
            "cache_max_entries": _checks.whole("cache_max_entries", cache_max_entries),
            "max_body": _checks.whole("max_body", max_body),
            "resource_name": resource_name,
            "resource_documentation": resource_documentation,
            "resource_metadata_url": resource_metadata_url,
            "root_metadata": _checks.flag("root_metadata", root_metadata),
            "allowed_origins": words("allowed_origins", allowed_origins),
            "bind_sessions": _checks.flag("bind_sessions", bind_sessions),
            "end_streams_with_token": _checks.flag("end_streams_with_token", end_streams_with_token),
            "max_login_age_seconds": None
            if max_login_age_seconds is None
            else _checks.whole("max_login_age_seconds", max_login_age_seconds),
            "acr_values": words("acr_values", acr_values),
            "credentials": credentials_for_core(as_credentials),
            "issuer_credentials": {
                named: credentials_for_core(credentials)
                for named, credentials in _mapping("issuer_credentials", issuer_credentials).items()
            },
            "revocation": revocation_for_core(revocation_checker, fail_closed),
            "on_decision": decision_hook_for_core(on_decision),
            "network": network_for_core(dev_mode, fetch_settings),
            "dpop": dpop_for_core(inbound_dpop),
            "transport": transport_for_core(transport),
            "clock": clock_for_core(clock),
        }
        super().__init__(_core.Guard(issuer, resource, settings), issuer, resource, advertised or required, required)
        by_message = tool_scopes or prompt_scopes or resource_scopes or hide_unavailable
        self.judges_messages = bool(by_message or max_login_age_seconds is not None or settings["acr_values"])

    async def __aenter__(self) -> Guard:
        self.start()
        return self


def _named(setting: str, scopes: Mapping[str, Iterable[str]] | None) -> dict[str, list[str]]:
    return {name: words(f"{setting}[{name!r}]", given) for name, given in _mapping(setting, scopes).items()}


def _mapping(setting: str, given: Mapping[str, V] | None) -> Mapping[str, V]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{setting} must be a mapping (dict), not {type(given).__name__}")
    for name in given:
        _checks.text(f"a name in {setting}", name)
    return given


# Last: it needs what is above, and annotations here name it.
from doorward.asgi import GuardMiddleware  # noqa: E402

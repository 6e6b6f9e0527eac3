"""A tool, prompt or resource that needs a person's consent first, and what its MCP client is answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doorward import _core
from doorward._current import current_claims
from doorward.errors import ConsentRequiredError, TokenMissingError

if TYPE_CHECKING:
    from doorward.client import DoorwardClient

logger = logging.getLogger("doorward")

_URL_ELICITATION_REQUIRED = -32042
_INVALID_PARAMS = -32602
_INPUT = "consent"
"""The key of the one input request, as the core names it."""

_UNSAID = "2025-11-25"
"""Clients that do not say which revision they speak get what the last one with a handshake has."""

_REFUSED_STATE = "The requestState is not valid. Send the request without it."

_SAID = {"tools/call": ("name", "arguments"), "prompts/get": ("name", "arguments"), "resources/read": ("uri",)}
"""What a request is, by its method: what differs from one try to the next does not count."""

_answers: ContextVar[list[Exception] | None] = ContextVar("doorward_answers", default=None)

_seen_to: ContextVar[Any] = ContextVar("doorward_seen_to", default=None)
"""The request for which something further out sees to what is missing. Others may be answered in the same context: an
application that a tool calls in its process, and all later messages of a session that it opens there.
"""


@dataclass(frozen=True)
class Call:
    """What a client asks for, as it came over the wire."""

    protocol_version: str
    method: str
    """Empty where the SDK keeps the request to itself: its first generation, without ``input_required`` results."""
    params: Mapping[str, Any]
    url_elicitation: bool | None

    @classmethod
    def of(cls, context: Any) -> Call:
        """The call with the SDK's request context ``context``, of either generation."""
        params = _wire_params(context)
        method = "" if params is None else str(_sdk_context(context).method)
        return cls(_protocol_version(context), method, params or {}, _url_elicitation(context))

    @property
    def state(self) -> str | None:
        """The ``requestState`` that the client brought back."""
        state = self.params.get("requestState")
        return state if isinstance(state, str) else None

    @property
    def is_declined(self) -> bool:
        """Whether the person was asked and did not agree."""
        answers = self.params.get("inputResponses")
        answer = answers.get(_INPUT) if isinstance(answers, Mapping) else None
        return isinstance(answer, Mapping) and answer.get("action") in ("decline", "cancel")

    def to_json(self) -> str:
        """The parameters that make the request what it is."""
        said = _SAID.get(self.method, ())
        return json.dumps({name: value for name, value in self.params.items() if name in said})


async def with_consent(
    client: DoorwardClient,
    context: Any,
    run: Callable[[], Awaitable[Any]],
    as_result: Callable[[str, Any], Any] = lambda _method, asking: asking,
) -> Any:
    """What ``run`` comes to; where it lacks a person's consent, what the client needs to ask for it.

    Args:
        client: The client of the authorization server that consent is missing at.
        context: The SDK's request context, of either generation.
        run: Calls the tool, renders the prompt or reads the resource.
        as_result: The framework's own result for a method and an ``InputRequiredResult``.
    """
    request = _request_of(context)
    if _seen_to.get() is request:
        # Tools, prompts and resources may use others. The client only knows what it asked for itself, and repeats
        # that: it is answered there.
        return await run()
    # Looked at more closely only when something has come back, or something has to be asked.
    if brings_state(context):
        check_state(client, Call.of(context))
    entered = _seen_to.set(request)
    try:
        return await run()
    except Exception as error:
        consent = consent_of(error)
        if consent is None:
            raise
        call = Call.of(context)
        asking = answer(client, consent, call)
        if asking is None:
            raise
        return as_result(call.method, asking)
    finally:
        _seen_to.reset(entered)


def brings_state(context: Any) -> bool:
    """Whether the client brought a ``requestState`` back."""
    params = _wire_params(context)
    return params is not None and "requestState" in params


def _wire_params(context: Any) -> Mapping[str, Any] | None:
    """The parameters as they came; ``None`` where the SDK keeps them to itself."""
    params = getattr(_sdk_context(context), "params", None)
    return params if isinstance(params, Mapping) else None


def _request_of(context: Any) -> Any:
    """What is the same for everything that is done for one HTTP request, and for nothing else."""
    request = getattr(context, "request", None)
    return context if request is None else getattr(request, "scope", request)


def _sdk_context(context: Any) -> Any:
    """The SDK's own request context: FastMCP has one around it since 4.0."""
    return getattr(context, "_srctx", context)


def consent_of(error: BaseException) -> ConsentRequiredError | None:
    """The missing consent that an error comes from: frameworks wrap what tools raise, and tools call others."""
    return next((cause for cause in _causes(error) if isinstance(cause, ConsentRequiredError)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(16):
        if error is None:
            return
        yield error
        error = error.__cause__ or _repeated(error)


def _repeated(error: BaseException) -> BaseException | None:
    """What an error comes from that does not say so, but repeats its text: those of prompts and resources in the SDK's
    first generation.
    """
    context = None if error.__suppress_context__ else error.__context__
    text = str(context)
    # An error without a text is repeated by none.
    return context if context is not None and text and str(error).endswith(text) else None


def check_state(client: DoorwardClient, call: Call) -> None:
    """Refuses a ``requestState`` of ours that was made for another person, client or call, or too long ago.

    Those of other makers are their own affair: a tool may have one for itself.
    """
    state = call.state
    if state is None:
        return
    try:
        claims = current_claims()
    except TokenMissingError:
        return
    reason = _core.refused_request_state(client.core, claims, state, call.method, call.to_json())
    if reason is not None and reason != "not_ours":
        logger.info("request state refused: %s", reason)
        raise mcp_error({"code": _INVALID_PARAMS, "message": _REFUSED_STATE})


def answer(client: DoorwardClient, consent: ConsentRequiredError, call: Call) -> Any | None:
    """What the client is answered: an ``InputRequiredResult`` or, raised, an error of the protocol.

    ``None`` outside a guarded request.
    """
    try:
        claims = current_claims()
    except TokenMissingError:
        return None
    member, value = _core.consent_answer(
        client.core,
        claims,
        {
            "service": consent.service_id,
            "cause": consent.cause_detail or None,
            "consent_url": consent.consent_url,
            "description": consent.description,
        },
        {
            "protocol_version": call.protocol_version,
            "method": call.method,
            "params": call.to_json(),
            # Whoever has declined is not asked again and again.
            "url_elicitation": False if call.is_declined else call.url_elicitation,
        },
    )
    if member == "result":
        from mcp_types import InputRequiredResult

        return InputRequiredResult.model_validate(value)
    error = mcp_error(value)
    told = _answers.get()
    if told is not None:
        told.append(error)
    raise error from consent


def mcp_error(error: Mapping[str, Any]) -> Exception:
    """An error of the protocol as the SDK's exception, in either generation."""
    from mcp.shared import exceptions

    made: Exception
    code, message, data = error["code"], error["message"], error.get("data")
    special = getattr(exceptions, "UrlElicitationRequiredError", None)
    if code == _URL_ELICITATION_REQUIRED and special is not None:
        from mcp.types import ElicitRequestURLParams

        pages = [ElicitRequestURLParams.model_validate(page) for page in error["data"]["elicitations"]]
        made = special(pages, message=message)
    elif hasattr(exceptions, "MCPError"):
        made = exceptions.MCPError(code=code, message=message, data=data)
    else:
        from mcp.types import ErrorData

        made = exceptions.McpError(ErrorData(code=code, message=message, data=data))
    return made


def let_errors_through(lowlevel: Any) -> None:
    """Makes a server of the SDK's first generation answer with the errors that :func:`answer` raised.

    Some of its versions turn every error of a tool into a result, and middleware turns errors into others.
    """
    handlers = getattr(lowlevel, "request_handlers", None)
    if handlers is None:
        return
    from mcp.types import CallToolRequest, GetPromptRequest, ReadResourceRequest

    for request in (CallToolRequest, GetPromptRequest, ReadResourceRequest):
        handle = handlers.get(request)
        if handle is not None and not hasattr(handle, "__doorward__"):
            handlers[request] = _telling(handle)


def _telling(handle: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def handler(request: Any) -> Any:
        told: list[Exception] = []
        token = _answers.set(told)
        try:
            result = await handle(request)
        except Exception:
            if told:
                raise told[-1]  # noqa: B904  (an answer says itself what it comes from)
            raise
        finally:
            _answers.reset(token)
        # A tool that got over the missing consent of another has a result.
        failed = getattr(getattr(result, "root", None), "isError", False)
        if failed and told:
            raise told[-1]
        return result

    handler.__doorward__ = True  # type: ignore[attr-defined]
    return handler


def _protocol_version(context: Any) -> str:
    version = getattr(context, "protocol_version", None)
    if isinstance(version, str):
        return version
    headers = getattr(getattr(context, "request", None), "headers", None)
    said = headers.get("mcp-protocol-version") if headers is not None else None
    handshake = getattr(_client_params(context), "protocolVersion", None)
    return str(said or handshake or _UNSAID)


def _url_elicitation(context: Any) -> bool | None:
    """``None`` where it cannot be told: without sessions, clients of older revisions have said it only once."""
    session = getattr(context, "session", None)
    capabilities = getattr(session, "client_capabilities", None)
    if capabilities is None:
        capabilities = getattr(_client_params(context), "capabilities", None)
    if capabilities is None:
        return None
    elicitation = getattr(capabilities, "elicitation", None)
    return elicitation is not None and getattr(elicitation, "url", None) is not None


def _client_params(context: Any) -> Any:
    return getattr(getattr(context, "session", None), "client_params", None)

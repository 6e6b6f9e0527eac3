"""What an application behind the guard gets to receive, and what becomes of what it sends."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from doorward import _core
from doorward._asgi_types import Headers, Message, Receive, Scope, Send
from doorward._coroutine import begin

STREAM_SECONDS = 1.0
"""How long an event stream is open before it is watched: most are answers that are over sooner."""

_WITHHELD = b'{"error":"server_error","error_description":"The list of the MCP server could not be read."}'

logger = logging.getLogger("doorward")


class Exchange:
    """One request that the guard let through, and its answer."""

    is_over = False
    """Whether the application has returned."""

    # In the class, since most exchanges need nothing of it.
    _start: Message | None = None
    _parts: list[bytes]
    _size = 0
    _filters = False
    _events: _core.EventFilter | None = None
    _streams = False
    _complete = False
    _trailers = False
    _over: asyncio.Future[None] | None = None
    _receiving: asyncio.Future[Message] | None = None
    _timer: asyncio.TimerHandle | None = None
    _ended: asyncio.Future[Any] | None = None
    _cut: OSError | None = None

    def __init__(
        self, visit: _core.Visit, body: bytes, filters: bool, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._visit = visit
        self._body: bytes | None = body
        if filters:
            self._filters = True
        self._scope = scope
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """The body once more, in one piece; what comes after it is the server's, or the end of the stream."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
        # Applications may receive twice at a time: both wait for the same message.
        task = self._receiving
        if task is None:
            # What is there comes without any waiting: some look whether a client has gone in a scope that is cancelled.
            task = begin(_message(self._receive))
            self._receiving = task
        if not (task.done() or self._over.done()):
            await asyncio.wait((task, self._over), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return {"type": "http.disconnect"}
        if self._receiving is task:
            self._receiving = None
        return task.result()

    async def send(self, message: Message) -> None:
        """Completes the head, and leaves out of lists what the token may not call."""
        kind = message["type"]
        if self._complete:
            if self._trailers and kind == "http.response.trailers":
                self._trailers = message.get("more_trailers", False)
                await self._send(message)
            else:
                self._tell_of_cut()
            return
        if kind == "http.response.body" and self._has_to_end:
            # The application does not listen for the end, and would go on telling.
            await self._cut_off()
            self._tell_of_cut()
            return
        if kind == "http.response.start":
            await self._begin(message)
        elif kind == "http.response.body" and (self._start is not None or self._events is not None):
            await self._filter(message)
        else:
            self._complete = kind == "http.response.body" and not message.get("more_body", False)
            await self._send(message)

    def has_expired(self) -> bool:
        """Whether the token has ended since."""
        return self._visit.has_expired()

    @property
    def is_open(self) -> bool:
        """Whether there is something to close."""
        return self._timer is not None or self._receiving is not None

    async def close(self) -> None:
        """When the application has returned. A stream that was ended by the guard is ended properly."""
        if self._timer is not None:
            self._timer.cancel()
        waiting = [future for future in (self._receiving, self._ended) if future is not None and not future.done()]
        for future in waiting:
            future.cancel()
        if waiting:
            await asyncio.wait(waiting)
        if self._has_to_end and not self._complete:
            await self._cut_off()

    def has_told(self, error: BaseException) -> bool:
        """Whether an error comes of it that the application was told of the end of its stream."""
        if self._cut is None or not _comes_of(error, self._cut):
            return False
        if _says_only(error, self._cut):
            logger.debug("an application ended with its stream", exc_info=error)
        else:
            logger.warning("an application failed after its stream was cut off", exc_info=error)
        return True

    @property
    def _has_to_end(self) -> bool:
        """Whether this is a stream whose token has ended."""
        return self._streams and self._over is not None and self._over.done()

    async def _cut_off(self) -> None:
        self._complete = True
        self._cut = OSError("the access token of this stream has ended")
        await self._send({"type": "http.response.body", "body": b""})
        await self._send_no_trailers()

    async def _send_no_trailers(self) -> None:
        """A server waits for those that were announced."""
        if self._trailers:
            self._trailers = False
            await self._send({"type": "http.response.trailers", "headers": []})

    def _tell_of_cut(self) -> None:
        """As a server of ASGI 2.4 tells that the client has gone. Applications for older ones do not expect it."""
        if self._cut is not None and _version(self._scope) >= (2, 4):
            raise self._cut

    async def _begin(self, message: Message) -> None:
        if message.get("trailers", False):
            self._trailers = True
        given = message.get("headers", ())
        headers, kind = self._visit.leave(message["status"], given if type(given) is list else list(given))
        if headers is not given:
            message = {**message, "headers": headers}
        if kind is not None and (self._filters or kind == "events"):
            await self._begin_to_watch(message, kind)
        else:
            await self._send(message)

    async def _begin_to_watch(self, message: Message, kind: str) -> None:
        """The answer is an event stream, or of the kind that holds lists."""
        headers: Headers = message["headers"]
        self._streams = kind == "events"
        if self._streams:
            self._timer = asyncio.get_running_loop().call_later(STREAM_SECONDS, self._watch)
        if not self._filters:
            await self._send(message)
        elif any(name.lower() == b"content-encoding" for name, _ in headers):
            await self._withhold()
        else:
            left = [header for header in headers if header[0].lower() != b"content-length"]
            message = {**message, "headers": left}
            if self._streams:
                self._events = self._visit.event_filter()
                await self._send(message)
            else:
                self._start, self._parts = message, []

    async def _filter(self, message: Message) -> None:
        part: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if self._events is not None:
            try:
                part = self._events.push(part)
            except ValueError:
                logger.error("an event of the MCP server is too large to be looked into; its stream was ended")
                part, more = b"", False
                self._cut = OSError("this stream was ended for an event that is too large")
            self._complete = not more
            await self._send({"type": "http.response.body", "body": part, "more_body": more})
            if self._cut is not None:
                await self._send_no_trailers()
            return
        self._size += len(part)
        self._parts.append(part)
        if self._size > self._visit.max_body:
            await self._withhold()
        elif not more and self._start is not None:
            body = b"".join(self._parts)
            filtered = self._visit.filter_list(body)
            body = body if filtered is None else filtered
            if not self._trailers:  # RFC 9112 §6.3: they come with chunks alone
                self._start["headers"].append((b"content-length", b"%d" % len(body)))
            self._complete = True
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": body})

    async def _withhold(self) -> None:
        """A list that cannot be looked into may hold what the token may not call."""
        logger.error("a list of the MCP server is compressed or too large to be looked into, and was withheld")
        self._complete, self._trailers = True, False
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_WITHHELD))]
        await self._send({"type": "http.response.start", "status": 500, "headers": headers})
        await self._send({"type": "http.response.body", "body": _WITHHELD})

    def _watch(self) -> None:
        ended = self._visit.ended()
        if ended is not None and asyncio.isfuture(ended):
            self._ended = ended
            ended.add_done_callback(self._end)
        elif ended is not None:
            self._end(None)

    def _end(self, ended: asyncio.Future[Any] | None) -> None:
        if ended is not None and ended.cancelled():
            return
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
        if not self._over.done():
            self._over.set_result(None)


def _says_only(error: BaseException, origin: BaseException) -> bool:
    """Whether an error is the origin itself, or what Starlette makes of it."""
    several: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if several:
        return all(_says_only(one, origin) for one in several)
    return error is origin or type(error).__name__ == "ClientDisconnect"


def _comes_of(error: BaseException | None, origin: BaseException, depth: int = 16) -> bool:
    if error is None or depth == 0:
        return False
    several: tuple[BaseException, ...] = getattr(error, "exceptions", ())  # a group, since Python 3.11
    if several:
        return all(_comes_of(one, origin, depth - 1) for one in several)
    return error is origin or _comes_of(error.__cause__ or error.__context__, origin, depth - 1)


def _version(scope: Scope) -> tuple[int, ...]:
    """Of the ASGI specification that the server follows."""
    try:
        return tuple(map(int, scope.get("asgi", {}).get("spec_version", "2.0").split(".")))
    except ValueError:
        return (2, 0)


async def _message(receive: Receive) -> Message:
    return await receive()

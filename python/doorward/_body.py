"""Reading a request's body before the application does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import CoroutineType

from doorward._asgi_types import Message, Receive
from doorward._coroutine import rest

BODY_SECONDS = 60.0
"""How long a body may take to arrive: an open request holds memory."""


class BodyError(Exception):
    """The body did not arrive; ``fault`` is ``too_large``, ``too_slow`` or ``unreadable``."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def read(receive: Receive, limit: int) -> bytes | Awaitable[bytes]:
    """The whole body, of at most ``limit`` bytes; or what has to be awaited for it.

    Raises:
        BodyError: It is larger, takes too long, or the client has gone.
    """
    awaited = receive()
    if isinstance(awaited, CoroutineType):
        # Most bodies are there when they are asked for, and need no deadline.
        try:
            pending = awaited.send(None)
        except StopIteration as done:
            message: Message = done.value
            if not message.get("more_body", False):
                return bytes(_chunk(message, limit))
            awaited = _at_hand(message)
        else:
            awaited = rest(awaited, pending)
    return _read_in_time(awaited, receive, limit)


async def _read_in_time(awaited: Awaitable[Message], receive: Receive, limit: int) -> bytes:
    """The body that begins with the message that is awaited."""
    with _Deadline(BODY_SECONDS) as deadline:
        chunks: list[bytes] = []
        left = limit
        while True:
            try:
                message = await awaited
            except asyncio.CancelledError:
                if deadline.passed():
                    raise BodyError("too_slow") from None
                raise
            chunk = _chunk(message, left)
            left -= len(chunk)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)
            awaited = receive()


def _chunk(message: Message, limit: int) -> bytes:
    if message["type"] != "http.request":
        raise BodyError("unreadable")
    chunk: bytes = message.get("body", b"")
    if len(chunk) > limit:
        raise BodyError("too_large")
    return chunk


async def _at_hand(message: Message) -> Message:
    return message


class _Deadline:
    """Cancels the current task when the time is up. ``asyncio.timeout`` came with Python 3.11 only."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> _Deadline:
        self._task = asyncio.current_task()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()

    def _expire(self) -> None:
        if self._task is not None:
            self._expired = True
            self._task.cancel()

    def passed(self) -> bool:
        """Whether it was this deadline that cancelled the task, which is taken back."""
        if self._expired and self._task is not None and hasattr(self._task, "uncancel"):
            # Somebody else may have cancelled the task as well.
            return bool(self._task.uncancel() == 0)
        return self._expired

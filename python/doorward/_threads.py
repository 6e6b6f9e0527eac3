"""Threads for functions of the program that wait."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Any, TypeAlias

THREADS = 8
"""For one that calls."""
WAITING = 1000
"""Calls that wait for a thread at most."""
BEGIN_SECONDS = 5.0
"""How long a call waits for a thread."""
IDLE_SECONDS = 60.0
"""How long a thread waits for a call."""

_Call: TypeAlias = "tuple[Future[Any], Callable[[], Any]]"


class NotBegunError(RuntimeError):
    """No thread had time for a call, which says nothing of what it would have come to (``callback.rs`` knows the name)."""


class Threads:
    """Calls plain functions in threads that nobody else needs: neither the event loop, nor the end of the program waits for one
    that never returns, as both do for those of ``asyncio.to_thread``.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool = _Pool(name)

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns.

        Raises:
            NotBegunError: Too many calls wait already, or this one waited for too long.
        """
        pool = self._pool
        if pool.process != os.getpid():
            # Threads do not come along into a forked process.
            pool = self._pool = _Pool(self._name)
        called = pool.submit(partial(copy_context().run, function, *arguments))
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = called.cancel()  # not one that runs

        timer = asyncio.get_running_loop().call_later(BEGIN_SECONDS, give_up)
        try:
            return await asyncio.wrap_future(called)
        except asyncio.CancelledError:
            if is_late:
                raise NotBegunError("no thread had time for the call") from None
            raise
        finally:
            timer.cancel()


def is_async(function: Any) -> bool:
    """Whether it is an ``async def``, or an object whose ``__call__`` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(function.__call__)


def not_blocking(function: Callable[..., Any], name: str) -> Callable[..., Awaitable[Any]]:
    """The function, in the event loop if it is an ``async def``, in threads of its own if it is a plain one."""
    threads = Threads(name)
    runs_in_loop = is_async(function)

    async def call(*arguments: Any) -> Any:
        answer = function(*arguments) if runs_in_loop else await threads.call(function, *arguments)
        return await answer if inspect.isawaitable(answer) else answer

    return call


class _Pool:
    def __init__(self, name: str) -> None:
        self.process = os.getpid()
        self._name = name
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._changed:
            if len(self._calls) >= WAITING:
                raise NotBegunError("too many calls wait for a thread")
            self._calls.append((future, function))
            if self._idle >= len(self._calls):
                self._changed.notify()
            elif self._threads < THREADS:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._threads += 1
        return future

    def _work(self) -> None:
        while (call := self._next()) is not None:
            future, function = call
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)
            # Nothing is kept until the next call comes.
            del call, future, function

    def _next(self) -> _Call | None:
        """``None`` when there was none for long enough."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._calls, IDLE_SECONDS)
            self._idle -= 1
            if self._calls:
                return self._calls.popleft()
            self._threads -= 1
            return None

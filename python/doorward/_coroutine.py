"""Coroutines that are begun where they are called, and functions that return one of somebody else."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")


@coroutine
def rest(begun: Coroutine[Any, Any, T], pending: Any) -> Generator[Any, Any, T]:
    """Awaits a coroutine that was begun, and waits for what is ``pending``."""
    step: Callable[[Any], Any]
    while True:
        argument: Any
        try:
            argument = yield pending
            step = begun.send
        except BaseException as error:
            argument = error
            step = begun.throw
        try:
            pending = step(argument)
        except StopIteration as done:
            result: T = done.value
            return result


def begin(waiting: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """A task that is begun at once, and is done if it had nothing to wait for."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(waiting, loop=loop, eager_start=True)
    first: list[Any] = []
    task = loop.create_task(_continued(waiting, first))
    current = asyncio.current_task(loop)
    try:
        # What is begun belongs to the task in which it goes on: what is there to cancel it looks for that.
        _switch(loop, current, task)
        try:
            first.append(waiting.send(None))
        finally:
            _switch(loop, task, current)
    except StopIteration as done:
        outcome: asyncio.Future[T] = loop.create_future()
        outcome.set_result(done.value)
    except BaseException:
        task.cancel()
        raise
    else:
        # One that is cancelled before its first step never comes to what was begun.
        task.add_done_callback(lambda _: waiting.close())
        return task
    task.cancel()
    return outcome


async def _continued(waiting: Coroutine[Any, Any, T], first: list[Any]) -> T:
    return await rest(waiting, first[0])


def _switch(loop: asyncio.AbstractEventLoop, current: asyncio.Task[Any] | None, to: asyncio.Task[Any] | None) -> None:
    if current is not None:
        asyncio.tasks._leave_task(loop, current)
    if to is not None:
        asyncio.tasks._enter_task(loop, to)


def as_coroutine_function(function: F) -> F:
    """Mocks and frameworks take the function for the ``async def`` that it saves: a coroutine that awaits another costs as
    much as a copy of an access token.
    """
    mark = getattr(inspect, "markcoroutinefunction", None)  # since Python 3.12
    if mark is not None:
        mark(function)
    else:
        function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function

"""Functions that return a coroutine of somebody else."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


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

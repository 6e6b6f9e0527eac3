"""Functions that are there twice: for programs that are made in a coroutine, and for those that are made by an import."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_coroutines(make: Callable[P, T], name: str) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same function under another name, to be awaited. It waits for nothing."""
    # Type checkers take a class method for its function, where its class is still being made.
    make = getattr(make, "__func__", make)

    @functools.wraps(make)
    async def made(*args: P.args, **kwargs: P.kwargs) -> T:
        return make(*args, **kwargs)

    made.__qualname__ = made.__qualname__.removesuffix(made.__name__) + name
    made.__name__ = name
    return made

"""Exceptions of functions that the program gave to the guard, as the log is told of them."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Literal

FRAMES = 30
"""The innermost ones that are told, of each exception."""

_MISTAKES = (TypeError, AttributeError, NameError, ImportError)
"""What is raised by a program that is wrong, and not because somebody is away (``callback.rs`` knows them too)."""


def traceback_of(
    error: BaseException, trace: TracebackType | None, texts: Literal["all", "of mistakes", "none"], secret: str
) -> str:
    """The traceback with those of the causes. Texts of exceptions may hold what the function was given: those of mistakes come
    without the secret, and others only where nothing is secret. Values and notes never come along.
    """
    told: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        own = trace if current is error else current.__traceback__
        frames = traceback.format_list(traceback.extract_tb(own, -FRAMES))
        has_text = texts == "all" or (texts == "of mistakes" and isinstance(current, _MISTAKES))
        text = _text(current, secret) if has_text else ""
        head = "Traceback (most recent call last):\n" if frames else ""
        told.append(f"{head}{''.join(frames)}{_kind(current)}{text}\n")
        if current.__cause__ is not None:
            current = current.__cause__
            told.append("\nThe above exception was the direct cause of the following exception:\n\n")
        elif current.__suppress_context__ or current.__context__ is None:
            break
        else:
            current = current.__context__
            told.append("\nDuring handling of the above exception, another exception occurred:\n\n")
    if len(told) % 2 == 0:
        # They lead to each other.
        told.pop()
    return "".join(reversed(told)).rstrip("\n")


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException, secret: str) -> str:
    try:
        text = str(error)
    except Exception:
        return ""
    if secret:
        text = text.replace(secret, "…")
    return f": {text}" if text else ""

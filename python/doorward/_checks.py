"""Whether settings are of their types. The core would refuse them too, in words of its own."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from operator import index
from typing import Any, SupportsIndex


def whole(name: str, value: Any, least: int = 0) -> int:
    """A number without a fraction.

    Raises:
        TypeError: It is something else.
        ValueError: It is less than it may be, or more than anybody can count.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    number = index(value)
    if number < least:
        raise ValueError(f"{name} must be {least} or more, not {number}")
    if number > sys.maxsize:
        raise ValueError(f"{name} must be {sys.maxsize} or less, not {number}")
    return number


def seconds(name: str, value: Any, *, none_too: bool = True) -> float:
    """A time, with or without a fraction.

    Raises:
        TypeError: It is no number.
        ValueError: No time lasts as long.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not math.isfinite(value) or value < 0 or value > sys.maxsize or (value == 0 and not none_too):
        least = "0 or more" if none_too else "more than 0"
        raise ValueError(f"{name} must be a number of seconds, {least} and not endless, not {value}")
    return value


def flag(name: str, value: Any) -> bool:
    """True or false.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def text(name: str, value: Any) -> str:
    """A string. The message does not repeat what it is instead: it may be secret.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string (str), not {type(value).__name__}")
    return value


def function(name: str, value: Any, call: str) -> Any:
    """What can be called.

    Raises:
        TypeError: It cannot.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function: {call}")
    return value


def keys(name: str, given: Iterable[bytes]) -> list[bytes]:
    """Keys of 32 bytes.

    Raises:
        TypeError: It is one key, or they are something else.
        ValueError: They have another length.
    """
    if isinstance(given, (bytes, bytearray, str)):
        raise TypeError(f"{name} must be a list of keys, not one key: write [key]")
    listed = list(given)
    for key in listed:
        if not isinstance(key, (bytes, bytearray)):
            raise TypeError(f"{name} must be keys of bytes, not of {type(key).__name__}")
        if len(key) != 32:
            raise ValueError(f"{name} must be keys of 32 random bytes each, not of {len(key)}")
    return [bytes(key) for key in listed]

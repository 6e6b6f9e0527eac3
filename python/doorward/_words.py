"""Lists of strings that callers give."""

from __future__ import annotations

from collections.abc import Iterable


def words(name: str, given: Iterable[str] | None) -> list[str]:
    """The list; none is an empty one.

    Raises:
        TypeError: It is one string, whose characters would be taken for the list, or has something else in it.
    """
    if isinstance(given, str):
        raise TypeError(f"{name} must be a list of strings, not one string: write {given.split()!r}")
    if given is not None and not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list of strings, not {given!r}")
    listed = list(given or ())
    for word in listed:
        if not isinstance(word, str):
            raise TypeError(f"{name} must be a list of strings, and {word!r} is none")
    return listed

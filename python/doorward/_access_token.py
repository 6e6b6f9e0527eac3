"""Frameworks' access tokens, one for each request."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

from doorward import _core

_FIELDS = {
    "token": "a.b.c",
    "client_id": "client",
    "scopes": ["read"],
    "expires_at": 1,
    "resource": "https://mcp.example.com",
    "subject": "subject",
    "claims": {"sub": "subject"},
}
"""What a framework may want to know, with an example."""

_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
"""What a pydantic model consists of."""


@lru_cache(maxsize=64)
def access_tokens(kind: type[Any], resource: str | None = None) -> _core.AccessTokens:
    """Makes the access tokens of a framework, whose class is ``kind``, for a resource."""
    known = getattr(kind, "model_fields", None) or inspect.signature(kind).parameters
    names = [name for name in _FIELDS if name in known]
    return _core.AccessTokens(kind, names, resource, _setters(kind))


def _setters(kind: type[Any]) -> list[Any] | None:
    """What puts a model together that pydantic need not look at, because all that it would do is to check types.

    ``None`` for every other class: it has to be called.
    """
    if not getattr(kind, "__pydantic_complete__", False) or not set(kind.model_fields) <= set(_FIELDS):
        return None
    rules = kind.__pydantic_decorators__
    is_checked = rules.validators or rules.field_validators or rules.root_validators or rules.model_validators
    if is_checked or any(field.metadata for field in kind.model_fields.values()):
        return None
    setters = [_slot(kind, name).__set__ for name in _SLOTS]
    # What else a class may do when it is made, it does to this one.
    example = {name: _FIELDS[name] for name in kind.model_fields}
    validated = kind(**example)
    plain: Any = object.__new__(kind)
    for setter, value in zip(setters, (example, set(example), None, None), strict=True):
        setter(plain, value)
    is_same = all(getattr(validated, name) == getattr(plain, name) for name in _SLOTS)
    return setters if is_same and validated == plain else None


def _slot(kind: type[Any], name: str) -> Any:
    return next(base.__dict__[name] for base in kind.__mro__ if name in base.__dict__)

"""Frameworks' access tokens, one for each request."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from doorward import _core


def for_request(kind: type[Any], claims: _core.VerifiedClaims, make: Callable[[], Any], **changes: Any) -> Any:
    """The framework's ``AccessToken`` for these claims.

    To make one costs more than to verify a token that is remembered, so one of this ``kind`` is kept beside the claims
    and copied. A copy shares nothing that can be changed: not every framework leaves the token alone, FastMCP's OAuth proxy
    writes into its claims.
    """
    kept = claims.keep(make)
    if type(kept) is not kind:
        return make()
    values = {**kept.__dict__, "scopes": kept.scopes.copy(), **changes}
    if "claims" in values:
        values["claims"] = claims.to_dict()
    return _copy(kept, values)


_set = object.__setattr__


def _copy(model: Any, values: dict[str, Any]) -> Any:
    """A copy with these values, for pydantic models at half the price of ``copy.copy``."""
    fields_set = getattr(model, "__pydantic_fields_set__", None)
    if fields_set is None or model.__pydantic_extra__ or model.__pydantic_private__:
        other = copy.copy(model)
        other.__dict__.update(values)
        return other
    kind = type(model)
    other = kind.__new__(kind)
    _set(other, "__dict__", values)
    _set(other, "__pydantic_fields_set__", fields_set.copy())
    _set(other, "__pydantic_extra__", model.__pydantic_extra__)
    _set(other, "__pydantic_private__", None)
    return other

"""When a person has to agree first: from the authorization server's refusal to what an MCP client understands."""

from __future__ import annotations

import uuid
from typing import Any

from doorward.errors import ConsentRequiredError

__all__ = ["URL_ELICITATION_REQUIRED", "to_url_elicitation_required_error"]

URL_ELICITATION_REQUIRED = -32042
"""The JSON-RPC code (MCP 2025-11-25)."""


def to_url_elicitation_required_error(error: BaseException) -> Any | None:
    """The SDK's ``UrlElicitationRequiredError`` for a :class:`ConsentRequiredError`, to be raised inside a tool.

    Clients of the revision 2025-11-25 open the page that it names. ``None`` for any other error, and where the
    authorization server named no page.
    """
    if not isinstance(error, ConsentRequiredError) or not error.consent_url:
        return None
    from mcp.shared.exceptions import UrlElicitationRequiredError
    from mcp.types import ElicitRequestURLParams

    fields = ElicitRequestURLParams.model_fields
    identifier = next(name for name in ("elicitation_id", "elicitationId") if name in fields)
    elicitation = ElicitRequestURLParams.model_validate(
        {
            "mode": "url",
            "message": error.describe(),
            "url": error.consent_url,
            fields[identifier].alias or identifier: str(uuid.uuid4()),
        }
    )
    return UrlElicitationRequiredError([elicitation], message=f"doorward: token exchange: {error}")

"""Doorward's guard for Python: verified access tokens for MCP servers, on a Rust core.

``doorward.fastmcp`` and ``doorward.mcp`` put it before FastMCP and the official SDK, ``doorward.asgi`` before any ASGI
application; :class:`Guard` is for everything else.
"""

import atexit

from doorward import _core
from doorward._core import SubjectToken, VerifiedClaims, VerifiedDPoPProof, __version__
from doorward.challenges import (
    http_status,
    response_headers_for,
    www_authenticate,
    www_authenticate_challenges,
)
from doorward.client import DoorwardClient
from doorward.consent import to_url_elicitation_required_error
from doorward.errors import *  # noqa: F403
from doorward.errors import __all__ as _errors
from doorward.guard import DoorwardResource, DPoPRequest, DPoPRequestContext, Guard, RevocationStatus
from doorward.metrics import FeedMetrics, KeyMetrics, MetricsSnapshot
from doorward.oauth import IntrospectionResponse, TokenExchangeOptions, TokenResponse
from doorward.options import (
    ACCESS_TOKEN_ALGORITHMS,
    SUPPORTED_DPOP_ALGORITHMS,
    ASCredentials,
    FetchSettings,
    InboundDPoPOptions,
    IntrospectionRevocation,
    PrivateKey,
    RevocationChecker,
    RevocationFeed,
    Transport,
)
from doorward.replays import ReplayStore, UsedProof

__all__ = [
    "ACCESS_TOKEN_ALGORITHMS",
    "SUPPORTED_DPOP_ALGORITHMS",
    "ASCredentials",
    "DPoPRequest",
    "DPoPRequestContext",
    "DoorwardClient",
    "DoorwardResource",
    "FeedMetrics",
    "FetchSettings",
    "Guard",
    "InboundDPoPOptions",
    "IntrospectionResponse",
    "IntrospectionRevocation",
    "KeyMetrics",
    "MetricsSnapshot",
    "PrivateKey",
    "ReplayStore",
    "RevocationChecker",
    "RevocationFeed",
    "RevocationStatus",
    "SubjectToken",
    "TokenExchangeOptions",
    "TokenResponse",
    "Transport",
    "UsedProof",
    "VerifiedClaims",
    "VerifiedDPoPProof",
    "__version__",
    "http_status",
    "response_headers_for",
    "to_url_elicitation_required_error",
    "www_authenticate",
    "www_authenticate_challenges",
]
__all__ += _errors

# Threads that want the interpreter must be gone before it is.
atexit.register(_core.shut_down)

"""What a guard counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FeedMetrics", "KeyMetrics", "MetricsSnapshot"]


@dataclass(frozen=True)
class FeedMetrics:
    """The follower of the feed of revocations; of several issuers that a guard follows, all together.

    Attributes:
        connected: Whether the guard has heard everything, of every issuer that it follows: 1 in a gauge, else 0.
        remembered: Revocations remembered now.
        heard: Revocations heard of since the guard was made.
        disconnects: How often the connection was lost, or could not be made.
    """

    connected: bool
    remembered: int
    heard: int
    disconnects: int


@dataclass(frozen=True)
class KeyMetrics:
    """The keys of an issuer.

    Attributes:
        issuer: Whose.
        age_seconds: How long ago they were fetched, in seconds; ``None``: there are none yet.
        failures: How often they could not be fetched since the guard was made.
    """

    issuer: str
    age_seconds: float | None
    failures: int


@dataclass(frozen=True)
class MetricsSnapshot:
    """What a guard has decided since it was made, in this process. Made by ``guard.metrics()``.

    Attributes:
        allowed: Requests that reached the MCP server.
        refused: Requests that did not, by the name of the reason. One that was never met is not there.
        feed: The follower of the feed of revocations; ``None`` without ``RevocationFeed``.
        keys: The keys of each issuer.
    """

    allowed: int
    refused: Mapping[str, int]
    feed: FeedMetrics | None
    keys: tuple[KeyMetrics, ...]

"""Where proofs of possession are remembered that were used already, when several processes serve one resource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from doorward._threads import not_blocking

__all__ = ["ReplayStore", "UsedProof"]


@dataclass(frozen=True)
class UsedProof:
    """A proof that is about to count.

    Attributes:
        id: Names it among all proofs: 32 bytes.
        key: A digest of the key that signed it, for limits.
        until: From this second on, since 1970, it is too old to count again.
    """

    id: bytes
    key: bytes
    until: int


class ReplayStore(Protocol):
    """Remembers proofs as long as they could be replayed: for example a table with a unique key, or ``SET … NX EX``.

    A store that raises, answers anything but ``True`` or ``False``, or takes longer than two seconds makes the request end
    with 503: nothing passes unchecked.
    """

    def insert(self, proof: UsedProof, now: int) -> Awaitable[bool] | bool:
        """Remembers the proof at least until ``proof.until``, and says whether it is new.

        Processes whose clocks differ need it longer, by as much as they may differ: an hour and five minutes are enough in any case.
        Of any number of parallel calls for one proof, in whatever processes, exactly one may be told ``True``. ``now`` is the
        guard's time. An ``async def`` runs in the event loop; a plain function in one of eight threads that only this store's
        calls have, so that it may wait.
        """


_Insert: TypeAlias = Callable[[bytes, bytes, int, int], Awaitable[Any]]


def insert_for_core(store: ReplayStore | None) -> _Insert | None:
    """As the core calls it."""
    if store is None:
        return None
    insert = getattr(store, "insert", None)
    if not callable(insert):
        raise TypeError("replay_store must have a method: insert(proof, now)")
    call = not_blocking(insert, "doorward-replays")

    async def inserted(identifier: bytes, key: bytes, until: int, now: int) -> Any:
        return await call(UsedProof(identifier, key, until), now)

    return inserted

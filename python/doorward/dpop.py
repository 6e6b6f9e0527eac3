"""Proofs of possession (RFC 9449) by themselves, for programs that check access tokens in another way.

A :class:`doorward.Guard` with ``inbound_dpop`` does all of this by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from doorward import _core
from doorward.errors import DPoPProofMissingError
from doorward.guard import DPoPRequestContext
from doorward.options import InboundDPoPOptions, dpop_for_core
from doorward.replays import UsedProof

__all__ = ["CheckedProof", "check_proof"]


@dataclass(frozen=True)
class CheckedProof:
    """A proof that fits its request.

    Still to do: compare ``jkt`` with the one that the access token is bound to (``cnf.jkt``), and give ``used`` to a
    ``ReplayStore``.

    Attributes:
        jkt: The RFC 7638 thumbprint of its key.
        jti: Its name.
        used: What a replay store remembers.
        next_nonce: Where nonces are needed: the one to send along as ``DPoP-Nonce``, when that of the request grows old.
    """

    jkt: str
    jti: str
    used: UsedProof
    next_nonce: str | None


def check_proof(
    request: DPoPRequestContext,
    *,
    access_token: str | None = None,
    options: InboundDPoPOptions | None = None,
    now: float | None = None,
) -> CheckedProof:
    """Checks a proof against the request that it came with (RFC 9449 §4.3). Remembers nothing.

    Args:
        request: The proof, and the method and URL that it must have been made for: those of this server's own configuration,
            whatever ``Host`` says.
        access_token: The access token beside the proof. Without one, as at a token endpoint, ``ath`` does not count.
        options: Which proofs are acceptable. What it says of replays and of being required does not count here; nonces need
            ``nonce_keys``.
        now: The time in seconds since 1970. Default: now.

    Raises:
        DPoPProofMissingError: There is no proof.
        InvalidDPoPProofError: It is no good; ``reason`` says which rule it breaks. Where it only lacks a ``nonce``, that is
            the one to answer with.
        ValueError: The URL begins with neither ``https://`` nor ``http://``, or the options cannot be used.
    """
    if request.proof is None:
        raise DPoPProofMissingError("the proof is missing", reason="proof_missing")
    asked = {
        "method": request.method,
        "url": request.url,
        "access_token": access_token,
        "now": int(time.time() if now is None else now),
    }
    checked = _core.check_proof(request.proof, asked, dpop_for_core(options or InboundDPoPOptions()) or {})
    used = UsedProof(checked["id"], checked["key"], checked["until"])
    return CheckedProof(checked["jkt"], checked["jti"], used, checked["next_nonce"])

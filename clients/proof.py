"""Registering where it costs something: reading an invitation, and working for a proof of work."""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from clients.connection import Link, Refusal
from protocol.errors import Code
from protocol.limits import INVITE_BYTES, PROOF_BITS_SOLVED_MAX
from protocol.puzzle import Puzzle, search

CHUNK: Final = 1 << 13  # hashes between two chances to be cancelled: about 10 ms
_TRIES_FACTOR: Final = 64  # times the expected number: that it is not enough happens once in 10^27
_LIMITER: Final = trio.CapacityLimiter(1)  # several clients of one process work one after the other


def read_invite(text: str) -> bytes:
    """The token of an invitation as `chappe admin invite` prints it. Raises ``ValueError``."""
    try:
        token = bytes.fromhex(text.strip())
    except ValueError:
        token = b""
    if len(token) != INVITE_BYTES:
        raise ValueError(f"an invitation is {2 * INVITE_BYTES} hex digits, as the operator got them; this is none")
    return token


async def answer_refusal(refusal: Refusal, link: Link, account: bytes) -> int:
    """Solve what a relay asks for before it registers. Raises ``refusal`` where it asks for something else, or more
    than half a minute of work."""
    detail = refusal.err.detail
    if refusal.code != Code.PROOF or detail is None or not 0 < detail.offset <= PROOF_BITS_SOLVED_MAX:
        raise refusal
    proof = await solve(Puzzle(link.cluster, account, link.nonce, detail.offset))
    if proof is None:
        raise refusal
    return proof


async def solve(puzzle: Puzzle) -> int | None:
    """Work in a thread until it is solved; None where it took far longer than it may. Can be cancelled."""
    for start in range(0, _TRIES_FACTOR << puzzle.bits, CHUNK):
        proof = await trio.to_thread.run_sync(partial(search, puzzle, start, CHUNK), limiter=_LIMITER)
        if proof is not None:
            return proof
    return None

"""Who may register an account: decided from the setting, what the client brought, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import Code
from protocol.ids import tagged_hash
from protocol.puzzle import Puzzle, solves
from relay.admission.why import Why
from storage.base import Refused


@dataclass(frozen=True, slots=True)
class Welcome:
    """The account may be registered; ``invite`` is the hash of what the store has to use up for it, or empty."""

    invite: bytes = b""


def invite_hash(token: bytes) -> bytes:
    """What is kept of an invitation: whoever reads the database cannot use it."""
    return tagged_hash("invite", (token,))


def judge(setting: str, puzzle: Puzzle, invite: bytes | None, proof: int | None) -> Welcome | tuple[Why, Refused]:
    """Decide about an account that is not registered yet. ``setting`` is one of those of ``registration``."""
    if setting == "open":
        return Welcome()
    if setting == "closed":
        return Why.CLOSED, Refused(Code.FORBIDDEN, "this relay registers no new accounts; ask its operator")
    if invite is not None:
        return Welcome(invite_hash(invite))
    if setting == "invite":
        text = "this relay registers by invitation only; ask its operator for one (chappe chat --invite TOKEN)"
        return Why.UNINVITED, Refused(Code.FORBIDDEN, text)
    if proof is not None and solves(puzzle, proof):
        return Welcome()
    said = "the proof of work does not fit this connection" if proof is not None else "proof of work wanted"
    text = f"{said}: find n with {puzzle.bits} zero bits as SPEC.md says (detail: bits, nonce), and send it as `proof`"
    return Why.PROOF, Refused(Code.PROOF, text, offset=puzzle.bits, hash=puzzle.nonce)

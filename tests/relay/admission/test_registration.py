"""Who may register: every setting against everything that a client may bring."""

from __future__ import annotations

import pytest

from protocol.errors import Code
from protocol.puzzle import Puzzle, search
from relay.admission.registration import Welcome, invite_hash, judge
from relay.admission.why import Why
from storage.base import Refused

PUZZLE = Puzzle(bytes(16), b"a" * 32, b"n" * 32, 6)
TOKEN = b"t" * 16


@pytest.mark.parametrize("invite", [None, TOKEN])
@pytest.mark.parametrize("proof", [None, 0])
def test_open_and_closed(invite: bytes | None, proof: int | None) -> None:
    assert judge("open", PUZZLE, invite, proof) == Welcome()
    why, refused = _refused(judge("closed", PUZZLE, invite, proof))
    assert (why, refused.code) == (Why.CLOSED, Code.FORBIDDEN)


@pytest.mark.parametrize("setting", ["invite", "proof-of-work"])
def test_an_invitation(setting: str) -> None:
    assert judge(setting, PUZZLE, TOKEN, None) == Welcome(invite_hash(TOKEN))
    assert TOKEN not in invite_hash(TOKEN)


def test_without_one() -> None:
    why, refused = _refused(judge("invite", PUZZLE, None, search(PUZZLE, 0, 1 << 12)))
    assert (why, refused.code) == (Why.UNINVITED, Code.FORBIDDEN)


def test_a_proof_of_work() -> None:
    proof = search(PUZZLE, 0, 1 << 12)
    assert judge("proof-of-work", PUZZLE, None, proof) == Welcome()
    why, refused = _refused(judge("proof-of-work", PUZZLE, None, None))
    assert (why, refused.code, refused.offset, refused.hash) == (Why.PROOF, Code.PROOF, 6, PUZZLE.nonce)
    other = Puzzle(bytes(16), b"a" * 32, b"m" * 32, 60)
    assert "does not fit" in _refused(judge("proof-of-work", other, None, proof))[1].text


def _refused(judged: Welcome | tuple[Why, Refused]) -> tuple[Why, Refused]:
    assert not isinstance(judged, Welcome)
    return judged

"""Which message asks for what."""

from __future__ import annotations

from extensions.settlement.deeds import read
from extensions.settlement.intents import Asked, Opening, Refusal
from extensions.settlement.packets import Claiming
from protocol.ids import pair_topic
from protocol.messages import packet as K
from protocol.messages import pay as P
from protocol.payments import PayCode

ME, WORKER = b"m" * 32, b"w" * 32
MINE = Asked(ME, pair_topic(ME, WORKER), b"i" * 16, 1, WORKER)
ELSEWHERE = Asked(ME, b"t" * 32, b"i" * 16, 1, WORKER)


def test_each_message_has_one_reader() -> None:
    assert isinstance(read(MINE, P.Open(ledger="EUR")), Opening)
    assert read(MINE, P.Query(what="balance")) is None
    claim = read(MINE, K.Claim(operation=b"o" * 48, id=b"c" * 16))
    assert isinstance(claim, Claiming)
    assert claim.signers() == set()


def test_nothing_is_done_outside_of_the_askers_own_conversation() -> None:
    refused = read(ELSEWHERE, K.Claim(operation=b"o" * 48, id=b"c" * 16))
    assert isinstance(refused, Refusal)
    assert refused.code is PayCode.NOT_IN_WALLET
    malformed = read(ELSEWHERE, K.Fund(signed=b"", terms=b"x"))
    assert isinstance(malformed, Refusal)
    assert malformed.code is PayCode.MALFORMED

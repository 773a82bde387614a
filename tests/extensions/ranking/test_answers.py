"""What readers are answered, and what is refused them."""

from __future__ import annotations

import json

import pytest

from extensions.ranking import answers as module
from extensions.ranking import events as E
from extensions.ranking.answers import Answers, Books, Outcome
from extensions.ranking.shop import Shop
from protocol.identity import SigningKey
from protocol.messages import Body
from protocol.messages import rank as K
from protocol.messages.rank import SignalItem, SignalKind
from protocol.scoring.page import check_briefing, check_page, open_briefing, open_page
from protocol.scoring.weights import DEFAULT
from tests.extensions.ranking.test_shop import Database

NOW_MS = 1_750_000_000_000
ANN, BOB, CEM, POST, NOTE = (letter * 32 for letter in (b"a", b"b", b"c", b"p", b"n"))
KEY = SigningKey(bytes(32))
REQUEST = K.Request(count=5, bridging=500, plain=True)


@pytest.fixture
def shop() -> Shop:
    made = Shop(Database().query)
    made.apply([E.Post(POST, ANN, NOW_MS - 60_000, ("sea",))])
    made.placed({POST: (ANN, 7)}, [])
    return made


class Asked(Answers):
    """Asked about one shop."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(KEY, lambda: NOW_MS)
        self.shop = shop

    def answer(self, reader: bytes, at_ms: int, body: Body, books: Books | None = None) -> Outcome:
        return super().answer(reader, at_ms, body, books or self.shop)


@pytest.fixture
def answers(shop: Shop) -> Asked:
    made = Asked(shop)
    made.answer(BOB, NOW_MS, K.Consent(follows=(ANN,)))
    return made


def test_nothing_without_consent(shop: Shop) -> None:
    answers = Asked(shop)
    outcome = answers.answer(BOB, NOW_MS, K.Signals(items=(SignalItem(POST, SignalKind.LIKE),)))
    assert (outcome.says, outcome.writes) == ([], [])
    for body in (REQUEST, K.WhyNot(post=POST, bridging=0), K.Export(), K.Forget()):
        (said,) = answers.answer(BOB, NOW_MS, body).says
        assert isinstance(said, K.Refused)
        assert said.code == K.RefusedCode.NO_CONSENT
    assert shop.number == 1


def test_a_page_is_signed_and_adds_up(answers: Asked) -> None:
    (said,) = answers.answer(BOB, NOW_MS, REQUEST).says
    assert isinstance(said, K.Page)
    page = open_page(said.signed, KEY.public)
    check_page(page, DEFAULT)
    assert (page.reader, [item.post for item in page.items], said.offsets) == (BOB, [POST], (7,))
    (said,) = answers.answer(BOB, NOW_MS, K.Request(count=7, bridging=1000, briefing=True)).says
    assert isinstance(said, K.Brief)
    check_briefing(open_briefing(said.signed, KEY.public), DEFAULT)
    (said,) = answers.answer(BOB, NOW_MS, K.Request(count=5, bridging=500, hidden=(ANN,))).says
    assert isinstance(said, K.Page)
    assert said.offsets == ()


def test_a_cursor_of_somebody_else(answers: Asked) -> None:
    (said,) = answers.answer(BOB, NOW_MS, REQUEST).says
    assert isinstance(said, K.Page)
    ranking = open_page(said.signed, KEY.public).ranking
    answers.answer(CEM, NOW_MS, K.Consent())
    (said,) = answers.answer(CEM, NOW_MS, K.Request(count=5, bridging=500, ranking=ranking)).says
    assert isinstance(said, K.Refused)
    assert said.code == K.RefusedCode.GONE


def test_signals_are_learned_and_bounded(answers: Asked, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RANK_SIGNALS_PER_DAY", 3)
    items = (
        SignalItem(POST, SignalKind.DWELL, 2500, b"r", 1), SignalItem(POST, SignalKind.LIKE, 500),
        SignalItem(POST, SignalKind.VIEW),
    )  # fmt: skip
    before = shop.number
    assert answers.answer(BOB, NOW_MS, K.Signals(items=items)).writes
    answers.answer(BOB, NOW_MS, K.Signals(items=items))
    assert (shop.number - before, answers.dropped) == (3, 3)
    answers.answer(BOB, NOW_MS + module.DAY_MS, K.Signals(items=items))
    assert shop.number - before == 6
    found = module._signal(BOB, 5, items[0])
    assert found == E.Signal(BOB, POST, "dwell", 2.5, 5, b"r", 0)
    assert module._signal(BOB, 5, items[1]).value == 0.5
    assert module._signal(BOB, 5, items[2]) == E.Signal(BOB, POST, "view", 1.0, 5, b"", -1)


def test_ones_rights(answers: Asked, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = answers.answer(BOB, NOW_MS, K.WhyNot(post=b"?" * 32, bridging=0)).says
    assert isinstance(said, K.Because)
    (said,) = answers.answer(BOB, NOW_MS, K.Export()).says
    assert isinstance(said, K.Known)
    assert isinstance(json.loads(said.data), dict)
    monkeypatch.setattr(module, "RANK_EXPORT_BYTES_MAX", 2)
    (said,) = answers.answer(BOB, NOW_MS, K.Export()).says
    assert isinstance(said, K.Known)
    assert said.cut
    (said,) = answers.answer(BOB, NOW_MS, K.Forget()).says
    assert isinstance(said, K.Because)
    assert BOB in shop.readers
    answers.answer(BOB, NOW_MS, K.Consent(undo=True))
    assert BOB not in shop.readers

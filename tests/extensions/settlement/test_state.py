"""The books in memory and the overlay over them."""

from __future__ import annotations

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.operations import Record
from extensions.settlement.state import Account, Held, Overlay, Past, State, ends
from tests.support.ledger_desk import ANN, BOB, Desk


def held(name: bytes, expires_ms: int, sequence: int) -> Held:
    return Held(name, "EUR", ANN, BOB, 1, expires_ms, sequence)


def test_an_overlay_changes_nothing_below_it() -> None:
    desk = Desk()
    overlay = Overlay(desk.state)
    child = Overlay(overlay)
    child.account(("EUR", ANN)).debits_posted += 7
    child.ledgers["points"] = 0
    assert desk.account(ANN).debits_posted == 0
    assert overlay.exponent("points") is None
    assert child.exponent("points") == 0
    overlay.absorb(child)
    assert overlay.account(("EUR", ANN)).debits_posted == 7
    assert desk.account(ANN).debits_posted == 0
    assert overlay.peek(("EUR", b"nobody")) is None


def test_available_is_what_is_not_held() -> None:
    account = Account(debits_pending=30, debits_posted=20, credits_posted=100)
    assert (account.balance, account.available) == (80, 50)


def test_what_is_due_comes_by_expiry_and_then_by_number() -> None:
    state = State()
    state.restore([held(b"d", 9, 4), held(b"c", 5, 3), held(b"a", 5, 1), held(b"b", 7, 2)])
    assert [pending.id for pending in state.due(7)] == [b"a", b"c", b"b"]
    assert state.due(4) == []
    overlay = Overlay(state, 7)
    overlay.pendings[b"a"] = None
    state.merge(overlay)
    assert state.held(b"a") is None
    assert state.held(b"d") is not None


def test_those_that_ended_early_do_not_pile_up() -> None:
    desk = Desk()
    for _ in range(3):
        pendings = [desk.pending(1, 10**9) for _ in range(600)]
        desk.batch(*[(pending,) for pending in pendings])
        desk.batch(*[(ops.Void(desk.id(), pending.id),) for pending in pendings])
    assert len(desk.state._expiries) < 1100
    assert not desk.state.pendings


def test_time_never_runs_backwards() -> None:
    desk = Desk()
    overlay = Overlay(desk.state, desk.now_ms - 10_000)
    assert overlay.time_ms == desk.now_ms


def test_the_past_knows_ids_and_how_pendings_ended() -> None:
    past = Past()
    void, refused = ops.Void(b"v", b"p"), ops.Post(b"w", b"q")
    past.add([Record(1, 1, 0, 5, void), Record(2, 1, Code.PENDING_NOT_FOUND, 0, refused)])
    past.add([Record(3, 1, 0, 5, ops.Expire(b"", b"e"))])
    assert past.records.keys() == {b"v", b"w"}
    assert past.ended == {b"p": Code.PENDING_VOIDED, b"e": Code.PENDING_EXPIRED}
    assert ends(Record(2, 1, Code.PENDING_NOT_FOUND, 0, refused)) is None

"""Batches: identity, chains, expiry, replay; and the engine against an oracle that knows only the document."""

from __future__ import annotations

import os
import random

import pytest

from extensions.settlement import decide as rules
from extensions.settlement import operations as ops
from extensions.settlement.apply import apply, replay
from extensions.settlement.codes import Code
from extensions.settlement.state import State
from tests.conftest import LONG
from tests.support.ledger_desk import ANN, BOB, EVE, Desk
from tests.support.ledger_random import balances, compare

#: Replays one run of the comparison with the oracle.
SEED = os.environ.get("CHAPPE_LEDGER_SEED")


# -- the oracle --------------------------------------------------------------------------------------------------------
def test_the_engine_and_the_oracle_agree_on_20_000_random_operations() -> None:
    seeds = [int(SEED)] if SEED else range(10)
    codes: set[str] = set()
    for seed in seeds:
        codes |= compare(seed, 2000).keys()
    if not SEED:
        unseen = {code.name for code in Code} - codes
        assert len(unseen) < 12, f"the random operations do not reach {sorted(unseen)}"


@pytest.mark.long
def test_the_engine_and_the_oracle_agree_on_1_000_000_random_operations() -> None:
    first = int(SEED) if SEED else random.SystemRandom().randrange(1 << 31)
    for seed in range(first, first + 100):
        compare(seed, 10_000)


@pytest.mark.parametrize(("name", "wrong"), [("_bounds", Code.OK), ("_frozen", Code.OK), ("_closed", Code.OK)])
def test_the_oracle_notices_a_rule_that_is_missing(name: str, wrong: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, name, lambda *_: wrong)
    with pytest.raises((AssertionError, KeyError)):
        compare(0, 20_000)


@pytest.mark.skipif(LONG, reason="the long run takes more seeds")
def test_a_seed_says_everything() -> None:
    assert compare(7, 500) == compare(7, 500)


# -- identity ----------------------------------------------------------------------------------------------------------
def test_a_retry_gets_the_original_result_and_moves_nothing() -> None:
    desk = Desk()
    transfer = desk.transfer(10)
    first = desk.ask(transfer)
    desk.now_ms += 5000
    assert desk.ask(transfer) == first
    assert desk.batch((transfer,), (transfer,)) == [(first,), (first,)]
    assert desk.balances() == [990, 1010, 0]


def test_a_retried_refusal_is_the_same_after_the_books_have_changed() -> None:
    desk = Desk()
    transfer = desk.transfer(500, debit=EVE)
    first = desk.ask(transfer)
    assert first.code is Code.EXCEEDS_CREDITS
    desk.ask(desk.transfer(500, credit=EVE))
    assert desk.ask(transfer) == first
    assert desk.ask(desk.transfer(500, debit=EVE)).code is Code.OK


def test_what_has_no_form_is_not_recorded() -> None:
    desk = Desk()
    bad = desk.transfer(0)
    assert desk.ask(bad).sequence == 0
    assert desk.ask(desk.transfer(5, id=bad.id)).code is Code.OK


def test_the_same_id_with_other_content_names_the_first_field_that_differs() -> None:
    desk = Desk()
    transfer = desk.transfer(10)
    desk.ask(transfer)
    result = desk.ask(desk.transfer(11, id=transfer.id, memo=b"x"))
    assert (result.code, result.field, result.sequence) == (Code.ID_REUSED, "amount", 0)
    assert desk.ask(ops.Void(transfer.id, b"p")).field == "kind"
    assert desk.ask(transfer).code is Code.OK


# -- chains ------------------------------------------------------------------------------------------------------------
def test_a_chain_is_all_or_nothing() -> None:
    desk = Desk()
    failing = (desk.transfer(10), desk.transfer(5000), desk.transfer(10))
    assert desk.chain(*failing) == [Code.LINKED_FAILED, Code.EXCEEDS_CREDITS, Code.LINKED_FAILED]
    assert desk.balances() == [1000, 1000, 0]
    desk.ask(ops.Issue(desk.id(), ops.rail_account("mint"), ANN, "EUR", 2, 9000))
    assert desk.chain(*failing) == [Code.LINKED_FAILED, Code.EXCEEDS_CREDITS, Code.LINKED_FAILED]
    assert desk.chain(desk.transfer(10), desk.transfer(20, debit=BOB, credit=EVE)) == [Code.OK, Code.OK]


def test_a_refund_that_fails_in_the_middle_undoes_the_others() -> None:
    desk = Desk()
    desk.ask(desk.transfer(100, credit=EVE))
    back = desk.transfer(100, debit=EVE, credit=ANN)
    assert desk.chain(back, desk.transfer(1, debit=EVE, credit=ANN)) == [Code.LINKED_FAILED, Code.EXCEEDS_CREDITS]
    assert desk.balances() == [900, 1000, 100]


def test_a_chain_sees_what_it_did_itself() -> None:
    desk = Desk()
    pending = desk.pending(40)
    assert desk.chain(pending, ops.Post(desk.id(), pending.id, 15)) == [Code.OK, Code.OK]
    assert desk.ask(ops.Post(desk.id(), pending.id)).code is Code.PENDING_POSTED
    other = desk.pending(40)
    twice = (other, ops.Post(desk.id(), other.id), ops.Void(desk.id(), other.id))
    assert desk.chain(*twice) == [Code.LINKED_FAILED, Code.LINKED_FAILED, Code.PENDING_POSTED]
    assert desk.ask(ops.Post(desk.id(), other.id)).code is Code.PENDING_NOT_FOUND
    assert desk.balances() == [985, 1015, 0]


def test_a_chain_with_a_fault_of_form_is_refused_before_anything_is_recorded() -> None:
    desk = Desk()
    good, bad = desk.transfer(10), desk.transfer(0)
    assert desk.chain(good, bad) == [Code.LINKED_FAILED, Code.AMOUNT_NOT_POSITIVE]
    assert desk.ask(good).code is Code.OK


def test_a_chain_that_was_recorded_otherwise() -> None:
    desk = Desk()
    one, two, three = desk.transfer(1), desk.transfer(2), desk.transfer(3)
    assert desk.chain(one, two) == [Code.OK, Code.OK]
    assert desk.chain(one, two) == [Code.OK, Code.OK]
    assert desk.chain(one, two, three) == [Code.ID_REUSED, Code.LINKED_FAILED, Code.LINKED_FAILED]
    assert desk.chain(one, three) == [Code.LINKED_FAILED, Code.CHAIN_CHANGED]
    assert desk.ask(two).field == "chain"
    assert desk.ask(three).code is Code.OK
    assert desk.batch(()) == [()]


# -- time --------------------------------------------------------------------------------------------------------------
def test_pendings_expire_at_the_start_of_a_batch_in_order() -> None:
    desk = Desk()
    late, soon, same = desk.pending(1, 20), desk.pending(2, 10), desk.pending(3, 10)
    desk.batch((late,), (soon,), (same,))
    desk.now_ms += 20
    assert desk.ask(ops.Post(desk.id(), late.id)).code is Code.PENDING_EXPIRED
    expired = [record.operation.pending for record in desk.journal if isinstance(record.operation, ops.Expire)]
    assert expired == [soon.id, same.id, late.id]
    assert desk.account(ANN).debits_pending == 0


def test_a_pending_lives_up_to_its_expiry_and_not_at_it() -> None:
    desk = Desk()
    one, other = desk.pending(1, 100), desk.pending(1, 100)
    desk.batch((one,), (other,))
    desk.now_ms += 99
    assert desk.ask(ops.Post(desk.id(), one.id)).code is Code.OK
    desk.now_ms += 1
    assert desk.ask(ops.Post(desk.id(), other.id)).code is Code.PENDING_EXPIRED


def test_a_clock_that_goes_back_unexpires_nothing() -> None:
    desk = Desk()
    pending = desk.pending(10, 100)
    desk.ask(pending)
    desk.now_ms += 100
    desk.batch()
    desk.now_ms -= 100_000
    assert desk.ask(ops.Post(desk.id(), pending.id)).code is Code.PENDING_EXPIRED
    assert desk.ask(desk.pending(1, 100_000)).code is Code.EXPIRY_PASSED
    assert desk.journal[-1].at_ms == desk.state.time_ms


# -- purity ------------------------------------------------------------------------------------------------------------
def test_nothing_changes_before_the_merge_and_a_replay_gives_the_same_books() -> None:
    desk = Desk()
    before = balances(desk.state)
    applied = apply(desk.state, desk.past, [(desk.transfer(10),)], desk.now_ms)
    assert applied.results[0][0].code is Code.OK
    assert balances(desk.state) == before
    pending = desk.pending(10)
    desk.batch((pending,), (desk.transfer(5000),), (ops.Post(desk.id(), pending.id, 4), desk.transfer(1)))
    again = State()
    replay(again, desk.journal)
    assert balances(again) == balances(desk.state)
    assert (again.sequence, again.time_ms) == (desk.state.sequence, desk.state.time_ms)

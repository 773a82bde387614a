"""The codes: their bands, their texts, and that the document says the same."""

from __future__ import annotations

from pathlib import Path

from extensions.settlement import codes
from extensions.settlement.codes import Code, is_recorded

DESIGN = Path(codes.__file__).with_name("DESIGN.md")


def test_every_code_has_a_text() -> None:
    assert set(codes.TEXTS) == set(Code)
    assert all(codes.TEXTS.values())


def test_the_document_holds_the_table() -> None:
    assert codes.table() in DESIGN.read_text(encoding="utf-8"), "put the output of codes.table() into DESIGN.md"


def test_forms_and_identities_are_not_recorded_and_states_are() -> None:
    assert is_recorded(Code.OK)
    assert not is_recorded(Code.AMOUNT_TOO_LARGE)
    assert not is_recorded(Code.ID_REUSED)
    assert is_recorded(Code.LINKED_FAILED)
    assert is_recorded(Code.BALANCE_OVER_LIMIT)
    assert not is_recorded(Code.INTERNAL)


def test_the_table_is_in_order_of_precedence() -> None:
    ranks = [int(line.split("|")[1]) for line in codes.table().splitlines()[2:]]
    assert ranks == sorted(ranks)
    assert len(ranks) == len(Code)

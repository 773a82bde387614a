"""Values that decisions are made from."""

from __future__ import annotations

from storage.facts import FORGET_MS, AccountFacts


def test_an_account_is_gone_without_a_valid_list_or_devices() -> None:
    account = bytes(32)
    assert not AccountFacts(account, 11, 1).gone(10)
    assert AccountFacts(account, 10, 1).gone(10)
    assert AccountFacts(account, 11, 0).gone(10)


def test_ids_are_remembered_longer_than_they_are_taken() -> None:
    assert FORGET_MS == 61 * 86_400_000

"""Credentials and rosters, and which group a commit is of."""

from __future__ import annotations

from clients.rosters import accounts_of, fold, identity_of, is_genuine, number_of, split
from protocol.frames import AccessChange
from protocol.mls import Member

A, B, D, TOPIC = b"A" * 32, b"B" * 32, b"D" * 32, b"T" * 32


def member(identity: bytes, key: bytes = D) -> Member:
    """A leaf."""
    return Member(0, identity, key)


def test_a_credential_is_an_account_and_a_device() -> None:
    assert split(identity_of(A, D)) == (A, D)
    assert split(A) == (b"", b"")
    assert is_genuine(member(A + D))
    assert not is_genuine(member(A + B))
    assert accounts_of((member(A + D), member(A + B), member(B + D))) == {A, B}


def test_a_roster_after_a_change() -> None:
    assert fold({A: 4}, AccessChange(added=((B, 2),))) == {A: 4, B: 2}
    assert fold({A: 4, B: 2}, AccessChange(added=((A, 3),), removed=(B, D))) == {A: 3}


def test_the_number_of_a_group_stands_in_front_of_its_commit() -> None:
    commit = b"\0\1\0\2\x28" + TOPIC + (7).to_bytes(8, "big") + b"the rest"
    assert number_of(commit, TOPIC) == 7
    for other in (b"", commit[:44], commit.replace(b"\x28", b"\x29"), commit.replace(b"T", b"U")):
        assert number_of(other, TOPIC) is None

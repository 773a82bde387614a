"""Proposals and commits as structures (RFC 9420 sections 12.1, 12.4)."""

from __future__ import annotations

import pytest

from protocol.mls import limits, nodes, proposals
from protocol.mls.codec import parse_exact, u8, u16, vec
from protocol.mls.errors import DecodeError
from protocol.mls.proposals import Commit, Proposal
from protocol.mls.schedule import PSK_EXTERNAL, PskId
from tests.protocol.mls.test_nodes import key_package_bytes, leaf_of
from tests.protocol.mls.test_treekem import make
from tests.protocol.mls.vector_table import check_file

ALL: list[Proposal] = [
    proposals.Add(parse_exact(key_package_bytes(), nodes.parse_key_package)),
    proposals.Update(leaf_of()),
    proposals.Remove(7),
    proposals.PreSharedKey(PskId(PSK_EXTERNAL, b"n" * 32, b"id")),
    proposals.ReInit(b"next", 1, 3, ()),
    proposals.ExternalInit(b"kem"),
    proposals.GroupContextExtensions(((0xF0C4, b"x"),)),
]


def test_official_vectors() -> None:
    check_file("messages.json", at_least=100)


@pytest.mark.parametrize("proposal", ALL, ids=lambda proposal: type(proposal).__name__)
def test_proposals_round_trip(proposal: Proposal) -> None:
    data = proposals.encode_proposal(proposal)
    assert data[:2] == u16(ALL.index(proposal) + 1)
    assert parse_exact(data, proposals.parse_proposal) == proposal


def test_commits_round_trip() -> None:
    for path in (None, make().new.path):
        commit = Commit((*ALL, b"reference"), path)
        assert parse_exact(commit.encode(), proposals.parse_commit) == commit


def test_12_2_unknown_types_have_no_length() -> None:
    with pytest.raises(DecodeError, match="type 8"):
        parse_exact(u16(8), proposals.parse_proposal)
    with pytest.raises(DecodeError, match="neither"):
        parse_exact(vec(u8(3)) + b"\x00", proposals.parse_commit)


def test_number_of_proposals_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PROPOSALS", 6)
    with pytest.raises(DecodeError, match="6 proposals"):
        parse_exact(Commit(tuple(ALL), None).encode(), proposals.parse_commit)

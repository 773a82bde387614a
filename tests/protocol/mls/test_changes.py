"""Applying proposal lists and stepping to the next epoch (RFC 9420 sections 12.3, 8)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from protocol.mls import Group, changes, limits, state
from protocol.mls.codec import parse_exact
from protocol.mls.errors import Invalid
from protocol.mls.keypackages import read_key_package
from protocol.mls.nodes import GROUP_CONTEXT_EXTENSION
from protocol.mls.proposals import Add, GroupContextExtensions, PreSharedKey, Remove, Update, parse_proposal
from protocol.mls.schedule import PSK_EXTERNAL, PskId, parse_psk_id
from protocol.mls.validation import Listed
from tests.protocol.mls.people import NOW_S, Person, group_of
from tests.protocol.mls.test_validation import updated

PSK = PskId(PSK_EXTERNAL, b"n" * 32, b"id")


def add(name: str) -> Add:
    return Add(read_key_package(Person(name).key_package().key_package))


def test_12_3_order_of_application() -> None:
    epoch = group_of("ann", "bob", "cat")[0]._epoch
    listed: list[Listed] = [
        (add("dan"), 0),
        (PreSharedKey(PSK), 0),
        (Remove(1), 0),
        (add("eve"), 0),
        (GroupContextExtensions(((GROUP_CONTEXT_EXTENSION, b"new"),)), 0),
    ]
    found = changes.apply_proposals(epoch, listed, 0)
    # The Remove makes room first; the Adds fill the leftmost places in their order.
    assert [(leaf, package.leaf.credential.identity) for leaf, package in found.added] == [(1, b"dan"), (3, b"eve")]
    assert [member.identity for member in found.added_members] == [b"dan", b"eve"]
    assert [member.identity for member in found.removed] == [b"bob"]
    assert found.new_leaves == frozenset({1, 3})
    assert found.extensions == ((GROUP_CONTEXT_EXTENSION, b"new"),)
    assert found.psks == (PSK,)
    assert epoch.tree.members() == [0, 1, 2]


def test_7_7_removing_truncates() -> None:
    epoch = group_of("ann", "bob", "cat", "dan", "eve")[0]._epoch
    assert epoch.tree.leaf_count == 8
    assert changes.apply_proposals(epoch, [(Remove(4), 0)], 0).tree.leaf_count == 4
    assert changes.apply_proposals(epoch, [(Remove(n), 0) for n in (1, 2, 3, 4)], 0).tree.leaf_count == 1


def test_12_1_2_updates_are_applied() -> None:
    bob, _ = updated(group_of("ann", "bob", "cat"))
    pending = bob._epoch.record.proposals[0]
    parsed = parse_exact(pending.proposal, parse_proposal)
    assert isinstance(parsed, Update)
    found = changes.apply_proposals(bob._epoch, [(parsed, 2)], 0)
    assert found.tree.leaf(2) == parsed.leaf
    assert all(found.tree.parent(node) is None for node in (3, 5))


def test_psks_are_looked_up_in_order() -> None:
    other = PskId(PSK_EXTERNAL, b"n" * 32, b"other")
    known = {b"id": b"1", b"other": b"2"}
    assert changes.resolve_psks([PSK, other], lambda psk: known[psk.psk_id]) == [(PSK, b"1"), (other, b"2")]
    assert parse_exact(PSK.encode(), parse_psk_id) == PSK
    with pytest.raises(Invalid, match=r"8\.4"):
        changes.resolve_psks([PSK], lambda _: None)


def test_7_3_lifetimes_are_reported() -> None:
    epoch = group_of("ann", "bob")[0]._epoch
    found = changes.apply_proposals(epoch, [(add("cat"), 0)], 0)
    assert found.added_outside_lifetime(NOW_S) == ()
    assert [member.identity for member in found.added_outside_lifetime(0)] == [b"cat"]


def test_the_last_epoch() -> None:
    epoch = group_of("ann", "bob")[0]._epoch
    context = replace(epoch.group_context, epoch=limits.MAX_EPOCH).encode()
    last = state.Epoch(msgspec.structs.replace(epoch.record, context=context), epoch.tree)
    with pytest.raises(Invalid, match="used up"):
        changes.provisional_context(last, (), b"")


def test_groups_are_not_changed() -> None:
    group: Group = group_of("ann", "bob")[0]
    before = group.to_parts()
    changes.apply_proposals(group._epoch, [(add("cat"), 0), (Remove(1), 0)], 0)
    assert group.to_parts() == before

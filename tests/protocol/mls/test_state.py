"""The stored form of a group."""

from __future__ import annotations

import msgspec
import pytest

from protocol.mls import Group, GroupParts, state
from protocol.mls.errors import Invalid
from tests.protocol.mls.people import AD, NOW_S, group_of
from tests.protocol.mls.rogue import apply
from tests.protocol.mls.vector_checks import deterministic


def test_the_epoch_part_is_one_object_until_a_commit() -> None:
    ann, bob = group_of("ann", "bob")
    first = ann.to_parts()
    message, ann = ann.seal(b"x", authenticated_data=AD, entropy=deterministic("seal"))
    second = ann.to_parts()
    assert second.epoch_part is first.epoch_part
    assert second.ratchet_part != first.ratchet_part
    restored = Group.from_parts(second)
    assert restored.to_parts() == second
    assert restored.to_parts().epoch_part is second.epoch_part
    _, bob = bob.open(message, authenticated_data=AD)
    assert Group.from_parts(bob.to_parts()).epoch_authenticator == bob.epoch_authenticator


def test_the_ratchet_part_stays_small() -> None:
    names = [f"m{i}" for i in range(64)]
    group = group_of(*names)[0]
    _, group = group.seal(b"x", authenticated_data=AD, entropy=deterministic("seal"))
    parts = group.to_parts()
    assert len(parts.ratchet_part) < 500
    assert len(parts.epoch_part) > 10_000


def test_8_secrets_of_the_past_are_gone() -> None:
    ann, bob = group_of("ann", "bob")
    old = ann._epoch.record
    pending = ann.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("c"), now_s=NOW_S)
    for following in (pending.next, apply(bob, pending.commit).next):
        stored = following.to_parts().epoch_part + following.to_parts().ratchet_part
        # Of the epoch before only what opens late application messages is kept.
        for name in ("exporter", "external", "membership", "resumption", "authenticator", "init"):
            assert getattr(old.secrets, name) not in stored
        assert old.secrets.sender_data in stored
        dropped = following.drop_past().to_parts()
        assert old.secrets.sender_data not in dropped.epoch_part
    own = pending.next.to_parts().epoch_part
    for private in old.privates.values():
        assert private not in own


def test_a_removal_drops_the_past() -> None:
    ann, bob, _ = group_of("ann", "bob", "cat")
    pending = ann.commit(
        remove=[2], authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("c"), now_s=NOW_S
    )
    for group, following in ((ann, pending.next), (bob, apply(bob, pending.commit).next)):
        stored = following.to_parts()
        assert group._epoch.record.secrets.sender_data not in stored.epoch_part
        assert following._past_keys is None


def test_parts_belong_together() -> None:
    ann, _ = group_of("ann", "bob")
    first = ann.to_parts()
    second = ann.commit(
        authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("c"), now_s=NOW_S
    ).next.to_parts()
    with pytest.raises(ValueError, match="epoch 1 with the state of epoch 2"):
        Group.from_parts(GroupParts(second.epoch_part, first.ratchet_part))


def test_damaged_parts() -> None:
    parts = group_of("ann", "bob")[0].to_parts()
    for damaged in (b"", b"\xc1", parts.ratchet_part):
        with pytest.raises(ValueError, match="not a stored MLS epoch"):
            Group.from_parts(GroupParts(damaged, parts.ratchet_part))
    with pytest.raises(ValueError, match="not stored MLS message keys"):
        Group.from_parts(GroupParts(parts.epoch_part, b"\x90"))
    record = msgspec.msgpack.decode(parts.epoch_part, type=state.EpochRecord)
    later = msgspec.msgpack.encode(msgspec.structs.replace(record, format=99))
    with pytest.raises(ValueError, match="format 99"):
        Group.from_parts(GroupParts(later, parts.ratchet_part))


def test_members() -> None:
    epoch = group_of("ann", "bob")[0]._epoch
    assert [member.identity for member in epoch.members] == [b"ann", b"bob"]
    past = epoch.as_past()
    assert past.member(1) == epoch.member(1)
    for leaf in (2, 9):
        with pytest.raises(Invalid, match=r"6\.3\.2"):
            epoch.member(leaf)
        with pytest.raises(Invalid, match=r"6\.3\.2"):
            past.member(leaf)


def test_secrets_do_not_show_in_reprs() -> None:
    epoch = group_of("ann", "bob")[0]._epoch
    for value in (epoch, epoch.record, epoch.as_past()):
        assert repr(epoch.record.secrets.sender_data) not in repr(value)
        assert repr(epoch.record.signature_seed) not in repr(value)

"""The public face: messages, epochs, exports, storing (RFC 9420 sections 6.3, 8.5, 9)."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.mls import BadMessage, Group, Member, StaleMessage, framing, limits, parse_key_package
from protocol.mls import suite as crypto
from protocol.mls.codec import u8, vec
from protocol.mls.secrets import SecretTree
from tests.protocol.mls.people import AD, NOW_S, Person, founded, group_of, joined
from tests.protocol.mls.rogue import apply, commit_of
from tests.protocol.mls.vector_checks import deterministic


def seal(group: Group, text: bytes = b"hello", **more: Any) -> tuple[bytes, Group]:
    return group.seal(text, authenticated_data=AD, entropy=deterministic(repr(text)), **more)


def refused(group: Group, message: bytes, reason: str, authenticated_data: bytes = AD) -> None:
    with pytest.raises(BadMessage, match=reason):
        group.open(message, authenticated_data=authenticated_data)


@pytest.mark.parametrize("suite", [1, 3])
@pytest.mark.parametrize("size", [0, 1, 300, 65_536])
def test_messages_open(suite: int, size: int) -> None:
    ann, bob = group_of("ann", "bob", suite=suite)
    text = bytes(size)
    message, ann = seal(ann, text)
    opened, bob = bob.open(message, authenticated_data=AD)
    assert (opened.plaintext, opened.generation, opened.epoch) == (text, 0, 1)
    assert opened.sender == Member(0, b"ann", crypto.public_of(crypto.signing_key(Person("ann").seed)))
    again, _ = seal(ann, text)
    assert bob.open(again, authenticated_data=AD)[0].generation == 1


def test_any_order_once() -> None:
    ann, bob = group_of("ann", "bob")
    messages = []
    for n in range(5):
        message, ann = seal(ann, bytes([n]))
        messages.append(message)
    for n in (4, 0, 2, 3, 1):
        opened, bob = bob.open(messages[n], authenticated_data=AD)
        assert opened.plaintext == bytes([n])
        refused(bob, messages[n], "used already")


def test_what_fails_changes_nothing() -> None:
    ann, bob = group_of("ann", "bob")
    message, _ = seal(ann)
    before = bob.to_parts()
    refused(bob, message[:-1] + bytes([message[-1] ^ 1]), "authenticate")
    assert bob.to_parts() == before
    assert bob.open(message, authenticated_data=AD)[0].plaintext == b"hello"


def test_padding() -> None:
    ann, bob = group_of("ann", "bob")
    plain, _ = seal(ann)
    padded, _ = seal(ann, padding=1000)
    assert len(padded) - len(plain) == 1000
    assert bob.open(padded, authenticated_data=AD)[0].plaintext == b"hello"
    for padding in (-1, limits.MAX_PADDING_BYTES + 1):
        with pytest.raises(ValueError, match="padding"):
            seal(ann, padding=padding)
    with pytest.raises(ValueError, match="authenticated_data"):
        ann.seal(b"", authenticated_data=bytes(70_000), entropy=deterministic("x"))


def test_every_altered_byte_is_noticed() -> None:
    ann, bob = group_of("ann", "bob")
    message, _ = seal(ann)
    for at in range(len(message)):
        with pytest.raises((BadMessage, StaleMessage)):
            bob.open(message[:at] + bytes([message[at] ^ 0x40]) + message[at + 1 :], authenticated_data=AD)


def test_messages_of_others_places() -> None:
    ann, bob = group_of("ann", "bob")
    message, ann2 = seal(ann)
    refused(bob, message, "6.3.1", authenticated_data=b"other")
    refused(bob, commit_of(ann, "ann"), "not an application message")
    refused(bob, commit_of(ann, "ann", wire_format=framing.WIRE_PUBLIC), "not an application message")
    refused(bob, message.replace(vec(b"group"), vec(b"grouq"), 1), "another group")
    refused(bob, b"", "truncated")
    refused(ann2, message, "used already")


def test_6_1_signatures_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = group_of("ann", "bob")
    with monkeypatch.context() as patch:
        patch.setattr(crypto, "sign_with_label", lambda *_: bytes(64))
        message, _ = seal(ann)
    refused(bob, message, "FramedContentTBS")


def test_6_3_2_senders_are_members() -> None:
    ann, bob = group_of("ann", "bob")
    record = ann._epoch.record
    for leaf in (2, 3):
        plaintext = vec(b"x") + vec(bytes(64))
        keys = SecretTree(ann._epoch.suite, 4, {3: bytes(32)}, {})
        message, _ = framing.protect(
            keys, record.secrets.sender_data, ann._epoch.head, leaf, 1, AD, plaintext, deterministic("x")
        )
        refused(bob, message, "6.3.2")


def test_too_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = group_of("ann", "bob")
    for _ in range(4):
        message, ann = seal(ann)
    monkeypatch.setattr(limits, "MAX_FORWARD_GENERATIONS", 2)
    refused(bob, message, "ahead")


def test_one_past_epoch_is_kept() -> None:
    ann, bob = group_of("ann", "bob")
    late, _ = seal(ann, b"late")
    later, _ = seal(ann, b"other", padding=5)
    pending = ann.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("c"), now_s=NOW_S)
    bob = apply(bob, pending.commit).next
    opened, after = bob.open(late, authenticated_data=AD)
    assert (opened.plaintext, opened.epoch, opened.sender.identity) == (b"late", 1, b"ann")
    refused(after, late, "used already")
    restored = Group.from_parts(after.to_parts())
    refused(restored, late, "used already")
    refused(restored, later, "used already")
    with pytest.raises(StaleMessage, match="epoch 1 in epoch 2"):
        bob.drop_past().open(late, authenticated_data=AD)
    second = pending.next.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("d"), now_s=NOW_S)
    with pytest.raises(StaleMessage, match="epoch 1 in epoch 3"):
        apply(bob, second.commit).next.open(late, authenticated_data=AD)
    future, _ = seal(second.next)
    with pytest.raises(StaleMessage, match="epoch 3 in epoch 2"):
        bob.open(future, authenticated_data=AD)


def test_peek() -> None:
    ann, bob = group_of("ann", "bob")
    message, _ = seal(ann)
    seen = Group.peek(message)
    assert (seen.epoch, seen.group_id, seen.content_type, seen.authenticated_data) == (1, b"group", 1, AD)
    public = Group.peek(commit_of(ann, "ann", wire_format=framing.WIRE_PUBLIC))
    assert (public.epoch, public.is_commit, public.authenticated_data) == (1, True, AD)
    for other in (b"", message[:10], Person("ann").key_package().key_package, b"\x00\x01\x00\x01" + vec(b"") + u8(9)):
        with pytest.raises(BadMessage, match=r"truncated|neither|sender"):
            bob.peek(other)
    welcome = b"\x00\x01\x00\x03" + message[4:]
    with pytest.raises(BadMessage, match="neither"):
        bob.peek(welcome)


def test_8_5_exports() -> None:
    ann, bob = group_of("ann", "bob")
    assert ann.export("chappe", b"context", 32) == bob.export("chappe", b"context", 32)
    found = {ann.export(label, context, 32) for label in ("a", "b") for context in (b"", b"x")}
    assert len(found) == 4
    assert len(ann.export("a", b"", 100)) == 100
    assert apply(bob, commit_of(ann, "ann")).next.export("a", b"", 32) not in found
    for length in (0, limits.MAX_EXPORT_BYTES + 1):
        with pytest.raises(ValueError, match="exported"):
            ann.export("a", b"", length)


def test_what_a_group_tells() -> None:
    ann, bob = group_of("ann", "bob", suite=1)
    assert (ann.suite, ann.group_id, ann.epoch, bob.own_leaf) == (1, b"group", 1, 1)
    assert bob.me == bob.members[1] == ann.members[1]
    assert ann.epoch_authenticator == bob.epoch_authenticator
    assert ann.resumption_psk == bob.resumption_psk
    assert ann.ratchet_tree == bob.ratchet_tree
    assert (ann.group_info_extensions, ann.group_context_extensions) == ({}, {})


def test_readmission_in_one_commit() -> None:
    ann, bob, cat = group_of("ann", "bob", "cat")
    person = Person("cat")
    package = person.key_package()
    info = parse_key_package(package.key_package, NOW_S)
    leaf = next(member.leaf for member in ann.members if member.identity == info.identity)
    pending = ann.commit(
        remove=[leaf],
        add=[package.key_package],
        authenticated_data=AD,
        tree_in_welcome=False,
        entropy=deterministic("c"),
        now_s=NOW_S,
    )
    done = apply(bob, pending.commit)
    assert [member.identity for member in done.added] == [member.identity for member in done.removed] == [b"cat"]
    assert apply(cat, pending.commit).removed_self
    back = joined(person, package, pending)
    assert back.epoch_authenticator == done.next.epoch_authenticator
    message, _ = seal(back, b"back")
    assert done.next.open(message, authenticated_data=AD)[0].plaintext == b"back"


def test_a_group_grows_from_one() -> None:
    ann = founded(Person("ann"))
    message, ann = seal(ann)
    refused(ann, message, "used already")
    assert Group.from_parts(ann.to_parts()).members == ann.members

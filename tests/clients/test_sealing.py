"""Boxes, passing notices and trees: who can open them, and what they are bound to."""

from __future__ import annotations

import os
from typing import Any

import pytest
from nacl import bindings as sodium

from clients import sealing
from protocol.codec import encode_struct
from protocol.errors import RemoteProtocolError
from protocol.identity import SigningKey
from protocol.mls import Group
from tests.protocol.mls.bench import grown
from tests.protocol.mls.people import Person

SENDER = SigningKey(b"s" * 32)
ACCOUNT, DEVICE, ID = b"a" * 32, b"d" * 32, b"i" * 16
PRIVATE = b"p" * 32
PUBLIC = sodium.crypto_scalarmult_base(PRIVATE)


def box(**changes: Any) -> bytes:
    """A box from SENDER to DEVICE."""
    values: dict[str, Any] = {
        "recipient": DEVICE, "inbox_key": PUBLIC, "message_id": ID, "account": ACCOUNT, "sender": SENDER,
        "entropy": os.urandom, **changes,
    }  # fmt: skip
    return sealing.seal_box(b"hello", **values)


def open_box(body: bytes, **changes: Any) -> sealing.Opened | None:
    """As DEVICE opens it."""
    values: dict[str, Any] = {"device": DEVICE, "inbox_private": PRIVATE, "message_id": ID, **changes}
    return sealing.open_box(body, **values)


def test_a_box_opens_for_its_device() -> None:
    assert open_box(box()) == sealing.Opened(ACCOUNT, SENDER.public, b"hello")


def test_a_box_for_another_device_is_not_ours() -> None:
    assert open_box(box(recipient=b"e" * 32)) is None


@pytest.mark.parametrize(
    "changes", [{"inbox_private": b"q" * 32}, {"message_id": b"j" * 16}], ids=["another key", "another id"]
)
def test_a_box_is_bound_to_its_key_and_id(changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError, match="does not open"):
        open_box(box(), **changes)


def test_a_box_is_not_what_it_says_when_its_signature_is_forged() -> None:
    forger = SigningKey(b"f" * 32)

    class Forged:
        """Claims SENDER's key and signs with another."""

        public = SENDER.public
        sign = staticmethod(forger.sign)

    with pytest.raises(RemoteProtocolError, match="signature"):
        open_box(box(sender=Forged()))


def test_a_box_hides_its_length_class() -> None:
    assert len(box()) == len(
        sealing.seal_box(
            b"x" * 20, recipient=DEVICE, inbox_key=PUBLIC, message_id=ID, account=ACCOUNT, sender=SENDER,
            entropy=os.urandom,
        )
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"\xc0", encode_struct((DEVICE, b"", b""))], ids=["empty", "nil", "no box"])
def test_what_is_no_box_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_box(body)


# -- passing notices ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def pair() -> tuple[Group, Group]:
    """Two members of a group."""
    return grown([Person("ann"), Person("bob")], 3)


BOUND: dict[str, Any] = {"topic": b"t" * 32, "message_id": ID, "flags": 17, "header": b"", "fence": 3}


def test_a_notice_opens_and_moves_no_ratchet(pair: tuple[Group, Group]) -> None:
    ann, bob = pair
    before = ann.to_parts()
    body = sealing.seal_ephemeral(ann, b"typing", entropy=os.urandom, **BOUND)
    assert sealing.open_ephemeral(bob, body, leaf=ann.own_leaf, **BOUND) == b"typing"
    assert ann.to_parts() == before


@pytest.mark.parametrize(
    "changes",
    [{"topic": b"u" * 32}, {"message_id": b"j" * 16}, {"flags": 1}, {"header": b"x"}, {"fence": 4}, {"leaf": 1}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_notice_is_bound_to_everything_around_it(pair: tuple[Group, Group], changes: dict[str, Any]) -> None:
    ann, bob = pair
    body = sealing.seal_ephemeral(ann, b"typing", entropy=os.urandom, **BOUND)
    with pytest.raises(RemoteProtocolError, match="does not open"):
        sealing.open_ephemeral(bob, body, **{**BOUND, "leaf": ann.own_leaf, **changes})


@pytest.mark.parametrize("body", [b"", b"short", bytes(24), bytes(100)])
def test_garbage_is_no_notice(pair: tuple[Group, Group], body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        sealing.open_ephemeral(pair[1], body, leaf=0, **BOUND)


# -- trees -------------------------------------------------------------------------------------------------------------
def test_a_tree_opens_with_its_hash_and_key() -> None:
    blob_hash, blob, key = sealing.seal_tree(b"a tree", os.urandom)
    assert sealing.open_tree(blob, blob_hash, key) == b"a tree"


def test_another_blob_or_key_is_refused() -> None:
    blob_hash, _, key = sealing.seal_tree(b"a tree", os.urandom)
    other_hash, other, _ = sealing.seal_tree(b"a tree", os.urandom)
    with pytest.raises(RemoteProtocolError, match="another blob"):
        sealing.open_tree(other, blob_hash, key)
    with pytest.raises(RemoteProtocolError, match="does not open"):
        sealing.open_tree(other, other_hash, key)

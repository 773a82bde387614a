"""Evidence: a revealed message convinces an outsider, and no doctored one does."""

from __future__ import annotations

import os
from typing import Any

import pytest

from protocol.mls import BadMessage, Opened, check_evidence
from tests.protocol.mls.bench import grown
from tests.protocol.mls.people import AD, Person

ANN, BOB, EVE = Person("ann"), Person("bob"), Person("eve")


@pytest.fixture
def opened() -> Opened:
    """Something that Ann said and Bob opened."""
    ann, bob = grown([ANN, BOB], 3)
    message, _ = ann.seal(b"what ann said", authenticated_data=AD, entropy=os.urandom)
    found, _ = bob.open(message, authenticated_data=AD)
    return found


def revealed(opened: Opened, **changes: Any) -> dict[str, Any]:
    """What a reporter hands on, or something else."""
    return {
        "plaintext": opened.plaintext, "authenticated_data": AD, "sender_leaf": opened.sender.leaf,
        "context": opened.context, "signature": opened.signature, "signature_key": opened.sender.signature_key,
        **changes,
    }  # fmt: skip


def test_a_genuine_message_convinces(opened: Opened) -> None:
    assert check_evidence(**revealed(opened)) == (b"group", opened.epoch)


def test_a_message_of_the_past_epoch_convinces() -> None:
    ann, bob = grown([ANN, BOB], 3)
    message, _ = ann.seal(b"said before", authenticated_data=AD, entropy=os.urandom)
    pending = bob.commit(authenticated_data=AD, tree_in_welcome=False, entropy=os.urandom, now_s=1_700_000_000)
    found, _ = pending.next.open(message, authenticated_data=AD)
    assert check_evidence(**revealed(found)) == (b"group", found.epoch)


@pytest.mark.parametrize(
    "doctored",
    [
        {"plaintext": b"what ann did not say"},
        {"authenticated_data": b"of another message"},
        {"sender_leaf": 1},
        {"signature": bytes(64)},
        {"signature_key": bytes(32)},
        {"context": b"no context"},
    ],
    ids=lambda doctored: next(iter(doctored)),
)
def test_a_doctored_message_does_not(opened: Opened, doctored: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        check_evidence(**revealed(opened, **doctored))


def test_another_epoch_does_not(opened: Opened) -> None:
    altered = bytearray(opened.context)
    altered[-40] ^= 1
    with pytest.raises(BadMessage):
        check_evidence(**revealed(opened, context=bytes(altered)))

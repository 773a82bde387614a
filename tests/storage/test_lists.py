"""Device lists: which one may follow, and the entry that tells of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.errors import Code, Reason
from protocol.ids import TopicKind, id_ms
from protocol.limits import DEVICES_MAX
from protocol.position import chain_hash, chain_start
from storage.facts import TopicFacts
from storage.flags import DEVICES
from storage.lists import Publication, announce, judge

NOW_MS = 1_800_000_000_000
ANN, PHONE, DESK = (bytes([n]) * 32 for n in (1, 2, 3))
LIST = Publication(ANN, 2, b"signed", NOW_MS + 1, (PHONE,), False, PHONE)


def test_a_list_that_follows_is_taken() -> None:
    assert judge(LIST, 1, [PHONE], 0, NOW_MS) is None
    assert judge(replace(LIST, version=1), 0, [], 0, NOW_MS) is None
    assert judge(replace(LIST, device=DESK), 1, [DESK], 0, NOW_MS) is None  # takes itself off


@pytest.mark.parametrize(
    ("new", "foreign", "code", "reason"),
    [
        (replace(LIST, version=3), 0, Code.CONFLICT, Reason.VERSION),
        (replace(LIST, version=1), 0, Code.CONFLICT, Reason.VERSION),
        (replace(LIST, devices=(PHONE,) * (DEVICES_MAX + 1)), 0, Code.TOO_LARGE, Reason.NONE),
        (replace(LIST, devices=(PHONE, PHONE)), 0, Code.FRAME, Reason.NONE),
        (replace(LIST, expires_ms=NOW_MS), 0, Code.EXPIRED, Reason.NONE),
        (LIST, 1, Code.FORBIDDEN, Reason.NONE),
        (replace(LIST, device=DESK), 0, Code.FORBIDDEN, Reason.NONE),
    ],
)
def test_refusals(new: Publication, foreign: int, code: Code, reason: Reason) -> None:
    refusal = judge(new, 1, [PHONE], foreign, NOW_MS)
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (code, reason)


def test_the_entry_that_tells_of_it() -> None:
    inbox = TopicFacts(b"i" * 32, TopicKind.INBOX, ANN)
    after, entry, digest = announce(inbox, LIST, NOW_MS)
    assert (after.head, entry.offset, entry.flags, entry.body, entry.device) == (1, 1, DEVICES, b"signed", PHONE)
    assert id_ms(entry.id) == NOW_MS
    assert after.head_hash == entry.hash
    start = chain_start(inbox.topic)
    assert entry.hash == chain_hash(start, 1, 1, ANN, PHONE, entry.id, 0, DEVICES, b"", b"signed")
    _, later, other = announce(after, replace(LIST, version=3), NOW_MS)
    assert (later.offset, later.id != entry.id, digest != other) == (2, True, True)

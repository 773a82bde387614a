"""Model = snapshot + replay, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest

from extensions.ranking import snapshot
from extensions.ranking.events import Note, NoteRating, Tick, from_bytes, to_bytes
from extensions.ranking.judgements import Rules
from extensions.ranking.ranker import Ranker, Settings
from tests.extensions.ranking.worlds import ANN, NOW, posts, signals


def test_snapshot_and_replay_give_the_same_bytes_as_having_stayed() -> None:
    log = [
        *posts(60),
        *signals(200, 60),
        Note(b"note", b"p0001", b"writer", NOW, ("https://example.org",)),
        NoteRating(b"note", b"r1", NOW, 1.0),
        Tick(NOW),
        *signals(200, 60, seed=2),
    ]
    stayed, before = Ranker(seed=7), Ranker(seed=7)
    for event in log:
        stayed.apply(event)
    for event in log[:300]:
        before.apply(event)
    before.page(ANN, NOW, Settings())
    again = Ranker.restore(before.snapshot())
    for event in log[300:]:
        again.apply(from_bytes(to_bytes(event)))
        before.apply(event)
    assert again.snapshot() == before.snapshot()
    assert again.page(b"r1", NOW, Settings()) == before.page(b"r1", NOW, Settings())
    slots = stayed.learner.catalog.slots().copy()
    reader = stayed.learner.readers.want(b"r1", 0)
    own = [one.learner.affinity.odds(reader, reader.history(one.learner.catalog), slots) for one in (stayed, again)]
    assert np.array_equal(own[0], own[1])


def test_what_is_no_snapshot_is_refused() -> None:
    with pytest.raises(ValueError, match="not a snapshot"):
        Ranker.restore(b"\xc1nonsense")
    with pytest.raises(ValueError, match="reads version"):
        snapshot.from_bytes(b"\x92\x63\x80", Rules())
    with pytest.raises(ValueError, match="not a snapshot"):
        snapshot.from_bytes(bytes((0x92, snapshot.VERSION, 0x80)), Rules())
    with pytest.raises(TypeError, match="no part of a snapshot"):
        snapshot._pack(object())

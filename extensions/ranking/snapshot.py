"""A learner as bytes and back: MessagePack, arrays as (type, shape, bytes). Restored, it goes on bit for bit."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from extensions.ranking.affinity import Affinity
from extensions.ranking.candidates import Index
from extensions.ranking.catalog import Catalog
from extensions.ranking.events import Note
from extensions.ranking.events import from_bytes as event_from_bytes
from extensions.ranking.events import to_bytes as event_to_bytes
from extensions.ranking.heads import Heads
from extensions.ranking.judgements import Rules
from extensions.ranking.learner import Learner
from extensions.ranking.readers import Readers

VERSION: Final = 2
_FIELDS: Final = ("seed", "clock_ms", "events", "views", "rates", "refused")
_ARRAY: Final = 1


def _pack(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        inner = [value.dtype.str, list(value.shape), np.ascontiguousarray(value).tobytes()]
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(inner))
    raise TypeError(f"{type(value).__name__} is no part of a snapshot")


def _unpack(code: int, data: memoryview) -> Any:
    kind, shape, raw = msgspec.msgpack.decode(data)
    return np.frombuffer(raw, dtype=np.dtype(kind)).reshape(shape).copy()


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_pack)
_decoder: Final = msgspec.msgpack.Decoder(ext_hook=_unpack)


def to_bytes(learner: Learner) -> bytes:
    """All that was learned."""
    served = [[who, [[r, at, list(p)] for r, (at, p) in kept.items()]] for who, kept in learner.served.items()]
    parts = {
        "catalog": learner.catalog.state(),
        "index": learner.index.state(),
        "readers": learner.readers.state(),
        "heads": learner.heads.state(),
        "posts": learner.posts.state(),
        "expected": learner.lifts.expected,
        "notes": learner.notes.state(),
        "affinity": learner.affinity.state(len(learner.catalog.posts)),
        "served": served,
        "note_of": [event_to_bytes(note) for note in learner.note_of.values()],
        "calibration": learner.calibration,
    }
    plain = {field: getattr(learner, field) for field in _FIELDS}
    return _encoder.encode([VERSION, {**plain, **parts}])


def from_bytes(data: bytes, rules: Rules) -> Learner:
    """The learner of ``to_bytes``. Raises ``ValueError``: no snapshot of this version."""
    try:
        version, state = _decoder.decode(data)
        if version != VERSION:
            raise ValueError(f"a snapshot of version {version}; this ranker reads version {VERSION}: replay the log")
        return _restored(state, rules)
    except (msgspec.DecodeError, TypeError, KeyError) as error:
        raise ValueError(f"not a snapshot of a ranker: {error}") from None


def _restored(state: dict[str, Any], rules: Rules) -> Learner:
    learner = Learner(seed=state["seed"], rules=rules)
    for field in _FIELDS:
        setattr(learner, field, state[field])
    learner.catalog = Catalog.restored(state["catalog"])
    learner.index = Index.restored(state["index"])
    learner.readers = Readers.restored(state["readers"])
    learner.heads = Heads.restored(state["heads"])
    learner.affinity = Affinity.restored(state["affinity"])
    learner.posts.restore(state["posts"])
    learner.notes.restore(state["notes"])
    learner.lifts.expected = dict(state["expected"])
    learner.lifts.place(learner.posts, learner.catalog)
    learner.calibration = state["calibration"]
    for who, kept in state["served"]:
        learner.served[who] = {ranking: (at_ms, tuple(posts)) for ranking, at_ms, posts in kept}
    for row in state["note_of"]:
        note = event_from_bytes(row)
        assert isinstance(note, Note)
        learner.note_of[note.id] = note
        learner.notes_on.setdefault(note.post, []).append(note.id)
    return learner

"""The model as it is shipped to readers' own devices, and what a reader's device may keep of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from extensions.ranking import bounds as B
from extensions.ranking.embedding import whole
from extensions.ranking.features import AGES, personal_keys
from extensions.ranking.heads import Hashes
from extensions.ranking.learner import Learner
from protocol import limits as L
from protocol.scoring.hashing import name
from protocol.scoring.local import FOLLOWED, Model, ModelPost, Personal
from protocol.scoring.weights import Weights

_SHIPPED: Final = L.RANK_MODEL_POSTS_MAX


@dataclass(frozen=True, slots=True)
class Places:
    """Where entries lie, for devices that are to read them."""

    of: Mapping[bytes, tuple[bytes, int]] = field(default_factory=dict)  # entry → its author, and its offset there
    edits: Mapping[bytes, int] = field(default_factory=dict)  # entry → offset of its newest version


def model_of(learner: Learner, weights: Weights, now_ms: int, places: Places | None = None) -> Model:
    """Everything that is not personal, of the newest posts that may still be shown, in the order of their slots.

    ``places``: of posts and notes; without, devices score and show nothing.
    """
    catalog = learner.catalog
    slots = catalog.slots()
    slots = slots[catalog.at_ms[slots] > now_ms - B.POST_AGE_MS]
    slots = np.sort(slots[np.argsort(-catalog.serial[slots], kind="stable")[:_SHIPPED]])
    number_of = {slot: number for number, slot in enumerate(slots.tolist())}
    lifts, where = learner.lifts.of(slots).tolist(), places or Places()
    posts = tuple(
        _post(learner, slot, lift, number_of, where) for slot, lift in zip(slots.tolist(), lifts, strict=True)
    )
    heads = learner.heads
    common = np.unique(np.concatenate((catalog.features[slots].ravel(), AGES, np.array([FOLLOWED], dtype=np.uint64))))
    return Model(
        made_ms=now_ms,
        weights=weights.version,
        blend=tuple((row[0], row[1], row[2], row[3]) for row in learner.affinity.blend.tolist()),
        bias=tuple(heads.dense[0].tolist()),
        slope=tuple(heads.dense[1].tolist()),
        posts=posts,
        features=_features(learner, common)[: L.RANK_MODEL_FEATURES_MAX],
    )


def _post(learner: Learner, slot: int, lift: int, number_of: dict[int, int], places: Places) -> ModelPost:
    post = learner.catalog.post(slot)
    affinity = learner.affinity
    company = affinity.company
    counts = np.log1p(affinity.counts[:, slot] / affinity.unit)
    pairs = zip(company.others[slot].tolist(), company.weights[slot].tolist(), strict=True)
    note = learner.note_shown(post.id)
    return ModelPost(
        id=post.id,
        author=post.author,
        at_ms=post.at_ms,
        tags=post.tags,
        kind=post.kind,
        media=post.media,
        words=post.words,
        popular=float(counts[0]),
        hot=float(counts[1]),
        degree=float(company.degree[slot]),
        bias=float(affinity.place.bias[slot]),
        context=whole(affinity.place.context[slot]).astype("<i4").tobytes(),
        target=whole(affinity.place.target[slot]).astype("<i4").tobytes(),
        company=tuple((number_of[other], weight) for other, weight in pairs if other in number_of),
        lift=lift,
        note=note,
        place=places.of.get(post.id, (b"", 0))[1],
        noted=places.of.get(note),
        edited=places.edits.get(post.id, 0),
    )


def _features(learner: Learner, keys: Hashes) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    keys = keys[keys != 0]
    rows = learner.heads.micro[learner.heads.rows(keys)]
    found = zip(keys.tolist(), rows.tolist(), strict=True)
    return tuple((key.to_bytes(8, "little"), tuple(row)) for key, row in found if any(row))


def personal_of(learner: Learner, account: bytes) -> Personal:
    """What the ranker knows of a reader, in the form that the reader's device scores with."""
    reader = learner.readers.get(account)
    if reader is None:
        return Personal(account)
    catalog = learner.catalog
    posts = [catalog.post(slot) for slot in catalog.slots().tolist()]
    authors = sorted({name("author", post.author) for post in posts})
    tags = sorted({name("tag", tag.encode()) for post in posts for tag in post.tags})
    seen = frozenset(post.id for post in posts if int(catalog.serial[catalog.slot_of[post.id]]) in reader.done)
    history = reader.history(catalog)[: L.RANK_HISTORY_MAX].tolist()
    return Personal(
        reader=account,
        engaged=reader.engaged,
        history=tuple(catalog.post(slot).id for slot in history),
        seen=seen,
        follows=frozenset(reader.follows),
        less=frozenset(feature.to_bytes(8, "little") for feature in reader.less),
        features=_features(learner, personal_keys(reader.number, authors, tags)),
    )

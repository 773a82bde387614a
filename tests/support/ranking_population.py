"""A population in which what engages and what informs are different posts, to see what a setting of the slider does.

Two sides. Of each round's posts a third is *heat*: one side likes it much, the other hides it, and it informs little.
A third *informs*: both sides like it now and then. A third does neither. Readers get pages of ten, look at each post,
and do what their side makes probable. The measure is the mean information (0 to 1, which the ranker never learns) of
the posts shown in the second half of the rounds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from extensions.ranking.events import Kind, Post, Signal, Tick
from extensions.ranking.judgements import Rules
from extensions.ranking.ranker import Ranker, Settings
from protocol.scoring.score import Slider

START_MS: Final = 1_700_000_000_000
ROUND_MS: Final = 6 * 3_600_000
PAGE: Final = 10


@dataclass(frozen=True, slots=True)
class Nature:
    """What a post is, unknown to the ranker."""

    side: int  # 1 or -1: heat for that side; 0: for nobody
    information: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What readers saw in the second half."""

    information: float
    heat: float  # share of posts that were heat
    likes: float  # for each post shown


def _natures(chance: random.Random, count: int) -> list[Nature]:
    kinds = [Nature(1, 0.1), Nature(-1, 0.1), Nature(0, 0.9), Nature(0, 0.9), Nature(0, 0.3), Nature(0, 0.3)]
    found = (kinds * (count // len(kinds) + 1))[:count]
    chance.shuffle(found)
    return found


def _act(nature: Nature, side: int, chance: random.Random) -> Kind | None:
    """What a reader does after looking."""
    draw = chance.random()
    if nature.side:
        if nature.side == side:
            return "like" if draw < 0.6 else None
        return "hide" if draw < 0.1 else None
    if nature.information > 0.5:
        return "like" if draw < 0.35 else None
    return "hide" if draw < 0.05 else None


def _post(turn: int, number: int, nature: Nature, now: int, chance: random.Random) -> Post:
    """Heat has writers and words of its own, as it has in life; what informs and what does not look alike."""
    camp = {1: b"red", -1: b"blue", 0: b"calm"}[nature.side]
    author = b"%s%d" % (camp, chance.randrange(10 if nature.side else 30))
    return Post(b"%d-%d" % (turn, number), author, now, (f"t{number % 9}", camp.decode()), words=30)


def live(slider: Slider, *, seed: int, readers: int = 60, rounds: int = 8, posts: int = 24) -> Seen:
    """Let the population live with one setting of the slider."""
    chance = random.Random(seed)
    ranker = Ranker(seed=seed, rules=Rules(note_min=5, rater_min=5, side_min=3))
    natures: dict[bytes, Nature] = {}
    shown = information = heat = likes = 0.0
    for turn in range(rounds):
        now = START_MS + turn * ROUND_MS
        for number, nature in enumerate(_natures(chance, posts)):
            post = _post(turn, number, nature, now, chance)
            natures[post.id] = nature
            ranker.apply(post)
        for number in range(readers):
            reader, side = b"reader%d" % number, 1 if number % 2 else -1
            page = ranker.page(reader, now + number, Settings(slider, PAGE))
            for place, item in enumerate(page.items):
                at = now + 1000 + number
                nature = natures[item.post]
                ranker.apply(Signal(reader, item.post, "view", 1.0, at, page.ranking, place))
                act = _act(nature, side, chance)
                if act is not None:
                    ranker.apply(Signal(reader, item.post, act, 1.0, at, page.ranking, place))
                if turn >= rounds // 2:
                    shown += 1
                    information += nature.information
                    heat += bool(nature.side)
                    likes += act == "like"
            if number % 20 == 19:
                ranker.apply(Tick(now + 2000))
    return Seen(information / shown, heat / shown, likes / shown)

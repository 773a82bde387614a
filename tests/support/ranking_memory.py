"""A million events through a ranker in a process of its own: what it remembers, and that expiry bounds that.

    python -m tests.support.ranking_memory --seed 1 --events 1000000

prints one line of JSON for each half of the events.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import trio

from extensions.ranking import bounds as B
from extensions.ranking.events import AnyEvent, Kind, Post, Signal
from extensions.ranking.ranker import Ranker
from tests.support.proof import NotRun, check

NOW: Final = 1_700_000_000_000
EVENTS: Final = 1_000_000


def _events(seed: int, count: int) -> Iterator[AnyEvent]:
    """One in ten is a post; readers come one in fifteen, stay for some thousand others, and read what is new."""
    chance = random.Random(seed)
    posts = readers = 0
    for number in range(count):
        at = NOW + number * 1000
        if number % 10 == 0:
            yield Post(b"p%d" % posts, b"a%d" % (posts % 5000), at, (f"t{posts % 500}",), words=50)
            posts += 1
            continue
        readers += number % 15 == 1
        reader = max(0, readers - int(chance.expovariate(1 / 8000)))
        post = max(0, posts - 1 - int(chance.expovariate(1 / 2000)))
        kind: Kind = "view" if number % 8 else "like"
        yield Signal(b"r%d" % reader, b"p%d" % post, kind, 1.0, at)


def _tell(ranker: Ranker, events: int) -> None:
    told = ranker.statistics()
    # Not the peak: that of a child begins with what its parent had.
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    sizes = {"posts": told.posts, "readers": told.readers, "features": told.features, "expired": told.features_expired}
    print(json.dumps({"events": events, "bytes": resident, **sizes}), flush=True)


def main() -> None:
    """Live through them, and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--events", type=int, default=EVENTS)
    given = parser.parse_args()
    ranker = Ranker(seed=given.seed)
    _tell(ranker, 0)
    for number, event in enumerate(_events(given.seed, given.events), 1):
        ranker.apply(event)
        if number % (given.events // 2) == 0:
            _tell(ranker, number)


def _each(seed: int, posts: int = 8_000, readers: int = 1_000, reads: int = 10) -> tuple[float, float]:
    """Bytes of a post that nobody has read, and of a reader who has looked at ``reads`` posts."""
    chance = random.Random(seed)
    gc.collect()
    tracemalloc.start()
    ranker = Ranker(seed=seed)
    empty = tracemalloc.get_traced_memory()[0]
    for number in range(posts):
        ranker.apply(Post(b"p%d" % number, b"a%d" % (number % 2000), NOW + number, (f"t{number % 500}",), words=50))
    with_posts = tracemalloc.get_traced_memory()[0]
    for number in range(readers * reads):
        post = b"p%d" % chance.randrange(posts)
        ranker.apply(Signal(b"r%d" % (number // reads), post, "view", 1.0, NOW + posts + number))
    with_readers = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (with_posts - empty) / posts, (with_readers - with_posts) / readers


async def memory(seed: int) -> dict[str, Any]:
    """A million events; memory for each reader and post, and that expiry bounds it."""
    if sys.platform != "linux":
        raise NotRun("resident memory is read from /proc")
    command = [sys.executable, "-m", "tests.support.ranking_memory", "--seed", str(seed)]
    done = await trio.run_process(command, capture_stdout=True)
    lines = done.stdout.splitlines()
    empty, half, whole = (json.loads(line) for line in lines)
    check(whole["posts"] <= B.POSTS_MAX and whole["readers"] <= B.READERS_MAX, "expiry does not bound what is kept")
    check(whole["features"] <= B.FEATURES_MAX, "features are not bounded")
    check(whole["expired"] > 0, "nothing expired: too few events to show a bound")
    of_post, of_reader = _each(seed)
    return {
        "MB": round((whole["bytes"] - empty["bytes"]) / 1e6),
        "MB at half": round((half["bytes"] - empty["bytes"]) / 1e6),
        "came": f"{EVENTS // 10} posts, {EVENTS // 15} readers or fewer",
        "kept": f"{whole['posts']} posts, {whole['readers']} readers",
        "features": f"{whole['features']}, {whole['expired']} expired",
        "bytes of a post": round(of_post),
        "bytes of a reader of ten": round(of_reader),
    }


if __name__ == "__main__":
    main()

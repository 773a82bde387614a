"""What is promised about circles that admit the ranker: their members alone, their order, and that nothing stays."""

from __future__ import annotations

import random
import sqlite3
import time
import tracemalloc
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from clients.feed.asking import RankError
from extensions.ranking import bounds as B
from extensions.ranking import circle as rows
from extensions.ranking import events as E
from extensions.ranking.circle import Circle
from extensions.ranking.ranker import Ranker, Settings
from protocol.messages import rank as K
from protocol.messages.rank import RefusedCode, SignalKind
from protocol.scoring.score import Slider
from tests.support.feeds import patiently
from tests.support.proof import Proof, check
from tests.support.ranking_circles import Club, open_club
from tests.support.workers import until

Figures = dict[str, Any]
_WORDS: Final = ("sea", "hill", "town", "bread", "chess", "rain", "night")


async def _talk(club: Club, chance: random.Random) -> None:
    """Both circles with the ranker among them, posts of everybody, readers who do things."""
    for circle, other in ((club.circle, club.bob), (club.other, club.cem)):
        await club.admit(circle, other)
        for client in (club.ann, other):
            mine = club.of(client, circle)
            await club.says(mine, *(f"{n} of {client.account.hex()[:4]} #{chance.choice(_WORDS)}" for n in range(8)))
        ranked = club.of(other, circle).ranked
        await ranked.opt_in()
        for _ in range(3):
            page = await ranked.page()
            for item in page.items:
                ranked.note(item, chance.choice(list(SignalKind)), chance.randrange(1000))
            await ranked.flush()


async def members_alone(seed: int) -> Figures:
    """Three people, two circles: each reads its own, in the order of the scorer; a stranger is refused."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_club(Path(temporary)) as club:
            await _talk(club, random.Random(seed))
            pages = 0
            for circle, reader in ((club.circle, club.bob), (club.other, club.cem)):
                page = await club.of(reader, circle).ranked.page(explore=False)  # checked to the last sum
                events = club.log(circle)
                (own,) = [e for e in events if isinstance(e, E.Served) and e.ranking == page.page.ranking]
                local = Ranker()
                for event in events[: events.index(own)]:
                    local.apply(event)
                same = local.page(reader.account, page.page.made_ms, Settings(Slider(500, 0), 20, explore=False))
                check(same.items == page.page.items, "the same events give another page in this process")
                mine = {entry.key for entry in await club.of(reader, circle).entries()}
                check({item.placed.post for item in page.items} <= mine, "a post of somewhere else is on the page")
                pages += 1
            await patiently(club.cem.feed.rank.opt_in)
            home = club.cem.feed.rank.home
            assert home is not None
            topic = club.circle.topic
            for body in (K.Request(count=5, bridging=500, circle=topic), K.Consent(circle=topic)):
                try:
                    await club.cem.feed.rank.asking.ask(body, K.Page, home.account, home.topic)
                    check(False, "somebody who is no member was answered")
                except RankError as error:
                    check(error.code == RefusedCode.NO_CIRCLE, f"refused with code {error.code}")
            public = len(club.town.shop.places)
            check(public == 0, f"{public} posts of circles are known as public")
            return {"pages": pages, "events": [len(club.log(circle)) for circle in (club.circle, club.other)]}


async def nothing_stays(seed: int) -> Figures:
    """The ranker is put out of a circle, while it is away: no byte of it is left in the worker's files."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_club(Path(temporary)) as club:
            await _talk(club, random.Random(seed))
            secrets = {entry.key for entry in await club.circle.entries()} | {club.bob.account}
            found = sum(secret in club.files() for secret in secrets)
            before = club.log(club.other)
            await club.town.running.crash()
            await club.circle.dismiss()
            await until(lambda: club.ranker not in club.circle.members, "the end of it")
            await club.again()
            await club.gone(club.circle)
            left = sum(secret in club.files() for secret in secrets)
            check(found == len(secrets), f"{found} of {len(secrets)} ids were there before: nothing is shown")
            check(left == 0, f"{left} ids of the circle are left")
            check(club.log(club.other)[: len(before)] == before, "the other circle has lost something")
            return {"ids before": found, "ids left": left}


async def sizes(seed: int) -> Figures:
    """A circle whose log is full is read again in little time and little memory."""
    chance = random.Random(seed)
    database = sqlite3.connect(":memory:")
    database.executescript(rows.TABLES)

    def query(sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        return database.execute(sql, values).fetchall()

    rows.made(b"t" * 32, b"a" * 32)(database)
    circle = Circle(1, query)
    posts: list[bytes] = []
    for n in range(B.CIRCLE_EVENTS_MAX):
        account = chance.randrange(100).to_bytes(32, "big")
        if n % 3 == 0:
            posts.append(chance.randbytes(32))
            event: E.AnyEvent = E.Post(posts[-1], account, 1_000 + n, (chance.choice(_WORDS),))
        else:
            event = E.Signal(account, chance.choice(posts), chance.choice(E.KINDS), 1.0, 1_000 + n)
        for write in circle.apply([event]):
            write(database)
    tracemalloc.start()
    fresh = Ranker()
    empty = tracemalloc.get_traced_memory()[0]
    full = Circle(1, query)
    size = tracemalloc.get_traced_memory()[0] - empty
    tracemalloc.stop()
    began = time.perf_counter()
    again = Circle(1, query)
    took = time.perf_counter() - began
    check(again.ranker.statistics() == full.ranker.statistics() != fresh.statistics(), "it comes back as another")
    check(size < 20 << 20, f"a full circle takes {size >> 20} MB")
    check(took < 5, f"a full circle is read in {took:.1f} s")
    return {"events": B.CIRCLE_EVENTS_MAX, "new MB": round(empty / 1e6, 1), "full MB": round(size / 1e6, 1),
            "read s": round(took, 2)}  # fmt: skip


async def show_all(proof: Proof, seed: int) -> None:
    """Every line about circles, for ``make prove-ranking``."""
    await proof.show("a circle with a ranker: members alone", partial(members_alone, seed))
    await proof.show("a circle with a ranker: nothing stays", partial(nothing_stays, seed))
    await proof.show("a circle with a ranker: sizes", partial(sizes, seed))

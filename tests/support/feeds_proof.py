"""What ``make prove-ranking`` shows of feeds, signals and the ranking worker, through a real relay."""

from __future__ import annotations

import random
import statistics
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from clients.client import Client, open_client
from clients.connection import Refusal
from clients.feed import Item
from clients.feed.ranked import RankedPage
from clients.vault import Secret, Vault
from extensions.ranking.events import from_bytes
from protocol import limits as L
from protocol.codec import encode_struct
from protocol.errors import Code
from protocol.feeds import PUBLIC, FeedError, FeedHeader, erasing, seal_entry
from protocol.frames import Pub
from protocol.ids import feed_topic, new_id
from protocol.messages import compose
from protocol.messages import feed as F
from protocol.messages.rank import SignalKind
from tests.support.feeds import people, said, texts
from tests.support.proof import check
from tests.support.ranking import Town, open_ranking, start

TOPICS = ("sea", "hills", "bread", "trains", "stars", "roofs", "rivers", "tea")


async def _authors(town: Town, count: int, posts: int) -> list[Client]:
    authors = await people(town.stage, *(f"author{n}" for n in range(count)))
    entries = []
    for turn in range(posts):
        for number, author in enumerate(authors):
            tag = TOPICS[(number + turn) % len(TOPICS)]
            entries.append(await said(author, f"{number} on {tag}, part {turn}", tag))
    await town.knows(*entries)
    return authors


def _names(page: RankedPage) -> list[bytes]:
    return [item.placed.post for item in page.items]


async def c7_feed(seed: int) -> dict[str, Any]:
    """C7: by time by default; ranked on request; why shows the arithmetic; less like this changes the next page."""
    rounds = 20
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_ranking(Path(temporary)) as town:
            authors = await _authors(town, 10, 4)
            reader = (await town.stage.person("alice")).client
            for author in authors:
                await reader.feed.follow(author.account)
            page = await reader.feed.timeline(limit=100)
            times = [item.cursor for item in page]
            check(len(page) == 40 and times == sorted(times, reverse=True), "the timeline is not by time")
            check(reader.feed.rank.home is None, "somebody is ranked who never asked for it")
            await reader.feed.rank.opt_in()
            took = []
            for _ in range(rounds):
                ranked = await reader.feed.rank.page(explore=False)
                first = ranked.items[0]
                sums = [int(line.split()[0]) for line in first.why[1:]]
                check(sum(sums) == first.placed.score, "the lines of why do not add up to the score")
                began = time.perf_counter()
                await reader.feed.rank.less(first)
                after = await reader.feed.rank.page(explore=False)
                took.append((time.perf_counter() - began) * 1000)
                check(_names(after) != _names(ranked), "less like this changed nothing")
            middle = statistics.median(took)
            check(middle <= 100, f"the next page differs after {middle:.0f} ms, not within 100")
            return {
                "posts": len(page), "signals": rounds, "p50_ms": round(middle, 1), "max_ms": round(max(took), 1)
            }  # fmt: skip


async def restart(seed: int) -> dict[str, Any]:
    """The ranker is killed with all that it had in memory; from its log it makes the same page, score by score."""
    chance = random.Random(seed)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_ranking(Path(temporary)) as town:
            authors = await _authors(town, 5, 4)
            reader = await town.reader("alice", *authors)
            page = await reader.feed.rank.page(explore=False)
            for item in page.items:
                reader.feed.rank.note(item, chance.choice(list(SignalKind)), chance.randrange(1000))
            await reader.feed.rank.page(explore=False)
            before = town.shop.ranker
            snapshot, events = before.snapshot(), town.shop.number
            await town.running.crash()
            again = await start(town.stage)
            fresh = type(before)()
            for (row,) in again.running.vault.query("SELECT event FROM rank_log WHERE n <= ? ORDER BY n", (events,)):
                fresh.apply(from_bytes(row))
            check(fresh.snapshot() == snapshot, "replaying the log gives another ranker")
            check(again.shop.number >= events, "events are missing in the log")
            return {"events": events, "snapshot_bytes": len(snapshot)}


async def bad_input(seed: int) -> dict[str, Any]:
    """One documented outcome for each bad entry; of more signals than a day has room for the rest is dropped."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_ranking(Path(temporary)) as town:
            ann, eve = await people(town.stage, "ann", "eve")
            post = await said(ann, "true", "sea")
            await said(eve, "hello")
            codes = await _refusals(eve, ann, post.offset)
            for tags in ([f"t{n}" for n in range(10_000)], ["two words"], [""]):
                check(await _refused(eve, tags), "a post with bad tags was made")
            check(texts(await ann.feed.timeline()) == ["true"], "something of Eve's stands in Ann's feed")
            await town.knows(post)
            reader = await town.reader("bob", ann)
            answers = next(iter(town.ranking._answers.values()))
            await _flood(reader, town)
            check(answers.dropped > 0, "no signal was dropped")
            return {"codes": codes, "dropped": answers.dropped, "learned": len(town.signals())}


async def _refusals(eve: Client, ann: Client, offset: int) -> dict[str, int]:
    """What the relay answers to entries that no client of ours makes."""
    shelf = eve.engine.shelf
    link = await eve.wait_connected()
    mine, theirs, now_ms = feed_topic(eve.account), feed_topic(ann.account), shelf.clock_ms()
    good = encode_struct(FeedHeader("post"))
    nine = encode_struct(FeedHeader("post", tuple("abcdefghi")))
    tries = {
        "somebody else's feed": (theirs, good, PUBLIC, now_ms), "nine tags": (mine, nine, PUBLIC, now_ms),
        "no header": (mine, b"\xc1", PUBLIC, now_ms), "61 days back": (mine, good, PUBLIC, now_ms - 61 * 86_400_000),
        "taking back what others said": (theirs, erasing(offset), PUBLIC | 64, now_ms),
        "taking back nothing": (mine, erasing(99), PUBLIC | 64, now_ms),
    }  # fmt: skip
    wanted = (Code.NOT_FOUND, Code.FRAME, Code.FRAME, Code.EXPIRED, Code.NOT_FOUND, Code.NOT_FOUND)
    found = {}
    for (name, (topic, header, flags, made_ms)), code in zip(tries.items(), wanted, strict=True):
        message_id = new_id(made_ms, shelf.entropy)
        body = seal_entry(shelf.device, topic, message_id, header, compose(F.Post(text="lies")))
        try:
            await link.call(Pub(0, topic, message_id, None, flags, header=header, body=body))
        except Refusal as error:
            found[name] = error.code
        check(found.get(name) == code, f"{name}: {found.get(name)}, not {code}")
    return found


async def _refused(client: Client, tags: list[str]) -> bool:
    try:
        await client.feed.post("x", tags=tags)
    except (ValueError, FeedError):
        return True
    return False


async def _flood(reader: Client, town: Town) -> None:
    """More signals than one reader may send in a day, a hundred in a message."""
    page = await reader.feed.rank.page(explore=False)
    messages = L.RANK_SIGNALS_PER_DAY // L.RANK_SIGNALS_MAX + 5
    for _ in range(messages):
        for _ in range(L.RANK_SIGNALS_MAX):
            reader.feed.rank.note(page.items[0], SignalKind.LIKE, 1000)
        await reader.feed.rank.flush()
        await reader.room_to_send()
    with trio.fail_after(300):
        await reader.settled()
    await reader.feed.rank.export()  # it still answers


async def a_week_away(seed: int, authors: int = 20, posts: int = 60) -> dict[str, Any]:
    """Away while twenty people post twelve hundred times: what is read unasked is bounded, and the rest shows."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with open_ranking(home) as town:
            writers = await people(town.stage, *(f"author{n}" for n in range(authors)))
            for writer in writers:
                await said(writer, "before")
            with closing(Vault(home / "alice.db", Secret.key_file(home / "alice.key"))) as vault:
                async with open_client(town.stage.relay.url, vault) as reader:
                    for writer in writers:
                        await reader.feed.follow(writer.account)
                    await reader.feed.seen(await reader.feed.timeline(limit=100))
                for writer in writers:
                    ids = [await writer.feed.post(f"{n}") for n in range(posts)]
                    await writer.feed.stored(ids[-1])
                async with open_client(town.stage.relay.url, vault) as reader:
                    began = time.perf_counter()
                    page = await reader.feed.timeline()
                    took = (time.perf_counter() - began) * 1000
                    loaded = sum(len(log.entries) for log in reader.feed.timelines.logs.values())
                    check(loaded < authors * (posts + 1), "everything was read unasked")
                    seen = {item.entry.key for item in page if isinstance(item, Item)}
                    total = len(seen)
                    while page:
                        page = await reader.feed.timeline(before=page[-1].cursor, limit=200)
                        keys = {item.entry.key for item in page if isinstance(item, Item)}
                        check(not keys & seen, "a post stands on two pages")
                        seen |= keys
                    check(len(seen) == authors * (posts + 1), f"only {len(seen)} posts were shown")
                    return {"posts": len(seen), "first_page": total, "first_page_ms": round(took), "read": loaded}

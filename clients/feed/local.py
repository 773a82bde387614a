"""Ranking on our own device: a ranker's signed model, and what this device alone knows of us.

::

    await client.feed.local.fetch()  # or load(PATH, SIGNER)
    page = await client.feed.rank_locally()

Nothing is told to anybody but that somebody wants the model. It is kept in the vault with the posts that it places
first, so a page needs no relay; while there is one, posts are read from it, and what was taken back is left out.
The order is the ranker's own: for whoever it knows as little of as we tell it, its pages and these are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from clients.engine import Engine
from clients.feed.entries import Entry
from clients.feed.media import as_media
from clients.feed.ranked import COUNT, Rank, Ranked, RankedPage, RankError
from clients.feed.shown import newest
from clients.feed.timeline import Timeline
from clients.files import Files
from clients.records import META
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.ids import feed_topic
from protocol.messages import feed as F
from protocol.messages.rank import SignalKind
from protocol.requests import FeedEntry
from protocol.scoring.hashing import name
from protocol.scoring.local import LOCAL, WISH_TAGS, Model, ModelPost, Personal, open_model, rank_locally
from protocol.scoring.page import Page, PageItem
from protocol.scoring.score import Slider
from protocol.scoring.signed import ScoringError
from protocol.scoring.weights import DEFAULT

PLACES: Final = 100  # of a ranking, as many as the ranker lays out: the places beyond a page decide which posts compete
KEPT: Final = 100  # posts that are kept with a model, to be read without a relay
READ_S: Final = 5.0  # for posts from the relay; then those that were kept must do
SEEN_MAX: Final = 4_000  # posts that are not shown again, as the ranker remembers them
LESS_MAX: Final = 256  # authors and tags that we want less of; the oldest wish goes first
_MODEL: Final = b"ranker-model"
_OWN: Final = b"ranker-own"
_NO_TASTE: Final = frozenset((SignalKind.VIEW, SignalKind.HIDE, SignalKind.LESS, SignalKind.REPORT))


class Shipped(msgspec.Struct, frozen=True, array_like=True):
    """A model as it came, who signed it, and posts that it places first."""

    signer: bytes
    signed: bytes
    entries: tuple[FeedEntry, ...] = ()


class Own(msgspec.Struct, frozen=True, array_like=True):
    """What this device notes of us, and nobody else hears."""

    engaged: int = 0
    history: tuple[bytes, ...] = ()  # posts, the most recent first
    seen: tuple[bytes, ...] = ()  # oldest first
    less: tuple[bytes, ...] = ()  # features, oldest first


class Local:
    """See the module."""

    def __init__(
        self, engine: Engine, rank: Rank, timelines: Timeline, files: Files, find: Callable[[str], Awaitable[bytes]]
    ) -> None:  # fmt: skip
        """``find`` knows handles."""
        self._engine = engine
        self._shelf = engine.shelf
        self._rank = rank
        self._timelines = timelines
        self._files = files
        self._find = find
        own = self._shelf.vault.get(META, _OWN)
        self.own = Own() if own is None else msgspec.msgpack.decode(own, type=Own)
        self._open: tuple[Shipped, Model, dict[bytes, ModelPost]] | None = None

    # -- the model -----------------------------------------------------------------------------------------------------
    async def fetch(self, handle: str = "ranking") -> Model:
        """Have a ranker's newest model. Raises ``RankError``, what ``find`` and ``Files.download`` raise."""
        account = await self._find(handle)
        file = (await self._rank.model(account)).file
        if file.size > L.RANK_MODEL_BYTES_MAX:
            raise RankError(f"the ranker's model has {file.size} bytes; a device takes {L.RANK_MODEL_BYTES_MAX}")
        path = Path(self._shelf.vault.path).parent / f"model.{file.id.hex()}"
        try:
            await self._files.download(as_media(file), path)
            return await self._keep(account, await trio.to_thread.run_sync(path.read_bytes))
        finally:
            await trio.to_thread.run_sync(lambda: path.unlink(missing_ok=True))

    async def load(self, path: Path, signer: bytes) -> Model:
        """Take a model from a file (``chappe rank ship`` writes one), if ``signer``, a ranker's account, signed it.

        Raises ``RankError``, ``OSError``.
        """
        data = await trio.to_thread.run_sync(_read, path)
        return await self._keep(signer, data)

    async def _keep(self, signer: bytes, signed: bytes) -> Model:
        shipped = Shipped(signer, signed)
        model = (await self._opened(shipped))[1]
        if self._engine.link is not None:
            first = (await self._ranked(Slider())).items[:KEPT]
            with trio.move_on_after(READ_S):
                raws = await self._timelines.reader.raw(_places(self._posts(), first))
                there = tuple(raw for raw in raws if raw is not None)
                await self._timelines.reader.checked(there)  # so that the device lists are here, too
                shipped = Shipped(signer, signed, there)
                self._open = shipped, model, self._posts()
        self._shelf.journal.put(META, _MODEL, shipped)
        await self._shelf.journal.flushed()
        return model

    async def _opened(self, shipped: Shipped) -> tuple[Shipped, Model, dict[bytes, ModelPost]]:
        try:
            model = await trio.to_thread.run_sync(open_model, shipped.signed, shipped.signer)
        except (ScoringError, RemoteProtocolError) as error:
            raise RankError(f"the model cannot be believed: {error}") from None
        if model.weights != DEFAULT.version:
            raise RankError(f"the model is for weights {model.weights}; this client knows version {DEFAULT.version}")
        self._open = shipped, model, {post.id: post for post in model.posts}
        return self._open

    async def _need_model(self) -> tuple[Shipped, Model, dict[bytes, ModelPost]]:
        if self._open is None:
            data = await trio.to_thread.run_sync(self._shelf.vault.get, META, _MODEL)
            if data is None:
                raise RankError("there is no model on this device: fetch one with /rank model, or load a file")
            await self._opened(msgspec.msgpack.decode(data, type=Shipped))
        assert self._open is not None
        return self._open

    def _posts(self) -> dict[bytes, ModelPost]:
        assert self._open is not None
        return self._open[2]

    # -- pages ---------------------------------------------------------------------------------------------------------
    def personal(self) -> Personal:
        """What this device knows of us, as the scorer wants it."""
        own = self.own
        follows = frozenset(sorted(self._shelf.follows)[: L.RANK_FOLLOWS_MAX])
        return Personal(
            self._shelf.account, own.engaged, own.history, frozenset(own.seen), follows, frozenset(own.less)
        )

    async def _ranked(self, slider: Slider, now_ms: int | None = None) -> Page:
        _, model, _ = await self._need_model()
        now_ms = self._shelf.clock_ms() if now_ms is None else now_ms
        personal, hidden, words = self.personal(), self._rank.hidden(), self._rank.words_hidden()
        items = await trio.to_thread.run_sync(
            lambda: rank_locally(
                model, personal, DEFAULT, now_ms, slider=slider, hidden=hidden, words=words, places=PLACES
            )
        )  # fmt: skip
        return Page(b"", 0, now_ms, DEFAULT.version, slider, items, None, self._shelf.account)

    async def page(
        self, count: int = COUNT, *, bridging: int | None = None, fresh: int | None = None, now_ms: int | None = None
    ) -> RankedPage:  # fmt: skip
        """The first posts of our own ranking. The slider is ours (``rank.set_slider``) unless told; now is now.

        Raises ``RankError``: there is no model.
        """
        home = self._rank.home
        mine = (500, 0) if home is None else (home.bridging, home.fresh)
        slider = Slider(mine[0] if bridging is None else bridging, mine[1] if fresh is None else fresh)
        if not all(0 <= value <= 1000 for value in (slider.bridging, slider.fresh)):
            raise RankError("the slider goes from 0 to 1000")
        page = await self._ranked(slider, now_ms)
        items = page.items[: max(1, count)]
        entries = await self._entries(items)
        edits = {entry.about_key: entry for entry in entries.values() if isinstance(entry.body, F.Edit)}
        hide, posts = self._timelines.filter(), self._posts()
        shown: list[Ranked] = []
        for place, placed in enumerate(items, 1):
            entry = entries.get(placed.post)
            item = None if entry is None else newest(self._timelines.log(entry.account), entry, edits.get(entry.key))
            if item is not None and not hide.hides(item):
                noted = posts[placed.post].noted
                shown.append(Ranked(item, placed, b"", place, entries.get(placed.note) if noted else None))
        return RankedPage(tuple(shown), msgspec.structs.replace(page, items=items), len(items) - len(shown))

    async def _entries(self, items: Sequence[PageItem]) -> dict[bytes, Entry]:
        """The posts, notes and versions of a page by key: from the relay if it is there, else those that were kept."""
        shipped, _, posts = await self._need_model()
        reader = self._timelines.reader
        if self._engine.link is not None:
            with trio.move_on_after(READ_S):
                raws = await reader.raw(_places(posts, items))
                entries = await reader.checked([raw for raw in raws if raw is not None])
                return _by_key(entries)
        return _by_key([reader.check(raw) for raw in shipped.entries])

    # -- what we do with them ------------------------------------------------------------------------------------------
    async def note(self, posts: Sequence[Ranked], kind: SignalKind) -> None:
        """Note what we did with posts, on this device alone."""
        for post in posts:
            self._note(post.placed, kind)
        self._shelf.journal.put(META, _OWN, self.own)
        await self._shelf.journal.flushed()

    def _note(self, item: PageItem, kind: SignalKind) -> None:
        own, key = self.own, item.post
        engaged, history, less = own.engaged, own.history, own.less
        tags_meant = WISH_TAGS.get(kind.name.lower())
        if tags_meant is not None:
            tags = item.tags[:tags_meant]
            features = (name("author", item.author), *(name("tag", tag.encode()) for tag in tags))
            wishes = [feature.to_bytes(8, "little") for feature in features]
            less = (*(one for one in less if one not in wishes), *wishes)[-LESS_MAX:]
        elif kind not in _NO_TASTE and key not in history:
            engaged, history = engaged + 1, (key, *history)[: L.RANK_HISTORY_MAX]
        seen = own.seen if key in own.seen else (*own.seen, key)[-SEEN_MAX:]
        self.own = Own(engaged, history, seen, less)

    async def shown(self, posts: Sequence[Ranked]) -> None:
        """These were shown to a person."""
        await self.note(posts, SignalKind.VIEW)

    async def less(self, post: Ranked) -> None:
        """Fewer posts like this."""
        await self.note([post], SignalKind.LESS)

    async def more(self, post: Ranked) -> None:
        """More posts like this."""
        await self.note([post], SignalKind.LIKE)

    async def forget(self) -> None:
        """Forget what this device noted of us."""
        self.own = Own()
        self._shelf.journal.put(META, _OWN, None)
        await self._shelf.journal.flushed()


def is_local(post: Ranked) -> bool:
    """Whether this device placed it, and not a ranker."""
    return post.placed.source == LOCAL


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(L.RANK_MODEL_BYTES_MAX + 1)
    if len(data) > L.RANK_MODEL_BYTES_MAX:
        raise RankError(f"{path} is no model: it has more than {L.RANK_MODEL_BYTES_MAX} bytes")
    return data


def _places(posts: dict[bytes, ModelPost], items: Sequence[PageItem]) -> list[tuple[bytes, int]]:
    """Where posts of a page, their newest versions and their notes lie."""
    found = [posts[item.post] for item in items]
    places = [(feed_topic(post.author), place) for post in found for place in (post.place, post.edited) if place]
    return places + [(feed_topic(post.noted[0]), post.noted[1]) for post in found if post.noted is not None]


def _by_key(entries: Sequence[Entry | None]) -> dict[bytes, Entry]:
    return {entry.key: entry for entry in entries if entry is not None}

"""``client.feed``: what we say in public, and what the people whom we follow say.

::

    post = await client.feed.post("the tide is at four", tags=("sea",))
    await client.feed.follow(await client.find("bob"))
    for item in await client.feed.timeline():
        ...

What we say goes through the outbox like everything else: it is in the vault before it leaves, is sent as often as it
must be, and is stored once. ``stored`` waits for the relay.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import trio

from clients import records as R
from clients.connection import Link
from clients.conversations import Conversation
from clients.engine import Engine
from clients.feed.circle import Circle, Circles
from clients.feed.entries import Entry, about_of, check_entry
from clients.feed.lists import Lists
from clients.feed.local import Local
from clients.feed.media import as_file
from clients.feed.ranked import Rank, RankedPage
from clients.feed.reading import Reader
from clients.feed.shown import PAGE, Cursor, Gap, Item
from clients.feed.timeline import Timeline
from clients.files import Files
from clients.records import Work
from clients.shelf import word_key
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.feeds import ERASE, PUBLIC, FeedError, FeedHeader, erasing, seal_entry
from protocol.frames import Bundle, Create, PubResult
from protocol.ids import TopicKind, about_topic, feed_topic, followers_key, profile_key
from protocol.messages import Body, compose
from protocol.messages import feed as F
from protocol.messages.feed import File
from protocol.requests import FeedEntry

FATES_MAX: Final = 1000  # what became of our last entries, for whoever waits for one


class Feed:
    """See the module."""

    def __init__(
        self, engine: Engine, wait_connected: Callable[[], Awaitable[Link]], files: Files,
        room: Callable[[], Awaitable[None]], group: Callable[[list[bytes], str], Awaitable[bytes]],
        pair: Callable[[bytes], Awaitable[bytes]], find: Callable[[str], Awaitable[bytes]],
        conversation: Callable[[bytes], Conversation],
    ) -> None:  # fmt: skip
        """``room`` waits for room in the outbox; ``group`` and ``pair`` found conversations and say their topics;
        ``find`` knows handles; ``conversation`` has those that there are."""
        self._engine = engine
        self._shelf = engine.shelf
        self._files = files
        self._room = room
        self.reader = Reader(engine.directory, wait_connected)
        self.timelines = Timeline(engine, self.reader)
        self.rank = Rank(engine, self.timelines, pair, find)
        self.circles = Circles(engine, group, conversation, find, self.rank, self.timelines.filter)
        self.local = Local(engine, self.rank, self.timelines, files, find)
        self.lists = Lists(engine, self.timelines, self._publish)
        self._fates: dict[bytes, Entry | FeedError] = {}
        self._told = trio.Event()
        self._founded = False
        engine.outbox.posted = self._posted
        engine.outbox.refused = self._refused

    # -- saying --------------------------------------------------------------------------------------------------------
    async def post(
        self, text: str = "", *, tags: Sequence[str] = (), media: Sequence[Path | File] = ()
    ) -> bytes:  # fmt: skip
        """Say something to everybody; its id once it is in the vault. ``media``: files, uploaded first.

        Raises ``ValueError`` for what does not fit, and what ``Files.put`` raises.
        """
        return await self._publish(F.Post(text=text, media=await self._uploaded(media)), tags)

    async def reply(
        self, to: Entry, text: str = "", *, tags: Sequence[str] = (), media: Sequence[Path | File] = ()
    ) -> bytes:  # fmt: skip
        """Answer an entry."""
        return await self._publish(F.Reply(to=to.target, text=text, media=await self._uploaded(media)), tags)

    async def quote(
        self, of: Entry, text: str = "", *, tags: Sequence[str] = (), media: Sequence[Path | File] = ()
    ) -> bytes:  # fmt: skip
        """Pass an entry on with words of one's own."""
        return await self._publish(F.Quote(of=of.target, text=text, media=await self._uploaded(media)), tags)

    async def repost(self, of: Entry) -> bytes:
        """Pass an entry on as it is; its tags go with it."""
        return await self._publish(F.Repost(of=of.target), of.tags)

    async def like(self, of: Entry, *, undo: bool = False) -> bytes:
        """Like an entry, or not any more."""
        return await self._publish(F.Like(of=of.target, undo=undo))

    async def label(self, of: Entry, label: str) -> bytes:
        """Put a word on an entry."""
        return await self._publish(F.Label(of=of.target, label=label))

    async def note(self, of: Entry, text: str, *, sources: Sequence[str] = ()) -> bytes:
        """Say what readers of an entry should know."""
        return await self._publish(F.Note(of=of.target, text=text, sources=tuple(sources)))

    async def rate(self, note: Entry, helpful: int) -> bytes:
        """Whether a context note helps: 0 no, 1 somewhat, 2 yes."""
        return await self._publish(F.Rating(of=note.target, helpful=helpful))

    async def edit(self, of: Entry, text: str, *, media: Sequence[Path | File] = ()) -> bytes:
        """A new version of an entry of ours. Raises ``FeedError`` if it is not ours."""
        self._need_own(of)
        return await self._publish(F.Edit(of=of.target, text=text, media=await self._uploaded(media)))

    async def delete(self, of: Entry) -> bytes:
        """Take an entry of ours back: the relay erases its bytes. Raises ``FeedError`` if it is not ours."""
        self._need_own(of)
        return await self._publish(F.Delete(of=of.target), erases=of.offset)

    async def set_profile(self, name: str = "", bio: str = "", avatar: Path | File | None = None) -> bytes:
        """Say who we are; it replaces what we said before."""
        files = await self._uploaded([] if avatar is None else [avatar])
        return await self._publish(F.Profile(name=name, bio=bio, avatar=files[0] if files else None))

    def _need_own(self, entry: Entry) -> None:
        if entry.account != self._shelf.account:
            raise FeedError("this was said by somebody else; only its author changes it")

    async def _uploaded(self, media: Sequence[Path | File]) -> tuple[File, ...]:
        if len(media) > L.FEED_MEDIA_MAX:
            raise ValueError(f"{len(media)} files; a post has at most {L.FEED_MEDIA_MAX}")
        return tuple([item if isinstance(item, File) else as_file(await self._files.put(item)) for item in media])

    async def _publish(self, body: Body, tags: Sequence[str] = (), *, erases: int = 0) -> bytes:
        """Queue an entry of our feed; its id. Raises ``ValueError`` for what others would refuse."""
        await self._room()
        shelf = self._shelf
        topic, message_id = feed_topic(shelf.account), shelf.new_id()
        header = FeedHeader(body.TYPE.partition(".")[2], tuple(tags), about_of(shelf.account, body))
        packed = erasing(erases) if erases else encode_struct(header)
        signed = seal_entry(shelf.device, topic, message_id, packed, compose(body))
        flags = PUBLIC | (ERASE if erases else 0)
        raw = FeedEntry(1, 0, message_id, shelf.account, shelf.device.public, 0, flags, packed, signed)
        _check(raw)
        hashes = {chunk for file in getattr(body, "media", ()) for chunk in file.chunks}
        avatar = getattr(body, "avatar", None)
        hashes |= set(() if avatar is None else avatar.chunks)
        bundle = Bundle(None if self._founded else Create(TopicKind.FEED), blobs=tuple(sorted(hashes)))
        row = R.Outgoing(
            shelf.next_number(), topic, message_id, Work.POST, flags, header=packed, body=signed, quiet=True,
            bundle=None if self._founded and not hashes else encode_struct(bundle),
        )  # fmt: skip
        self._engine.outbox.queue(row)
        await shelf.journal.flushed()
        return message_id

    # -- what becomes of it --------------------------------------------------------------------------------------------
    def _posted(self, row: R.Outgoing, result: PubResult) -> None:
        self._founded = True
        shelf = self._shelf
        raw = FeedEntry(
            result.generation, result.offset, row.id, shelf.account, shelf.device.public, result.ts, row.flags,
            row.header, row.body or b"",
        )  # fmt: skip
        entry = check_entry(raw)
        self.timelines.arrive(shelf.account, result.offset, entry)
        self._decided(row.id, entry)

    def _refused(self, row: R.Outgoing, code: int, text: str) -> None:
        self._decided(row.id, FeedError(f"the relay refused it ({code}): {text}"))

    def _decided(self, message_id: bytes, fate: Entry | FeedError) -> None:
        self._fates[message_id] = fate
        while len(self._fates) > FATES_MAX:
            del self._fates[next(iter(self._fates))]
        self._told.set()
        self._told = trio.Event()
        self.timelines.tell()

    async def stored(self, message_id: bytes) -> Entry:
        """Wait until the relay has stored an entry of ours. Raises ``FeedError`` if it has refused it."""
        while message_id not in self._fates:
            await self._told.wait()
        fate = self._fates[message_id]
        if isinstance(fate, FeedError):
            raise fate
        return fate

    # -- whom we follow ------------------------------------------------------------------------------------------------
    @property
    def follows(self) -> frozenset[bytes]:
        """Whose feeds we read."""
        return frozenset(self._shelf.follows)

    async def follow(self, account: bytes, *, secretly: bool = False) -> None:
        """Read somebody's feed from now on, on all our devices, and say so in ours unless ``secretly``."""
        if account == self._shelf.account:
            raise FeedError("your own feed is on your timeline anyway")
        if len(self._shelf.follows) >= L.FEED_FOLLOWS_MAX:
            raise FeedError(f"you follow {L.FEED_FOLLOWS_MAX} people; unfollow somebody first")
        if account not in self._shelf.follows:
            self._shelf.save_follow(account, follows=True)
            self.timelines.follow(account)
            if not secretly:
                await self._publish(F.Follow(account=account))
        await self._shelf.journal.flushed()

    async def unfollow(self, account: bytes, *, secretly: bool = False) -> None:
        """Read somebody's feed no more."""
        if account in self._shelf.follows:
            self._shelf.save_follow(account, follows=False)
            self.timelines.unfollow(account)
            if not secretly:
                await self._publish(F.Follow(account=account, undo=True))
        await self._shelf.journal.flushed()

    async def mute(self, account: bytes, duration_ms: int | None = None) -> None:
        """Show nothing of somebody, here and on our other devices, for a while or (None) until ``unmute``."""
        until_ms = L.INT_MAX if duration_ms is None else min(self._shelf.clock_ms() + duration_ms, L.INT_MAX)
        self._shelf.save_mute(feed_topic(account), until_ms)
        await self._shelf.journal.flushed()

    async def unmute(self, account: bytes) -> None:
        """Show somebody again."""
        self._shelf.save_mute(feed_topic(account), 0)
        await self._shelf.journal.flushed()

    @property
    def hidden_words(self) -> tuple[str, ...]:
        """Posts with one of these words are not shown."""
        return tuple(sorted(self._shelf.hidden.values()))

    async def hide_word(self, word: str, *, undo: bool = False) -> None:
        """Show no posts with a word, here and on our other devices; ``undo``: show them again."""
        word = word.casefold().strip()
        if not 0 < len(word) <= L.SYNC_NAME_CHARS_MAX:
            raise FeedError(f"a word to hide has 1 to {L.SYNC_NAME_CHARS_MAX} characters")
        self._shelf.save_hidden(word_key(word), None if undo else word)
        await self._shelf.journal.flushed()

    # -- reading -------------------------------------------------------------------------------------------------------
    async def timeline(self, before: Cursor | None = None, limit: int = PAGE) -> list[Item | Gap]:
        """What we and those we follow have said, the newest first by the relay's time; below ``before``, the ``cursor``
        of the last item of the page above. Waits for the relay."""
        return await self.timelines.read_page(before, limit)

    async def rank_locally(
        self, count: int = PAGE, *, bridging: int | None = None, fresh: int | None = None
    ) -> RankedPage:  # fmt: skip
        """What this device would have us read first, by the model that it has (``local.fetch``); nobody hears of it.

        Needs no relay. Raises ``RankError``: there is no model.
        """
        return await self.local.page(count, bridging=bridging, fresh=fresh)

    async def fill(self, gap: Gap) -> None:
        """Read what a gap hides; the timeline then has it."""
        await self.timelines.fill(gap)

    async def seen(self, items: Sequence[Item | Gap]) -> None:
        """These were shown to a person: what is missing before them is no gap any more."""
        self.timelines.seen(items)
        await self._shelf.journal.flushed()

    async def thread(self, entry: Entry) -> list[tuple[int, Item]]:
        """(depth, post): what an entry answers, itself, and what was said to it."""
        return await self.timelines.thread(entry)

    async def notes(self, entry: Entry) -> list[Entry]:
        """Context notes on an entry, oldest first."""
        said = await self.reader.pointed(about_topic(entry.key))
        return [other for other in said if isinstance(other.body, F.Note)]

    async def profile(self, account: bytes) -> F.Profile | None:
        """What somebody says of themselves."""
        said = await self.reader.said_by(account, about_topic(profile_key(account)), PAGE)
        mine = [body for body in said if isinstance(body, F.Profile)]
        return mine[-1] if mine else None

    async def counts(self, entries: Sequence[Entry]) -> list[int]:
        """How much was said about entries: answers, likes, reposts and the like together."""
        heads = await self.reader.heads([about_topic(entry.key) for entry in entries])
        return [head.head for head in heads]

    async def followers(self, account: bytes) -> int:
        """How often somebody was followed, or not any more, in public."""
        (head,) = await self.reader.heads([about_topic(followers_key(account))])
        return head.head

    async def circle(self, title: str, accounts: list[bytes]) -> Circle:
        """Found a circle: a feed for its members alone, sealed like any conversation."""
        return await self.circles.found(title, accounts)


def _check(raw: FeedEntry) -> None:
    """Raises ``ValueError`` for an entry that readers would not take."""
    try:
        if not raw.flags & ERASE:
            decode_struct(raw.header, FeedHeader)
        check_entry(raw)
    except (RemoteProtocolError, FeedError) as error:
        raise ValueError(str(error)) from None

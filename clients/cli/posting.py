"""Verbs about feeds, for both faces of ``chappe chat`` and for ``chappe feed``: a verb takes words and gives lines.

Posts are named by the last digits of their id, as they are shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from clients.cli.room import NotFound, Room, clean, size_text
from clients.cli.spans import span_ms
from clients.feed import Entry, Gap, Item
from clients.feed.feed import Feed
from clients.feed.media import as_media
from protocol.messages import feed as F

HELP: Final = """\
[bold]/post[/] TEXT [#TAG…] [@FILE…]   say something to everybody; [bold]/timeline[/] [more]  what you follow, by time
[bold]/follow[/] NAME  [bold]/unfollow[/] NAME  [bold]/profile[/] [NAME | set NAME [BIO]]   whose posts you see
[bold]/answer[/] POST TEXT  [bold]/quote[/] POST TEXT  [bold]/repost[/] POST  [bold]/like[/] POST  [bold]/unlike[/] POST
[bold]/edit[/] POST TEXT  [bold]/delete[/] POST  [bold]/thread[/] POST  [bold]/fetch[/] POST [DIR]   answers; files
[bold]/hush[/] NAME [8h]  [bold]/unhush[/] NAME  [bold]/hide[/] [WORD]  [bold]/unhide[/] WORD   do not show
[bold]/context[/] POST TEXT [https://…]  [bold]/rate[/] POST NOTE no|somewhat|yes   a note that readers should know"""
VERBS: Final = (
    "post", "timeline", "follow", "unfollow", "profile", "answer", "quote", "repost", "like", "unlike", "edit",
    "delete", "thread", "fetch", "hush", "unhush", "hide", "unhide", "context", "rate",
)  # fmt: skip
HELPFUL: Final = {"no": 0, "somewhat": 1, "yes": 2}
_DIGITS_MIN: Final = 4
_DIGITS: Final = 6


def digits(entry: Entry) -> str:
    """What people call a post."""
    return entry.id.hex()[-_DIGITS:]


class Posting:
    """Verbs, by name."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._client = room.client
        self._page: list[Item | Gap] = []  # what was shown last
        self._shown: dict[str, Entry] = {}  # by their digits
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {
            name: getattr(self, f"_{name}") for name in VERBS
        }

    @property
    def _feed(self) -> Feed:
        return self._client.feed

    # -- naming --------------------------------------------------------------------------------------------------------
    async def account(self, name: str) -> bytes:
        """A contact, somebody whom we follow or who is on a list of ours, or a handle."""
        for account in self._feed.follows | self._feed.lists.everybody:
            if len(name) >= _DIGITS_MIN and account.hex().startswith(name):
                return account
        try:
            return self._room.account_of(name)
        except NotFound:
            return await self._client.find(name)

    async def entry(self, name: str) -> Entry:
        """A post by its last digits: of those shown, or of the newest. Raises ``NotFound``."""
        name = name.lstrip("#")
        if len(name) >= _DIGITS_MIN and not self._find(name):
            self._remember(await self._feed.timeline(limit=100))
        found = self._find(name)
        if len(name) < _DIGITS_MIN or len(found) != 1:
            raise NotFound(f"{len(found)} posts end with {name!r}; /timeline shows what they are called")
        return found[0]

    def _find(self, name: str) -> list[Entry]:
        return [entry for shown, entry in self._shown.items() if shown.endswith(name) or entry.id.hex().endswith(name)]

    def _remember(self, page: list[Item | Gap]) -> None:
        self._shown |= {digits(item.entry): item.entry for item in page if isinstance(item, Item)}

    # -- showing -------------------------------------------------------------------------------------------------------
    def line(self, item: Item | Gap, depth: int = 0) -> str:
        """A post, or what is missing, in a line."""
        if isinstance(item, Gap):
            what = "are gone" if item.gone else "are not read yet; `more` reads them"
            return f"   … {item.last - item.first + 1} entries of {self._room.name_of(item.account)} {what}"
        self._shown[digits(item.entry)] = item.entry
        return self.text(item, depth)

    def text(self, item: Item, depth: int = 0) -> str:
        """A post in a line, without that any verb here finds it afterwards."""
        entry = item.entry
        when = datetime.fromtimestamp(entry.ts / 1000, UTC).strftime("%d %b %H:%M")
        how = self._how(entry)
        marks = " ".join(f"#{clean(tag)}" for tag in entry.tags)
        marks += f" (edited {item.edits}×)" * bool(item.edits) + " ♥" * item.liked
        marks += f" [{entry.doubt}]" if entry.doubt else ""
        files = "".join(f" [{clean(file.name)}, {size_text(file.size)}]" for file in item.media)
        text = f"{clean(item.text)}{files} {marks}".strip()
        return f"{'  ' * depth}{digits(entry)}  {when}  {self._room.name_of(entry.account)}{how}: {text}"

    def _how(self, entry: Entry) -> str:
        of = entry.about
        if of is None:
            return ""
        verb = {"reply": "answers", "quote": "quotes", "repost": "reposts"}.get(entry.kind, entry.kind)
        return f" {verb} {of.id.hex()[-_DIGITS:]} of {self._room.name_of(of.account)}"

    async def _timeline(self, words: list[str]) -> list[str]:
        before = self._page[-1].cursor if words[:1] == ["more"] and self._page else None
        for item in self._page:
            if before is not None and isinstance(item, Gap):
                await self._feed.fill(item)
        self._page = await self._feed.timeline(before=before)
        await self._feed.seen(self._page)
        nothing = "nothing more" if before is not None else "nothing yet; /follow somebody, or /post something"
        return [self.line(item) for item in self._page] or [nothing]

    async def _thread(self, words: list[str]) -> list[str]:
        found = await self._feed.thread(await self.entry(words[0]))
        return [self.line(item, depth) for depth, item in found] or ["that post was taken back"]

    async def _fetch(self, words: list[str]) -> list[str]:
        entry = await self.entry(words[0])
        to = _path(" ".join(words[1:]) or ".")
        return [f"saved as {await self._client.download(as_media(file), to)}" for file in entry.media] or ["no files"]

    # -- saying --------------------------------------------------------------------------------------------------------
    async def _stored(self, message_id: bytes) -> list[str]:
        entry = await self._feed.stored(message_id)
        self._shown[digits(entry)] = entry
        return [f"stored as {digits(entry)}"]

    async def _post(self, words: list[str]) -> list[str]:
        text, tags, media = _parts(words)
        if not text and not media:
            raise IndexError
        return await self._stored(await self._feed.post(text, tags=tags, media=media))

    async def _answer(self, words: list[str]) -> list[str]:
        entry, (text, tags, media) = await self.entry(words[0]), _parts(words[1:])
        return await self._stored(await self._feed.reply(entry, text or words[1], tags=tags, media=media))

    async def _quote(self, words: list[str]) -> list[str]:
        entry, (text, tags, media) = await self.entry(words[0]), _parts(words[1:])
        return await self._stored(await self._feed.quote(entry, text or words[1], tags=tags, media=media))

    async def _repost(self, words: list[str]) -> list[str]:
        return await self._stored(await self._feed.repost(await self.entry(words[0])))

    async def _like(self, words: list[str]) -> list[str]:
        return await self._stored(await self._feed.like(await self.entry(words[0])))

    async def _unlike(self, words: list[str]) -> list[str]:
        return await self._stored(await self._feed.like(await self.entry(words[0]), undo=True))

    async def _edit(self, words: list[str]) -> list[str]:
        text = " ".join(words[1:]) or words[1]
        return await self._stored(await self._feed.edit(await self.entry(words[0]), text))

    async def _delete(self, words: list[str]) -> list[str]:
        await self._feed.stored(await self._feed.delete(await self.entry(words[0])))
        return ["taken back; the relay has erased it"]

    async def _context(self, words: list[str]) -> list[str]:
        entry = await self.entry(words[0])
        sources = [word for word in words[1:] if word.startswith(("https://", "http://"))]
        text = " ".join(word for word in words[1:] if word not in sources) or words[1]
        return await self._stored(await self._feed.note(entry, text, sources=sources))

    async def _rate(self, words: list[str]) -> list[str]:
        entry, name = await self.entry(words[0]), words[1].lstrip("#")
        found = [note for note in await self._feed.notes(entry) if note.id.hex().endswith(name)]
        if len(found) != 1 or words[2] not in HELPFUL:
            raise NotFound(f"{len(found)} notes on it end with {name!r}; say no, somewhat or yes")
        return await self._stored(await self._feed.rate(found[0], HELPFUL[words[2]]))

    # -- whom ----------------------------------------------------------------------------------------------------------
    async def _follow(self, words: list[str]) -> list[str]:
        await self._feed.follow(await self.account(words[0]))
        return [f"you follow {words[0]}"]

    async def _unfollow(self, words: list[str]) -> list[str]:
        await self._feed.unfollow(await self.account(words[0]))
        return [f"you do not follow {words[0]} any more"]

    async def _profile(self, words: list[str]) -> list[str]:
        if words[:1] == ["set"]:
            return await self._stored(await self._feed.set_profile(words[1], " ".join(words[2:])))
        account = await self.account(words[0]) if words else self._client.account
        profile = await self._feed.profile(account) or F.Profile()
        followers = await self._feed.followers(account)
        return [f"{clean(profile.name) or 'no name'}: {clean(profile.bio) or 'says nothing'} (followed {followers}×)"]

    async def _hush(self, words: list[str]) -> list[str]:
        await self._feed.mute(await self.account(words[0]), span_ms(words[1]) if len(words) > 1 else None)
        return [f"nothing of {words[0]} is shown"]

    async def _unhush(self, words: list[str]) -> list[str]:
        await self._feed.unmute(await self.account(words[0]))
        return [f"{words[0]} is shown again"]

    async def _hide(self, words: list[str]) -> list[str]:
        if words:
            await self._feed.hide_word(" ".join(words))
        return [f"hidden: {', '.join(map(clean, self._feed.hidden_words)) or 'nothing'}"]

    async def _unhide(self, words: list[str]) -> list[str]:
        await self._feed.hide_word(" ".join(words) or words[0], undo=True)
        return await self._hide([])


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _parts(words: list[str]) -> tuple[str, list[str], list[Path]]:
    """Text, tags (#word) and files (@path) of what somebody types."""
    tags = [word[1:] for word in words if word.startswith("#") and len(word) > 1]
    files = [_path(word[1:]) for word in words if word.startswith("@") and len(word) > 1]
    text = " ".join(word for word in words if len(word) < 2 or word[0] not in "#@")
    return text, tags, files

"""Verbs about lists of authors, for ``chappe chat`` and ``chappe feed``: a verb takes words and gives lines to show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from clients.cli.posting import Posting
from clients.cli.room import NotFound, Room, clean
from clients.feed import Gap, Item
from clients.feed.lists import Lists

HELP: Final = """\
[bold]/lists[/]  [bold]/lists[/] LIST [more]  [bold]/lists[/] LIST add|remove NAME…   whose posts you see under a name
[bold]/lists[/] LIST who|drop|publish|hide  [bold]/lists[/] of NAME  [bold]/lists[/] LIST take NAME   public ones"""
VERBS: Final = ("lists",)


class ListVerbs:
    """Verbs, by name."""

    def __init__(self, room: Room, posting: Posting) -> None:
        self._room = room
        self._client = room.client
        self._posting = posting
        self._page: tuple[str, list[Item | Gap]] = ("", [])  # what was shown last, and of which list
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {"lists": self._lists}
        self._acts: dict[str, Callable[[str, list[str]], Awaitable[list[str]]]] = {
            "more": self._more, "who": self._who, "add": self._add, "remove": self._remove, "drop": self._drop,
            "publish": self._publish, "hide": self._hide, "take": self._take,
        }  # fmt: skip

    @property
    def _book(self) -> Lists:
        return self._client.feed.lists

    async def _lists(self, words: list[str]) -> list[str]:
        if not words:
            found = [f"  {clean(name)}: {len(self._book.accounts(name))} people" for name in self._book.names]
            return found or ["no lists; /lists LIST add NAME begins one"]
        name, *rest = words
        if name == "of":
            return await self._of(rest[0])
        if not rest:
            return await self._show(name, more=False)
        act = self._acts.get(rest[0])
        if act is None:
            raise NotFound(f"{rest[0]!r} is none of {', '.join(self._acts)}")
        return await act(name, rest[1:])

    # -- reading -------------------------------------------------------------------------------------------------------
    async def _show(self, name: str, *, more: bool) -> list[str]:
        shown, page = self._page
        before = page[-1].cursor if more and shown == name and page else None
        for item in page:
            if before is not None and isinstance(item, Gap):
                await self._client.feed.fill(item)
        found = await self._book.timeline(name, before)
        self._page = (name, found)
        await self._client.feed.seen(found)
        nothing = "nothing more" if before is not None else "nobody on it has said anything yet"
        return [self._posting.line(item) for item in found] or [nothing]

    async def _more(self, name: str, words: list[str]) -> list[str]:
        return await self._show(name, more=True)

    async def _who(self, name: str, words: list[str]) -> list[str]:
        return [f"  {self._room.name_of(account)}" for account in self._book.accounts(name)]

    async def _of(self, name: str) -> list[str]:
        found = await self._book.of(await self._posting.account(name))
        shown = [f"  {clean(of)}: {', '.join(map(self._room.name_of, accounts))}" for of, accounts in found.items()]
        return shown or [f"{name} has made no list public"]

    # -- changing ------------------------------------------------------------------------------------------------------
    async def _accounts(self, names: list[str]) -> list[bytes]:
        return [await self._posting.account(name) for name in names or [names[0]]]

    async def _add(self, name: str, words: list[str]) -> list[str]:
        await self._book.add(name, *await self._accounts(words))
        return [f"{', '.join(words)} on {name}: {len(self._book.accounts(name))} people"]

    async def _remove(self, name: str, words: list[str]) -> list[str]:
        await self._book.remove(name, *await self._accounts(words))
        left = len(self._book.accounts(name)) if name in self._book.names else 0
        return [f"{', '.join(words)} off {name}: {left} people"]

    async def _drop(self, name: str, words: list[str]) -> list[str]:
        await self._book.drop(name)
        return [f"{name} is gone"]

    async def _publish(self, name: str, words: list[str]) -> list[str]:
        await self._client.feed.stored(await self._book.publish(name))
        return [f"everybody may read who is on {name} now; /lists {name} hide takes it back"]

    async def _hide(self, name: str, words: list[str]) -> list[str]:
        await self._client.feed.stored(await self._book.publish(name, undo=True))
        return [f"{name} is public no more; who has read it may have kept it"]

    async def _take(self, name: str, words: list[str]) -> list[str]:
        accounts = (await self._book.of(await self._posting.account(words[0]))).get(name, ())
        if not accounts:
            raise NotFound(f"{words[0]} has no public list {name!r}; /lists of {words[0]} shows which there are")
        await self._book.add(name, *accounts)
        return [f"{len(accounts)} people of {words[0]}'s list are on your list {name}"]

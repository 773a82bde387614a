"""Verbs about oneself: devices, requests, blocks, invitations, recovery. Both faces of ``chappe chat`` use them.

A verb takes words and gives lines to show; ``HELP`` says what they mean.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from clients.cli.circles import HELP as CIRCLES_HELP
from clients.cli.circles import CircleVerbs
from clients.cli.gaming import HELP as GAMES_HELP
from clients.cli.gaming import Gaming
from clients.cli.listing import HELP as LISTS_HELP
from clients.cli.listing import ListVerbs
from clients.cli.money import HELP as MONEY_HELP
from clients.cli.money import Money
from clients.cli.news import News
from clients.cli.posting import HELP as POSTING_HELP
from clients.cli.posting import Posting
from clients.cli.postnews import PostNews
from clients.cli.ranking import HELP as RANKING_HELP
from clients.cli.ranking import RankVerbs
from clients.cli.room import NotFound, Room, short
from clients.client import Client
from clients.devices.code import invite_text
from clients.devices.linking import approve
from clients.devices.recovery import make_code
from clients.devices.revoking import revoke
from clients.records import Status

HELP: Final = (
    """\
[bold]/link[/] CODE           make the device that shows this code one of yours (chappe chat --link shows one)
[bold]/devices[/]  [bold]/revoke[/] DEVICE   your devices; take one off
[bold]/recovery[/]            a new recovery code: write it down, it is shown once
[bold]/requests[/]  [bold]/accept[/] [NAME]  [bold]/block[/] NAME   what strangers began; let it in; hide somebody
[bold]/invite-link[/]         a link for somebody who is to reach you without being a stranger (they /add it)
[bold]/trust[/] NAME          go on with somebody whose keys have changed, without verifying
"""
    + MONEY_HELP
    + "\n"
    + POSTING_HELP
    + "\n"
    + LISTS_HELP
    + "\n"
    + GAMES_HELP
    + "\n"
    + RANKING_HELP
    + "\n"
    + CIRCLES_HELP
)


def _beginning_with(digits: str, keys: list[bytes]) -> list[bytes]:
    """The keys that somebody means by their first digits, of which there must be four."""
    return [key for key in keys if len(digits) >= 4 and key.hex().startswith(digits)]


class Personal:
    """Verbs, by name."""

    def __init__(self, room: Room, say: Callable[[str], None]) -> None:
        self._room = room
        self._client: Client = room.client
        self._say = say
        money, posting, gaming = Money(room), Posting(room), Gaming(room)
        ranking = RankVerbs(room, posting)
        circles = CircleVerbs(room, posting, ranking)
        self.news = News(room, money, gaming, circles)
        self.posts = PostNews(room, say)
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {
            "link": self._link, "devices": self._devices, "revoke": self._revoke, "requests": self._requests,
            "recovery": self._recovery,
            **money.verbs, **posting.verbs, **ListVerbs(room, posting).verbs, **ranking.verbs, **gaming.verbs,
            **circles.verbs,
            "accept": self._accept, "block": self._block, "invite-link": self._invite, "trust": self._trust,
        }  # fmt: skip

    # -- devices -------------------------------------------------------------------------------------------------------
    async def _link(self, words: list[str]) -> list[str]:
        device = await approve(self._client, "".join(words) or words[0], self._say)
        return [f"device {short(device)} is one of yours now"]

    async def _devices(self, words: list[str]) -> list[str]:
        listed = self._client.own_devices
        mine = self._client.engine.shelf.device.public
        lines = [f"your device list is at version {listed.version}"]
        for device in listed.devices:
            marks = ["this one"] * (device.key == mine) + ["holds the root key"] * device.primary
            lines.append(f"  {short(device.key)}  {', '.join(marks)}".rstrip())
        return lines

    async def _revoke(self, words: list[str]) -> list[str]:
        found = _beginning_with(words[0], [device.key for device in self._client.own_devices.devices])
        if len(found) != 1:
            raise NotFound(f"{len(found)} of your devices begin with {words[0]!r}; /devices shows them")
        version = await revoke(self._client, found[0])
        return [f"device {short(found[0])} is off your list (version {version}) and is put out of every conversation"]

    async def _recovery(self, words: list[str]) -> list[str]:
        code = await make_code(self._client)
        return ["write this down; it is not kept anywhere, and older codes have stopped working:", code]

    # -- strangers -----------------------------------------------------------------------------------------------------
    async def _requests(self, words: list[str]) -> list[str]:
        found = [talk for talk in self._client.conversations.values() if talk.status == Status.REQUEST]
        return [f"  {self._room.title_of(talk)}  {talk.topic.hex()[:8]}" for talk in found] or ["no requests"]

    async def _accept(self, words: list[str]) -> list[str]:
        found = [
            talk
            for talk in self._client.conversations.values()
            if talk.status == Status.REQUEST
            and (not words or self._room.title_of(talk) == words[0] or talk.topic.hex().startswith(words[0]))
        ]
        if len(found) != 1:
            raise NotFound(f"{len(found)} requests fit; /requests shows them")
        title = self._room.title_of(found[0])
        await self._client.accept(found[0].topic)
        return [f"{title} is let in"]

    async def _block(self, words: list[str]) -> list[str]:
        try:
            account = self._room.account_of(words[0])
        except NotFound:
            peers = {talk.peer for talk in self._client.conversations.values()}
            found = _beginning_with(words[0], [peer for peer in peers if peer is not None])
            if len(found) != 1:
                raise
            account = found[0]
        await self._client.block(account)
        return [f"{words[0]} is blocked and is not told; your open invitations have ended"]

    async def _invite(self, words: list[str]) -> list[str]:
        return [invite_text(self._client.account, await self._client.invite())]

    async def _trust(self, words: list[str]) -> list[str]:
        await self._client.accept_keys(self._room.account_of(words[0]))
        return [f"you go on with {words[0]}, not verified"]

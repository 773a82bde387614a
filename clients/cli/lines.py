"""``chappe chat`` for people: one line in, one line out. What a line means stands in ``HELP``."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio
from rich.console import Console

from clients.cli.help import HELP
from clients.cli.personal import HELP as PERSONAL_HELP
from clients.cli.personal import Personal
from clients.cli.qr import for_terminal
from clients.cli.reporting import report_typed
from clients.cli.room import Follower, NotFound, Room, describe, escape
from clients.cli.spans import span_ms
from clients.client import Client
from clients.connection import LinkDown, Refusal
from clients.conversations import Conversation
from clients.devices.code import is_invite
from clients.events import (
    Alarm,
    AnyEvent,
    Changed,
    Connected,
    Delivered,
    Disconnected,
    Ephemeral,
    Failed,
    Forked,
    Joined,
    KeyChanged,
    Locked,
    Missing,
    Received,
    Removed,
    Restarted,
    Stored,
    Unreadable,
    Voided,
)
from clients.files import OnProgress, Progress
from clients.presence import State
from protocol.errors import ChappeError
from protocol.frames import GapReason
from protocol.limits import ID_BYTES
from protocol.messages.chat import Media

MARKS = {"sending": "…", "stored": "✓", "delivered": "✓✓"}


def _path(words: list[str]) -> Path:
    """A path as somebody types it. Raises ``IndexError`` if nothing was typed."""
    return Path(" ".join(words) or words[0]).expanduser()


class Lines:
    """The face for people."""

    def __init__(self, client: Client, nursery: trio.Nursery) -> None:
        self._client = client
        self._nursery = nursery
        self._room = Room(client)
        self._follower = Follower()
        self._is_offline = False
        self._console = Console(highlight=False, soft_wrap=True)
        self._here: Conversation | None = None
        self._files: list[tuple[bytes, bytes]] = []  # (topic, message id) of files that were shown, for /save N
        self._mine: dict[bytes, tuple[bytes, int | None, str]] = {}  # id -> (topic, offset, text) of unfinished ones
        self._personal = Personal(self._room, lambda text: self._say(escape(text), "dim"))
        self._verbs: dict[str, Callable[[list[str]], Awaitable[None]]] = {
            "add": self._add, "verify": self._verify, "verified": self._verified, "to": self._to,
            "group": self._group, "invite": self._invite, "remove": self._remove, "leave": self._leave,
            "rotate": self._rotate, "list": self._list, "contacts": self._contacts, "history": self._history,
            "handle": self._handle, "help": self._help, "send": self._send_file, "save": self._save, "who": self._who,
            "report": self._report, "mute": self._mute, "unmute": self._unmute, "presence": self._presence,
        }  # fmt: skip

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style)

    async def take_handle(self, handle: str) -> None:
        """Take a handle as soon as there is a connection."""
        try:
            await self._client.claim_handle(handle)
            self._say(f"others find you as [bold]{escape(handle)}[/]", "green")
        except (Refusal, LinkDown) as error:
            self._say(f"the handle {escape(handle)} cannot be taken: {escape(str(error))}", "red")

    async def run(self) -> None:
        """Until /quit or the end of the input."""
        self._say(f"your account is [bold]{self._client.account.hex()}[/]  ·  /help shows what you can do")
        seq = self._client.engine.shelf.vault.last_seq()
        self._client.presence.say(State.ONLINE)
        self._client.presence.follow()
        self._nursery.start_soon(self._notices)
        self._nursery.start_soon(self._events, seq)
        self._nursery.start_soon(self._personal.posts.run)
        self._nursery.start_soon(self._guarded, self._client.files.resume)
        while True:
            line = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
            if not line or line.strip() in ("/quit", "/q"):
                return
            if line.strip():
                await self._line(line.rstrip("\n"))

    async def _line(self, line: str) -> None:
        await self._guarded(partial(self._act, line))

    async def _guarded(self, action: Callable[[], Awaitable[object]]) -> None:
        """Do something for a person; what goes wrong is said in a sentence."""
        try:
            await action()
        except (ChappeError, ValueError) as error:
            self._say(escape(str(error)), "red")
        except IndexError:
            self._say("a name is missing; /help shows how", "red")

    async def _act(self, line: str) -> None:
        if line.startswith("/"):
            verb, *words = line[1:].split()
            action = self._verbs.get(verb)
            if verb in self._personal.verbs:
                for text in await self._personal.verbs[verb](words):
                    self._say(escape(text))
                    if is_invite(text):
                        self._qr(text)
            elif action is None:
                self._say(f"there is no /{escape(verb)}; /help shows what you can do", "red")
            else:
                await action(words)
        else:
            await self._send(line)

    # -- verbs ---------------------------------------------------------------------------------------------------------
    def _talk(self) -> Conversation:
        if self._here is None:
            raise NotFound("you are in no conversation; /to NAME enters one")
        return self._here

    async def _send(self, text: str) -> None:
        talk = self._talk()
        message_id = await talk.send(text)
        self._mine[message_id] = (talk.topic, None, text)
        self._say(f"[dim]{MARKS['sending']} sending[/]")

    # -- files ---------------------------------------------------------------------------------------------------------
    async def _send_file(self, words: list[str]) -> None:
        """In a task of its own: who sends a film goes on talking."""
        talk, path = self._talk(), _path(words)
        self._nursery.start_soon(self._guarded, partial(self._sending, talk, path))

    async def _sending(self, talk: Conversation, path: Path) -> None:
        message_id = await talk.send_file(path, progress=self._progress("sending"))
        self._mine[message_id] = (talk.topic, None, path.name)

    async def _save(self, words: list[str]) -> None:
        topic, message_id = self._file(words[0])
        target = _path(words[1:] or ["."])
        media = await self._client.conversation(topic).find_file(message_id)
        self._nursery.start_soon(self._guarded, partial(self._saving, media, target))

    async def _saving(self, media: Media, target: Path) -> None:
        path = await self._client.download(media, target, progress=self._progress("fetching"))
        self._say(f"saved: [bold]{escape(str(path))}[/]", "green")

    def _file(self, word: str) -> tuple[bytes, bytes]:
        """(topic, message id) of a file by its number on screen, or by the id of its message."""
        if word.isdecimal() and len(word) < 2 * ID_BYTES:
            number = int(word)
            if not 1 <= number <= len(self._files):
                raise NotFound(f"there is no file {number} on screen; /history shows earlier ones")
            return self._files[number - 1]
        return self._talk().topic, bytes.fromhex(word)

    def _progress(self, doing: str) -> OnProgress:
        """Say how far a file has come, a quarter at a time."""
        told = 0

        def tell(now: Progress) -> None:
            nonlocal told
            quarter = 4 * now.done_bytes // now.total_bytes
            if quarter > told:
                told = quarter
                self._say(f"[dim]{doing} {escape(now.name)}: {25 * quarter} %[/]")

        return tell

    async def _add(self, words: list[str]) -> None:
        _, number = await self._room.add(words[0])
        self._say(f"[bold]{escape(words[0])}[/] is a contact now. Compare this number with them before you trust it:")
        self._say(number, "cyan")
        self._say(f"then: /verified {escape(words[0])}", "dim")

    async def _verify(self, words: list[str]) -> None:
        number = self._client.safety_number(self._room.account_of(words[0]))
        self._say(number, "cyan")
        self._qr(f"chappe-safety:{number}")

    def _qr(self, code: str) -> None:
        for line in for_terminal(code, sys.stdout):
            self._say(line)

    async def _verified(self, words: list[str]) -> None:
        await self._room.verify(words[0])
        self._say(f"{escape(words[0])} is verified", "green")

    async def _to(self, words: list[str]) -> None:
        name = " ".join(words) if words else words[0]
        try:
            self._here = self._room.conversation_of(name)
        except NotFound:
            self._here = await self._client.pair(self._room.account_of(name))
        unread = await self._here.unread()
        news = f", {unread} unread: /history {unread} shows them" if unread else ""
        self._say(f"you are talking to [bold]{escape(self._room.title_of(self._here))}[/]{news}")
        await self._here.mark_read()

    async def _mute(self, words: list[str]) -> None:
        talk = self._talk()
        await talk.mute(span_ms(words[0]) if words else None)
        self._say(f"{escape(self._room.title_of(talk))} is muted {escape(words[0]) if words else 'until /unmute'}")

    async def _unmute(self, words: list[str]) -> None:
        await self._talk().unmute()
        self._say(f"{escape(self._room.title_of(self._talk()))} is not muted any more")

    async def _group(self, words: list[str]) -> None:
        self._here = await self._room.group(words[0], words[1:])
        self._say(f"group [bold]{escape(words[0])}[/] with {escape(', '.join(words[1:]))}")

    async def _invite(self, words: list[str]) -> None:
        await self._talk().add([self._room.account_of(word) for word in words or [words[0]]])

    async def _remove(self, words: list[str]) -> None:
        await self._talk().remove([self._room.account_of(word) for word in words or [words[0]]])

    async def _leave(self, words: list[str]) -> None:
        await self._talk().leave()

    async def _rotate(self, words: list[str]) -> None:
        await self._talk().rotate()

    async def _report(self, words: list[str]) -> None:
        self._say(escape(await report_typed(self._client, self._talk().topic, words)), "green")

    async def _list(self, words: list[str]) -> None:
        for talk in self._client.conversations.values():
            here = "→" if self._here is not None and self._here.topic == talk.topic else " "
            self._say(
                f"{here} [bold]{escape(self._room.title_of(talk))}[/]  {talk.status.name.lower()}, "
                f"{len(talk.members)} people, {await talk.unread()} unread{', muted' * bool(talk.muted_until_ms)}  "
                f"[dim]{talk.topic.hex()[:8]}[/]"
            )

    async def _who(self, words: list[str]) -> None:
        for line in self._room.who(self._talk()):
            self._say(escape(line))

    async def _presence(self, words: list[str]) -> None:
        state = State.__members__.get(words[0].upper())
        if state is None:
            raise ValueError("/presence online, away or hidden")
        self._client.presence.say(state)

    async def _contacts(self, words: list[str]) -> None:
        for contact in self._client.engine.shelf.contacts.values():
            mark = "verified" if contact.verified else "not verified"
            self._say(f"  {escape(contact.name)}  [dim]{contact.account.hex()[:16]}… {mark}[/]")

    async def _history(self, words: list[str]) -> None:
        for event in await self._talk().history(int(words[0]) if words else 30):
            self._show(event, live=False)

    async def _handle(self, words: list[str]) -> None:
        await self.take_handle(words[0])

    async def _help(self, words: list[str]) -> None:
        self._say(HELP + "\n" + PERSONAL_HELP)

    # -- what comes ----------------------------------------------------------------------------------------------------
    async def _events(self, after: int) -> None:
        self._follower.passed(after)
        async for event in self._client.events(after):
            self._show(event, live=True)
            self._follower.passed(event.seq)
            if self._here is not None and isinstance(event, Received) and event.topic == self._here.topic:
                await self._here.mark_read(event.offset)

    async def _notices(self) -> None:
        async with self._client.notices() as notices:
            if self._client.connected:
                self._say("connected", "dim green")
            async for notice in notices:
                if isinstance(notice, Connected):
                    self._is_offline = False
                    self._say("connected", "dim green")
                elif isinstance(notice, Disconnected):
                    self._disconnected(notice)
                elif isinstance(notice, Ephemeral):
                    self._say(f"{escape(self._room.name_of(notice.account))} is typing …", "dim")
                elif self._here is not None and notice.topic == self._here.topic:
                    await self._follower.reached(notice.seq)
                    self._say("— caught up —", "dim")

    def _disconnected(self, notice: Disconnected) -> None:
        """Say it once; further attempts are made in silence."""
        if not self._is_offline or notice.retry_ms is None:
            again = "" if notice.retry_ms is None else "; trying again, what you say meanwhile is kept"
            self._say(f"not connected: {escape(notice.reason)}{again}", "yellow")
        self._is_offline = True

    def _where(self, topic: bytes) -> str:
        """The conversation's name, unless it is the one on screen."""
        if self._here is not None and topic == self._here.topic:
            return ""
        talk = self._client.conversations.get(topic)
        return "" if talk is None else f"\\[{escape(self._room.title_of(talk))}] "

    def _show(self, event: AnyEvent, *, live: bool) -> None:
        if isinstance(event, Received):
            self._message(event, live=live)
        elif isinstance(event, Stored):
            self._mark(event.id, event.offset)
        elif isinstance(event, Delivered):
            self._delivered(event)
        else:
            text = self._sentence(event)
            if text:
                self._say(self._where(event.topic) + text, "yellow")

    def _message(self, event: Received, *, live: bool) -> None:
        here = self._here is not None and self._here.topic == event.topic
        if live and (event.mine or (event.muted and not here)):
            return
        content = describe(event.content)
        if content["text"] is None:
            if said := self._personal.news.sentence(event):
                self._say(self._where(event.topic) + escape(said), "yellow")
            return
        when = datetime.fromtimestamp(event.ts / 1000, UTC).astimezone().strftime("%H:%M")
        doubt = f"  [red]({escape(event.doubt)})[/]" if event.doubt else ""
        name = escape(self._room.name_of(event.account))
        hint = self._hint(event) if "media" in content else ""
        number = "" if event.mine else f" #{event.offset}"
        head = f"{self._where(event.topic)}[dim]{when}{number}[/] [bold]{name}[/]"
        self._say(f"{head}: {escape(content['text'])}{hint}{doubt}")

    def _hint(self, event: Received) -> str:
        place = (event.topic, event.id)
        if place not in self._files:
            self._files.append(place)
        return f"  [dim]/save {self._files.index(place) + 1}[/]"

    def _mark(self, message_id: bytes, offset: int) -> None:
        if message_id in self._mine:
            topic, _, text = self._mine[message_id]
            self._mine[message_id] = (topic, offset, text)
            self._say(f"[dim]{MARKS['stored']} stored: {escape(text[:40])}[/]")

    def _delivered(self, event: Delivered) -> None:
        for message_id, (topic, offset, text) in list(self._mine.items()):
            if topic == event.topic and offset is not None and offset <= event.offset:
                del self._mine[message_id]
                name = escape(self._room.name_of(event.account))
                self._say(f"[dim]{MARKS['delivered']} delivered to {name}: {escape(text[:40])}[/]")

    def _sentence(self, event: AnyEvent) -> str:
        name = self._room.name_of
        if isinstance(event, Joined):
            return f"you are in a conversation with {escape(', '.join(sorted(name(a) for a in event.members)))}"
        if isinstance(event, Changed):
            added = "".join(f" +{name(account)}" for account in event.added)
            removed = "".join(f" −{name(account)}" for account in event.removed)
            return escape(f"{name(event.by)} changed who is here:{added}{removed}")
        if isinstance(event, Removed):
            return "you are not in this conversation any more"
        if isinstance(event, Failed):
            return f"not sent: {escape(event.text)}"
        if isinstance(event, Missing) and event.reason == GapReason.RESET:
            return f"the relay was restored from a backup, and has lost {event.count} messages that you have"
        if isinstance(event, Restarted):
            return f"{escape(name(event.by))} started encryption anew, since the relay was restored from a backup"
        if isinstance(event, Missing):
            return f"{event.count} earlier messages are not kept any more"
        if isinstance(event, Unreadable):
            return f"a message of {escape(name(event.account))} could not be read: {escape(event.reason)}"
        if isinstance(event, Forked):
            return f"WARNING: {escape(name(event.account))} has seen another history; do not trust this relay"
        if isinstance(event, Voided):
            return f"{escape(name(event.by))} tried an invalid change; nothing happened ({escape(event.reason)})"
        if isinstance(event, Locked):
            return "you were locked out by a change that only you could not open; asking to be let in again"
        if isinstance(event, KeyChanged | Alarm):
            return f"{escape(name(event.topic))}: {escape(event.text)}"
        return ""

"""The chat for people: what a line does, and what is shown."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from rich.console import Console

from clients.cli.lines import Lines
from clients.cli.room import escape
from clients.conversations import Conversation
from clients.events import (
    AnyEvent,
    Changed,
    Failed,
    Forked,
    Joined,
    KeyChanged,
    Locked,
    Missing,
    Received,
    Removed,
    Restarted,
    Unreadable,
    Voided,
)
from clients.files import OnProgress, Progress
from protocol.messages import compose
from protocol.messages.chat import Media, Text
from protocol.messages.rcpt import Delivered as DeliveredBody
from protocol.requests import PresenceChanged, PresenceOf
from tests.support.clients import World, events_of, group_of, open_world
from tests.support.reporting import scene, take_reports

TOPIC = b"t" * 32


class Screen:
    """A person's terminal: types lines, and reads what was shown."""

    def __init__(self, face: Lines) -> None:
        self.face = face
        self._file = io.StringIO()
        face._console = Console(file=self._file, highlight=False, soft_wrap=True, width=200)

    @property
    def shown(self) -> str:
        """Everything so far."""
        return self._file.getvalue()

    async def type(self, *lines: str) -> None:
        """Type lines, with a moment after each."""
        for line in lines:
            await self.face._line(line)
            await trio.sleep(1)


@asynccontextmanager
async def open_screen(world: World, name: str) -> AsyncIterator[Screen]:
    """A terminal at somebody's client, following events and notices."""
    async with trio.open_nursery() as nursery:
        screen = Screen(Lines(world.clients[name], nursery))
        nursery.start_soon(screen.face._notices)
        nursery.start_soon(screen.face._events, world.clients[name].engine.shelf.vault.last_seq())
        await trio.testing.wait_all_tasks_blocked()
        yield screen
        nursery.cancel_scope.cancel()


async def test_two_people_talk(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice", "bob")
        async with open_screen(world, "alice") as alice, open_screen(world, "bob") as bob:
            await bob.type("/handle bob")
            assert "others find you as bob" in bob.shown
            await alice.type("/add bob", "/verify bob", "/verified bob", "/contacts", "/to bob", "hello [b]bob[/b]")
            for part in ("Compare this number", "bob is verified", "verified", "you are talking to bob"):
                assert part in alice.shown
            assert alice.shown.count("… sending") == 1
            assert "✓ stored: hello [b]bob[/b]" in alice.shown
            assert "✓✓ delivered to bob" in alice.shown
            assert "hello [b]bob[/b]" in bob.shown
            await bob.type("/list", "/help")
            assert "active, 2 people" in bob.shown
            assert "/invite" in bob.shown


async def test_who_is_here(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice", "bob")
        await world.clients["bob"].claim_handle("bob")
        async with open_screen(world, "alice") as alice:
            await alice.type("/who", "/add bob", "/to bob", "hello")
            assert "/to NAME enters one" in alice.shown
            await alice.type("/presence asleep", "/presence away")
            assert "/presence online, away or hidden" in alice.shown
            here, bob = world.clients["alice"].presence, world.clients["bob"].account
            for seen, said in ((1, 0), "bob: online"), ((0, 0), "bob: not here"), ((0, 3_600_000), "bob: last here"):
                here.heard(PresenceChanged((PresenceOf(bob, *seen),)))
                await alice.type("/who")
                assert said in alice.shown


async def test_a_group_from_beginning_to_end(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice", "bob", "carol")
        for name in ("bob", "carol"):
            await world.clients[name].claim_handle(name)
        async with open_screen(world, "alice") as alice:
            await alice.type("/add bob", "/add carol", "/group tea bob", "hello all", "/invite carol", "/history")
            assert "group tea with bob" in alice.shown
            assert "changed who is here: +carol" in alice.shown
            assert "hello all" in alice.shown
            await alice.type("/rotate", "/remove carol", "/leave")
            assert "−carol" in alice.shown
            assert "you are not in this conversation any more" in alice.shown


async def test_what_goes_wrong_is_said(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice", "bob")
        await world.clients["bob"].claim_handle("taken")
        async with open_screen(world, "alice") as alice:
            await alice.type("/dance", "hello", "/to", "/to nobody", "/add nobody", "/handle taken", "/remove x", "/")
            for part in (
                "there is no /dance", "you are in no conversation", "a name is missing", "no contact is called",
                "cannot be taken",
            ):  # fmt: skip
                assert part in alice.shown


async def test_notices(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice", "bob")
        await world.clients["bob"].claim_handle("bob")
        async with open_screen(world, "alice") as alice:
            await alice.type("/add bob", "/to bob", "hello")
            talk = alice.face._here
            assert isinstance(talk, Conversation)
            world.clients["bob"].conversation(talk.topic).typing()
            await world.settle()
            assert "bob is typing" in alice.shown
            world.cut("alice")
            await world.settle(5)
            assert "not connected" in alice.shown
            assert "caught up" in alice.shown


def received(text: str, *, mine: bool = False, doubt: str = "") -> Received:
    """A message of a conversation."""
    return Received(
        topic=TOPIC, offset=1, id=b"i" * 16, account=b"a" * 32, device=b"d" * 32, ts=0,
        content=compose(Text(text=text)), mine=mine, doubt=doubt,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "part"),
    [
        (Joined(topic=TOPIC, by=b"a" * 32, members=(b"a" * 32,)), "in a conversation with 61616161"),
        (Changed(topic=TOPIC, by=b"a" * 32, added=(b"b" * 32,)), "+62626262"),
        (Removed(topic=TOPIC, by=b""), "not in this conversation any more"),
        (Failed(topic=TOPIC, id=b"i", code=403, text="you may [red]not[/]"), "not sent: you may [red]not[/]"),
        (Missing(topic=TOPIC, count=12, reason=1), "12 earlier messages"),
        (Unreadable(topic=TOPIC, offset=3, account=b"a" * 32, reason="damaged"), "could not be read: damaged"),
        (Forked(topic=TOPIC, account=b"a" * 32, offset=3), "WARNING"),
        (Voided(topic=TOPIC, by=b"a" * 32, reason="forged"), "invalid change"),
        (Locked(topic=TOPIC, fence=3), "asking to be let in again"),
        (Missing(topic=TOPIC, count=3, reason=2), "restored from a backup"),
        (Restarted(topic=TOPIC, by=b"b" * 32), "started encryption anew"),
        (KeyChanged(topic=b"a" * 32, text="devices changed"), "devices changed"),
        (received("from a stranger", doubt="not on its list"), "(not on its list)"),
        (received("what I said", mine=True), ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AnyEvent) else "",
)
async def test_every_event_has_its_sentence(event: AnyEvent, part: str, autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice")
        async with open_screen(world, "alice") as alice:
            alice.face._show(event, live=True)
            assert part in alice.shown
            if isinstance(event, Received) and event.mine:
                assert "what I said" not in alice.shown


async def test_what_is_no_chat_is_not_shown(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice")
        async with open_screen(world, "alice") as alice:
            quiet = Received(
                topic=TOPIC, offset=1, id=b"i" * 16, account=b"a" * 32, device=b"d" * 32, ts=0,
                content=compose(DeliveredBody(generation=1, offset=1)),
            )  # fmt: skip
            before = alice.shown
            alice.face._show(quiet, live=True)
            assert alice.shown == before


def test_others_can_neither_mark_up_nor_drive_the_terminal() -> None:
    assert escape("[red]x\x1b[2J") == "\\[red]x\ufffd[2J"


async def test_until_quit_or_the_end_of_the_input(
    autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for lines in ("\n/list\n/quit\n/dance\n", "/list\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        async with open_world() as world:
            (client,) = await world.people("alice")
            async with trio.open_nursery() as nursery:
                screen = Screen(Lines(client, nursery))
                await screen.face.run()
                nursery.cancel_scope.cancel()
            assert "your account is" in screen.shown
            assert "dance" not in screen.shown


async def test_a_message_is_reported_by_its_number(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        posted = take_reports(world)
        (anna, *_), talk, _ = await scene(world, "before")
        async with open_screen(world, "ben") as screen:
            await screen.type("/report 1 spam", "/to friends")
            assert "you are in no conversation" in screen.shown
            await talk.send("buy this")
            await trio.sleep(1)
            number = screen.shown.partition("#")[2].split()[0]
            await screen.type("/report", f"/report {number} boring", f"/report {number} spam what a nuisance", "/help")
            for part in ("a name is missing", "'boring' is no reason", "reported to the operator", "[+K] REASON"):
                assert part in screen.shown
        assert [(report.text, len(report.items)) for report in posted] == [("what a nuisance", 1)]
        assert posted[0].items[0].account == anna.account
        assert b"buy this" in posted[0].items[0].content


async def test_muting_and_counting_what_is_unread(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice", "bob", "carol")
        async with open_screen(world, "alice") as alice, open_screen(world, "bob") as bob:
            await bob.type("/handle bob")
            await alice.type("/handle alice", "/add bob", "/to bob", "hello", "more")
            await bob.type("/add alice", "/list")
            assert "2 unread" in bob.shown
            await bob.type("/to alice")
            assert "2 unread: /history 2 shows them" in bob.shown
            await alice.type("while you look")
            assert "alice: while you look" in bob.shown
            await bob.type("/list", "/mute 8h", "/mute", "/mute soon")
            for part in ("0 unread", "alice is muted 8h", "alice is muted until /unmute", "no span of time"):
                assert part in bob.shown
            bob.face._here = None
            await alice.type("you do not see this")
            await bob.type("/list")
            assert "you do not see this" not in bob.shown
            assert "1 unread, muted" in bob.shown
            await bob.type("/to alice", "/unmute")
            await alice.type("but this")
            assert "alice is not muted any more" in bob.shown
            assert "but this" in bob.shown


async def test_files_on_screen(
    autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    media = Media(
        id=b"f" * 16, name="tea.jpg", mime="image/jpeg", size=5, hash=b"h" * 32, key=b"k" * 32, chunk=65_536,
        chunks=(b"c" * 32,),
    )  # fmt: skip
    half = Progress("tea.jpg", 500, 1000, 2, 1, 0, 0)

    async def fetched(media: Media, to: Path, *, progress: OnProgress) -> Path:
        await trio.lowlevel.checkpoint()
        progress(half)
        progress(half)
        return to

    async def sent(topic: bytes, path: Path, *, progress: OnProgress, **options: object) -> bytes:
        progress(half)
        return await world.clients["alice"].conversation(topic).send(media)

    async with open_world() as world:
        (alice, _), talk = await group_of(world, "alice", "bob", title="tea")
        monkeypatch.setattr(world.clients["bob"], "download", fetched)
        monkeypatch.setattr(alice.files, "send", sent)
        async with open_screen(world, "alice") as screen, open_screen(world, "bob") as bob:
            await bob.type("/to tea")
            await screen.type("/to tea", "/send tea.jpg", "/send")
            assert screen.shown.count("sending tea.jpg: 50 %") == 1
            assert "a name is missing" in screen.shown
            assert "/save 1" in bob.shown
            message_id = events_of(alice, Received, talk.topic)[-1].id
            await bob.type(f"/save 1 {tmp_path}/one", f"/save {message_id.hex()} {tmp_path}/two", "/save 2", "/history")
            for part in ("fetching tea.jpg: 50 %", f"saved: {tmp_path}/one", f"saved: {tmp_path}/two", "no file 2"):
                assert part in bob.shown
            assert "/save 2" not in bob.shown


async def test_codes_in_a_terminal(autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.cli.lines.for_terminal", lambda code, stream: [f"QR of {code[:14]}"])
    async with open_world() as world:
        await world.people("alice", "bob")
        async with open_screen(world, "alice") as alice, open_screen(world, "bob") as bob:
            await bob.type("/handle bob")
            await alice.type("/add bob", "/verify bob", "/invite-link", "/devices")
            assert "QR of chappe-safety:" in alice.shown
            assert "QR of chappe-invite:" in alice.shown
            assert alice.shown.count("QR of") == 2

"""A conversation as an application holds it: say something, change who is in, read what was said."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import trio

from clients import records as R
from clients.commits import accounts_of
from clients.directory import CannotAdd
from clients.engine import Engine
from clients.events import AnyEvent, Received, decode_event
from clients.files import FileError, Files, OnProgress, ignore
from clients.records import Status
from clients.sealing import seal_ephemeral
from protocol import limits as L
from protocol.content import Reference
from protocol.errors import ChappeError
from protocol.frames import Flag, Pub, Role
from protocol.ids import TopicKind
from protocol.messages import Body, compose, parse
from protocol.messages.chat import Media, Text
from protocol.messages.eph import Typing

FIND_EVENTS = 256  # events read at once in search of a message
UNREAD_MAX = 1000  # events looked at to count what is unread


class NotActive(ChappeError):
    """The conversation cannot be used for this now; the text says why."""


class KeysChanged(NotActive):
    """Somebody who was verified has other keys now; nothing is sent until a person has looked at it."""


class Owner(Protocol):
    """What a conversation needs of its client."""

    engine: Engine
    files: Files

    @property
    def account(self) -> bytes: ...

    async def claim(self, accounts_: list[bytes]) -> tuple[R.Addition, ...]: ...

    async def room_to_send(self) -> None: ...


class Conversation:
    """A handle on one conversation. Cheap; make as many as you like."""

    def __init__(self, client: Owner, topic: bytes) -> None:
        self._client = client
        self.topic = topic

    @property
    def record(self) -> R.Conversation:
        """What the client knows of it. Do not change it."""
        return self._client.engine.shelf.conversations[self.topic]

    @property
    def title(self) -> str:
        """The name that its admins gave it; empty for a pair."""
        return self.record.title

    @property
    def status(self) -> Status:
        """Where it stands for this device."""
        return Status.REQUEST if self.record.request and self.record.status == Status.ACTIVE else self._status

    @property
    def _status(self) -> Status:
        return Status(self.record.status)

    @property
    def members(self) -> dict[bytes, int]:
        """Accounts and their roles."""
        return dict(self.record.roster)

    @property
    def peer(self) -> bytes | None:
        """The other account of a pair."""
        return self._client.engine.shelf.peer_of(self.record)

    @property
    def epoch_authenticator(self) -> bytes | None:
        """Equal for all members who agree on everything that happened to the group; None while not in it."""
        group = self._client.engine.shelf.groups.get(self.topic)
        return None if group is None else group.epoch_authenticator

    # -- saying --------------------------------------------------------------------------------------------------------
    async def send(
        self, body: Body | str, *, re: Reference | None = None, rp: bytes | None = None, ttl_ms: int = 0
    ) -> bytes:  # fmt: skip
        """Say something; returns its message id once it is safe in the vault, on its way to the relay.

        Events tell what becomes of it: ``Stored``, then ``Received`` (mine), ``Delivered``; or ``Failed``. Raises
        ``NotActive`` if we are not in the conversation, ``ValueError`` if the content is too large.
        """
        await self._client.room_to_send()
        engine, record = self._client.engine, self.record
        if record.status in (Status.REMOVED, Status.LEFT):
            raise NotActive("you are not in this conversation any more")
        self.check_keys()
        engine.contacts.accept(self.topic)
        content = compose(Text(text=body) if isinstance(body, str) else body, re=re, rp=rp, seen=engine.seen(record))
        message_id = engine.say(record, content, ttl=ttl_ms)
        await engine.shelf.journal.flushed()
        return message_id

    def check_keys(self) -> None:
        """Whether something may be said here: raises ``KeysChanged``, and ``NotActive`` for a blocked peer."""
        shelf = self._client.engine.shelf
        for account in self.record.roster:
            contact = shelf.contacts.get(account)
            if contact is not None and contact.changed:
                raise KeysChanged(
                    f"the keys of {contact.name}, whom you had verified, have changed; compare safety numbers and say "
                    "that you have verified them again, or accept the new keys without"
                )
            if account in shelf.blocked and self.record.kind == TopicKind.PAIR:
                raise NotActive("you have blocked this account; add it as a contact to unblock it")

    async def send_file(
        self, path: Path, *, name: str = "", mime: str = "", caption: str = "", thumbnail: bytes = b"",
        blurhash: str = "", progress: OnProgress = ignore,
    ) -> bytes:  # fmt: skip
        """Send a file; its message id once every chunk is at the relay and the message is on its way.

        It goes on where an upload of the same file broke off. Raises ``NotActive``, and what ``Files.send`` raises.
        """
        if self.record.status in (Status.REMOVED, Status.LEFT):
            raise NotActive("you are not in this conversation any more")
        self.check_keys()
        self._client.engine.contacts.accept(self.topic)
        return await self._client.files.send(
            self.topic, path, name=name, mime=mime, caption=caption, thumbnail=thumbnail, blurhash=blurhash,
            progress=progress,
        )  # fmt: skip

    def typing(self, *, on: bool = True) -> None:
        """Tell the others that somebody types here. Lost if nobody listens; never disturbs a message."""
        self.whisper(Typing(on=on))

    def whisper(self, body: Body) -> None:
        """Send a passing notice: sealed outside the ratchet, never stored.

        Does nothing while not connected, or while so much else waits that it would come late.
        """
        engine, record = self._client.engine, self.record
        group, link = engine.shelf.groups.get(self.topic), engine.link
        if group is None or link is None or link.crowded or record.status != Status.ACTIVE:
            return
        if engine.shelf.is_silent(record):
            return
        message_id, flags = engine.shelf.new_id(), int(Flag.EPHEMERAL | Flag.NO_ECHO)
        sealed = seal_ephemeral(
            group, compose(body), topic=self.topic, message_id=message_id, flags=flags, header=b"",
            fence=record.fence, entropy=engine.shelf.entropy,
        )  # fmt: skip
        link.submit(Pub(0, self.topic, message_id, None, flags, (record.group, record.fence), body=sealed))

    # -- changing ------------------------------------------------------------------------------------------------------
    async def add(self, accounts: list[bytes], *, role: int = Role.MEMBER) -> bytes:
        """Add accounts with all their devices; the id of the commit.

        Raises ``CannotAdd`` (also if all of them are here already), ``NotActive``.
        """
        self._need_active()
        new = [account for account in accounts if account not in self.record.roster]
        if self.record.kind != TopicKind.GROUP:
            raise NotActive("a conversation of two stays one of two; start a group instead")
        if not new:
            raise CannotAdd("everybody you named is in the conversation already")
        additions = await self._client.claim(new)
        return await self._plan(R.Plan(add=additions, roles=tuple((account, role) for account in new)))

    async def remove(self, accounts: list[bytes]) -> bytes:
        """Put accounts out; the id of the commit."""
        self._need_active()
        return await self._plan(R.Plan(remove=tuple(accounts)))

    async def rotate(self) -> bytes:
        """Fresh keys for this device: whoever stole the old ones reads nothing new."""
        self._need_active()
        return await self._plan(R.Plan())

    async def leave(self) -> None:
        """Leave: at once for the relay; the others put our device out of the group when they see it."""
        self._need_active()
        self._client.engine.leave(self.record)
        await self._client.engine.shelf.journal.flushed()

    async def _plan(self, plan: R.Plan) -> bytes:
        commit_id = self._client.engine.plan(self.record, plan)
        await self._client.engine.shelf.journal.flushed()
        return commit_id

    def _need_active(self) -> None:
        if self.record.status != Status.ACTIVE:
            raise NotActive(f"the conversation is {self._status.name.lower()}; wait until it is active")

    # -- reading -------------------------------------------------------------------------------------------------------
    @property
    def muted_until_ms(self) -> int:
        """Until when messages here are no news to the person (Unix ms); 0: they are."""
        shelf = self._client.engine.shelf
        return shelf.mutes[self.topic] if shelf.is_muted(self.topic) else 0

    async def mute(self, duration_ms: int | None = None) -> None:
        """Let messages here be no news on any device of ours, for a while or (None) until ``unmute``."""
        shelf = self._client.engine.shelf
        until_ms = L.INT_MAX if duration_ms is None else min(shelf.clock_ms() + duration_ms, L.INT_MAX)
        shelf.save_mute(self.topic, until_ms)
        await shelf.journal.flushed()

    async def unmute(self) -> None:
        """Let messages here be news again, on every device of ours."""
        shelf = self._client.engine.shelf
        shelf.save_mute(self.topic, 0)
        await shelf.journal.flushed()

    @property
    def read_to(self) -> int:
        """Offset up to which the person has read, on whatever device."""
        generation, offset = self._client.engine.shelf.reads.get(self.topic, (0, 0))
        return offset if generation == self.record.generation else 0

    async def mark_read(self, offset: int | None = None) -> None:
        """The person has read up to ``offset`` (None: all that is here). Told to own devices only; never goes back."""
        record, shelf = self.record, self._client.engine.shelf
        shelf.save_read(self.topic, record.generation, record.cursor if offset is None else min(offset, record.cursor))
        await shelf.journal.flushed()

    async def unread(self) -> int:
        """How many messages of others the person has not read; at most ``UNREAD_MAX``, for which "many" will do."""
        rows = await trio.to_thread.run_sync(self._client.engine.shelf.vault.recent, self.topic, UNREAD_MAX)
        events = [decode_event(value, seq) for seq, value in rows]
        after, own = self.read_to, self._client.account
        return sum(isinstance(e, Received) and e.offset > after and e.account != own for e in events)

    async def find_file(self, message_id: bytes) -> Media:
        """What the message of a file says. Raises ``FileError``: no such message here, or it is no file's."""
        after, vault = 0, self._client.engine.shelf.vault
        while rows := await trio.to_thread.run_sync(vault.events, after, FIND_EVENTS, self.topic):
            for seq, value in rows:
                event, after = decode_event(value, seq), seq
                if isinstance(event, Received) and event.id == message_id:
                    body = parse(event.content).body
                    if isinstance(body, Media):
                        return body
        raise FileError(f"no file in this conversation has the message id {message_id.hex()}")

    async def history(self, limit: int = 100) -> list[AnyEvent]:
        """The last events of the conversation, oldest first."""
        rows = await trio.to_thread.run_sync(self._client.engine.shelf.vault.recent, self.topic, limit)
        return [decode_event(value, seq) for seq, value in rows]

    def device_count(self) -> int:
        """Devices in the group now."""
        group = self._client.engine.shelf.groups.get(self.topic)
        return 0 if group is None else len(group.members)

    def in_group(self) -> set[bytes]:
        """Accounts with a device in the group now."""
        group = self._client.engine.shelf.groups.get(self.topic)
        return set() if group is None else accounts_of(group.members)

"""The account's inbox: Welcomes, device lists, and sealed boxes from other devices.

An entry is kept in the vault, in the transaction that moves the inbox's position, until it has been dealt with; dealing
with it may need the relay (a tree, a device list), so it happens in a task of its own and again after a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from clients import records as R
from clients.commits import Commits, accounts_of, identity_of, split
from clients.connection import Link, Refusal
from clients.directory import CannotAdd, Directory
from clients.events import Received, Unreadable, decode_event
from clients.outbox import Outbox
from clients.records import Status, Work
from clients.sealing import open_box
from clients.shelf import Shelf
from protocol.codec import decode_struct
from protocol.content import Content, decode_content
from protocol.errors import RemoteProtocolError
from protocol.frames import Flag, Gap, GapReason, Msg, WelcomeHeader
from protocol.messages import parse
from protocol.messages.key import Contact as ContactBody
from protocol.messages.key import Failed as KeyFailed
from protocol.messages.key import Linked, Readmit
from protocol.mls import MlsError
from protocol.position import chain_hash, chain_start
from protocol.requests import GetBlob


class Joining(Protocol):
    """What to do about a conversation that somebody let us into for the first time."""

    def __call__(self, talk: R.Conversation, by: bytes, *, stranger: bool) -> None: ...


def _nobody_cares(talk: R.Conversation, by: bytes, *, stranger: bool) -> None:
    """Nothing."""


RESEND_LOOKBACK = 500  # events of a conversation searched for a message that did not open elsewhere


class Inbox:
    """Deals with the entries of our inbox."""

    def __init__(self, shelf: Shelf, commits: Commits, outbox: Outbox, directory: Directory) -> None:
        self._shelf = shelf
        self._commits = commits
        self._outbox = outbox
        self._directory = directory
        self.work_waits: Callable[[], None] = lambda: None
        self.joined: Callable[[R.Conversation], None] = lambda talk: None
        self.locked: Callable[[bytes], None] = lambda topic: None
        self.first_joined: Joining = _nobody_cares
        self.token: Callable[[bytes, bytes], None] = lambda account, token: None
        self.linked: Callable[[bytes], None] = lambda device: None  # a new device of ours has key packages
        self.resend: Callable[[R.Conversation, Content], object] = lambda talk, content: None

    # -- entries -------------------------------------------------------------------------------------------------------
    def entry(self, msg: Msg) -> bool:
        """One entry. False: not the next one."""
        inbox = self._shelf.inbox
        if msg.offset <= inbox.cursor:
            return True
        if msg.offset != inbox.cursor + 1:
            return False
        previous = inbox.chain if inbox.cursor else chain_start(self._shelf.inbox_topic)
        inbox.chain = chain_hash(
            previous, inbox.generation, msg.offset, msg.account, msg.device, msg.id, msg.fence, msg.flags,
            msg.header, msg.body,
        )  # fmt: skip
        inbox.cursor = msg.offset
        self._shelf.save_inbox()
        if msg.flags & Flag.DEVICES:
            self._own_list(msg.body)
        elif msg.account in self._shelf.blocked:
            return True
        elif msg.flags & Flag.WELCOME:
            self._welcome(msg)
        elif msg.flags & Flag.SEALED:
            self._box(msg)
        return True

    def gap(self, gap: Gap) -> None:
        """Entries that will not come."""
        inbox = self._shelf.inbox
        restored = gap.reason == GapReason.RESET and gap.generation != inbox.generation
        if restored and gap.last >= inbox.cursor:  # nothing of what we have is lost
            inbox.generation = gap.generation
            self._shelf.save_inbox()
        elif restored or (gap.last > inbox.cursor and gap.reason != GapReason.RESET):
            inbox.cursor, inbox.chain, inbox.generation = gap.last, gap.hash, gap.generation
            self._shelf.save_inbox()

    def _own_list(self, signed: bytes) -> None:
        devices = self._directory.learn(self._shelf.account, signed)
        if devices is not None and devices.device(self._shelf.device.public) is not None:
            self._shelf.identity.signed_list = signed
            self._shelf.save_identity()

    def _welcome(self, msg: Msg) -> None:
        try:
            header = decode_struct(msg.header, WelcomeHeader)
        except RemoteProtocolError:
            return
        number = self._shelf.next_number()
        stranger = bool(msg.flags & Flag.STRANGER)
        self._shelf.save_welcome(
            R.PendingWelcome(number, msg.body, header.topic, header.generation, msg.account, stranger)
        )
        self.work_waits()

    def _box(self, msg: Msg) -> None:
        device = self._shelf.device.public
        try:
            opened = open_box(
                msg.body, device=device, inbox_private=self._shelf.identity.inbox_private, message_id=msg.id
            )
        except RemoteProtocolError:
            return  # anybody may write to an inbox; what does not open is nobody's
        if opened is None or (opened.account, opened.device) != (msg.account, msg.device):
            return
        self._shelf.save_box(R.PendingBox(self._shelf.next_number(), opened.account, opened.device, opened.content))
        self.work_waits()

    # -- work ----------------------------------------------------------------------------------------------------------
    async def work(self, link: Link) -> None:
        """Deal with everything that waits. Raises ``LinkDown`` if the connection goes meanwhile, ``Refusal`` if the
        relay cannot answer now."""
        while True:
            welcomes = [welcome for welcome in self._shelf.welcomes.values() if not self._is_early(welcome)]
            if not welcomes and not self._shelf.boxes:
                return
            for welcome in welcomes:
                await self._join(link, welcome)
            for box in list(self._shelf.boxes.values()):
                await self._handle_box(link, box)

    def _is_early(self, welcome: R.PendingWelcome) -> bool:
        try:
            return self._commits.is_early(welcome)
        except (RemoteProtocolError, MlsError):
            return False  # to be found hopeless

    async def _join(self, link: Link, welcome: R.PendingWelcome) -> None:
        try:
            _, anchor = self._commits.anchor_of(welcome)
            blob = await link.ask("blobs.get", GetBlob(anchor.tree_hash), bytes)
            if self._commits.is_early(welcome):
                return
            is_new = welcome.topic not in self._shelf.conversations
            talk = self._commits.join(welcome, blob)
            if is_new:
                self.first_joined(talk, welcome.by, stranger=welcome.stranger)
        except Refusal as error:
            if error.retry_ms is not None:
                raise
            self._hopeless(welcome, f"the relay does not have the tree of the group: {error.text}")
        except (RemoteProtocolError, MlsError) as error:
            self._hopeless(welcome, str(error))
        else:
            self._shelf.drop_welcome(welcome)
            self.joined(talk)

    def _hopeless(self, welcome: R.PendingWelcome, reason: str) -> None:
        self._shelf.drop_welcome(welcome)
        talk = self._shelf.conversations.get(welcome.topic)
        if welcome.by == self._shelf.account and (talk is None or talk.status != Status.WAITING):
            return  # between devices of ours, and not for this one
        if talk is None or talk.status != Status.ACTIVE:
            self._shelf.journal.tell(
                Unreadable(topic=welcome.topic, offset=0, account=welcome.by, reason=f"an invitation: {reason}")
            )
        if talk is not None and talk.status == Status.WAITING:
            self._commits.lock(talk)  # we are on the list, and no other Welcome will come unless we ask
            self.locked(talk.topic)

    async def _handle_box(self, link: Link, box: R.PendingBox) -> None:
        if self._directory.doubt(box.account, box.device):
            await self._directory.fetch(link, [box.account])
        if not self._directory.doubt(box.account, box.device):
            try:
                body = parse(box.content).body
            except RemoteProtocolError:
                body = None
            if isinstance(body, Readmit):
                await self._readmit(link, box, body)
            elif isinstance(body, KeyFailed):
                await self._say_again(box, body)
            elif isinstance(body, ContactBody):
                self.token(box.account, body.token)
            elif isinstance(body, Linked) and box.account == self._shelf.account:
                self.linked(box.device)
        self._shelf.drop_box(box)

    async def _readmit(self, link: Link, box: R.PendingBox, wish: Readmit) -> None:
        """Remove and re-add a member's device that alone could not open a commit, unless somebody did already."""
        talk = self._shelf.conversations.get(wish.topic)
        group = None if talk is None else self._shelf.groups.get(wish.topic)
        if talk is None or group is None or talk.status != Status.ACTIVE or box.account not in talk.roster:
            return
        if self._shelf.is_silent(talk):
            return
        added_at = self._commits.added_at.get((wish.topic, identity_of(box.account, box.device)), -1)
        if box.account not in accounts_of(group.members) or added_at >= wish.fence:
            return
        try:
            claimed = await self._directory.claim(link, [box.account], (box.device,))
        except CannotAdd:
            return
        except Refusal as error:
            if error.retry_ms is not None:
                raise
            return
        additions = tuple(addition for addition in claimed if addition.device == box.device)
        if additions:
            drop = self._unlisted(wish.topic, box)
            plan = R.Plan(add=additions, renew=((box.account, box.device),), fence=wish.fence, drop=drop)
            self._outbox.queue(
                R.Outgoing(
                    self._shelf.next_number(), wish.topic, self._shelf.new_id(), Work.COMMIT, Flag.COMMIT, plan=plan,
                    quiet=True,
                )
            )  # fmt: skip

    def _unlisted(self, topic: bytes, box: R.PendingBox) -> tuple[tuple[bytes, bytes], ...]:
        """Leaves of a device's account that are on no list any more (it was recovered): they go as the device comes."""
        group, devices = self._shelf.groups.get(topic), self._directory.known(box.account)
        pairs = [split(member.identity) for member in group.members] if group is not None else []
        return tuple(p for p in pairs if p[0] == box.account and devices is not None and devices.device(p[1]) is None)

    async def _say_again(self, box: R.PendingBox, failed: KeyFailed) -> None:
        """Send a message of ours again that a member could not open, once, under a new id that names the old."""
        # Its event may be on the way into the vault; and while we wait for that, a row may become such an event.
        waiting = list(self._outbox.lane(failed.topic).rows) if failed.topic in self._shelf.conversations else []
        await self._shelf.journal.flushed()
        talk = self._shelf.conversations.get(failed.topic)
        if talk is None or box.account not in talk.roster:
            return
        rows = [row for row in (*waiting, *self._outbox.lane(failed.topic).rows) if row.work == Work.MESSAGE]
        events = [decode_event(value, seq) for seq, value in self._shelf.vault.recent(failed.topic, RESEND_LOOKBACK)]
        said = [(row.id, row.content) for row in rows if not row.quiet]
        said += [(event.id, event.content) for event in events if isinstance(event, Received) and event.mine]
        contents = {message_id: decode_content(content) for message_id, content in said}
        wanted = contents.pop(failed.id, None)
        if wanted is None or _again(failed.id, wanted) in contents.values():
            return
        if any(_again(message_id, content) == wanted for message_id, content in contents.items()):
            return  # it is one said again: somebody who opens neither is not helped by a third
        self.resend(talk, _again(failed.id, wanted))


def _again(old: bytes, content: Content) -> Content:
    """A content said again: it names the message it stands for, unless it stands for one already (an edit)."""
    return content if content.rp is not None else msgspec.structs.replace(content, rp=old)

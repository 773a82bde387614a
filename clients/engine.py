"""All parts of one client wired together, without I/O of its own: frames and wishes in, journal notes out.

The ``Client`` drives it: it owns the connection and the clock. Everything here is synchronous, so that state never
changes while somebody waits (see ``journal``).
"""

from __future__ import annotations

from collections.abc import Callable

from clients import records as R
from clients.care import caring
from clients.commits import Commits, accounts_of
from clients.connection import Link
from clients.contacts import Contacts
from clients.directory import Directory
from clients.events import AnyEvent, AnyNotice, CaughtUp, Forked
from clients.inbox import Inbox
from clients.outbox import Outbox
from clients.presence import Presence
from clients.public import Nothing, Public
from clients.receive import Receiver
from clients.records import Status, Work
from clients.recovering import Recovering
from clients.sealing import seal_box, sign_leave
from clients.selftopic import SelfTopic
from clients.shelf import Shelf
from clients.vault import Vault
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.content import Reference, encode_content
from protocol.errors import Code
from protocol.frames import (
    AccessChange,
    Ack,
    AnyFrame,
    Bundle,
    Closed,
    Err,
    Evt,
    Flag,
    Gap,
    Live,
    Msg,
    Ok,
    Sub,
    SubResult,
    Subscription,
)
from protocol.identity import DeviceList
from protocol.ids import Entropy, inbox_topic, slot_inbox, slot_of
from protocol.messages import Body, compose
from protocol.messages.key import Failed as KeyFailed
from protocol.messages.key import Readmit
from protocol.messages.rcpt import Delivered
from protocol.position import Seen


def _box_inbox(account: bytes, body: Body, devices: DeviceList) -> bytes:
    """Where a box goes: at a worker, to whichever process has the conversation that it is about."""
    topic = body.topic if isinstance(body, (Readmit, KeyFailed)) else b""
    return slot_inbox(account, slot_of(topic)) if devices.service and topic else inbox_topic(account)


class Engine:
    """State and rules of one client."""

    shelf_type: type[Shelf] = Shelf

    def __init__(
        self,
        vault: Vault,
        publish: Callable[[list[AnyEvent | AnyNotice]], None],
        clock_ms: Callable[[], int],
        entropy: Entropy,
    ) -> None:
        self.shelf = self.shelf_type(vault, publish, clock_ms, entropy)
        self.directory = Directory(self.shelf)
        self.commits = Commits(self.shelf)
        self.outbox = Outbox(self.shelf, self.commits)
        self.receiver = Receiver(self.shelf, self.commits, self.outbox)
        self.inbox = Inbox(self.shelf, self.commits, self.outbox, self.directory)
        self.care = caring(self.shelf, self.directory, self.outbox, self.plan)
        self.inbox.linked = self._linked
        self.presence = Presence(self.shelf)
        self.recovering = Recovering(self.shelf, self.directory, self.plan)
        self.contacts = Contacts(self.shelf, self.directory)
        self.contacts.send_box, self.contacts.accepted = self.send_box, self._accepted
        self.own = SelfTopic(self.shelf, self.directory, self.outbox, self.contacts)
        self.own.say = lambda talk, body: self.say(talk, compose(body))
        self.own.plan = lambda talk, plan: self.plan(talk, plan, quiet=True)
        self.inbox.first_joined, self.inbox.token = self.contacts.joined, self.contacts.got
        self.public: Public = Nothing()
        self.tids: dict[int, bytes] = {}  # of this connection
        self.link: Link | None = None
        self.receiver.send = lambda talk, body, re: self._answer(talk, body, re)
        self.receiver.send_box = self.send_box
        self.receiver.doubt = self.directory.ran_out
        self.inbox.resend = lambda talk, content: self.say(talk, encode_content(content))
        self.inbox.locked = lambda topic: self.receiver.roster_changed(topic)
        self.event: Callable[[Evt], None] = lambda evt: None
        self.restart: Callable[[], None] = lambda: None  # the relay broke order: connect anew
        self.later: Callable[[int, Callable[[], None]], None] = lambda delay_ms, action: None
        self._receipts: dict[bytes, bytes] = {}  # by topic: the last receipt that was queued
        self._beyond: set[bytes] = set()  # topics whose log at the relay is shorter than what we have read

    # -- saying --------------------------------------------------------------------------------------------------------
    def seen(self, talk: R.Conversation) -> Seen | None:
        """What to put into a content as the last entry that we have read; None before the first."""
        return Seen(talk.generation, talk.cursor, talk.chain) if talk.cursor else None

    def say(
        self, talk: R.Conversation, content: bytes, *, flags: int = 0, ttl: int = 0, quiet: bool = False,
        blobs: tuple[bytes, ...] = (),
    ) -> bytes:  # fmt: skip
        """Queue a content for a conversation; its message id. The relay keeps ``blobs`` as long as the message."""
        row = R.Outgoing(
            self.shelf.next_number(), talk.topic, self.shelf.new_id(), Work.MESSAGE, flags, content, ttl,
            bundle=encode_struct(Bundle(blobs=blobs)) if blobs else None, quiet=quiet,
        )  # fmt: skip
        self.outbox.queue(row)
        return row.id

    def _linked(self, device: bytes) -> None:
        self.care.linked(device)
        self.own.nudge()

    def _accepted(self, topic: bytes) -> None:
        self.acknowledge(topic)
        self.clean_up(topic)
        self.care.nudge()

    def _answer(self, talk: R.Conversation, body: Body, re: bytes | None) -> None:
        if not self.shelf.is_silent(talk):
            self.say(talk, compose(body, re=None if re is None else Reference(re)), quiet=True)

    def acknowledge(self, topic: bytes) -> None:
        """Queue a receipt for everything read so far; one that was not sealed yet is replaced."""
        talk = self.shelf.conversations.get(topic)
        if talk is None or talk.status != Status.ACTIVE or talk.receipt >= talk.cursor or self.shelf.is_silent(talk):
            return
        talk.receipt = talk.cursor
        self.shelf.save(talk)
        content = compose(Delivered(generation=talk.generation, offset=talk.cursor), seen=self.seen(talk))
        row = self.outbox.lane(topic).get(self._receipts.get(topic, b""))
        if row is not None and not row.attempts:
            row.content = content
            self.shelf.save_outgoing(row)
        else:
            self._receipts[topic] = self.say(talk, content, quiet=True)

    def plan(self, talk: R.Conversation, plan: R.Plan, *, quiet: bool = False) -> bytes:
        """Queue a change of the group; the id of its commit."""
        row = R.Outgoing(
            self.shelf.next_number(), talk.topic, self.shelf.new_id(), Work.COMMIT, Flag.COMMIT, plan=plan, quiet=quiet
        )
        self.outbox.queue(row)
        return row.id

    def leave(self, talk: R.Conversation) -> None:
        """Queue our leaving a conversation."""
        header, message_id = encode_struct(AccessChange(removed=(self.shelf.account,))), self.shelf.new_id()
        row = R.Outgoing(
            self.shelf.next_number(), talk.topic, message_id, Work.LEAVE, int(Flag.ACCESS), header=header,
            body=sign_leave(talk.topic, message_id, header, self.shelf.device),
        )  # fmt: skip
        self.outbox.queue(row)

    def send_box(self, account: bytes, device: bytes, body: Body) -> None:
        """Queue a sealed box to one device of another account; nothing happens if the device is not known."""
        devices = self.directory.known(account)
        entry = None if devices is None else devices.device(device)
        if devices is None or entry is None:
            return
        message_id = self.shelf.new_id()
        sealed = seal_box(
            compose(body), recipient=device, inbox_key=entry.inbox_key, message_id=message_id,
            account=self.shelf.account, sender=self.shelf.device, entropy=self.shelf.entropy,
        )  # fmt: skip
        row = R.Outgoing(
            self.shelf.next_number(), _box_inbox(account, body, devices), message_id, Work.BOX, Flag.SEALED,
            body=sealed, quiet=True, token=self.shelf.token_of(account),
        )  # fmt: skip
        self.outbox.queue(row)

    def ask_readmission(self, talk: R.Conversation) -> None:
        """Ask up to three members' devices to take us out and add us again; at 1, 4, 16 minutes again."""
        now = self.shelf.clock_ms()
        if talk.status not in (Status.LOCKED, Status.WAITING) or now < talk.readmit_at_ms:
            return
        wait = L.READMIT_BACKOFF_MS[min(talk.readmit_tries, len(L.READMIT_BACKOFF_MS) - 1)]
        talk.readmit_at_ms = now + wait
        self.shelf.save(talk)
        if any(welcome.topic == talk.topic for welcome in self.shelf.welcomes.values()):
            return  # somebody has done it already
        if talk.status == Status.WAITING:
            self.commits.lock(talk)  # the Welcome does not come
            talk.readmit_at_ms = now + wait
        others = sorted(talk.roster)  # our own other devices among them
        first = talk.readmit_tries * L.READMIT_ASK_MEMBERS % max(len(others), 1)  # others than last time, if there are
        talk.readmit_tries += 1
        asked = 0
        for account in others[first:] + others[:first]:
            devices = self.directory.known(account)
            for device in () if devices is None else devices.devices:
                if device.key != self.shelf.device.public:
                    self.send_box(account, device.key, Readmit(topic=talk.topic, group=talk.group, fence=talk.fence))
                    asked += 1
            if asked >= L.READMIT_ASK_MEMBERS:
                return

    def clean_up(self, topic: bytes) -> None:
        """Put accounts that have left out of the group; the first member who is still in does it."""
        talk, group = self.shelf.conversations[topic], self.shelf.groups.get(topic)
        if group is None or talk.status != Status.ACTIVE or self.shelf.is_silent(talk):
            return
        staying = [m for m in group.members if m.identity[:32] in talk.roster]
        gone = tuple(sorted(accounts_of(group.members) - set(talk.roster)))
        if gone and staying and staying[0].leaf == group.own_leaf:
            self.plan(talk, R.Plan(remove=gone), quiet=True)

    # -- the connection ------------------------------------------------------------------------------------------------
    def subscriptions(self) -> list[Subscription]:
        """What to subscribe after a login: the inbox and every conversation that has a log, from where we are."""
        inbox = self.shelf.inbox
        talks = [self._position(talk) for talk in self.shelf.conversations.values() if self._has_log(talk)]
        mine = Subscription(self.shelf.inbox_topic, (inbox.generation, inbox.cursor))
        return [mine, *talks, *self.public.subscriptions()]

    def _has_log(self, talk: R.Conversation) -> bool:
        if talk.status == Status.FOUNDING:
            return any(row.stored_offset is not None for row in self.outbox.lane(talk.topic).rows)
        return talk.status in (Status.ACTIVE, Status.LOCKED) or (talk.status == Status.WAITING and talk.cursor > 0)

    @staticmethod
    def _position(talk: R.Conversation) -> Subscription:
        return Subscription(talk.topic, (talk.generation, talk.cursor))

    def attach(self, link: Link) -> None:
        """A login succeeded: subscribe, then send what waits."""
        self.link = link
        self.tids.clear()
        wanted = self.subscriptions()
        for start in range(0, len(wanted), L.SUBSCRIBE_TOPICS_MAX):
            self.subscribe(wanted[start : start + L.SUBSCRIBE_TOPICS_MAX])

    def detach(self) -> None:
        """The connection is gone."""
        self.link = None
        self.tids.clear()
        self.outbox.disconnected()

    def follow(self, topics: list[bytes]) -> None:
        """Subscribe to conversations from where we are now; frames of an earlier subscription are not theirs."""
        for tid in [tid for tid, topic in self.tids.items() if topic in topics]:
            del self.tids[tid]
        self.subscribe([self._position(self.shelf.conversations[topic]) for topic in topics])

    def subscribe(self, wanted: list[Subscription]) -> None:
        """Subscribe to topics on the present connection, if there is one."""
        link = self.link
        if link is None or not wanted:
            return

        def again() -> None:
            if link is self.link:
                self.subscribe(wanted)

        def on_reply(reply: Ok | Err | None) -> None:
            if isinstance(reply, Ok):
                for part, result in zip(wanted, decode_struct(reply.result, list[SubResult]), strict=False):
                    self._subscribed(part.topic, result)
            elif isinstance(reply, Err) and reply.retry_ms is not None:
                self.later(reply.retry_ms, again)
            elif reply is not None:
                self.restart()

        link.request(Sub(0, tuple(wanted)), on_reply)

    def _subscribed(self, topic: bytes, result: SubResult) -> None:
        if result.tid:
            self.tids[result.tid] = topic
            return
        talk = self.shelf.conversations.get(topic)
        if talk is None:
            return
        if result.code == Code.NOT_FOUND:
            self._shut_out(talk)
        elif result.code == Code.CONFLICT and topic not in self._beyond:
            self._beyond.add(topic)  # the log is shorter than what we have read of it: the relay has lost entries
            self.shelf.journal.tell(Forked(topic=topic, account=self.shelf.account, offset=result.head))

    def _shut_out(self, talk: R.Conversation) -> None:
        if talk.status in (Status.ACTIVE, Status.LOCKED, Status.WAITING):
            left = any(row.work == Work.LEAVE for row in self.outbox.lane(talk.topic).rows)
            self.commits.close(talk, Status.LEFT if left else Status.REMOVED, b"")
            self.outbox.fail_all(talk.topic)
            self.receiver.roster_changed(talk.topic)

    # -- frames --------------------------------------------------------------------------------------------------------
    def frame(self, frame: AnyFrame) -> None:
        """Anything from the relay that answers no request."""
        if isinstance(frame, Msg):
            self._msg(frame)
        elif isinstance(frame, Gap):
            self._gap(frame)
        elif isinstance(frame, Live):
            topic = self.tids.get(frame.tid)
            if topic is not None and topic in self.shelf.conversations:
                self.shelf.journal.tell(CaughtUp(topic=topic, offset=frame.offset, seq=self.shelf.journal.last_seq))
        elif isinstance(frame, Closed):
            self._closed(frame)
        elif isinstance(frame, Evt):
            self.event(frame)

    def _msg(self, msg: Msg) -> None:
        topic = self.tids.get(msg.tid)
        if topic is None:
            return  # of a subscription that has ended
        if topic == self.shelf.inbox_topic:
            in_order = self.inbox.entry(msg)
        elif topic not in self.shelf.conversations:
            self.public.entry(topic, msg)
            return
        else:
            talk = self.shelf.conversations[topic]
            if msg.flags & Flag.EPHEMERAL:
                self.receiver.ephemeral(talk, msg)
                return
            in_order = self.receiver.entry(talk, msg)
        if not in_order:
            self.restart()
        self._ack_late(msg.tid, topic)

    def _ack_late(self, tid: int, topic: bytes) -> None:
        """Acknowledge to the relay, once per transaction, what that transaction made durable."""

        def write() -> None:
            talk = self.shelf.conversations.get(topic)
            offset = self.shelf.inbox.cursor if talk is None else talk.cursor
            link = self.link
            if link is not None:
                self.shelf.journal.after(lambda: link.submit(Ack(tid, offset)) if link is self.link else None)

        self.shelf.journal.put_late(("ack", tid), write)

    def _gap(self, gap: Gap) -> None:
        topic = self.tids.get(gap.tid)
        if topic == self.shelf.inbox_topic:
            self.inbox.gap(gap)
        elif topic is not None and topic in self.shelf.conversations:
            self.receiver.gap(self.shelf.conversations[topic], gap)

    def _closed(self, frame: Closed) -> None:
        topic = self.tids.pop(frame.tid, None)
        talk = None if topic is None else self.shelf.conversations.get(topic)
        if talk is None or topic is None:
            return
        if frame.retry_ms is not None:
            self.later(frame.retry_ms, lambda: self._follow_again(topic))
        elif frame.code == Code.NOT_FOUND:
            self._shut_out(talk)

    def _follow_again(self, topic: bytes) -> None:
        if topic not in self.tids.values():
            self.follow([topic])

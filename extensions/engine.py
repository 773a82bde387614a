"""A worker's client: the engine of ``clients`` over slots instead of over everything.

What a slot's grant brings is loaded, what its revocation takes is written and dropped, and the topics in between come
by EVT ``topic``. A worker sends no receipts, tends no devices of others, and takes every Welcome.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import msgspec

from clients import records as R
from clients.connection import Link
from clients.engine import Engine
from clients.events import AnyEvent, AnyNotice
from clients.records import Status
from extensions.shelf import WorkerShelf
from extensions.store import WorkerVault
from protocol.frames import Ack, Flag, Gap, Msg, Pub, Subscription
from protocol.ids import Entropy, slot_of
from protocol.requests import TopicNews

_TOKEN_BYTES = 8
log = logging.getLogger("chappe.worker")


class WorkerEngine(Engine):
    """State and rules of one process of a worker."""

    shelf: WorkerShelf
    shelf_type = WorkerShelf

    def __init__(
        self, vault: WorkerVault, publish: Callable[[list[AnyEvent | AnyNotice]], None], clock_ms: Callable[[], int],
        entropy: Entropy,
    ) -> None:  # fmt: skip
        super().__init__(vault, publish, clock_ms, entropy)
        self.receiver.evidence.keeps = False
        self.inbox.first_joined = _take_it  # whoever comes is served, and nobody is made a contact

    # -- slots ---------------------------------------------------------------------------------------------------------
    def load(self, slots: Collection[int]) -> None:
        """Take up what waits in slots that are ours from now on. Reads the database."""
        shelf, rows = self.shelf, list[R.Outgoing]()
        for slot in slots:
            for row in shelf.rows(R.OUTBOX, slot, R.Outgoing):
                shelf.settle(R.OUTBOX, row.number, slot)
                shelf.outgoing[row.number] = row
                rows.append(row)
            for welcome in shelf.rows(R.WELCOMES, slot, R.PendingWelcome):
                shelf.settle(R.WELCOMES, welcome.number, slot)
                shelf.welcomes[welcome.number] = welcome
            for box in shelf.rows(R.BOXES, slot, R.PendingBox):
                shelf.settle(R.BOXES, box.number, slot)
                shelf.boxes[box.number] = box
        self.outbox.load(rows)
        self.inbox.work_waits()

    def part(self, slots: Collection[int]) -> None:
        """Begin nothing more in slots that are to be given away; what is noted of them can still be written."""
        gone = frozenset(slots)
        self.tids = {tid: topic for tid, topic in self.tids.items() if slot_of(topic) not in gone}
        for topic in {row.topic for row in self.shelf.outgoing.values() if slot_of(row.topic) in gone}:
            self.outbox.lane(topic).clear()

    def token(self, topic: bytes) -> bytes | None:
        """The token of a topic's slot, as it travels; None: it is not ours."""
        token = self.shelf.vault.held.get(slot_of(topic))
        return None if token is None else token.to_bytes(_TOKEN_BYTES, "big")

    def signed_out(self, pub: Pub) -> Pub:
        """A PUB with its slot's token; a box into somebody's inbox needs none."""
        return pub if pub.flags & Flag.SEALED else msgspec.structs.replace(pub, token=self.token(pub.topic))

    # -- topics --------------------------------------------------------------------------------------------------------
    def subscriptions(self) -> list[Subscription]:
        """Nothing by name: topics come as they have news."""
        return []

    def attach(self, link: Link) -> None:
        """A login succeeded."""
        self.link = link
        self.tids.clear()

    def topic_news(self, news: TopicNews) -> None:
        """Frames of a topic follow. One that we are not in yet waits for its Welcome, and is asked for then."""
        if slot_of(news.topic) not in self.shelf.vault.held:
            return
        talk = self.shelf.conversations.get(news.topic)
        if not news.tid:
            if talk is not None:
                self._shut_out(talk)
            return
        if news.topic in self.shelf.inboxes:
            inbox = self.shelf.cursor(news.topic)
            here = (inbox.generation, inbox.cursor)
        elif talk is not None and talk.status in (Status.ACTIVE, Status.LOCKED, Status.WAITING):
            here = (talk.generation, talk.cursor)
            if talk.status != Status.ACTIVE:
                self.receiver.roster_changed(talk.topic)
        else:
            return
        for tid in [tid for tid, topic in self.tids.items() if topic == news.topic]:
            del self.tids[tid]
        if news.next > here[1] + 1:  # the relay has noted more than we have: our database is an older copy
            log.warning("the relay takes offset %d for read, we are at %d; reading again", news.next - 1, here[1])
            self.subscribe([Subscription(news.topic, here)])
        else:
            self.tids[news.tid] = news.topic

    def shut_out(self, topic: bytes) -> None:
        """We are in a conversation no more, as the relay says if it is asked: who is put out while no process is
        connected hears nothing of it, since topics come as they have news."""
        talk = self.shelf.conversations.get(topic)
        if talk is not None:
            self._shut_out(talk)

    def _msg(self, msg: Msg) -> None:
        topic = self.tids.get(msg.tid)
        if topic is not None and topic in self.shelf.inboxes:
            self.shelf.select(topic)
        super()._msg(msg)

    def _gap(self, gap: Gap) -> None:
        topic = self.tids.get(gap.tid)
        if topic is not None and topic in self.shelf.inboxes:
            self.shelf.select(topic)
        super()._gap(gap)
        if topic is not None:
            self._ack_late(gap.tid, topic)

    def _ack_late(self, tid: int, topic: bytes) -> None:
        def write() -> None:
            token, link = self.token(topic), self.link
            inbox = topic in self.shelf.inboxes
            talk = None if inbox else self.shelf.conversations.get(topic)
            offset = self.shelf.cursor(topic).cursor if inbox else 0 if talk is None else talk.cursor
            if link is not None and token is not None and offset:
                self.shelf.journal.after(
                    lambda: link.submit(Ack(tid, offset, token)) if link is self.link else None
                )  # fmt: skip

        self.shelf.journal.put_late(("ack", tid), write)


def _take_it(talk: R.Conversation, by: bytes, *, stranger: bool) -> None:
    """Nothing to decide."""

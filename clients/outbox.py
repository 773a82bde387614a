"""The outbox: what leaves this client, in the order in which it was said, however often it must be sent.

Each conversation is a *lane* of rows. Up to ``WINDOW`` rows fly unanswered. Any refusal stops the lane until every
answer on the way has come; then it is sent again from the first row that is not stored (go-back-n). So messages of one
device never swap, and every PUB without an answer is repeated with the same id and bytes.

Rule 1.  Only a stale fence is a definite refusal that permits other bytes under the same id.
Rule 2.  A row is given up only on a permanent refusal, which by the relay's order of work (dedupe first) proves that no
         copy is stored, and which a newer login keeps from landing later.
Rule 3.  A row of a conversation lives until its echo comes back through the log, or the log has gone by without it; a
         box until its OK.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from clients import records as R
from clients.commits import Commits, Moot
from clients.events import Failed, Stored
from clients.groups import NEXT, NOW
from clients.lanes import Lane
from clients.records import Status, Work
from clients.shelf import Shelf
from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code, Reason
from protocol.frames import Bundle, Err, Msg, Ok, Pub, PubResult, Role
from protocol.mls import MlsError
from protocol.padding import pad
from protocol.position import authenticated_data

WINDOW: Final = 64  # rows of a lane in flight: a few round trips' worth at any rate a person or bot writes
SPACING_JITTER_MS: Final = 250
_CLEAR: Final = (Work.BOX, Work.LEAVE, Work.POST)  # what no group seals
Reply = Callable[[Ok | Err | None], None]  # None: the connection went before an answer came


@dataclass(frozen=True, slots=True)
class OutboxStatistics:
    """How many rows wait and fly."""

    lanes: int
    waiting: int
    flying: int


class Outbox:
    """All lanes of one client. Synchronous: sending happens through ``transmit`` after the journal's commit."""

    def __init__(self, shelf: Shelf, commits: Commits) -> None:
        self._shelf = shelf
        self._commits = commits
        self._lanes: dict[bytes, Lane] = {}
        self.transmit: Callable[[Pub, tuple[R.Blob, ...], Reply], None] | None = None  # set while logged in
        self.alarm: Callable[[bytes, int], None] = lambda topic, at_ms: None  # pump again at a time
        self.waiting: Callable[[bytes], None] = lambda topic: None  # somebody else's founding was first
        self.founded: Callable[[bytes], None] = lambda topic: None  # our founding commit is stored
        self.refused: Callable[[R.Outgoing, int, str], None] = lambda row, code, text: None  # it is not, for good
        self.posted: Callable[[R.Outgoing, PubResult], None] = lambda row, result: None  # an entry of our feed is
        for row in shelf.outgoing.values():
            self.lane(row.topic).add(row)

    def lane(self, topic: bytes) -> Lane:
        """The lane of a topic."""
        found = self._lanes.get(topic)
        if found is None:
            found = self._lanes[topic] = Lane(topic)
        return found

    def statistics(self) -> OutboxStatistics:
        """Figures of now."""
        flying = sum(len(lane.flying) for lane in self._lanes.values())
        return OutboxStatistics(len(self._lanes), len(self._shelf.outgoing) - flying, flying)

    # -- in ------------------------------------------------------------------------------------------------------------
    def queue(self, row: R.Outgoing) -> None:
        """Take a row; it is sent when its turn comes and its write is durable."""
        self._shelf.save_outgoing(row)
        self.lane(row.topic).add(row)
        self.pump(row.topic)

    def load(self, rows: Iterable[R.Outgoing]) -> None:
        """Take up rows that were written before."""
        topics = set()
        for row in rows:
            self.lane(row.topic).add(row)
            topics.add(row.topic)
        for topic in topics:
            self.lane(topic).sort()
            self.pump(topic)

    def connected(self, transmit: Callable[[Pub, tuple[R.Blob, ...], Reply], None]) -> None:
        """A login succeeded: everything unanswered goes again."""
        self.transmit = transmit
        for topic in list(self._lanes):
            self.pump(topic)

    def disconnected(self) -> None:
        """Whatever flew has an unknown outcome now."""
        self.transmit = None
        for lane in self._lanes.values():
            lane.flying.clear()
            lane.draining = False
            lane.rewind()

    # -- out -----------------------------------------------------------------------------------------------------------
    def pump(self, topic: bytes) -> None:
        """Send what may be sent of a lane now."""
        lane, now = self.lane(topic), self._shelf.clock_ms()
        if self.transmit is None or (lane.draining and lane.flying):
            return
        if lane.draining:
            lane.draining = False
            lane.rewind()
        if now < lane.not_before_ms:
            self.alarm(topic, lane.not_before_ms)
            return
        while (row := lane.peek()) is not None:
            if len(lane.flying) >= WINDOW or not self._seal(lane, row):
                return
            if row in lane:
                self._send(lane, row, lane.sent(row))

    def _seal(self, lane: Lane, row: R.Outgoing) -> bool:
        """Make the row's bytes if it has none. False: it cannot be sealed yet."""
        if row.body is not None or row.work in _CLEAR:
            return True
        talk = self._shelf.conversations[lane.topic]
        if talk.status in (Status.REMOVED, Status.LEFT):
            self._give_up(lane, row, int(Code.NOT_FOUND), "you are not in this conversation any more")
            return True
        if (talk.group, talk.fence) < lane.need:
            return False
        try:
            if row.work == Work.COMMIT:
                locked = row.plan is not None and row.plan.reset and talk.status in (Status.LOCKED, Status.WAITING)
                if talk.status not in (Status.ACTIVE, Status.FOUNDING) and not locked:
                    return False
                self._commits.seal(talk, row)
            elif not self._seal_message(talk, row):
                return False
        except Moot:
            self._shelf.groups.put(lane.topic, None, NEXT, epoch=True)
            self._drop(lane, row)
            return True
        except (MlsError, ValueError) as error:
            self._give_up(lane, row, int(Code.FRAME), str(error))
            return True
        self._shelf.save_outgoing(row)
        return True

    def _seal_message(self, talk: R.Conversation, row: R.Outgoing) -> bool:
        group = self._shelf.groups.get(talk.topic)
        if talk.status != Status.ACTIVE or group is None:
            return False
        row.group, row.fence = talk.group, talk.fence
        bound = authenticated_data(talk.topic, row.id, row.flags, row.ttl, row.header, row.group, row.fence)
        row.body, following = group.seal(
            pad(row.content), authenticated_data=bound, entropy=self._shelf.entropy
        )  # fmt: skip
        row.attempts += (R.Attempt(row.group, row.fence, hashlib.sha256(row.body).digest()),)
        self._shelf.groups.put(talk.topic, following, NOW, epoch=False)
        return True

    def _send(self, lane: Lane, row: R.Outgoing, before: R.Outgoing | None) -> None:
        epoch = None if row.work in _CLEAR else (row.group, row.fence)
        bundle = None if row.bundle is None else decode_struct(row.bundle, Bundle)
        pub = Pub(
            0, row.topic, row.id, None if before is None else before.id, row.flags, epoch, row.expect, row.ttl,
            row.header, row.body or b"", bundle, row.token,
        )  # fmt: skip
        transmit = self.transmit

        def go() -> None:
            if transmit is not None and transmit is self.transmit:
                transmit(pub, row.blobs, lambda reply: self._reply(lane, row, reply))

        self._shelf.journal.after(go)

    # -- answers -------------------------------------------------------------------------------------------------------
    def _reply(self, lane: Lane, row: R.Outgoing, reply: Ok | Err | None) -> None:
        if reply is None or lane.flying.pop(row.id, None) is None:
            return  # the connection went; or the echo came first
        if isinstance(reply, Ok):
            result = decode_struct(reply.result, PubResult)
            if row.work == Work.POST:
                self.posted(row, result)
            self._stored(lane, row, result.offset)
        else:
            self._refused(lane, row, reply)
        self.pump(lane.topic)

    def _stored(self, lane: Lane, row: R.Outgoing, offset: int) -> None:
        if row.work in (Work.BOX, Work.POST):
            self._drop(lane, row)
        elif row in lane and row.stored_offset is None:
            row.stored_offset = offset
            if not row.quiet or row.work != Work.MESSAGE:  # of others it need not be known: a restart asks again
                self._shelf.save_outgoing(row)
            self._tell_stored(row, offset)
            if row.plan is not None and row.plan.create_kind:
                self.founded(lane.topic)
            self._await_echo(lane, row, offset)

    def _await_echo(self, lane: Lane, row: R.Outgoing, offset: int) -> None:
        """Not where none can come: the log was read beyond it (a GAP hid it), or cannot be read any more."""
        talk = self._shelf.conversations[lane.topic]
        out = talk.status in (Status.REMOVED, Status.LEFT)
        if offset > talk.cursor and not out:
            return
        self._drop(lane, row)
        if row.work == Work.LEAVE and out:  # not if somebody has let us in again since
            talk.status = Status.LEFT
            self._shelf.save(talk)
        elif row.work == Work.COMMIT and talk.status == Status.ACTIVE:
            self._commits.lock(talk)

    def _tell_stored(self, row: R.Outgoing, offset: int) -> None:
        if not row.quiet:
            self._shelf.journal.tell(Stored(topic=row.topic, id=row.id, offset=offset))

    def _refused(self, lane: Lane, row: R.Outgoing, err: Err) -> None:
        reason = Reason.NONE if err.detail is None else err.detail.reason
        lane.draining = True
        if err.code == Code.CONFLICT and reason == Reason.STALE_FENCE and err.detail is not None:
            row.body = None
            lane.need = max(lane.need, (err.detail.group, err.detail.fence))
            self._shelf.save_outgoing(row)
        elif err.code == Code.CONFLICT and reason == Reason.ID_CONFLICT and err.detail is not None:
            self._in_conflict(lane, row, err.detail.offset, err)
        elif err.code == Code.CONFLICT and reason == Reason.OUT_OF_ORDER:
            pass
        elif err.code == Code.CONFLICT and reason == Reason.EXISTS:
            self._lost_founding(lane, row, 0 if err.detail is None else err.detail.fence)
        elif err.retry_ms is not None or reason in (Reason.SUPERSEDED, Reason.RECOVERING):
            jitter = self._shelf.entropy(1)[0] * SPACING_JITTER_MS // 255
            lane.not_before_ms = self._shelf.clock_ms() + (err.retry_ms or 1000) + jitter
        else:
            self._give_up(lane, row, err.code, err.text)

    def _in_conflict(self, lane: Lane, row: R.Outgoing, offset: int, err: Err) -> None:
        """Other bytes are stored under the id: an earlier attempt, whose echo is recognised, or none of ours."""
        talk = self._shelf.conversations.get(lane.topic)
        if talk is None or offset > talk.cursor:
            self._stored(lane, row, offset)
        else:  # the log was read beyond that offset, and the entry there was not ours
            self._give_up(lane, row, err.code, err.text)

    def _lost_founding(self, lane: Lane, row: R.Outgoing, fence: int) -> None:
        """Somebody else founded the same conversation first: its Welcome is on the way. Or it is our feed: go on."""
        if row.work == Work.POST:
            row.bundle = _without_create(row.bundle)
            self._shelf.save_outgoing(row)
            return
        talk = self._shelf.conversations[lane.topic]
        self._drop(lane, row)
        if talk.status == Status.FOUNDING:
            if row.plan is not None and row.plan.create_peer:
                talk.roster[row.plan.create_peer] = Role.OWNER
            talk.fence = fence
            self._commits.wait(talk)
            self.waiting(lane.topic)

    def _give_up(self, lane: Lane, row: R.Outgoing, code: int, text: str) -> None:
        self._drop(lane, row)
        talk = self._shelf.conversations.get(lane.topic)
        if row.work == Work.POST:
            self.refused(row, code, text)
        if row.work == Work.COMMIT:
            self._shelf.groups.put(lane.topic, None, NEXT, epoch=True)
            if talk is not None and talk.status == Status.FOUNDING:
                talk.status = Status.REMOVED
                self._shelf.groups.forget(lane.topic)
                self._shelf.save(talk)
                self.fail_all(lane.topic, code, text)
        if not row.quiet or (row.plan is not None and row.plan.create_kind):
            self._shelf.journal.tell(Failed(topic=row.topic, id=row.id, code=code, text=text))

    def _drop(self, lane: Lane, row: R.Outgoing) -> None:
        lane.remove(row)
        self._shelf.drop_outgoing(row)

    def fail_all(
        self, topic: bytes, code: int = Code.NOT_FOUND, text: str = "you are not in this conversation any more"
    ) -> None:  # fmt: skip
        """Nothing new can be sent in a conversation (removed, left).

        What is stored already is done. What may have been sent goes once more: the relay's answer tells whether it is
        stored (the dedupe comes before access), and only a refusal makes it a failure.
        """
        lane = self.lane(topic)
        for row in lane.rows:
            if row.stored_offset is not None:
                self._drop(lane, row)
            elif row.work != Work.LEAVE and row.body is None:
                self._give_up(lane, row, code, text)
        self.pump(topic)

    # -- echoes --------------------------------------------------------------------------------------------------------
    def echo(self, msg: Msg, topic: bytes) -> R.Outgoing | None:
        """The row whose bytes came back through the log, which is done now; None if the entry is not ours."""
        lane = self._lanes.get(topic)
        if lane is None or msg.device != self._shelf.device.public:
            return None
        row = lane.get(msg.id)
        if row is None:
            return None
        digest = hashlib.sha256(msg.body).digest()
        known = row.work == Work.LEAVE or any(a.fence == msg.fence and a.body_hash == digest for a in row.attempts)
        if not known:
            return None
        if row.stored_offset is None:
            self._tell_stored(row, msg.offset)
        self._drop(lane, row)
        return row

    def restored(self, topic: bytes, base: int) -> None:
        """What was stored beyond ``base`` is lost: its outcome is unknown again, and it is sent once more."""
        lane = self.lane(topic)
        for row in lane.rows:
            if row.stored_offset is not None and row.stored_offset > base:
                row.stored_offset = None
                self._shelf.save_outgoing(row)
        lane.draining = bool(lane.flying)  # what flies was said later: it goes again behind what was lost
        lane.rewind()
        self.pump(topic)

    def passed(self, topic: bytes, offset: int) -> None:
        """The log up to ``offset`` will not come (GAP): rows stored in there have no echo."""
        lane = self.lane(topic)
        for row in lane.rows:
            if row.stored_offset is not None and row.stored_offset <= offset:
                self._drop(lane, row)
        self.pump(topic)


def _without_create(bundle: bytes | None) -> bytes | None:
    """What still comes with the first entry of a feed that another device of ours has begun."""
    blobs = () if bundle is None else decode_struct(bundle, Bundle).blobs
    return encode_struct(Bundle(blobs=blobs)) if blobs else None

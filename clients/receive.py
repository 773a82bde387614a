"""What comes from the log of a conversation: checked, opened, understood, and told to the application in order.

Rule 1.  Entries are dealt with once, by offset; a lower one is dropped, a higher one means that the relay broke order.
Rule 2.  The chain hash runs over every entry, also over those that cannot be read here.
Rule 3.  A failed application message never touches the group; it is reported to its sender by at most three members.
"""

from __future__ import annotations

from collections.abc import Callable

from clients import records as R
from clients.commits import Commits, accounts_of, identity_of
from clients.events import Changed, Delivered, Ephemeral, Forked, Missing, Received, Unreadable, Voided
from clients.evidence import Evidence
from clients.groups import NOW
from clients.outbox import Outbox
from clients.records import Status, Work
from clients.sealing import is_own_leave, open_ephemeral
from clients.shelf import Shelf
from protocol import limits as L
from protocol.codec import decode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import AccessChange, Flag, Gap, GapReason, Msg, Role
from protocol.ids import TopicKind
from protocol.messages import Body, Message, Unknown, parse
from protocol.messages.group import Title
from protocol.messages.key import Failed as KeyFailed
from protocol.messages.rcpt import Delivered as DeliveredBody
from protocol.messages.rcpt import Read
from protocol.messages.sys import Unsupported
from protocol.mls import BadMessage, Member, MlsError
from protocol.padding import unpad
from protocol.position import Seen, authenticated_data, chain_hash, chain_start

QUIET = (DeliveredBody, Read)  # bodies that are not told as messages


class Receiver:
    """Deals with entries, gaps and notices of all conversations of one client."""

    def __init__(self, shelf: Shelf, commits: Commits, outbox: Outbox) -> None:
        self._shelf = shelf
        self._commits = commits
        self._outbox = outbox
        self.evidence = Evidence(shelf)
        self.send: Callable[[R.Conversation, Body, bytes | None], None] = lambda talk, body, re: None
        self.send_box: Callable[[bytes, bytes, Body], None] = lambda account, device, body: None
        self.receipt_due: Callable[[bytes], None] = lambda topic: None
        self.roster_changed: Callable[[bytes], None] = lambda topic: None
        self.doubt: Callable[[bytes], str] = lambda account: ""  # about an account's device list, as of now
        self._forked: set[tuple[bytes, bytes]] = set()  # (topic, account) that we have told about

    # -- the log -------------------------------------------------------------------------------------------------------
    def entry(self, talk: R.Conversation, msg: Msg) -> bool:
        """One entry. False: it is not the next one, so the subscription must start over."""
        if msg.offset <= talk.cursor:
            return True
        if msg.offset != talk.cursor + 1:
            return False
        self._advance(talk, msg)
        if talk.status == Status.ACTIVE and msg.fence > talk.fence:
            talk.fence = msg.fence  # a commit went by unseen (in a GAP): this state opens nothing any more
            self._commits.lock(talk)
            self.roster_changed(talk.topic)
        mine = self._outbox.echo(msg, talk.topic)
        if msg.flags & Flag.COMMIT:
            self._commits.entry(talk, msg, _change_of(msg), mine)
            self.roster_changed(talk.topic)
            if talk.status == Status.REMOVED:
                self._outbox.fail_all(talk.topic)
        elif msg.flags & Flag.ACCESS:
            self._left(talk, msg)
        elif mine is not None:
            self._own(talk, msg, mine)
        elif talk.status == Status.ACTIVE and not msg.flags & Flag.ERASE:
            if msg.fence >= talk.first_fence:
                self._message(talk, msg)
            elif 0 < talk.lost_at < msg.offset:  # said while we were out of the group
                self._shelf.journal.tell(Missing(topic=talk.topic, count=1, reason=GapReason.POLICY))
        self._outbox.pump(talk.topic)
        return True

    def _advance(self, talk: R.Conversation, msg: Msg) -> None:
        previous = talk.chain if talk.cursor else chain_start(talk.topic)
        talk.chain = chain_hash(
            previous, talk.generation, msg.offset, msg.account, msg.device, msg.id, msg.fence, msg.flags,
            msg.header, msg.body,
        )  # fmt: skip
        talk.cursor, talk.heard_ms = msg.offset, msg.ts
        self._shelf.window(talk).add(talk.generation, msg.offset, talk.chain)
        self._shelf.save(talk)

    def gap(self, talk: R.Conversation, gap: Gap) -> None:
        """Entries that will not come: the position moves, the chain is unverified until a member's `seen` passes it."""
        if gap.reason == GapReason.RESET:
            self._restored(talk, gap)
            return
        if gap.last <= talk.cursor:
            return
        count = gap.last - talk.cursor
        talk.cursor, talk.chain, talk.chain_verified = gap.last, gap.hash, False
        talk.generation, talk.gap_at = gap.generation, gap.last
        self._shelf.window(talk).add(talk.generation, talk.cursor, talk.chain)
        if gap.reason == GapReason.POLICY and talk.status == Status.ACTIVE:
            self._commits.wait(talk)  # we were put out and let in again meanwhile: a Welcome says how to go on
        self._shelf.save(talk)
        self._shelf.journal.tell(Missing(topic=talk.topic, count=count, reason=gap.reason))
        self._outbox.passed(talk.topic, gap.last)
        self.roster_changed(talk.topic)

    def _restored(self, talk: R.Conversation, gap: Gap) -> None:
        """The log was restored from a backup that ends at ``gap.last``: what we have beyond is in no log any more."""
        if gap.generation == talk.generation:
            return
        lost, window = max(0, talk.cursor - gap.last), self._shelf.window(talk)
        if window.check(Seen(talk.generation, gap.last, gap.hash)) is False:
            self._shelf.journal.tell(Forked(topic=talk.topic, account=self._shelf.account, offset=gap.last))
        if lost:
            talk.cursor, talk.chain = gap.last, gap.hash
        talk.receipt = min(talk.receipt, talk.cursor)
        talk.generation, talk.recovering = gap.generation, True
        window.add(talk.generation, talk.cursor, talk.chain)
        self._shelf.save(talk)
        self._shelf.journal.tell(Missing(topic=talk.topic, count=lost, reason=gap.reason))
        self._outbox.restored(talk.topic, gap.last)
        self.roster_changed(talk.topic)

    def _left(self, talk: R.Conversation, msg: Msg) -> None:
        change, group = _change_of(msg), self._shelf.groups.get(talk.topic)
        inside = group is None or any(m.identity == identity_of(msg.account, msg.device) for m in group.members)
        signed = is_own_leave(talk.topic, msg.id, msg.header, msg.device, msg.body)
        if change != AccessChange(removed=(msg.account,)) or not inside or not signed:
            reason = "somebody is said to have left, and has not signed it"
            self._shelf.journal.tell(Voided(topic=talk.topic, by=msg.account, reason=reason))
        elif msg.account == self._shelf.account:
            self._commits.close(talk, Status.LEFT, msg.account)
            self._outbox.fail_all(talk.topic, text="you have left the conversation")
            self.roster_changed(talk.topic)
        elif talk.roster.pop(msg.account, None) is not None:
            talk.left += (msg.account,)
            if msg.offset > talk.archived:
                self._shelf.journal.tell(Changed(topic=talk.topic, by=msg.account, removed=(msg.account,)))
            self.roster_changed(talk.topic)

    def _own(self, talk: R.Conversation, msg: Msg, row: R.Outgoing) -> None:
        if row.work == Work.MESSAGE and not row.quiet:
            self._shelf.journal.tell(Received(
                topic=talk.topic, offset=msg.offset, id=msg.id, account=msg.account, device=msg.device, ts=msg.ts,
                content=row.content, mine=True,
            ))  # fmt: skip

    # -- application messages ------------------------------------------------------------------------------------------
    def _message(self, talk: R.Conversation, msg: Msg) -> None:
        group = self._shelf.groups.get(talk.topic)
        if group is None:
            return
        bound = authenticated_data(talk.topic, msg.id, msg.flags, msg.ttl, msg.header, talk.group, msg.fence)
        try:
            opened, following = group.open(msg.body, authenticated_data=bound)
            if opened.sender.identity != identity_of(msg.account, msg.device):
                raise BadMessage("it was sealed by another member than the entry says")
        except MlsError as error:
            self._unreadable(talk, msg, str(error))
            if msg.device != self._shelf.device.public:
                self._report(talk, msg, group.members, group.own_leaf)
            return
        self._shelf.groups.put(talk.topic, following, NOW, epoch=False)
        try:
            content = unpad(opened.plaintext)
            message = parse(content)
        except RemoteProtocolError as error:
            self._unreadable(talk, msg, error.text)
            return
        self._check_seen(talk, msg, message)
        if msg.account in self._shelf.blocked:
            return
        if self._understand(talk, msg, message, content):
            self.evidence.keep(talk, msg, opened, self._shelf.journal.last_seq)

    def _understand(self, talk: R.Conversation, msg: Msg, message: Message, content: bytes) -> bool:
        """Act on a message, and tell it; whether that was somebody else's."""
        body = message.body
        if isinstance(body, QUIET):
            self._receipt(talk, msg, body)
            return False
        if isinstance(body, Title) and talk.roster.get(msg.account, 0) >= Role.ADMIN:
            talk.title = body.title
        if msg.offset <= talk.archived:
            return False  # told by the archive that came with this device
        if isinstance(body, Unknown) and body.must_answer:
            self.send(talk, Unsupported(t=body.type, v=body.version), msg.id)
        mine = msg.device == self._shelf.device.public  # said with a copy of this vault
        doubt = self._shelf.doubts.get((msg.account, msg.device)) or self.doubt(msg.account)
        self._shelf.journal.tell(Received(
            topic=talk.topic, offset=msg.offset, id=msg.id, account=msg.account, device=msg.device, ts=msg.ts,
            content=content, mine=mine, doubt=doubt, muted=self._shelf.is_muted(talk.topic),
        ))  # fmt: skip
        if not mine and len(talk.roster) <= L.DELIVERED_MEMBERS_MAX and talk.kind != TopicKind.SELF:
            self.receipt_due(talk.topic)
        return msg.account != self._shelf.account

    def _receipt(self, talk: R.Conversation, msg: Msg, body: Body) -> None:
        if isinstance(body, DeliveredBody) and body.generation == talk.generation:
            offset = min(body.offset, msg.offset)
            if offset > talk.delivered.get(msg.account, 0):
                talk.delivered[msg.account] = offset
                if msg.account == self._shelf.account:
                    return  # another device of ours: no news to the person
                self._shelf.journal.tell(Delivered(topic=talk.topic, account=msg.account, offset=offset))

    def _check_seen(self, talk: R.Conversation, msg: Msg, message: Message) -> None:
        seen = message.content.seen
        if seen is None:
            return
        same = self._shelf.window(talk).check(seen)
        if same is False and (talk.topic, msg.account) not in self._forked:
            self._forked.add((talk.topic, msg.account))
            self._shelf.journal.tell(Forked(topic=talk.topic, account=msg.account, offset=seen.offset))
        elif same and seen.offset >= talk.gap_at:
            talk.chain_verified = True

    def _unreadable(self, talk: R.Conversation, msg: Msg, reason: str) -> None:
        self._shelf.journal.tell(
            Unreadable(topic=talk.topic, offset=msg.offset, account=msg.account, reason=reason)
        )  # fmt: skip

    def _report(self, talk: R.Conversation, msg: Msg, members: tuple[Member, ...], own_leaf: int) -> None:
        """Tell the sender, if we are among the three first leaves beside the sender's."""
        sender = identity_of(msg.account, msg.device)
        reporters = [m.leaf for m in members if m.identity != sender][: L.READMIT_ASK_MEMBERS]
        if own_leaf in reporters and msg.account in accounts_of(members) and not self._shelf.is_silent(talk):
            self.send_box(msg.account, msg.device, KeyFailed(topic=talk.topic, id=msg.id, offset=msg.offset))

    # -- passing notices -----------------------------------------------------------------------------------------------
    def ephemeral(self, talk: R.Conversation, msg: Msg) -> None:
        """A notice of now; what does not open is dropped silently (its epoch may be over)."""
        group = self._shelf.groups.get(talk.topic)
        if group is None or talk.status != Status.ACTIVE or msg.fence != talk.fence:
            return
        if msg.account in self._shelf.blocked:
            return
        identity = identity_of(msg.account, msg.device)
        leaf = next((member.leaf for member in group.members if member.identity == identity), None)
        if leaf is None:
            return
        try:
            content = open_ephemeral(
                group, msg.body, topic=talk.topic, message_id=msg.id, flags=msg.flags, header=msg.header,
                fence=msg.fence, leaf=leaf,
            )  # fmt: skip
            parse(content)
        except RemoteProtocolError:
            return
        self._shelf.journal.tell(Ephemeral(topic=talk.topic, account=msg.account, content=content))


def _change_of(msg: Msg) -> AccessChange:
    """The access change of an entry; an empty one if it has none, or one that the relay should not have let in."""
    if not msg.flags & Flag.ACCESS:
        return AccessChange()
    try:
        return decode_struct(msg.header, AccessChange)
    except RemoteProtocolError:
        return AccessChange()

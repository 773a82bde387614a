"""Changing a conversation's group: making commits, applying those of others, joining by Welcome.

Rule 1.  A commit that fails a check which every member makes alike is *void*: the state stays, the fence moves on. Its
         author makes the same checks when the echo comes.
Rule 2.  A valid commit that only we cannot open locks the conversation; we ask to be re-admitted.
Rule 3.  An own commit takes effect when its echo comes; until then its state waits in slot NEXT.
Rule 4.  A leaf's signature key is the device that its credential names. What a conversation is (a pair, own devices)
         follows from its topic: nobody else may be in it.
Rule 5.  A commit that takes leaves out says so in its access change, so that the relay admits no message of the past
         epoch after it, which nobody could open.
"""

from __future__ import annotations

import hashlib

import msgspec

from clients import records as R
from clients.events import Changed, Joined, Locked, Missing, Removed, Restarted, Voided
from clients.groups import NEXT, NOW
from clients.records import Status
from clients.rosters import accounts_of, fold, identity_of, is_genuine, number_of, split
from clients.sealing import open_tree, seal_tree
from clients.shelf import Shelf
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import AccessChange, Bundle, Create, Flag, GapReason, Msg, Role, Welcome
from protocol.ids import TopicKind, pair_topic, self_topic
from protocol.mls import CannotOpen, Group, Member, MlsError, StaleMessage, VoidCommit
from protocol.mls.welcome import parse_welcome
from protocol.position import authenticated_data


class Moot(Exception):
    """A planned commit has nothing left to do (somebody else did it)."""


class Commits:
    """Commits of one client."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.added_at: dict[tuple[bytes, bytes], int] = {}  # (topic, credential) -> fence of the commit that added it

    # -- making --------------------------------------------------------------------------------------------------------
    def seal(self, talk: R.Conversation, row: R.Outgoing) -> None:
        """Make the commit that ``row.plan`` asks for, from the state of now. Raises ``Moot``."""
        plan = row.plan
        if plan is None:
            raise Moot
        if plan.reset:
            self._seal_reset(talk, row, plan)
            return
        group = self._found(talk) if plan.create_kind else self._shelf.groups.get(talk.topic)
        if group is None or (plan.create_kind and talk.status != Status.FOUNDING):
            raise Moot
        present = accounts_of(group.members)
        removed = set(plan.remove) & (present | set(talk.roster))
        renewed = {(a, d) for a, d in plan.renew if self._added_at(talk, a, d) < plan.fence}
        dropped = set(plan.drop) & {split(m.identity) for m in group.members}
        if (plan.renew and not renewed) or (plan.remove and not removed) or (plan.drop and not dropped | renewed):
            raise Moot
        back = {a.account for a in plan.add if a.account not in talk.roster}  # has left, and a leaf is still there
        leaves = renewed | dropped
        out = [m for m in group.members if split(m.identity)[0] in removed | back or split(m.identity) in leaves]
        staying = {split(m.identity) for m in group.members if m not in out}
        additions = [a for a in plan.add if (a.account, a.device) not in staying]
        if plan.add and not additions:
            raise Moot
        change = self._access_change(talk, plan, additions, out)
        row.header = encode_struct(change) if change != AccessChange() else b""
        row.flags = Flag.COMMIT | (Flag.ACCESS if row.header else 0)
        row.group, row.fence = talk.group, talk.fence
        self._build(talk, row, group, additions, [m.leaf for m in out], fold(talk.roster, change))

    def _seal_reset(self, talk: R.Conversation, row: R.Outgoing, plan: R.Plan) -> None:
        """A fresh group for a conversation that was restored from a backup, with everybody in it."""
        if not talk.recovering:
            raise Moot  # somebody else was first
        fresh = msgspec.structs.replace(talk, group=talk.group + 1, fence=0)
        change = AccessChange(plan.roles, plan.remove)
        row.header = encode_struct(change) if change != AccessChange() else b""
        row.flags = Flag.COMMIT | Flag.RESET | (Flag.ACCESS if row.header else 0)
        row.group, row.fence, row.expect = fresh.group, 0, talk.cursor
        self._build(fresh, row, self._found(fresh), list(plan.add), [], fold(talk.roster, change))

    def _build(
        self, talk: R.Conversation, row: R.Outgoing, group: Group, additions: list[R.Addition], leaves: list[int],
        roster: dict[bytes, int],
    ) -> None:  # fmt: skip
        shelf, plan = self._shelf, row.plan
        if plan is None:
            raise Moot
        bound = authenticated_data(talk.topic, row.id, row.flags, row.ttl, row.header, row.group, row.fence)
        row.blobs = tuple[R.Blob, ...]()

        def anchored(tree: bytes) -> dict[int, bytes]:
            blob_hash, blob, key = seal_tree(tree, shelf.entropy)
            row.blobs = (R.Blob(blob_hash, blob),)
            return {R.ANCHOR_EXTENSION: encode_struct(R.Anchor(
                talk.topic, talk.kind, talk.generation, talk.cursor, talk.chain, talk.group, talk.fence + 1,
                tuple(sorted(roster.items())), plan.title or talk.title, blob_hash, key, talk.left,
            ))}  # fmt: skip

        pending = group.commit(
            add=[a.package for a in additions], remove=leaves, authenticated_data=bound,
            group_info_extensions=anchored if additions else None, tree_in_welcome=False,
            entropy=shelf.entropy, now_s=shelf.clock_ms() // 1000,
        )  # fmt: skip
        if not plan.reset:
            shelf.groups.put(talk.topic, pending.current, NOW, epoch=bool(plan.create_kind))
        shelf.groups.put(talk.topic, pending.next, NEXT, epoch=True)
        welcomes: tuple[Welcome, ...] = ()
        if pending.welcome is not None:
            letter, accounts = pending.welcome, sorted({a.account for a in additions})
            welcomes = tuple(Welcome(account, letter, shelf.token_of(account)) for account in accounts)
        create = Create(plan.create_kind, plan.create_nonce, plan.create_peer) if plan.create_kind else None
        row.bundle = encode_struct(Bundle(create, talk.cursor, welcomes, tuple(blob.hash for blob in row.blobs)))
        row.body = pending.commit
        row.attempts += (R.Attempt(row.group, row.fence, hashlib.sha256(row.body).digest()),)

    def _added_at(self, talk: R.Conversation, account: bytes, device: bytes) -> int:
        return self.added_at.get((talk.topic, identity_of(account, device)), -1)

    def _access_change(
        self, talk: R.Conversation, plan: R.Plan, additions: list[R.Addition], out: list[Member]
    ) -> AccessChange:
        roles = dict(plan.roles)
        new = {a.account for a in additions} - set(talk.roster)
        if plan.create_kind:
            new.discard(self._shelf.account)
        added = tuple(sorted((account, roles.get(account, Role.MEMBER)) for account in new))
        removed = set(plan.remove) & {*talk.roster, *talk.left}
        known = (new | set(talk.roster)) - removed
        devices = tuple(sorted(split(m.identity) for m in out if split(m.identity)[0] in known))
        joining = tuple(sorted((a.account, a.device) for a in additions if a.account in talk.roster))
        return AccessChange(added, tuple(sorted(removed)), joining, devices)

    def _found(self, talk: R.Conversation) -> Group:
        shelf = self._shelf
        now_s = shelf.clock_ms() // 1000
        return Group.create(
            group_id=group_id(talk), identity=identity_of(shelf.account, shelf.device.public),
            signature_private=shelf.device.seed, lifetime=(now_s - 86_400, now_s + L.KEY_PACKAGE_LIFE_S),
            entropy=shelf.entropy,
        )  # fmt: skip

    # -- applying ------------------------------------------------------------------------------------------------------
    def entry(self, talk: R.Conversation, msg: Msg, change: AccessChange, mine: R.Outgoing | None) -> None:
        """A commit of the log. ``talk.roster`` is still the one before it; it is folded here."""
        before, talk.roster = talk.roster, fold(talk.roster, change)
        talk.left = tuple(account for account in talk.left if account not in {*change.removed, *dict(change.added)})
        if msg.fence < talk.first_fence and not msg.flags & Flag.RESET:
            return  # before our first epoch: hashed and skipped
        strict = bool(change.removed or change.devices_removed)
        talk.past_fence = None if strict else msg.fence
        talk.fence = msg.fence + 1
        if msg.flags & Flag.RESET:
            self._restarted(talk, msg, mine)
        elif mine is not None and mine.work == R.Work.COMMIT:
            self._adopt(talk, msg, change, before, mine)
        elif talk.status == Status.ACTIVE:
            self._apply(talk, msg, change)
        elif talk.status == Status.LOCKED and self._me in change.devices_removed:
            lost_at = talk.lost_at
            self.wait(talk)  # somebody lets us in again: no need to ask for it once more
            talk.lost_at = lost_at

    def _restarted(self, talk: R.Conversation, msg: Msg, mine: R.Outgoing | None) -> None:
        """A fresh group for the same topic: ours, or its author lets us in by a Welcome, or we have to ask."""
        shelf, number, talk.past_fence = self._shelf, number_of(msg.body, talk.topic), None
        is_known, talk.ahead = talk.ahead and number == talk.group, False
        if is_known:
            return  # its Welcome was here first
        made = mine is not None and mine.attempts[-1].body_hash == hashlib.sha256(msg.body).digest()
        before, was_restored = talk.group, talk.recovering
        talk.recovering, talk.group = False, number if was_restored and number is not None else before + 1
        talk.first_fence = talk.fence if made else 0
        shelf.journal.tell(Restarted(topic=talk.topic, by=msg.account))
        if made and shelf.groups.get(talk.topic, NEXT) is not None:
            shelf.groups.advance(talk.topic)
            talk.status = Status.ACTIVE
        elif number != before + 1 and talk.status == Status.ACTIVE and not was_restored:
            self.lock(talk)
        elif talk.status in (Status.ACTIVE, Status.LOCKED):
            self.wait(talk)

    @property
    def _me(self) -> tuple[bytes, bytes]:
        return self._shelf.account, self._shelf.device.public

    def _adopt(
        self, talk: R.Conversation, msg: Msg, change: AccessChange, before: dict[bytes, int], mine: R.Outgoing
    ) -> None:
        shelf = self._shelf
        now, following = shelf.groups.get(talk.topic), shelf.groups.get(talk.topic, NEXT)
        made = mine.attempts[-1].body_hash == hashlib.sha256(msg.body).digest()
        if now is None or talk.status not in (Status.ACTIVE, Status.FOUNDING):
            return
        if following is None or not made:  # the relay had refused these bytes, so the state after them is gone
            self.lock(talk)
            return
        reason = self._fault(talk, msg, change, now.me, now.members, following.members)
        if reason:
            shelf.groups.put(talk.topic, None, NEXT, epoch=True)
            shelf.journal.tell(Voided(topic=talk.topic, by=msg.account, reason=reason))
            return
        group = shelf.groups.advance(talk.topic)
        for addition in () if mine.plan is None else mine.plan.add:
            self.added_at[talk.topic, identity_of(addition.account, addition.device)] = msg.fence
        if talk.status == Status.FOUNDING:
            talk.status = Status.ACTIVE
            talk.first_fence = talk.fence
            talk.past_fence = None
            shelf.journal.tell(
                Joined(topic=talk.topic, by=msg.account, members=tuple(sorted(accounts_of(group.members))))
            )
        else:
            added = tuple(a for a, _ in change.added if a not in before)
            self._tell_change(talk, msg.account, added, tuple(sorted(change.removed)))

    def _tell_change(
        self, talk: R.Conversation, by: bytes, added: tuple[bytes, ...], removed: tuple[bytes, ...]
    ) -> None:
        if (added or removed) and talk.cursor > talk.archived:
            self._shelf.journal.tell(Changed(topic=talk.topic, by=by, added=added, removed=removed))

    def _apply(self, talk: R.Conversation, msg: Msg, change: AccessChange) -> None:
        shelf = self._shelf
        group = shelf.groups.get(talk.topic)
        if group is None:
            return
        bound = authenticated_data(talk.topic, msg.id, msg.flags, msg.ttl, msg.header, talk.group, msg.fence)
        try:
            applied = group.apply(msg.body, authenticated_data=bound, now_s=shelf.clock_ms() // 1000)
        except CannotOpen:
            self.lock(talk)
            return
        except (VoidCommit, StaleMessage) as error:
            shelf.journal.tell(Voided(topic=talk.topic, by=msg.account, reason=str(error)))
            return
        after = (*(m for m in group.members if m not in applied.removed), *applied.added)
        reason = self._fault(talk, msg, change, applied.committer, group.members, after)
        if reason:
            shelf.journal.tell(Voided(topic=talk.topic, by=msg.account, reason=reason))
        elif applied.removed_self:
            self._put_out(talk, msg.account)
        else:
            following = applied.next.drop_past() if talk.past_fence is None else applied.next
            shelf.groups.put(talk.topic, following, NOW, epoch=True)
            for member in applied.added:
                self.added_at[talk.topic, member.identity] = msg.fence
            accounts, here = accounts_of(group.members), accounts_of(after)
            self._tell_change(talk, msg.account, tuple(sorted(here - accounts)), tuple(sorted(accounts - here)))

    def _fault(
        self, talk: R.Conversation, msg: Msg, change: AccessChange, committer: Member, before: tuple[Member, ...],
        after: tuple[Member, ...],
    ) -> str:  # fmt: skip
        """Why a commit does not fit what its entry and its conversation say; the same answer for every member.

        ``talk.roster`` is the access list after the entry: an account that is on it may not be put out of the group.
        """
        if split(committer.identity) != (msg.account, msg.device):
            return "the commit was made by another member than the entry says"
        was, here = accounts_of(before), accounts_of(after)
        added = {account for account, _ in change.added}
        if not all(is_genuine(member) for member in after):
            return "it adds a leaf whose key is not the device that it names"
        if not here - was <= added or not added <= here:
            return "the accounts added to the group are not those added to the access list"
        if set(change.removed) & here:
            return "an account is removed from the access list and stays in the group"
        if (was - here) & set(talk.roster):
            return "it puts an account out of the group that stays on the access list"
        return "" if self._fits(talk.kind, talk.topic, here) else "it lets somebody into a conversation that is closed"

    def _fits(self, kind: int, topic: bytes, accounts: set[bytes]) -> bool:
        """Whether these accounts may be in a conversation of a kind."""
        me = self._shelf.account
        if kind == TopicKind.PAIR:
            return all(account == me or pair_topic(me, account) == topic for account in accounts)
        return kind == TopicKind.GROUP or (kind == TopicKind.SELF and topic == self_topic(me) and accounts == {me})

    def _put_out(self, talk: R.Conversation, by: bytes) -> None:
        """Our leaf is gone. With our account still on the roster we are being re-admitted: a Welcome comes."""
        if self._shelf.account in talk.roster:
            self.wait(talk)
        else:
            self.close(talk, Status.REMOVED, by)

    def wait(self, talk: R.Conversation) -> None:
        """We are being let in anew: what we have opens nothing any more, and a Welcome comes; or we ask for one."""
        talk.status = Status.WAITING
        talk.readmit_at_ms = self._shelf.clock_ms() + L.READMIT_BACKOFF_MS[0]
        talk.lost_at = talk.cursor
        self._shelf.groups.forget(talk.topic)
        self._shelf.save(talk)

    def lock(self, talk: R.Conversation) -> None:
        """We alone cannot go on: drop the state and ask to be re-admitted."""
        talk.status = Status.LOCKED
        talk.lost_at = talk.cursor
        talk.readmit_tries = 0
        talk.readmit_at_ms = self._shelf.clock_ms()
        self._shelf.groups.forget(talk.topic)
        self._shelf.save(talk)
        self._shelf.journal.tell(Locked(topic=talk.topic, fence=talk.fence))

    def close(self, talk: R.Conversation, status: Status, by: bytes) -> None:
        """We are out: drop every secret of the conversation."""
        talk.lost_at = talk.cursor if talk.status == Status.ACTIVE else talk.lost_at
        talk.status = status
        self._shelf.groups.forget(talk.topic)
        self._shelf.save(talk)
        self._shelf.journal.tell(Removed(topic=talk.topic, by=by))

    # -- joining -------------------------------------------------------------------------------------------------------
    def anchor_of(self, welcome: R.PendingWelcome) -> tuple[R.Package, R.Anchor]:
        """Our key package that a Welcome is for, and what it states. Raises ``RemoteProtocolError`` or ``MlsError``."""
        refs = [ref for ref, _, _ in parse_welcome(welcome.body).secrets]
        package = next((self._shelf.packages[ref] for ref in refs if ref in self._shelf.packages), None)
        if package is None:
            raise RemoteProtocolError("a Welcome for a key package that is not ours, or was used", fatal=False)
        preview = Group.preview(welcome=welcome.body, key_package=package.public, key_package_private=package.private)
        anchor = decode_struct(preview.group_info_extensions.get(R.ANCHOR_EXTENSION, b"\xc0"), R.Anchor)
        return package, anchor

    def join(self, welcome: R.PendingWelcome, blob: bytes) -> R.Conversation:
        """Enter a conversation by its Welcome. Raises ``RemoteProtocolError`` or ``MlsError`` if it is not good."""
        shelf = self._shelf
        package, anchor = self.anchor_of(welcome)
        group = Group.join(
            welcome=welcome.body, key_package=package.public, key_package_private=package.private,
            signature_private=shelf.device.seed, now_s=shelf.clock_ms() // 1000,
            ratchet_tree=open_tree(blob, anchor.tree_hash, anchor.tree_key),
        )  # fmt: skip
        talk = self._joined(anchor, group, welcome)
        if not package.last_resort:
            shelf.drop_package(package.ref)
        return talk

    def is_early(self, welcome: R.PendingWelcome) -> bool:
        """Whether we are still in the conversation and have not read up to where this Welcome lets us in again.

        What lies before can be opened with the present state only, so the Welcome waits.
        """
        talk = self._shelf.conversations.get(welcome.topic)
        if talk is None or talk.status != Status.ACTIVE:
            return False
        _, anchor = self.anchor_of(welcome)
        return (anchor.group, anchor.fence) > (talk.group, talk.fence)

    def _check_welcome(self, anchor: R.Anchor, group: Group, welcome: R.PendingWelcome) -> None:
        known, members = self._shelf.conversations.get(anchor.topic), group.members
        here = accounts_of(members)
        if anchor.topic != welcome.topic or group.group_id != anchor.topic + anchor.group.to_bytes(8, "big"):
            raise RemoteProtocolError("a Welcome that came for another conversation", fatal=False)
        if not all(is_genuine(member) for member in members) or welcome.by not in here:
            raise RemoteProtocolError("a Welcome with a forged member, or by somebody who is none", fatal=False)
        if not self._fits(anchor.kind, anchor.topic, here | {account for account, _ in anchor.roster}):
            raise RemoteProtocolError("a Welcome with people who cannot be in this conversation", fatal=False)
        if known is None:
            return
        since = known.fence if known.status == Status.ACTIVE else known.first_fence
        if anchor.generation < known.generation:
            raise RemoteProtocolError("a Welcome from before the conversation was restored", fatal=False)
        if known.kind != anchor.kind or (anchor.group, anchor.fence) <= (known.group, since):
            raise RemoteProtocolError("a Welcome that is older than what is known", fatal=False)

    def _joined(self, anchor: R.Anchor, group: Group, welcome: R.PendingWelcome) -> R.Conversation:
        shelf = self._shelf
        self._check_welcome(anchor, group, welcome)
        known = shelf.conversations.get(anchor.topic)
        again = known is not None and known.cursor > 0
        talk = R.Conversation(anchor.topic, anchor.kind, Status.ACTIVE) if known is None else known
        missed = anchor.offset - talk.lost_at
        # What was read while we were out is read again from the anchor on: commits in it count now.
        talk.generation, talk.cursor, talk.chain = anchor.generation, anchor.offset, anchor.hash
        talk.status, talk.title, talk.recovering = Status.ACTIVE, anchor.title or talk.title, False
        talk.group, talk.fence, talk.first_fence, talk.past_fence = anchor.group, anchor.fence, anchor.fence, None
        talk.roster, talk.left, talk.ahead = dict(anchor.roster), anchor.left, anchor.group > 1 and anchor.fence == 1
        shelf.groups.put(anchor.topic, group, NOW, epoch=True)
        shelf.groups.put(anchor.topic, None, NEXT, epoch=True)
        shelf.save(talk)
        members = tuple(sorted(accounts_of(group.members)))
        shelf.journal.tell(Joined(topic=talk.topic, by=welcome.by, members=members, again=again))
        if again and missed > 0:
            shelf.journal.tell(Missing(topic=talk.topic, count=missed, reason=GapReason.POLICY))
        return talk


def group_id(talk: R.Conversation) -> bytes:
    """MLS group id: the topic and its group number, so a reset never meets the group before it."""
    return talk.topic + talk.group.to_bytes(8, "big")


__all__ = ["Commits", "MlsError", "Moot", "accounts_of", "fold", "group_id", "identity_of", "split"]

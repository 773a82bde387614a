"""Changing a conversation's group: making commits, applying those of others, joining by Welcome.

Rule 1.  A commit that fails a check which every member makes alike is *void*: the state stays, the fence moves on.
Rule 2.  A valid commit that only we cannot open locks the conversation; we ask to be re-admitted.
Rule 3.  An own commit takes effect when its echo comes; until then its state waits in slot NEXT.
"""

from __future__ import annotations

import hashlib

from clients import records as R
from clients.events import Changed, Joined, Locked, Removed, Voided
from clients.groups import NEXT, NOW
from clients.records import Status
from clients.sealing import open_tree, seal_tree
from clients.shelf import Shelf
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import AccessChange, Bundle, Create, Flag, Msg, Role, Welcome
from protocol.ids import TopicKind
from protocol.mls import Applied, CannotOpen, Group, Member, MlsError, StaleMessage, VoidCommit
from protocol.mls.welcome import parse_welcome
from protocol.position import authenticated_data


class Moot(Exception):
    """A planned commit has nothing left to do (somebody else did it)."""


def identity_of(account: bytes, device: bytes) -> bytes:
    """The basic credential of a device: its account, then its key."""
    return account + device


def split(identity: bytes) -> tuple[bytes, bytes]:
    """(account, device) of a credential; (b"", b"") if it is none of ours."""
    return (identity[:32], identity[32:]) if len(identity) == 64 else (b"", b"")


def accounts_of(members: tuple[Member, ...]) -> set[bytes]:
    """The accounts whose devices are in a group."""
    return {split(member.identity)[0] for member in members}


def fold(roster: dict[bytes, int], change: AccessChange) -> dict[bytes, int]:
    """The roster after an access change: adding a present account sets its role, removing an absent one is nothing."""
    result = {account: role for account, role in roster.items() if account not in change.removed}
    result.update(dict(change.added))
    return result


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
        group = self._found(talk) if plan.create_kind else self._shelf.groups.get(talk.topic)
        if group is None:
            raise Moot
        removed = set(plan.remove) & accounts_of(group.members)
        renewed = {(a, d) for a, d in plan.renew if self._added_at(talk, a, d) < plan.fence}
        if plan.renew and not renewed:
            raise Moot
        leaves = [
            m.leaf for m in group.members if split(m.identity)[0] in removed or split(m.identity) in renewed
        ]  # fmt: skip
        present = {split(m.identity) for m in group.members if m.leaf not in leaves}
        additions = [a for a in plan.add if (a.account, a.device) not in present]
        if (plan.add and not additions) or (plan.remove and not leaves):
            raise Moot
        change = self._access_change(talk, plan, additions)
        row.header = encode_struct(change) if change != AccessChange() else b""
        row.flags = Flag.COMMIT | (Flag.ACCESS if row.header else 0)
        row.group, row.fence = talk.group, talk.fence
        self._build(talk, row, group, additions, leaves, fold(talk.roster, change))

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
                tuple(sorted(roster.items())), plan.title or talk.title, blob_hash, key,
            ))}  # fmt: skip

        pending = group.commit(
            add=[a.package for a in additions], remove=leaves, authenticated_data=bound,
            group_info_extensions=anchored if additions else None, tree_in_welcome=False,
            entropy=shelf.entropy, now_s=shelf.clock_ms() // 1000,
        )  # fmt: skip
        shelf.groups.put(talk.topic, pending.current, NOW, epoch=bool(plan.create_kind))
        shelf.groups.put(talk.topic, pending.next, NEXT, epoch=True)
        welcomes: tuple[Welcome, ...] = ()
        if pending.welcome is not None:
            welcomes = tuple(Welcome(account, pending.welcome) for account in sorted({a.account for a in additions}))
        create = Create(plan.create_kind, plan.create_nonce, plan.create_peer) if plan.create_kind else None
        row.bundle = encode_struct(Bundle(create, talk.cursor, welcomes, tuple(blob.hash for blob in row.blobs)))
        row.body = pending.commit
        row.attempts += (R.Attempt(row.group, row.fence, hashlib.sha256(row.body).digest()),)

    def _added_at(self, talk: R.Conversation, account: bytes, device: bytes) -> int:
        return self.added_at.get((talk.topic, identity_of(account, device)), -1)

    def _access_change(self, talk: R.Conversation, plan: R.Plan, additions: list[R.Addition]) -> AccessChange:
        roles = dict(plan.roles)
        new = {a.account for a in additions} - set(talk.roster)
        if plan.create_kind:
            new.discard(self._shelf.account)
        added = tuple(sorted((account, roles.get(account, Role.MEMBER)) for account in new))
        return AccessChange(added=added, removed=tuple(sorted(set(plan.remove) & set(talk.roster))))

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
        if msg.fence < talk.first_fence:
            talk.roster = fold(talk.roster, change)
            return  # before our first epoch: hashed and skipped
        before, talk.roster = talk.roster, fold(talk.roster, change)
        talk.past_fence = None if change.removed else msg.fence
        talk.fence = msg.fence + 1
        if mine is not None and mine.work == R.Work.COMMIT:
            self._adopt(talk, msg, change, before)
        elif talk.status == Status.ACTIVE:
            self._apply(talk, msg, change)

    def _adopt(self, talk: R.Conversation, msg: Msg, change: AccessChange, before: dict[bytes, int]) -> None:
        group = self._shelf.groups.advance(talk.topic)
        if talk.status == Status.FOUNDING:
            talk.status = Status.ACTIVE
            talk.first_fence = talk.fence
            talk.past_fence = None
            self._shelf.journal.tell(
                Joined(topic=talk.topic, by=msg.account, members=tuple(sorted(accounts_of(group.members))))
            )
        else:
            added = tuple(a for a, _ in change.added if a not in before)
            self._tell_change(talk, msg.account, added, tuple(sorted(change.removed)))

    def _tell_change(
        self, talk: R.Conversation, by: bytes, added: tuple[bytes, ...], removed: tuple[bytes, ...]
    ) -> None:
        if added or removed:
            self._shelf.journal.tell(Changed(topic=talk.topic, by=by, added=added, removed=removed))

    def _apply(self, talk: R.Conversation, msg: Msg, change: AccessChange) -> None:
        shelf = self._shelf
        group = shelf.groups.get(talk.topic)
        if group is None:
            return
        bound = authenticated_data(talk.topic, msg.id, msg.flags, msg.ttl, msg.header, talk.group, msg.fence)
        try:
            applied = group.apply(msg.body, authenticated_data=bound, now_s=shelf.clock_ms() // 1000)
            reason = self._roster_fault(msg, change, applied, group, talk.roster)
        except CannotOpen:
            self.lock(talk)
            return
        except (VoidCommit, StaleMessage) as error:
            reason = str(error)
        if reason:
            shelf.journal.tell(Voided(topic=talk.topic, by=msg.account, reason=reason))
        elif applied.removed_self:
            self._put_out(talk, msg.account)
        else:
            following = applied.next.drop_past() if change.removed else applied.next
            shelf.groups.put(talk.topic, following, NOW, epoch=True)
            for member in applied.added:
                self.added_at[talk.topic, member.identity] = msg.fence
            accounts = accounts_of(group.members)
            added = tuple(sorted(accounts_of(applied.added) - accounts))
            removed = tuple(sorted(accounts - accounts_of(applied.next.members)))
            self._tell_change(talk, msg.account, added, removed)

    @staticmethod
    def _roster_fault(msg: Msg, change: AccessChange, applied: Applied, before: Group, roster: dict[bytes, int]) -> str:
        """Why the commit does not fit what the entry says; the same answer for every member.

        ``roster`` is the access list after the entry: an account that is on it may not be put out of the group.
        """
        if split(applied.committer.identity) != (msg.account, msg.device):
            return "the commit was made by another member than the entry says"
        here, gone = accounts_of(applied.next.members), set(change.removed)
        added = {account for account, _ in change.added}
        newcomers = accounts_of(applied.added) - accounts_of(before.members)
        if any(split(member.identity) == (b"", b"") for member in applied.added):
            return "it adds a leaf that names no account"
        if not newcomers <= added or not added <= here:
            return "the accounts added to the group are not those added to the access list"
        if gone & here:
            return "an account is removed from the access list and stays in the group"
        if (accounts_of(before.members) - here) & set(roster):
            return "it puts an account out of the group that stays on the access list"
        return ""

    def _put_out(self, talk: R.Conversation, by: bytes) -> None:
        """Our leaf is gone. With our account still on the roster we are being re-admitted: a Welcome comes."""
        if self._shelf.account in talk.roster:
            talk.status = Status.WAITING
            self._shelf.groups.forget(talk.topic)
        else:
            self.close(talk, Status.REMOVED, by)

    def lock(self, talk: R.Conversation) -> None:
        """We alone cannot go on: drop the state and ask to be re-admitted."""
        talk.status = Status.LOCKED
        talk.readmit_tries = 0
        talk.readmit_at_ms = self._shelf.clock_ms()
        self._shelf.groups.forget(talk.topic)
        self._shelf.save(talk)
        self._shelf.journal.tell(Locked(topic=talk.topic, fence=talk.fence))

    def close(self, talk: R.Conversation, status: Status, by: bytes) -> None:
        """We are out: drop every secret of the conversation."""
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
        preview = Group.preview(
            welcome=welcome.body, key_package=package.public, key_package_private=package.private
        )  # fmt: skip
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

    def _joined(self, anchor: R.Anchor, group: Group, welcome: R.PendingWelcome) -> R.Conversation:
        shelf = self._shelf
        known = shelf.conversations.get(anchor.topic)
        if anchor.topic != welcome.topic or group.group_id != anchor.topic + anchor.group.to_bytes(8, "big"):
            raise RemoteProtocolError("a Welcome that came for another conversation", fatal=False)
        if known is not None and known.status == Status.ACTIVE and anchor.fence <= known.fence:
            raise RemoteProtocolError("a Welcome that is older than what is known", fatal=False)
        again = known is not None and known.cursor > 0
        talk = R.Conversation(anchor.topic, anchor.kind, Status.ACTIVE) if known is None else known
        if known is None or known.cursor < anchor.offset or known.cursor == 0:
            talk.generation, talk.cursor, talk.chain = anchor.generation, anchor.offset, anchor.hash
        talk.status, talk.title = Status.ACTIVE, anchor.title or talk.title
        talk.group, talk.fence, talk.first_fence, talk.past_fence = anchor.group, anchor.fence, anchor.fence, None
        talk.roster = dict(anchor.roster)
        shelf.groups.put(anchor.topic, group, NOW, epoch=True)
        shelf.groups.put(anchor.topic, None, NEXT, epoch=True)
        shelf.save(talk)
        members = tuple(sorted(accounts_of(group.members)))
        shelf.journal.tell(Joined(topic=talk.topic, by=welcome.by, members=members, again=again))
        return talk


def group_id(talk: R.Conversation) -> bytes:
    """MLS group id: the topic and its group number, so a reset never meets the group before it."""
    return talk.topic + talk.group.to_bytes(8, "big")


PRIVATE_KINDS = (TopicKind.PAIR, TopicKind.GROUP, TopicKind.SELF)
__all__ = ["Commits", "MlsError", "Moot", "accounts_of", "fold", "group_id", "identity_of", "split"]

"""Who may be let in and put out: access changes judged against the access list. Pure.

Rights, by role (a higher one includes the lower):

* READER: leave; commit without an access change (key rotation, cleaning up the tree), so that keys can heal.
* MEMBER: publish. Any role may also remove accounts that are verifiably gone, which is no loss to anyone.
* ADMIN: let in, put out and change roles up to its own, of accounts that stand no higher.
* OWNER: the same for owners. A conversation with members has an owner: when the last one leaves, or goes for good, the
  longest-standing of the highest role that is left becomes one (seniority, then the account's bytes: the same for all).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from protocol.errors import Code, Reason
from protocol.frames import AccessChange, Role
from protocol.ids import TopicKind, pair_topic
from protocol.limits import GROUP_DEVICES_MAX
from storage.base import Append, Refused
from storage.facts import LEFT, Facts, Member
from storage.flags import COMMIT

NO_CHANGE = AccessChange()


class Changed(msgspec.Struct, frozen=True, gc=False):
    """What an accepted access change does to the list."""

    members: tuple[Member, ...] = ()  # rows to insert or replace
    forgotten: tuple[bytes, ...] = ()  # rows to delete
    change: AccessChange | None = None  # as it is in force: with promotions


def is_leave(intent: Append) -> bool:
    """An ACCESS entry without COMMIT that removes nobody but its author."""
    access = intent.access
    return (
        not intent.flags & COMMIT
        and access is not None
        and access == AccessChange(removed=(intent.account,))
    )  # fmt: skip


def removes(intent: Append) -> bool:
    """Whether a commit removes an account or a device: then it need not wait, and the fence is strict after it."""
    return intent.access is not None and bool(intent.access.removed or intent.access.devices_removed)


def leave(intent: Append, roster: Mapping[bytes, Member], kind: TopicKind) -> Changed | Refused:
    """The author leaves; its row stays as ``LEFT`` until a commit has removed it from the group too."""
    if kind is TopicKind.SELF:
        return _forbidden("an account cannot leave its own self topic")
    after = dict(roster)
    gone = msgspec.structs.replace(after[intent.account], role=LEFT)
    after[intent.account] = gone
    return _changed(roster, after, (), AccessChange(removed=(intent.account,)))


def founded(intent: Append, roles: Mapping[bytes, int], head: int) -> Changed:
    """The first access list: the founder from the start, the others from where the first commit says."""
    since = min(intent.read_from, head)
    members = tuple(
        Member(account, role, 0 if account == intent.account else since, head)
        for account, role in sorted(roles.items())
    )
    return Changed(members, (), AccessChange(added=tuple((member.account, member.role) for member in members)))


def evaluate(facts: Facts, intent: Append, kind: TopicKind, head: int, now_ms: int) -> Changed | Refused:
    """Judge the access change of a commit that is to get offset ``head``. Without a change: nothing happens."""
    change = intent.access
    if change is None or change == NO_CHANGE:
        return Changed()
    refusal = _shape(intent, change) or _existence(facts, change, now_ms) or _kind(facts, intent, kind, change, now_ms)
    refusal = refusal or _rights(facts, intent, change, now_ms) or _room(facts, change)
    if refusal is not None:
        return refusal
    after = {account: member for account, member in facts.roster.items() if account not in change.removed}
    for account, role in change.added:
        before = after.get(account)
        if before is None or before.role == LEFT:
            after[account] = Member(account, role, min(intent.read_from, head), head)
        else:
            after[account] = msgspec.structs.replace(before, role=role)
    demoted = any(
        facts.roster[account].role == Role.OWNER and role < Role.OWNER
        for account, role in change.added
        if account in facts.roster
    )
    if demoted and not any(member.role == Role.OWNER for member in after.values()):
        return _forbidden("the last owner cannot step down before naming another owner")
    return _changed(facts.roster, after, change.removed, change)


def _changed(
    before: Mapping[bytes, Member], after: dict[bytes, Member], forgotten: tuple[bytes, ...], change: AccessChange
) -> Changed:
    present = [member for member in after.values() if member.role != LEFT]
    if present and not any(member.role == Role.OWNER for member in present):
        heir = min(present, key=lambda member: (-member.role, member.joined, member.account))
        after[heir.account] = msgspec.structs.replace(heir, role=Role.OWNER)
        added = (*(pair for pair in change.added if pair[0] != heir.account), (heir.account, Role.OWNER))
        change = msgspec.structs.replace(change, added=added)
    rows = tuple(member for account, member in after.items() if before.get(account) != member)
    return Changed(rows, forgotten, change)


def _shape(intent: Append, change: AccessChange) -> Refused | None:
    added = [account for account, _ in change.added]
    if len({*added, *change.removed}) != len(added) + len(change.removed):
        return Refused(Code.FRAME, "an access change names an account twice; name each once")
    if any(not Role.READER <= role <= Role.OWNER for _, role in change.added):
        return Refused(Code.FRAME, f"a role is {Role.READER} to {Role.OWNER}")
    if intent.account in change.removed:
        return Refused(Code.FRAME, "nobody can commit their own removal; leave by an access entry without commit")
    return None


def newcomers(facts: Facts, added: Sequence[bytes], now_ms: int) -> Refused | None:
    """Whether all accounts to add exist and have a valid device list."""
    unknown = sum(account not in facts.accounts for account in added)
    if unknown:
        return Refused(Code.NOT_FOUND, f"{unknown} of the {len(added)} accounts to add are not registered here")
    expired = sum(facts.accounts[account].gone(now_ms) for account in added)
    if expired:
        text = f"{expired} of the {len(added)} accounts to add have no valid device list; they must renew it"
        return Refused(Code.EXPIRED, text)
    return None


def _existence(facts: Facts, change: AccessChange, now_ms: int) -> Refused | None:
    added = [account for account, _ in change.added]
    refusal = newcomers(facts, added, now_ms)
    if refusal is not None:
        return refusal
    strangers = sum(account not in facts.roster for account in change.removed)
    if strangers:
        return Refused(Code.NOT_FOUND, f"{strangers} of the {len(change.removed)} accounts to remove are not members")
    owners = {account for account, _ in (*change.devices_added, *change.devices_removed)}
    outsiders = sum(account not in facts.roster for account in owners.difference(added))
    if outsiders:
        return Refused(Code.NOT_FOUND, f"devices of {outsiders} accounts that are not members")
    return None


def _gone(facts: Facts, account: bytes, now_ms: int) -> bool:
    known = facts.accounts.get(account)
    return facts.roster[account].role == LEFT or known is None or known.gone(now_ms)


def _kind(facts: Facts, intent: Append, kind: TopicKind, change: AccessChange, now_ms: int) -> Refused | None:
    if kind is TopicKind.SELF and (change.added or change.removed):
        return _forbidden("a self topic belongs to one account")
    if kind is not TopicKind.PAIR:
        return None
    for account, role in change.added:
        if role != Role.OWNER or (account != intent.account and pair_topic(intent.account, account) != intent.topic):
            return _forbidden("a pair has its two accounts, both as owners; found a group to have others in")
    if any(not _gone(facts, account, now_ms) for account in change.removed):
        return _forbidden("nobody can be put out of a pair; leave it, or block the account")
    return None


def _rights(facts: Facts, intent: Append, change: AccessChange, now_ms: int) -> Refused | None:
    mine = facts.roster[intent.account].role
    for account, role in change.added:
        member = facts.roster.get(account)
        current = LEFT if member is None else member.role
        if role != current and (mine < Role.ADMIN or max(role, current) > mine):
            return _forbidden("letting in and changing roles needs an admin, and nobody acts above their own role")
    for account in change.removed:
        if not _gone(facts, account, now_ms) and (mine < Role.ADMIN or facts.roster[account].role > mine):
            return _forbidden("putting out needs an admin, and nobody acts above their own role")
    return None


def _room(facts: Facts, change: AccessChange) -> Refused | None:
    present = {account for account, member in facts.roster.items() if member.role != LEFT}
    newly = [account for account, _ in change.added if account not in present]
    return room(facts, newly, [account for account in change.removed if account in present]) if newly else None


def room(facts: Facts, newly: Iterable[bytes], leaving: Iterable[bytes]) -> Refused | None:
    """Whether the devices of the conversation stay within its cap."""

    def devices(accounts: Iterable[bytes]) -> int:
        return sum(facts.accounts[account].devices for account in accounts if account in facts.accounts)

    total = facts.roster_devices + devices(newly) - devices(leaving)
    if total > GROUP_DEVICES_MAX:
        return Refused(Code.TOO_LARGE, f"{total} devices; a conversation has at most {GROUP_DEVICES_MAX}")
    return None


def welcomes(facts: Facts, intent: Append, after: Iterable[bytes]) -> Refused | None:
    """Whether every Welcome can be posted. ``after``: accounts that are members once the commit is applied."""
    accounts = [welcome.account for welcome in intent.welcomes]
    if len(set(accounts)) != len(accounts):
        return Refused(Code.FRAME, "two Welcomes for one account; one serves all its devices")
    strangers = len(set(accounts).difference(after))
    if strangers:
        return Refused(
            Code.NOT_FOUND, f"{strangers} of the {len(accounts)} Welcomes are for accounts that are not members"
        )
    missing = sum(account not in facts.inboxes for account in accounts)
    if missing:
        return Refused(Code.NOT_FOUND, f"{missing} of the {len(accounts)} Welcomes are for accounts without an inbox")
    if any(facts.inboxes[account].used for account in accounts):
        return Refused(Code.CONFLICT, "the id was used in an inbox already; take a new one", Reason.ID_CONFLICT)
    full = sum(facts.inboxes[account].unread >= facts.inboxes[account].unread_max for account in accounts)
    if full:
        return Refused(Code.QUOTA, f"{full} of the {len(accounts)} inboxes are full of unread entries")
    return None


def _forbidden(text: str) -> Refused:
    return Refused(Code.FORBIDDEN, text)

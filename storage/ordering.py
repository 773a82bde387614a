"""The order of work of an append, as one pure function: ``decide(facts, intent, now_ms)``.

login, lease → dedupe → age of the id → device → access → shape → fence → spacing → access change → ``after`` →
expect → quota → append. Why this order:

* A newer *login* of the device supersedes older ones first: an attempt that is stuck elsewhere never lands late.
* So does the *lease* of a worker's slot, whose processes share one login: the token must be the one in force.
* *Dedupe* comes before everything that can change, so a lost OK never turns into a refusal. The key is (topic, device,
  id); the digest covers what the sender authenticates, never the generation or ``after``.
* The *fence* comes before ``after``: a stale fence is the only definite refusal that permits re-sealing, and a sender
  whose queue is stale anyway should learn it from its first entry. (``after`` before quota: the model in
  ``tests/model`` has it so; a refusal for quota must not let a later entry of the device pass.)
* An *access change* is judged after the fence: what the author saw of the roster is then what the roster is.

Positions of the group: a conversation is founded by a commit of epoch (1, 0) and is at (1, 1) after it. A commit needs
exactly (group, fence) and moves the fence by one. An application entry needs the same, or (group, fence − 1) within
``GRACE_MS`` after a commit that removed nobody. A *reset* (COMMIT | RESET, by an admin; in a pair both are owners) is
sealed for the group that it founds: epoch (group + 1, 0), and names the head in ``expect``; the topic is then at
(group + 1, 1). A topic that was restored from a backup is *recovering*: it takes nothing but a reset, of any higher
group number. ``Entry.fence`` is the fence as sent, 0 where there is none.
"""

from __future__ import annotations

import msgspec

from protocol.codec import encode_struct
from protocol.errors import Code, Reason
from protocol.frames import Role, WelcomeHeader
from protocol.ids import TopicKind, feed_topic, group_topic, id_ms, pair_topic, self_topic
from protocol.limits import (
    COMMIT_SPACING_MS,
    GRACE_MS,
    ID_AGE_MS_MAX,
    ID_AHEAD_MS_MAX,
    ID_BYTES,
    KEY_BYTES,
    RECOVERING_RETRY_MS,
    RESERVE_EVERY_MS,
    RESERVE_MS,
)
from storage import access, inboxes
from storage.base import Append, Appended, Refused
from storage.extending import extend, point
from storage.facts import LEFT, Facts, Plan, TopicFacts
from storage.flags import ACCESS, COMMIT, ERASE, PUBLIC, RESET, SEALED, STORED, URGENT, WELCOME
from storage.logins import late

_RECOVERING = "the conversation was restored from a backup; an admin of it starts encryption anew, then send again"
CONVERSATION = frozenset({TopicKind.GROUP, TopicKind.PAIR, TopicKind.SELF})


def decide(facts: Facts, intent: Append, now_ms: int, spacing_ms: int = COMMIT_SPACING_MS) -> Plan | Appended | Refused:
    """Judge one append. ``Plan``: write all of it. ``Appended``: a duplicate, write nothing. ``Refused``: nothing.

    ``now_ms`` is the store's clock inside the transaction; ``spacing_ms`` the least time between commits that remove
    nobody.
    """
    early = late(facts, intent) or _dedupe(facts, intent) or _age(intent, now_ms) or _device(facts, now_ms)
    if early is not None:
        return early
    topic = facts.topic
    if topic is None:
        return _found(facts, intent, now_ms)
    author = facts.author
    readable = author is not None and author.role != LEFT
    if not readable and topic.kind is not TopicKind.INBOX:
        return _unknown()
    if intent.create is not None:
        return _stated(topic, Reason.EXISTS, "the conversation exists already") if readable else _unknown()
    shape = _shape(topic.kind, intent)
    if shape is not None:
        return shape
    if topic.kind in CONVERSATION:
        return _conversation(facts, topic, intent, now_ms, spacing_ms)
    refusal = _erasure(facts, intent) or _sequence(facts, topic, intent) or _quota(facts)
    return refusal or _append(facts, topic, intent, topic, access.Changed(), now_ms)


# -- before anything of the topic is looked at -------------------------------------------------------------------------
def _dedupe(facts: Facts, intent: Append) -> Appended | Refused | None:
    stored = facts.stored
    if stored is None:
        return None
    if stored.digest == intent.digest:
        return Appended(stored.generation, stored.offset, stored.ts, duplicate=True)
    text = "other content is stored under this id; take a new id"
    return Refused(
        Code.CONFLICT, text, Reason.ID_CONFLICT, generation=stored.generation, offset=stored.offset, hash=stored.digest
    )


def _age(intent: Append, now_ms: int) -> Refused | None:
    made_ms = id_ms(intent.id)
    if made_ms < now_ms - ID_AGE_MS_MAX:
        return Refused(Code.EXPIRED, "the id is too old to tell whether it was stored; take a new one")
    if made_ms > now_ms + ID_AHEAD_MS_MAX:
        return Refused(Code.FRAME, "the id lies more than a day ahead; set the clock of this device")
    return None


def _device(facts: Facts, now_ms: int) -> Refused | None:
    if not facts.listed:
        return Refused(Code.FORBIDDEN, "this device is not on its account's current device list")
    if facts.expires_ms <= now_ms:
        return Refused(Code.FORBIDDEN, "the account's device list has expired; renew it from a primary device")
    return None


def _unknown() -> Refused:
    return Refused(Code.NOT_FOUND, "no such topic, or not yours")


def _stated(topic: TopicFacts, reason: Reason, text: str, retry_ms: int | None = None) -> Refused:
    return Refused(
        Code.CONFLICT, text, reason, retry_ms, generation=topic.generation, offset=topic.head, group=topic.group,
        fence=topic.fence,
    )  # fmt: skip


# -- shape: what the flags of an entry may say, by the kind of its topic -----------------------------------------------
def _shape(kind: TopicKind, intent: Append) -> Refused | None:
    flags = intent.flags
    if flags & ~STORED:
        return _bad("a flag that no stored entry of a client may have")
    if bool(flags & ACCESS) != (intent.access is not None) or bool(flags & ERASE) != (intent.erases > 0):
        return _bad("the header does not fit the flags")
    if intent.welcomes and not flags & COMMIT:
        return _bad("Welcomes come with a commit only")
    if kind is TopicKind.INBOX:
        if flags & ~URGENT != SEALED or intent.epoch is not None:
            return _bad("an inbox takes sealed entries without an epoch")
    elif kind is TopicKind.FEED:
        if flags & ~(URGENT | ERASE) != PUBLIC or intent.epoch is not None:
            return _bad("a feed takes public entries without an epoch")
    else:
        return _conversation_shape(intent)
    return None


def _conversation_shape(intent: Append) -> Refused | None:
    flags = intent.flags
    commit, change, reset = flags & COMMIT, flags & ACCESS, flags & RESET
    if flags & (PUBLIC | SEALED):
        return _bad("a conversation takes neither public nor sealed entries")
    if flags & ERASE and (commit or change):
        return _bad("an erasure is an entry of its own")
    if reset and (not commit or intent.expect is None):
        return _bad("a reset is a commit that names the head it has seen")
    if change and not commit:
        return None if access.is_leave(intent) else _bad("an access change comes with a commit; only a leave does not")
    return _bad("an entry of a conversation needs its epoch") if intent.epoch is None else None


def _bad(text: str) -> Refused:
    return Refused(Code.FRAME, text)


# -- founding a topic --------------------------------------------------------------------------------------------------
def _found(facts: Facts, intent: Append, now_ms: int) -> Plan | Refused:
    create = intent.create
    if create is None:
        return _unknown()
    if create.kind not in {*CONVERSATION, TopicKind.FEED}:
        return _bad("a topic of this kind cannot be created")
    kind = TopicKind(create.kind)
    shape = _founding_shape(kind, intent)
    if shape is not None:
        return shape
    blank = TopicFacts(intent.topic, kind, intent.account if kind in (TopicKind.SELF, TopicKind.FEED) else b"")
    roles = _founding_roles(kind, intent)
    if isinstance(roles, Refused):
        return roles
    refusal = access.newcomers(facts, [account for account in roles if account != intent.account], now_ms)
    refusal = (
        refusal
        or access.room(facts, roles, ())
        or access.welcomes(facts, intent, roles)
        or _sequence(facts, blank, intent)
        or _blobs(facts)
    )
    if refusal is not None:
        return refusal
    if kind is TopicKind.FEED:
        founded = blank
    else:
        founded = msgspec.structs.replace(blank, group=1, fence=1, committed_ms=now_ms)
    return _append(facts, blank, intent, founded, access.founded(intent, roles, 1), now_ms, created=True)


def _founding_shape(kind: TopicKind, intent: Append) -> Refused | None:
    create = intent.create
    assert create is not None
    if kind is TopicKind.FEED:
        expected = feed_topic(intent.account)
    elif kind is TopicKind.SELF:
        expected = self_topic(intent.account)
    elif kind is TopicKind.PAIR:
        if len(create.peer) != KEY_BYTES or create.peer == intent.account:
            return _bad("a pair has two different accounts")
        expected = pair_topic(intent.account, create.peer)
    else:
        if not ID_BYTES <= len(create.nonce) <= KEY_BYTES:
            return _bad(f"the nonce of a group has {ID_BYTES} to {KEY_BYTES} bytes")
        expected = group_topic(intent.account, create.nonce)
    if expected != intent.topic:
        return _bad("the topic id is not the one that follows from its founder and kind")
    shape = _shape(kind, intent)
    if shape is not None or kind is TopicKind.FEED:
        return shape
    if not intent.flags & COMMIT or intent.flags & RESET or intent.epoch != (1, 0):
        return _bad("a conversation is founded by a commit of epoch (1, 0)")
    if access.removes(intent):
        return _bad("nobody can be removed from a conversation that does not exist yet")
    return None


def _founding_roles(kind: TopicKind, intent: Append) -> dict[bytes, int] | Refused:
    """The first access list, account → role; the founder is an owner whatever the change says."""
    change = access.NO_CHANGE if intent.access is None else intent.access
    roles = dict(change.added)
    if len(roles) != len(change.added) or any(not Role.READER <= role <= Role.OWNER for role in roles.values()):
        return _bad("an access change names each account once, with a role")
    if roles.setdefault(intent.account, Role.OWNER) != Role.OWNER:
        return _bad("the founder of a conversation is its owner")
    assert intent.create is not None
    if kind is TopicKind.PAIR and roles != {intent.account: Role.OWNER, intent.create.peer: Role.OWNER}:
        return _bad("a pair has its two accounts, both as owners")
    if kind in (TopicKind.SELF, TopicKind.FEED) and len(roles) != 1:
        return _bad("a self topic or feed has one account")
    return roles


# -- a conversation ----------------------------------------------------------------------------------------------------
def _conversation(facts: Facts, topic: TopicFacts, intent: Append, now_ms: int, spacing_ms: int) -> Plan | Refused:
    commit, reset, leaving = intent.flags & COMMIT, intent.flags & RESET, access.is_leave(intent)
    if topic.recovering and not reset:
        return _stated(topic, Reason.RECOVERING, _RECOVERING, RECOVERING_RETRY_MS)
    refusal = _role(facts, intent) or (None if leaving else _fence(topic, intent, now_ms))
    if commit and not reset and not access.removes(intent) and refusal is None:
        refusal = _spacing(topic, intent, now_ms, spacing_ms)
    if refusal is not None:
        return refusal
    changed: access.Changed | Refused = access.Changed()
    if leaving:
        changed = access.leave(intent, facts.roster, topic.kind)
    elif commit:
        changed = access.evaluate(facts, intent, topic.kind, topic.head + 1, now_ms)
    if isinstance(changed, Refused):
        return changed
    refusal = _erasure(facts, intent) or _sequence(facts, topic, intent)
    if intent.welcomes:
        present = {a for a, member in facts.roster.items() if member.role != LEFT}.difference(changed.forgotten)
        present.update(member.account for member in changed.members if member.role != LEFT)
        refusal = refusal or access.welcomes(facts, intent, present)
    refusal = refusal or _blobs(facts)
    if refusal is not None:
        return refusal
    return _append(facts, topic, intent, _moved(topic, intent, now_ms) if commit else topic, changed, now_ms)


def _moved(topic: TopicFacts, intent: Append, now_ms: int) -> TopicFacts:
    """The group after a commit."""
    reset = bool(intent.flags & RESET)
    group = intent.epoch[0] if reset and intent.epoch else topic.group
    return msgspec.structs.replace(
        topic, group=group, fence=1 if reset else topic.fence + 1, committed_ms=now_ms,
        strict=reset or access.removes(intent), reserved_by=b"", reserved_until_ms=0,
        recovering=topic.recovering and not reset,
    )  # fmt: skip


def _role(facts: Facts, intent: Append) -> Refused | None:
    assert facts.author is not None
    role = facts.author.role
    if intent.flags & RESET and role < Role.ADMIN:
        return Refused(Code.FORBIDDEN, "starting encryption anew needs an admin of the conversation")
    if role < Role.MEMBER and not intent.flags & (COMMIT | ACCESS):
        return Refused(Code.FORBIDDEN, "readers of this conversation do not publish")
    return None


def _fence(topic: TopicFacts, intent: Append, now_ms: int) -> Refused | None:
    current = (topic.group, topic.fence)
    if intent.flags & RESET:
        group, fence = intent.epoch or current
        # A recovering topic may have had groups that the backup does not know of: their numbers are used up.
        fits = fence == 0 and (group == topic.group + 1 or (topic.recovering and group > topic.group))
    elif intent.flags & COMMIT:
        fits = intent.epoch == current
    else:
        graced = not topic.strict and now_ms - topic.committed_ms <= GRACE_MS
        fits = intent.epoch == current or (graced and intent.epoch == (topic.group, topic.fence - 1))
    return None if fits else _stated(topic, Reason.STALE_FENCE, f"the group is at {current}; read on and seal again")


def _spacing(topic: TopicFacts, intent: Append, now_ms: int, spacing_ms: int) -> Refused | None:
    waits_ms = topic.committed_ms + spacing_ms - now_ms
    if topic.reserved_by != intent.device and topic.reserved_until_ms > now_ms:
        waits_ms = max(waits_ms, topic.reserved_until_ms - now_ms)
        return _stated(topic, Reason.SPACING, "another device has reserved the next commit", waits_ms)
    if waits_ms > 0:
        return _stated(topic, Reason.SPACING, "the last commit was too recent", waits_ms)
    return None


# -- all kinds ---------------------------------------------------------------------------------------------------------
def _erasure(facts: Facts, intent: Append) -> Refused | None:
    if not intent.flags & ERASE:
        return None
    target, author = facts.target, facts.author
    if target is None:
        return Refused(Code.NOT_FOUND, "the entry to erase does not exist, or has no body any more")
    if target.flags & (COMMIT | ACCESS):
        return _bad("commits and access changes cannot be erased: the group would break")
    if target.account != intent.account and (author is None or author.role < Role.ADMIN):
        return Refused(Code.FORBIDDEN, "only its author or an admin may erase an entry")
    return None


def _sequence(facts: Facts, topic: TopicFacts, intent: Append) -> Refused | None:
    if not facts.after_stored:
        text = "an earlier entry of this device is not stored yet; send in order"
        return _stated(topic, Reason.OUT_OF_ORDER, text)
    if intent.expect is not None and intent.expect != topic.head:
        return _stated(topic, Reason.EXPECT, f"the head is {topic.head}, not {intent.expect}")
    return None


def _quota(facts: Facts) -> Refused | None:
    return (inboxes.full([facts.inbox]) if facts.inbox is not None else None) or _blobs(facts)


def _blobs(facts: Facts) -> Refused | None:
    if facts.blobs_missing:
        return Refused(Code.NOT_FOUND, f"{facts.blobs_missing} of the named blobs are not stored; upload them first")
    return None


def _append(
    facts: Facts, before: TopicFacts, intent: Append, after: TopicFacts, changed: access.Changed, now_ms: int, *,
    created: bool = False,
) -> Plan:  # fmt: skip
    """The plan of an accepted intent; ``after`` is the topic but for its head."""
    author = (intent.account, intent.device, intent.id)
    fence = intent.epoch[1] if intent.epoch else 0
    flags = intent.flags if facts.inbox is None else intent.flags | inboxes.mark(facts.inbox.is_contact)
    topic, entry = extend(before, after, author, flags, fence, intent.ttl, intent.header, intent.body, now_ms)
    posts = []
    for welcome in intent.welcomes:
        known = facts.inboxes[welcome.account]
        inbox, marked = known.topic, WELCOME | inboxes.mark(known.is_contact)
        read_from = min(intent.read_from, entry.offset)
        header = encode_struct(WelcomeHeader(topic.topic, topic.generation, read_from, topic.group, topic.fence))
        posts.append(extend(inbox, inbox, author, marked, 0, 0, header, welcome.body, now_ms))
    posts += point(facts, intent, entry, now_ms)
    return Plan(
        entry, topic, created, changed.members, changed.forgotten, tuple(posts), intent.erases,
        tuple(dict.fromkeys(intent.blobs)), changed.change,
    )  # fmt: skip


# -- reservations ------------------------------------------------------------------------------------------------------
def decide_reserve(
    topic: TopicFacts | None, role: int, listed: bool, made_ms: int | None, device: bytes, now_ms: int
) -> int | Refused:
    """Whether ``device`` may reserve the next commit; the time in ms until which it holds.

    ``made_ms``: when the device last reserved in this topic. One that it holds is answered again.
    """
    if topic is None or role == LEFT:
        return _unknown()
    if not listed:
        return Refused(Code.FORBIDDEN, "this device is not on its account's current device list")
    if topic.kind not in CONVERSATION:
        return _bad("only conversations have commits")
    if topic.reserved_until_ms > now_ms:
        if topic.reserved_by == device:
            return topic.reserved_until_ms
        waits_ms = topic.reserved_until_ms - now_ms
        return _stated(topic, Reason.SPACING, "another device has reserved the next commit", waits_ms)
    if made_ms is not None and now_ms - made_ms < RESERVE_EVERY_MS:
        waits_ms = made_ms + RESERVE_EVERY_MS - now_ms
        return Refused(Code.RATE, "this device reserved a commit here a short while ago", retry_ms=waits_ms)
    return now_ms + RESERVE_MS

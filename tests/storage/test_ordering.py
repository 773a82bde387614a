"""The decision on one append: a row a rule, and the order of the rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from protocol.errors import Code, Reason
from protocol.frames import AccessChange, Create, Role
from protocol.ids import TopicKind, feed_topic, group_topic, new_id, pair_topic, self_topic
from protocol.limits import COMMIT_SPACING_MS, GRACE_MS, ID_AGE_MS_MAX, ID_AHEAD_MS_MAX, INBOX_ENTRIES_MAX
from protocol.position import chain_hash, chain_start
from storage.base import Append, Appended, Refused, WelcomePost
from storage.facts import AccountFacts, Facts, InboxFacts, Member, Plan, Stored, Target, TopicFacts
from storage.flags import ACCESS, COMMIT, DEVICES, ERASE, PUBLIC, RESET, SEALED, WELCOME
from storage.ordering import decide, decide_reserve

NOW_MS = 1_800_000_000_000
ME, PEER, PHONE, OTHER = (bytes([n]) * 32 for n in (1, 2, 3, 4))
TOPIC = group_topic(ME, bytes(16))
DIGEST = bytes(32)
ID = new_id(NOW_MS, bytes)
MEMBER = Member(ME, Role.MEMBER, 0, 1)
AT = TopicFacts(
    TOPIC, TopicKind.GROUP, b"", head=9, head_hash=b"h" * 32, group=2, fence=5, ts=NOW_MS - 60_000,
    committed_ms=NOW_MS - 60_000, strict=False,
)  # fmt: skip
INBOX = TopicFacts(TOPIC, TopicKind.INBOX, PEER, head=3)
FULL_INBOX = InboxFacts(INBOX, INBOX_ENTRIES_MAX, False)
LAST_ROOM = InboxFacts(INBOX, INBOX_ENTRIES_MAX - 1, False)
FEED = TopicFacts(TOPIC, TopicKind.FEED, ME, head=3)
FACTS = Facts(
    AT, MEMBER, login=7, listed=True, expires_ms=NOW_MS + 1, stored=None, after_stored=True, roster={ME: MEMBER}
)
APPEND = Append(ME, PHONE, 7, TOPIC, ID, DIGEST, None, 0, (2, 5), None, 0, b"", b"body")


def judge(facts: dict[str, Any] | None = None, topic: dict[str, Any] | None = None, /, **intent: Any) -> Any:
    """Decide the standard case with some things changed."""
    given = msgspec.structs.replace(FACTS, **(facts or {}))
    if topic:
        assert given.topic is not None
        given = msgspec.structs.replace(given, topic=msgspec.structs.replace(given.topic, **topic))
    return decide(given, replace(APPEND, **intent), NOW_MS)


def test_the_standard_case_is_accepted() -> None:
    plan = judge(ttl=5)
    assert isinstance(plan, Plan)
    entry = plan.entry
    assert (entry.generation, entry.offset, entry.ts, entry.fence, entry.ttl) == (1, 10, NOW_MS, 5, 5)
    assert entry.hash == chain_hash(AT.head_hash, 1, 10, ME, PHONE, ID, 5, 0, b"", b"body")
    assert plan.topic == msgspec.structs.replace(AT, head=10, head_hash=entry.hash, ts=NOW_MS)
    rest = (plan.created, plan.members, plan.forgotten, plan.inboxes, plan.erases, plan.blobs, plan.change)
    assert rest == (False, (), (), (), 0, (), None)


#: (facts, topic, intent) → what is refused, one row a rule.
REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], Code, Reason]] = {
    "an older login": ({}, {}, {"login": 6}, Code.CONFLICT, Reason.SUPERSEDED),
    "other content": ({"stored": Stored(1, 4, 1, b"x")}, {}, {}, Code.CONFLICT, Reason.ID_CONFLICT),
    "an old id": ({}, {}, {"id": new_id(NOW_MS - ID_AGE_MS_MAX - 1, bytes)}, Code.EXPIRED, Reason.NONE),
    "an id ahead": ({}, {}, {"id": new_id(NOW_MS + ID_AHEAD_MS_MAX + 1, bytes)}, Code.FRAME, Reason.NONE),
    "a device off the list": ({"listed": False}, {}, {}, Code.FORBIDDEN, Reason.NONE),
    "an expired list": ({"expires_ms": NOW_MS}, {}, {}, Code.FORBIDDEN, Reason.NONE),
    "an unknown topic": ({"topic": None}, {}, {}, Code.NOT_FOUND, Reason.NONE),
    "a stranger": ({"author": None}, {}, {}, Code.NOT_FOUND, Reason.NONE),
    "one who has left": ({"author": Member(ME, 0, 0, 1)}, {}, {}, Code.NOT_FOUND, Reason.NONE),
    "a stranger who founds it": ({"author": None}, {}, {"create": Create(1)}, Code.NOT_FOUND, Reason.NONE),
    "founding it again": ({}, {}, {"create": Create(1)}, Code.CONFLICT, Reason.EXISTS),
    "a flag that is none": ({}, {}, {"flags": 1 << 40}, Code.FRAME, Reason.NONE),
    "ephemeral": ({}, {}, {"flags": 1}, Code.FRAME, Reason.NONE),
    "a list by a client": ({}, {}, {"flags": DEVICES}, Code.FRAME, Reason.NONE),
    "no header for its flag": ({}, {}, {"flags": ERASE}, Code.FRAME, Reason.NONE),
    "Welcomes without commit": ({}, {}, {"welcomes": (WelcomePost(ME, b""),)}, Code.FRAME, Reason.NONE),
    "public": ({}, {}, {"flags": PUBLIC}, Code.FRAME, Reason.NONE),
    "an erasure that commits": ({}, {}, {"flags": ERASE | COMMIT, "erases": 1}, Code.FRAME, Reason.NONE),
    "a blind reset": ({}, {}, {"flags": COMMIT | RESET, "epoch": (3, 0)}, Code.FRAME, Reason.NONE),
    "a change without commit": ({}, {}, {"flags": ACCESS, "access": AccessChange()}, Code.FRAME, Reason.NONE),
    "no epoch": ({}, {}, {"epoch": None}, Code.FRAME, Reason.NONE),
    "a reader": ({"author": Member(ME, 1, 0, 1)}, {}, {}, Code.FORBIDDEN, Reason.NONE),
    "a member's reset": ({}, {}, {"flags": COMMIT | RESET, "epoch": (3, 0), "expect": 9}, Code.FORBIDDEN, Reason.NONE),
    "a stale fence": ({}, {}, {"epoch": (2, 4)}, Code.CONFLICT, Reason.STALE_FENCE),
    "a fence ahead": ({}, {}, {"epoch": (2, 6)}, Code.CONFLICT, Reason.STALE_FENCE),
    "another group": ({}, {}, {"epoch": (1, 5)}, Code.CONFLICT, Reason.STALE_FENCE),
    "a commit too soon": ({}, {"committed_ms": NOW_MS - 1}, {"flags": COMMIT}, Code.CONFLICT, Reason.SPACING),
    "a missing predecessor": ({"after_stored": False}, {}, {"after": ID}, Code.CONFLICT, Reason.OUT_OF_ORDER),
    "another head": ({}, {}, {"expect": 8}, Code.CONFLICT, Reason.EXPECT),
    "missing blobs": ({"blobs_missing": 1}, {}, {"blobs": (ID,)}, Code.NOT_FOUND, Reason.NONE),
    "nothing to erase": ({}, {}, {"flags": ERASE, "erases": 4}, Code.NOT_FOUND, Reason.NONE),
    "another's entry": ({"target": Target(PEER, 0)}, {}, {"flags": ERASE, "erases": 4}, Code.FORBIDDEN, Reason.NONE),
    "a commit to erase": ({"target": Target(ME, 4)}, {}, {"flags": ERASE, "erases": 4}, Code.FRAME, Reason.NONE),
    "an epoch in an inbox": ({"topic": INBOX}, {}, {"flags": SEALED}, Code.FRAME, Reason.NONE),
    "an open entry in an inbox": ({"topic": INBOX}, {}, {"epoch": None}, Code.FRAME, Reason.NONE),
    "a full inbox": (
        {"topic": INBOX, "inbox": FULL_INBOX}, {}, {"flags": SEALED, "epoch": None}, Code.QUOTA, Reason.NONE,
    ),
    "a sealed entry in a feed": ({"topic": FEED}, {}, {"flags": SEALED, "epoch": None}, Code.FRAME, Reason.NONE),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals(case: tuple[dict[str, Any], dict[str, Any], dict[str, Any], Code, Reason]) -> None:
    facts, topic, intent, code, reason = case
    refusal = judge(facts, topic, **intent)
    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.reason) == (code, reason)
    assert len(refusal.text) > 10


def test_the_order_of_work() -> None:
    """Every step with everything after it wrong too."""
    facts: dict[str, Any] = {
        "stored": Stored(1, 4, 1, b"x"), "listed": False, "author": None, "after_stored": False, "blobs_missing": 1,
    }  # fmt: skip
    intent: dict[str, Any] = {"login": 1, "id": bytes(16), "after": ID, "epoch": (1, 1), "expect": 1, "blobs": (ID,)}
    seen = []
    for right in (
        {"login": 7}, {"stored": None}, {"id": ID}, {"listed": True}, {"author": MEMBER}, {"epoch": (2, 5)},
        {"after_stored": True}, {"expect": 9}, {"blobs_missing": 0},
    ):  # fmt: skip
        refusal = judge(facts, **intent)
        seen.append((refusal.code, refusal.reason))
        for name, value in right.items():
            (intent if name in intent else facts)[name] = value
    assert seen == [
        (409, Reason.SUPERSEDED), (409, Reason.ID_CONFLICT), (410, 0), (403, 0), (404, 0), (409, Reason.STALE_FENCE),
        (409, Reason.OUT_OF_ORDER), (409, Reason.EXPECT), (404, 0),
    ]  # fmt: skip
    assert isinstance(judge(facts, **intent), Plan)


def test_a_duplicate_is_answered_before_anything_that_changes() -> None:
    facts = {"stored": Stored(3, 4, 5, DIGEST), "listed": False, "author": None, "after_stored": False, "topic": None}
    assert judge(facts, epoch=None, expect=3, id=bytes(16)) == Appended(3, 4, 5, duplicate=True)


@pytest.mark.parametrize(
    ("topic", "fence", "accepted"),
    [
        ({"committed_ms": NOW_MS - GRACE_MS}, 4, True),
        ({"committed_ms": NOW_MS - GRACE_MS - 1}, 4, False),
        ({"committed_ms": NOW_MS - GRACE_MS}, 3, False),
        ({"committed_ms": NOW_MS, "strict": True}, 4, False),
        ({"committed_ms": NOW_MS, "fence": 1, "strict": True}, 0, False),
    ],
)
def test_grace(topic: dict[str, Any], fence: int, accepted: bool) -> None:
    assert isinstance(judge({}, topic, epoch=(2, fence)), Plan) is accepted


def test_a_commit_moves_the_fence_and_says_whether_there_is_grace() -> None:
    plan = judge({}, {"reserved_by": PHONE, "reserved_until_ms": NOW_MS + 1}, flags=COMMIT)
    topic = plan.topic
    assert (topic.group, topic.fence, topic.committed_ms, topic.strict) == (2, 6, NOW_MS, False)
    assert (topic.reserved_by, topic.reserved_until_ms) == (b"", 0)
    owner = Member(ME, Role.OWNER, 0, 1)
    facts = {"author": owner, "roster": {ME: owner, PEER: Member(PEER, 2, 0, 1)}}
    removal = judge(facts, {"committed_ms": NOW_MS}, flags=COMMIT | ACCESS, access=AccessChange(removed=(PEER,)))
    assert (removal.topic.fence, removal.topic.strict, removal.forgotten) == (6, True, (PEER,))
    reset = judge(facts, flags=COMMIT | RESET, epoch=(3, 0), expect=9)
    assert (reset.topic.group, reset.topic.fence, reset.topic.strict, reset.entry.fence) == (3, 1, True, 0)


def test_spacing_tells_how_long_to_wait() -> None:
    assert judge({}, {"committed_ms": NOW_MS - 1000}, flags=COMMIT).retry_ms == COMMIT_SPACING_MS - 1000
    reserved = {"reserved_by": OTHER, "reserved_until_ms": NOW_MS + 7}
    assert judge({}, reserved, flags=COMMIT).retry_ms == 7
    assert judge({}, {**reserved, "committed_ms": NOW_MS}, flags=COMMIT).retry_ms == COMMIT_SPACING_MS
    assert isinstance(judge({}, {**reserved, "reserved_by": PHONE}, flags=COMMIT), Plan)
    assert isinstance(judge({}, reserved), Plan)  # application entries do not wait


def test_a_leave_needs_no_fence_and_keeps_a_row() -> None:
    access = AccessChange(removed=(ME,))
    plan = judge(flags=ACCESS, access=access, epoch=None)
    assert plan.members == (Member(ME, 0, 0, 1),)
    assert plan.change == access
    own = {"topic": msgspec.structs.replace(AT, kind=TopicKind.SELF)}
    assert judge(own, flags=ACCESS, access=access, epoch=None).code == Code.FORBIDDEN


def test_erasing() -> None:
    plan = judge({"target": Target(ME, 0)}, flags=ERASE, erases=4)
    assert (plan.erases, plan.entry.offset) == (4, 10)
    admin = Member(ME, Role.ADMIN, 0, 1)
    assert judge({"target": Target(PEER, 0), "author": admin}, flags=ERASE, erases=4).erases == 4


def test_inboxes_and_feeds_take_entries_without_a_fence() -> None:
    plan = judge({"topic": INBOX, "author": None, "inbox": LAST_ROOM}, flags=SEALED, epoch=None)
    assert (plan.entry.offset, plan.entry.fence) == (4, 0)
    assert judge({"topic": FEED}, flags=PUBLIC, epoch=None).entry.offset == 4


PEERS = {account: AccountFacts(account, NOW_MS + 1, 1) for account in (ME, PEER)}
FOUNDED = {"topic": None, "author": None, "roster": {}, "accounts": PEERS}


@pytest.mark.parametrize(
    ("topic", "create", "access", "roles"),
    [
        (pair_topic(ME, PEER), Create(2, peer=PEER), AccessChange(((PEER, 4),)), {ME: 4, PEER: 4}),
        (pair_topic(ME, PEER), Create(2, peer=PEER), AccessChange(((PEER, 4), (ME, 4))), {ME: 4, PEER: 4}),
        (TOPIC, Create(1, nonce=bytes(16)), AccessChange(((PEER, 1),)), {ME: 4, PEER: 1}),
        (TOPIC, Create(1, nonce=bytes(16)), None, {ME: 4}),
        (self_topic(ME), Create(4), None, {ME: 4}),
    ],
)
def test_founding(topic: bytes, create: Create, access: AccessChange | None, roles: dict[bytes, int]) -> None:
    flags = COMMIT | (ACCESS if access else 0)
    intent = replace(APPEND, topic=topic, create=create, access=access, flags=flags, epoch=(1, 0))
    plan = decide(msgspec.structs.replace(FACTS, **FOUNDED), intent, NOW_MS)
    assert isinstance(plan, Plan)
    assert plan.created
    assert (plan.topic.group, plan.topic.fence, plan.topic.head, plan.topic.strict) == (1, 1, 1, True)
    assert {member.account: member.role for member in plan.members} == roles
    assert plan.entry.hash == chain_hash(chain_start(topic), 1, 1, ME, PHONE, ID, 0, flags, b"", b"body")
    assert plan.change is not None
    assert dict(plan.change.added) == roles


def test_founding_a_feed() -> None:
    facts = msgspec.structs.replace(FACTS, **FOUNDED)
    intent = replace(APPEND, topic=feed_topic(ME), create=Create(5), flags=PUBLIC, epoch=None)
    plan = decide(facts, intent, NOW_MS)
    assert isinstance(plan, Plan)
    assert (plan.topic.owner, plan.topic.group, plan.topic.fence) == (ME, 0, 0)
    assert isinstance(decide(facts, replace(intent, topic=feed_topic(PEER)), NOW_MS), Refused)
    assert isinstance(decide(facts, replace(intent, epoch=(1, 0)), NOW_MS), Refused)


@pytest.mark.parametrize(
    "change",
    [
        {"create": Create(3)}, {"create": Create(9)}, {"create": Create(1, nonce=bytes(15))}, {"topic": PEER},
        {"create": Create(1, nonce=bytes(33))}, {"create": Create(2, peer=ME)}, {"create": Create(2, peer=b"")},
        {"flags": 0}, {"flags": COMMIT | RESET, "expect": 0}, {"epoch": (1, 1)}, {"flags": COMMIT | WELCOME},
        {"flags": COMMIT | ACCESS, "access": AccessChange(removed=(PEER,))},
        {"flags": COMMIT | ACCESS, "access": AccessChange(((ME, 3),))},
        {"flags": COMMIT | ACCESS, "access": AccessChange(((PEER, 3), (PEER, 3)))},
        {"flags": COMMIT | ACCESS, "access": AccessChange(((PEER, 0),))},
        {"topic": self_topic(ME), "create": Create(4), "flags": COMMIT | ACCESS, "access": AccessChange(((PEER, 2),))},
        {"topic": pair_topic(ME, PEER), "create": Create(2, peer=PEER)},
    ],
)  # fmt: skip
def test_foundings_that_are_malformed(change: dict[str, Any]) -> None:
    right = {"create": Create(1, nonce=bytes(16)), "flags": COMMIT, "epoch": (1, 0)}
    refusal = decide(msgspec.structs.replace(FACTS, **FOUNDED), replace(APPEND, **{**right, **change}), NOW_MS)
    assert isinstance(refusal, Refused)
    assert refusal.code == Code.FRAME


def test_welcomes_are_planned_with_the_commit() -> None:
    inbox = TopicFacts(b"i" * 32, TopicKind.INBOX, PEER, head=3, head_hash=b"j" * 32)
    roster = {ME: MEMBER, PEER: Member(PEER, 2, 0, 1)}
    facts = {"roster": roster, "inboxes": {PEER: InboxFacts(inbox, 0, False)}}
    plan = judge(facts, flags=COMMIT, welcomes=(WelcomePost(PEER, b"in"),), read_from=99)
    ((after, entry),) = plan.inboxes
    assert (after.head, entry.offset, entry.flags, entry.body, entry.id) == (4, 4, WELCOME, b"in", ID)
    assert judge({**facts, "inboxes": {}}, flags=COMMIT, welcomes=(WelcomePost(PEER, b"in"),)).code == Code.NOT_FOUND


def test_reserving() -> None:
    assert decide_reserve(AT, 2, True, None, PHONE, NOW_MS) == NOW_MS + 30_000
    held = msgspec.structs.replace(AT, reserved_by=PHONE, reserved_until_ms=NOW_MS + 5)
    assert decide_reserve(held, 2, True, NOW_MS - 9, PHONE, NOW_MS) == NOW_MS + 5
    refusals = [
        decide_reserve(None, 2, True, None, PHONE, NOW_MS), decide_reserve(AT, 0, True, None, PHONE, NOW_MS),
        decide_reserve(AT, 2, False, None, PHONE, NOW_MS), decide_reserve(INBOX, 4, True, None, PHONE, NOW_MS),
        decide_reserve(held, 2, True, None, OTHER, NOW_MS), decide_reserve(AT, 2, True, NOW_MS - 1, PHONE, NOW_MS),
    ]  # fmt: skip
    assert [getattr(refusal, "code", None) for refusal in refusals] == [404, 404, 403, 400, 409, 429]
    assert [getattr(refusal, "retry_ms", None) for refusal in refusals] == [None] * 4 + [5, 599_999]

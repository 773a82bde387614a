"""Access changes, as tables: who may do what to whom, and who follows the last owner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.errors import Code, Reason
from protocol.frames import AccessChange, Role
from protocol.ids import TopicKind, pair_topic
from protocol.limits import GROUP_DEVICES_MAX, INBOX_ENTRIES_MAX
from storage import access
from storage.base import Append, Refused, WelcomePost
from storage.facts import AccountFacts, Facts, InboxFacts, Member, TopicFacts
from storage.flags import ACCESS, COMMIT

NOW_MS = 1000
ANN, BOB, CEM, DAN, EVE = (bytes([n]) * 32 for n in range(1, 6))
TOPIC = pair_topic(ANN, BOB)
ROSTER = {
    ANN: Member(ANN, Role.OWNER, 0, 1), BOB: Member(BOB, Role.ADMIN, 0, 3), CEM: Member(CEM, Role.MEMBER, 0, 2),
    DAN: Member(DAN, 0, 0, 1),
}  # fmt: skip
ACCOUNTS = {account: AccountFacts(account, NOW_MS + 1, 2) for account in (ANN, BOB, CEM, DAN, EVE)}
FACTS = Facts(None, None, 0, True, NOW_MS + 1, None, True, roster=ROSTER, roster_devices=6, accounts=ACCOUNTS)
APPEND = Append(ANN, ANN, 0, TOPIC, bytes(16), bytes(32), None, COMMIT | ACCESS, (1, 1), None, 0, b"", b"", read_from=7)


def evaluate(
    change: AccessChange | None, by: bytes = ANN, kind: TopicKind = TopicKind.GROUP, facts: Facts = FACTS
) -> access.Changed | Refused:
    return access.evaluate(facts, replace(APPEND, account=by, access=change), kind, 9, NOW_MS)


def changed(*args: Any, **options: Any) -> access.Changed:
    result = evaluate(*args, **options)
    assert isinstance(result, access.Changed), result
    return result


def code(*args: Any, **options: Any) -> Code:
    result = evaluate(*args, **options)
    assert isinstance(result, Refused), result
    assert len(result.text) > 10
    return result.code


def test_no_change_changes_nothing() -> None:
    assert changed(None) == changed(AccessChange()) == access.Changed((), (), None)


def test_the_added_read_from_where_the_commit_says() -> None:
    result = changed(AccessChange(((EVE, Role.MEMBER),)))
    assert result.members == (Member(EVE, Role.MEMBER, 7, 9),)
    assert changed(AccessChange(((DAN, Role.READER),))).members == (Member(DAN, Role.READER, 7, 9),)


def test_a_role_change_keeps_what_the_member_may_read() -> None:
    assert changed(AccessChange(((CEM, Role.ADMIN),))).members == (Member(CEM, Role.ADMIN, 0, 2),)
    assert changed(AccessChange(((CEM, Role.MEMBER),)), by=CEM).members == ()  # re-admission changes nothing


@pytest.mark.parametrize(
    ("by", "change", "kind", "expected"),
    [
        (ANN, AccessChange(((EVE, 2), (EVE, 2))), 1, Code.FRAME),
        (ANN, AccessChange(((BOB, 2),), (BOB,)), 1, Code.FRAME),
        (ANN, AccessChange(((EVE, 0),)), 1, Code.FRAME),
        (ANN, AccessChange(((EVE, 5),)), 1, Code.FRAME),
        (ANN, AccessChange(removed=(ANN,)), 1, Code.FRAME),
        (ANN, AccessChange((((b"x" * 32), 2),)), 1, Code.NOT_FOUND),
        (ANN, AccessChange(removed=(EVE,)), 1, Code.NOT_FOUND),
        (ANN, AccessChange(devices_removed=((EVE, EVE),)), 1, Code.NOT_FOUND),
        (CEM, AccessChange(((EVE, 2),)), 1, Code.FORBIDDEN),
        (CEM, AccessChange(removed=(BOB,)), 1, Code.FORBIDDEN),
        (BOB, AccessChange(removed=(ANN,)), 1, Code.FORBIDDEN),
        (BOB, AccessChange(((EVE, 4),)), 1, Code.FORBIDDEN),
        (BOB, AccessChange(((ANN, 3),)), 1, Code.FORBIDDEN),
        (ANN, AccessChange(((ANN, 3),)), 1, Code.FORBIDDEN),
        (ANN, AccessChange(((EVE, 4),)), 2, Code.FORBIDDEN),
        (ANN, AccessChange(((BOB, 3),)), 2, Code.FORBIDDEN),
        (ANN, AccessChange(removed=(BOB,)), 2, Code.FORBIDDEN),
        (ANN, AccessChange(((EVE, 2),)), 4, Code.FORBIDDEN),
        (ANN, AccessChange(removed=(BOB,)), 4, Code.FORBIDDEN),
    ],
)
def test_refusals(by: bytes, change: AccessChange, kind: int, expected: Code) -> None:
    assert code(change, by, TopicKind(kind)) == expected


def test_nobody_acts_on_one_who_stands_higher() -> None:
    facts = Facts(
        None, None, 0, True, 9, None, True, roster={**ROSTER, EVE: Member(EVE, Role.OWNER, 0, 5)}, accounts=ACCOUNTS
    )
    assert code(AccessChange(((EVE, 2),)), by=BOB, facts=facts) == Code.FORBIDDEN
    assert code(AccessChange(removed=(EVE,)), by=BOB, facts=facts) == Code.FORBIDDEN
    assert changed(AccessChange(((EVE, 2),)), by=ANN, facts=facts).members == (Member(EVE, 2, 0, 5),)


def test_expired_accounts_are_not_added_and_may_be_removed_by_anybody() -> None:
    for gone in (AccountFacts(ANN, NOW_MS, 2), AccountFacts(ANN, NOW_MS + 1, 0)):
        facts = Facts(None, None, 0, True, 9, None, True, roster=ROSTER, accounts={**ACCOUNTS, ANN: gone})
        assert code(AccessChange(((ANN, 4),)), by=BOB, facts=facts) == Code.EXPIRED
        result = changed(AccessChange(removed=(ANN,)), by=CEM, facts=facts)
        assert result.forgotten == (ANN,)
        assert result.change == AccessChange(((BOB, Role.OWNER),), (ANN,))


def test_one_who_has_left_may_be_removed_by_anybody_even_in_a_pair() -> None:
    assert changed(AccessChange(removed=(DAN,)), by=CEM).forgotten == (DAN,)
    assert changed(AccessChange(removed=(DAN,)), kind=TopicKind.PAIR).forgotten == (DAN,)
    assert changed(AccessChange(((BOB, 4),)), kind=TopicKind.PAIR).members[0].role == Role.OWNER


def test_ownership_is_handed_over_not_dropped() -> None:
    result = changed(AccessChange(((ANN, 2), (BOB, 4))))
    assert {member.account: member.role for member in result.members} == {ANN: 2, BOB: 4}


def test_who_follows_the_last_owner() -> None:
    def heir(*members: Member) -> bytes:
        roster = {member.account: member for member in (ROSTER[ANN], *members)}
        result = access.leave(APPEND, roster, TopicKind.GROUP)
        assert isinstance(result, access.Changed)
        assert result.change is not None
        assert result.change.removed == (ANN,)
        return result.change.added[0][0] if result.change.added else b""

    assert heir(Member(CEM, Role.MEMBER, 0, 1), Member(BOB, Role.ADMIN, 0, 9)) == BOB
    assert heir(Member(CEM, Role.ADMIN, 0, 5), Member(BOB, Role.ADMIN, 0, 4)) == BOB
    assert heir(Member(CEM, Role.ADMIN, 0, 4), Member(BOB, Role.ADMIN, 0, 4)) == BOB
    assert heir(Member(CEM, Role.READER, 0, 1)) == CEM
    assert heir(Member(DAN, 0, 0, 1)) == b""
    assert heir(Member(BOB, Role.OWNER, 0, 9), Member(CEM, Role.ADMIN, 0, 1)) == b""


def test_a_leave_is_one_exact_shape() -> None:
    change = AccessChange(removed=(ANN,))
    assert access.is_leave(replace(APPEND, flags=ACCESS, access=change))
    assert not access.is_leave(replace(APPEND, flags=ACCESS | COMMIT, access=change))
    assert not access.is_leave(replace(APPEND, flags=ACCESS, access=AccessChange(removed=(ANN, BOB))))
    assert not access.is_leave(replace(APPEND, flags=ACCESS, access=AccessChange(((EVE, 2),), (ANN,))))
    assert not access.is_leave(replace(APPEND, flags=ACCESS))
    assert isinstance(access.leave(APPEND, ROSTER, TopicKind.SELF), Refused)


def test_what_counts_as_removing() -> None:
    assert not access.removes(APPEND)
    assert not access.removes(replace(APPEND, access=AccessChange(((EVE, 2),))))
    assert access.removes(replace(APPEND, access=AccessChange(removed=(BOB,))))
    assert access.removes(replace(APPEND, access=AccessChange(devices_removed=((BOB, BOB),))))


def test_the_cap_counts_what_comes_and_goes() -> None:
    def at(total: int) -> Facts:
        return Facts(None, None, 0, True, 9, None, True, roster=ROSTER, roster_devices=total, accounts=ACCOUNTS)

    add = AccessChange(((EVE, 2),))
    assert changed(add, facts=at(GROUP_DEVICES_MAX - 2)).members
    assert code(add, facts=at(GROUP_DEVICES_MAX - 1)) == Code.TOO_LARGE
    assert changed(AccessChange(((EVE, 2),), (CEM,)), facts=at(GROUP_DEVICES_MAX - 1)).members
    assert changed(AccessChange(((CEM, 3),)), facts=at(GROUP_DEVICES_MAX + 9)).members
    assert code(AccessChange(((DAN, 2),)), facts=at(GROUP_DEVICES_MAX)) == Code.TOO_LARGE


def test_founding_lists() -> None:
    result = access.founded(APPEND, {ANN: 4, BOB: 2}, 1)
    assert result.members == (Member(ANN, 4, 0, 1), Member(BOB, 2, 1, 1))
    assert result.change == AccessChange(((ANN, 4), (BOB, 2)))


def test_welcomes() -> None:
    inbox = TopicFacts(bytes(32), TopicKind.INBOX, BOB)

    def judged(*accounts: bytes, unread: int = 0, used: bool = False) -> Refused | None:
        facts = Facts(
            None, None, 0, True, 9, None, True, inboxes={a: InboxFacts(inbox, unread, used) for a in (BOB, CEM)}
        )
        posts = tuple(WelcomePost(account, b"") for account in accounts)
        return access.welcomes(facts, replace(APPEND, welcomes=posts), {ANN, BOB, CEM})

    assert judged() is None
    assert judged(BOB, CEM, unread=INBOX_ENTRIES_MAX - 1) is None
    wrong = [judged(BOB, BOB), judged(EVE), judged(ANN), judged(BOB, used=True), judged(BOB, unread=INBOX_ENTRIES_MAX)]
    assert [getattr(refusal, "code", None) for refusal in wrong] == [400, 404, 404, 409, 507]
    assert wrong[3] is not None
    assert wrong[3].reason == Reason.ID_CONFLICT

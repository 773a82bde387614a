"""A batch must decide as if each append had a transaction of its own: what earlier ones changed counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.errors import Code, Reason
from protocol.frames import AccessChange, Create, Flag, Role
from protocol.ids import TopicKind, group_topic
from protocol.limits import COMMIT_SPACING_MS
from storage import batch as batch_module
from storage import memory_model
from storage.base import Append, Outcome
from storage.batch import run_appends
from storage.sqlite import SqliteStore
from tests.contracts.kit import FOUND, Kit, Person, key, refused, stored, welcome


async def run(sqlite: SqliteStore, kit: Kit, *intents: Append) -> list[Outcome]:
    """One transaction for all."""
    return await sqlite.engine.write(lambda c, now_ms: run_appends(c, intents, now_ms, COMMIT_SPACING_MS))


def founding(kit: Kit, by: Person, nonce: bytes, *others: tuple[Person, int], **rest: object) -> Append:
    change = AccessChange(tuple((person.account, role) for person, role in others))
    create = Create(TopicKind.GROUP, nonce)
    return kit.intent(by, group_topic(by.account, nonce), FOUND, (1, 0), access=change, create=create, **rest)


async def test_a_topic_that_is_founded_and_used_in_one_batch(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    nonces = [bytes([n]) * 16 for n in range(2)]
    topics = [group_topic(ann.account, nonce) for nonce in nonces]
    first = kit.intent(bob, topics[0], body=b"hello")
    intents = [
        kit.intent(bob, topics[0]),  # too early
        founding(kit, ann, nonces[0], (bob, Role.MEMBER), welcomes=(welcome(bob),)),
        founding(kit, ann, nonces[1], (cem, Role.MEMBER)),
        founding(kit, ann, nonces[0]),
        first,
        replace(first, digest=key("other")),
        first,
        kit.intent(cem, topics[0]),
        kit.intent(cem, topics[1], after=first.id),
        kit.intent(bob, topics[0], after=first.id),
        kit.intent(ann, bob.inbox, Flag.SEALED, None),
    ]
    outcomes = await run(sqlite, kit, *intents)
    reasons = [getattr(outcome, "reason", getattr(outcome, "offset", None)) for outcome in outcomes]
    assert reasons == [
        Reason.NONE, 1, 1, Reason.EXISTS, 2, Reason.ID_CONFLICT, 2, Reason.NONE, Reason.OUT_OF_ORDER, 3, 3,
    ]  # fmt: skip
    assert stored(outcomes[6]).duplicate
    assert len(await kit.log(topics[0])) == 3
    assert await kit.bodies(bob.inbox) == [b"list 1 of bob", b"welcome", b"sealed"]
    assert await kit.roles(topics[1]) == {ann.account: 4, cem.account: 2}


async def test_a_roster_that_changes_in_one_batch(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob, cem, dan = await kit.people("ann", "bob", "cem", "dan")
    topic = await kit.group(ann, {bob: Role.MEMBER, dan: Role.MEMBER})
    kit.clock.pass_ms(COMMIT_SPACING_MS)

    def commit(by: Person, fence: int, change: AccessChange, **rest: object) -> Append:
        return kit.intent(by, topic, FOUND, (1, fence), access=change, **rest)

    outcomes = await run(
        sqlite, kit,
        commit(ann, 1, AccessChange(((cem.account, Role.ADMIN),)), welcomes=(welcome(cem),)),
        commit(cem, 2, AccessChange(removed=(bob.account,))),
        kit.intent(bob, topic, epoch=(1, 3)),
        commit(cem, 3, AccessChange(removed=(ann.account,))),
        commit(ann, 3, AccessChange(removed=(cem.account,))),
        kit.intent(dan, topic, Flag.ACCESS, None, access=AccessChange(removed=(dan.account,))),
        kit.intent(dan, topic, epoch=(1, 4)),
        commit(ann, 4, AccessChange(((bob.account, 2),)), welcomes=(welcome(bob),)),
        kit.intent(ann, topic, epoch=(1, 4)),
    )  # fmt: skip
    codes = [getattr(outcome, "code", 0) for outcome in outcomes]
    assert codes == [0, 0, Code.NOT_FOUND, Code.FORBIDDEN, 0, 0, Code.NOT_FOUND, Code.CONFLICT, 0]
    assert await kit.roles(topic) == {ann.account: 4}
    assert len(await kit.log(topic)) == 6


async def test_erasing_what_was_said_and_what_it_held_in_one_batch(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    blob = await kit.blob(b"blob")
    outcomes = await run(
        sqlite, kit,
        kit.intent(ann, topic, blobs=(blob,)),
        kit.intent(ann, topic, blobs=(key("none"),)),
        kit.intent(ann, topic, Flag.ERASE, erases=2),
        kit.intent(ann, topic, Flag.ERASE, erases=2),
        kit.intent(ann, topic, blobs=(blob,)),  # it went with the entry that was erased
        kit.intent(ann, topic, Flag.ERASE, erases=3, body=b""),
    )  # fmt: skip
    assert [getattr(outcome, "code", 0) for outcome in outcomes] == [0, 404, 0, 404, 404, 0]
    assert await kit.store.blobs.get(blob) is None
    assert (await kit.bodies(topic))[1:] == [(2, 3), b""]


async def test_an_inbox_that_fills_in_one_batch(sqlite: SqliteStore, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batch_module, memory_model):
        monkeypatch.setattr(module, "INBOX_ENTRIES_MAX", 3)
    ann, bob = await kit.people("ann", "bob")
    nobody = Person("nobody", (key("nobody/0"),))
    posts = [kit.intent(ann, bob.inbox, Flag.SEALED, None) for _ in range(3)]
    found = founding(kit, ann, bytes(16), (bob, 2), welcomes=(welcome(bob),))
    strange = [kit.intent(nobody, bob.inbox, Flag.SEALED, None), kit.intent(ann, nobody.inbox, Flag.SEALED, None)]
    stray = founding(kit, ann, bytes(17), welcomes=(welcome(nobody),))
    outcomes = await run(sqlite, kit, *posts, found, *strange, stray)
    assert [getattr(outcome, "code", 0) for outcome in outcomes] == [0, 0, 507, 507, 403, 404, 404]
    assert await kit.store.topics.state(group_topic(ann.account, bytes(16)), ann.account) is None


async def test_a_batch_of_refusals_writes_nothing(sqlite: SqliteStore, kit: Kit) -> None:
    ann = await kit.person("ann")
    intents = [kit.intent(ann, key("nowhere")) for _ in range(5)]
    outcomes = await run(sqlite, kit, *intents)
    for outcome in outcomes:
        refused(outcome, Code.NOT_FOUND)
    counts = "SELECT (SELECT count(*) FROM topics), (SELECT count(*) FROM entries)"
    assert await sqlite.engine.read(lambda c: tuple(c.exec_driver_sql(counts).one())) == (1, 1)  # ann's inbox and list

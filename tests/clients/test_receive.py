"""What comes from a log: in order and once, opened or reported, never shown where it must not be guessed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from clients.client import Client
from clients.conversations import Conversation
from clients.events import (
    Changed,
    Delivered,
    Ephemeral,
    Forked,
    Locked,
    Missing,
    Received,
    Removed,
    Unreadable,
    Voided,
)
from clients.records import Status
from protocol.codec import encode_struct
from protocol.content import Content, encode_content
from protocol.frames import AccessChange, AnyFrame, Flag, Gap, GapReason, Msg, Pub, Role
from protocol.ids import TopicKind
from protocol.messages import parse
from protocol.messages.group import Title
from protocol.messages.rcpt import Read
from protocol.messages.sys import Unsupported
from protocol.padding import pad
from protocol.position import Seen, authenticated_data
from tests.clients.rogues import to
from tests.support.clients import (
    agree,
    entropy_of,
    events_of,
    group_of,
    honest,
    open_world,
    say,
    talk_of,
    texts,
)  # fmt: skip


async def seal(talk: Conversation, content: bytes, *, flags: int = 0, padded: bool = True) -> None:
    """Publish any content at all, sealed like a message, beside the outbox."""
    engine, record = talk._client.engine, talk.record
    group = engine.shelf.groups.get(talk.topic)
    assert group is not None
    assert engine.link is not None
    message_id = engine.shelf.new_id()
    bound = authenticated_data(talk.topic, message_id, flags, 0, b"", record.group, record.fence)
    body, _ = group.seal(pad(content) if padded else content, authenticated_data=bound, entropy=entropy_of("seal"))
    await engine.link.call(Pub(0, talk.topic, message_id, None, flags, (record.group, record.fence), body=body))


def log_of(client: Client, topic: bytes) -> list[int]:
    return [event.offset for event in events_of(client, Received, topic)]


# -- order -------------------------------------------------------------------------------------------------------------
async def test_duplicates_are_dropped(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        to(world, "ben", lambda msg: (msg, msg, msgspec.structs.replace(msg, offset=1)))
        await say(talk, "one", "two")
        await world.settle()
        assert texts(ben, talk.topic) == ["one", "two"]
        world.relay.tamper = honest
        assert agree(talk.topic, anna, ben)


async def test_a_hole_makes_us_connect_anew(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        wire = world.wire("ben")
        to(world, "ben", lambda msg: (), where=lambda msg: msg.offset == 2)
        await say(talk, "dropped", "and then this")
        await world.settle(0.01)
        world.relay.tamper = honest
        await world.settle(5)
        assert world.wire("ben") is not wire
        assert texts(ben, talk.topic) == ["dropped", "and then this"]
        assert agree(talk.topic, anna, ben)


async def test_what_is_not_kept_any_more_is_counted(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.cut("ben")
        world.reachable = False
        await say(talk, "one", "two", "three")
        await world.settle()
        await world.relay.store.topics.retain(world.clock_ms() + 1, world.clock_ms())
        world.reachable = True
        await world.settle(10)
        here = talk_of(ben, talk)
        (missing,) = events_of(ben, Missing)
        assert (missing.count, missing.reason) == (3, GapReason.RETENTION)
        verified = [here.record.chain_verified]
        await say(talk, "four")
        await world.settle()
        verified.append(here.record.chain_verified)
        assert verified == [False, True]  # once a member has seen the same behind it
        assert texts(ben, talk.topic) == ["four"]
        assert agree(talk.topic, anna, ben)


async def test_a_claim_about_before_the_gap_verifies_nothing(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        here = talk_of(ben, talk)
        seen = Seen(1, here.record.cursor, here.record.chain)
        here.record.chain_verified, here.record.gap_at = False, here.record.cursor + 1
        ben.engine.receiver._check_seen(here.record, _msg(talk), parse(_content("chat.text", {"text": "x"}, seen=seen)))
        assert not here.record.chain_verified


async def test_a_commit_in_a_gap_locks(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        record = talk_of(ben, talk).record

        def hide(msg: Msg) -> tuple[AnyFrame, ...]:
            return (Gap(msg.tid, 1, msg.offset, msg.offset, GapReason.RETENTION, bytes(32)),)

        to(world, "ben", hide, where=lambda msg: bool(msg.flags & Flag.COMMIT))
        await talk.rotate()
        await world.settle()
        assert record.status is Status.ACTIVE
        world.relay.tamper = honest
        await say(talk, "sealed in an epoch that Ben does not have")
        await world.settle()
        assert len(events_of(ben, Locked)) == 1
        await world.settle(5)
        assert agree(talk.topic, anna, ben)


async def test_a_log_from_a_backup_is_told(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        record = talk_of(ben, talk).record
        head, chain = record.cursor, record.chain
        for _ in range(2):
            ben.engine.receiver.gap(record, Gap(1, 2, head + 1, head, GapReason.RESET, chain))
        assert (record.generation, record.cursor, record.recovering) == (2, head, True)
        ben.engine.receiver.gap(record, Gap(1, 3, head, head - 1, GapReason.RESET, bytes(32)))
        assert (record.generation, record.cursor, record.chain) == (3, head - 1, bytes(32))
        await ben.engine.shelf.journal.flushed()
        told = [(event.count, event.reason) for event in events_of(ben, Missing)]
        assert told == [(0, GapReason.RESET), (1, GapReason.RESET)]
        assert [event.offset for event in events_of(ben, Forked)] == []  # the window does not reach so far back
        ben.engine.receiver.gap(record, Gap(1, 4, head, head - 1, GapReason.RESET, b"another" + bytes(25)))
        await ben.engine.shelf.journal.flushed()
        assert [event.offset for event in events_of(ben, Forked)] == [head - 1]


# -- what does not open ------------------------------------------------------------------------------------------------
async def test_a_message_in_somebody_elses_name_does_not_count(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        forged = {"account": cleo.account, "device": cleo.engine.shelf.device.public}
        to(world, "ben", lambda msg: (msgspec.structs.replace(msg, **forged),), where=lambda msg: not msg.flags)
        await say(talk, "hello")
        await world.settle(0.05)
        (unreadable,) = events_of(ben, Unreadable)
        assert "another member" in unreadable.reason
        assert texts(ben, talk.topic) == []
        await world.settle()
        assert texts(cleo, talk.topic) == ["hello"]  # Cleo said no such thing, so says nothing again


@pytest.mark.parametrize("padded", [True, False])
async def test_a_malformed_content_is_told_and_not_reported(padded: bool, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        await seal(talk, b"no content", padded=padded)
        await world.settle()
        assert len(events_of(ben, Unreadable)) == 1
        assert not [pub for pub in world.heard("ben", Pub) if pub.flags & Flag.SEALED]


async def test_an_own_message_that_this_vault_does_not_know(autojump_clock: MockClock) -> None:
    """As after the vault was restored from a copy."""
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        await seal(talk, _content("chat.text", {"text": "said and forgotten"}))
        await world.settle()
        assert texts(ben, talk.topic) == ["said and forgotten"]
        assert [event.mine for event in events_of(anna, Received)] == [True]
        await say(talk, "and now this")
        await world.settle()
        assert texts(ben, talk.topic) == texts(anna, talk.topic) == ["said and forgotten", "and now this"]


# -- what is not known here --------------------------------------------------------------------------------------------
def _content(type_name: str, body: dict[str, Any], **envelope: Any) -> bytes:
    return encode_content(Content(t=type_name, b=msgspec.Raw(encode_struct(body)), **envelope))


def _msg(talk: Conversation) -> Msg:
    return Msg(1, 9, bytes(16), talk._client.account, bytes(32), 0, 0, 1, 0, b"", b"")


@pytest.mark.parametrize("type_name", ["pay.unheard-of", "game.unheard-of", "group.unheard-of", "ext.unheard-of"])
async def test_what_must_not_be_guessed_is_answered_once(type_name: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        content = _content(type_name, {"amount": 5}, fb="I owe you five")
        anna.engine.say(talk.record, content)
        await world.settle()
        (received,) = events_of(ben, Received)
        assert parse(received.content).fallback is None
        (answer,) = events_of(anna, Received)[1:]
        message = parse(answer.content)
        assert message.body == Unsupported(t=type_name, v=1)
        assert message.content.re is not None
        assert message.content.re.id == received.id
        await world.settle(5)
        assert len(events_of(anna, Received)) == 2


async def test_an_unknown_chat_type_is_told_without_an_answer(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        anna.engine.say(talk.record, _content("chat.hologram", {}, fb="imagine a hologram"))
        await world.settle()
        (received,) = events_of(ben, Received)
        assert parse(received.content).fallback == "imagine a hologram"
        assert len(events_of(anna, Received)) == 1


async def test_the_title_comes_from_an_admin(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        await talk_of(ben, talk).send(Title(title="ben's place"))
        await world.settle()
        assert talk.title == "friends"
        await talk.send(Title(title="anna's place"))
        await world.settle()
        assert talk_of(ben, talk).title == "anna's place"


# -- receipts ----------------------------------------------------------------------------------------------------------
async def test_a_burst_is_answered_by_one_receipt(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        await say(talk, *(str(n) for n in range(20)))
        await world.settle()
        receipts = [pub for pub in world.heard("ben", Pub) if not pub.flags]
        assert len(receipts) == 1
        (delivered,) = events_of(anna, Delivered)
        assert (delivered.account, delivered.offset) == (ben.account, 21)
        await world.settle(60)
        assert len([pub for pub in world.heard("ben", Pub) if not pub.flags]) == 1  # receipts are not answered
        await talk_of(ben, talk).send(Read(generation=1, offset=21))
        await world.settle()
        assert len(events_of(anna, Received)) == 20


async def test_no_receipts_above_32_members(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        extra = {n.to_bytes(32, "big"): int(Role.MEMBER) for n in range(31)}
        talk_of(ben, talk).record.roster.update(extra)
        await say(talk, "hello")
        await world.settle()
        assert texts(ben, talk.topic) == ["hello"]
        assert events_of(anna, Delivered) == []


async def test_a_receipt_does_not_promise_the_future(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        from protocol.messages.rcpt import Delivered as Receipt

        await talk_of(ben, talk).send(Receipt(generation=1, offset=10**6))
        await talk_of(ben, talk).send(Receipt(generation=2, offset=10**6))
        await world.settle()
        assert [event.offset for event in events_of(anna, Delivered)] == [2]


# -- passing notices ---------------------------------------------------------------------------------------------------
async def test_five_thousand_notices_leave_messages_alone(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        world.reachable = False
        world.cut("ben")
        ratchet = talk._client.engine.shelf.groups.get(talk.topic)
        for n in range(5000):
            talk.typing(on=bool(n % 2))
        assert talk._client.engine.shelf.groups.get(talk.topic) is ratchet
        await say(talk, "at last")
        world.reachable = True
        await world.settle(10)
        assert texts(ben, talk.topic) == ["at last"]
        talk.typing()
        await world.settle()
        assert [notice.account for notice in world.notices["ben"] if isinstance(notice, Ephemeral)] == [
            talk._client.account
        ]


NOTICES: dict[str, dict[str, Any]] = {
    "another id": {"id": bytes(16)}, "another flag": {"flags": int(Flag.EPHEMERAL | Flag.NO_ECHO | Flag.URGENT)},
    "another header": {"header": b"x"}, "another fence": {"fence": 7}, "another body": {"body": bytes(60)},
    "a device that is no member": {"device": bytes(32)},
}  # fmt: skip


@pytest.mark.parametrize("what", NOTICES)
async def test_a_notice_is_bound_to_its_place(what: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        to(world, "ben", lambda msg: (msgspec.structs.replace(msg, **NOTICES[what]),))
        talk.typing()
        await world.settle()
        assert not [notice for notice in world.notices["ben"] if isinstance(notice, Ephemeral)]
        assert events_of(ben, Unreadable) == []


async def test_a_notice_for_somebody_who_is_out(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        here = talk_of(ben, talk)
        here.record.status = Status.LOCKED
        talk.typing()
        await world.settle()
        assert not [notice for notice in world.notices["ben"] if isinstance(notice, Ephemeral)]
        assert here.record.kind == TopicKind.GROUP


# -- leaving -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("what", ["unsigned", "of another", "more than oneself", "no header"])
async def test_a_leave_that_nobody_signed_is_void(what: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        change = AccessChange(removed=(cleo.account,))
        forged: dict[str, dict[str, Any]] = {
            "unsigned": {"body": b"", "header": encode_struct(change)},
            "of another": {"header": encode_struct(change), "body": bytes(64), "account": anna.account},
            "more than oneself": {
                "header": encode_struct(AccessChange(added=((anna.account, 4),), removed=(cleo.account,)))
            },
            "no header": {"header": b"\xc1"},
        }
        base = {"account": cleo.account, "device": cleo.engine.shelf.device.public, "flags": int(Flag.ACCESS)}
        to(world, "ben", lambda msg: (msgspec.structs.replace(msg, **(base | forged[what])),))
        await say(talk, "this entry becomes a leave for ben")
        await world.settle(0.05)
        (void,) = events_of(ben, Voided)
        assert "has not signed" in void.reason
        assert talk_of(ben, talk).members[cleo.account] == Role.MEMBER
        assert events_of(ben, Changed) == []


async def test_nobody_but_ourselves_makes_us_leave(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        change = encode_struct(AccessChange(removed=(ben.account,)))
        forged = {
            "account": ben.account, "device": ben.engine.shelf.device.public, "flags": int(Flag.ACCESS),
            "header": change, "body": b"",
        }  # fmt: skip
        to(world, "ben", lambda msg: (msgspec.structs.replace(msg, **forged),))
        await say(talk, "hello")
        await world.settle(0.05)
        assert talk_of(ben, talk).status is Status.ACTIVE
        assert events_of(ben, Removed) == []


async def test_somebody_leaves(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        await talk_of(cleo, talk).leave()
        await world.settle()
        for client in (anna, ben):
            assert next((e.by, e.removed) for e in events_of(client, Changed)) == (cleo.account, (cleo.account,))
        (removed,) = events_of(cleo, Removed)
        assert removed.by == cleo.account
        assert talk_of(cleo, talk).status is Status.LEFT

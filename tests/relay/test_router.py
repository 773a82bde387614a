"""What becomes of a PUB: the decision by table, the acts against the store in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
import trio
import trio.testing

from protocol import frames as F
from protocol.codec import encode_struct
from protocol.errors import Code, Reason
from protocol.frames import Flag
from protocol.ids import new_id
from protocol.limits import ID_AGE_MS_MAX, ID_AHEAD_MS_MAX
from protocol.position import publish_digest
from relay import router
from relay.router import Ephemeral, Facts, decide
from relay.testing import small
from storage.base import Append, Appended, Outcome, Refused, StoreAway
from storage.memory import MemoryStore
from tests.support.lab import NOW_MS, FakeClient, open_lab, settle
from tests.support.people import Person, group, message

FACTS = Facts(b"A" * 32, b"D" * 32, 3, is_registered=True)
ID = new_id(NOW_MS, lambda size: bytes(size))
PLAIN = F.Pub(1, b"T" * 32, ID, epoch=(1, 1), body=b"sealed")
CHANGE = encode_struct(F.AccessChange(added=((b"B" * 32, 2),)))


def pub(flags: int = 0, **changes: object) -> F.Pub:
    """``PLAIN`` with changes."""
    return msgspec.structs.replace(PLAIN, flags=flags, **changes)


def test_a_message_becomes_an_append() -> None:
    frame = pub(Flag.URGENT, after=b"a" * 16, expect=7, ttl=9, header=b"h", bundle=F.Bundle(blobs=(b"b" * 32,)))
    action = decide(frame, FACTS, NOW_MS)
    assert isinstance(action, Append)
    assert (action.account, action.device, action.login, action.topic, action.id) == (
        FACTS.account, FACTS.device, 3, PLAIN.topic, ID,
    )  # fmt: skip
    assert (action.after, action.expect, action.ttl, action.header, action.body) == (b"a" * 16, 7, 9, b"h", b"sealed")
    assert action.blobs == (b"b" * 32,)
    assert frame.bundle is not None
    assert action.digest == publish_digest(
        frame.topic, frame.flags, 9, (1, 1), b"h", b"sealed", encode_struct(frame.bundle)
    )


def test_a_commit_brings_its_bundle() -> None:
    create = F.Create(1, b"n" * 16)
    bundle = F.Bundle(create, 5, (F.Welcome(b"B" * 32, b"hello"),), ())
    action = decide(pub(Flag.COMMIT | Flag.ACCESS, header=CHANGE, bundle=bundle), FACTS, NOW_MS)
    assert isinstance(action, Append)
    assert (action.create, action.read_from) == (create, 5)
    assert [(post.account, post.body) for post in action.welcomes] == [(b"B" * 32, b"hello")]
    assert action.access == F.AccessChange(added=((b"B" * 32, 2),))


def test_an_erasure_names_an_offset() -> None:
    action = decide(pub(Flag.ERASE, header=(300).to_bytes(8, "big")), FACTS, NOW_MS)
    assert isinstance(action, Append)
    assert action.erases == 300


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (pub(1 << 20), Code.FRAME),
        (pub(Flag.DEVICES), Code.FRAME),
        (pub(Flag.WELCOME), Code.FRAME),
        (pub(token=b"t"), Code.FRAME),
        (pub(Flag.NO_ECHO), Code.FRAME),
        (pub(Flag.EPHEMERAL | Flag.COMMIT), Code.FRAME),
        (pub(Flag.EPHEMERAL | Flag.PUBLIC), Code.FRAME),
        (pub(Flag.EPHEMERAL, expect=1), Code.FRAME),
        (pub(Flag.EPHEMERAL, ttl=1), Code.FRAME),
        (pub(Flag.EPHEMERAL, after=ID), Code.FRAME),
        (pub(Flag.EPHEMERAL, bundle=F.Bundle()), Code.FRAME),
        (pub(Flag.COMMIT, epoch=None), Code.FRAME),
        (pub(Flag.RESET), Code.FRAME),
        (pub(bundle=F.Bundle(welcomes=(F.Welcome(b"B" * 32, b""),))), Code.FRAME),
        (pub(bundle=F.Bundle(read_from=3)), Code.FRAME),
        (pub(Flag.ACCESS | Flag.ERASE), Code.FRAME),
        (pub(Flag.ACCESS | Flag.COMMIT, header=b"\xc1"), Code.FRAME),
        (pub(Flag.ACCESS | Flag.COMMIT, header=encode_struct(([(b"short", 1)],))), Code.FRAME),
        (pub(Flag.ERASE, header=b"\x01"), Code.FRAME),
        (pub(Flag.ERASE, header=bytes(8)), Code.FRAME),
        (pub(id=new_id(NOW_MS - ID_AGE_MS_MAX - 1, bytes)), Code.EXPIRED),
        (pub(id=new_id(NOW_MS + ID_AHEAD_MS_MAX + 1, bytes)), Code.FRAME),
        (pub(id=b"\xff" * 16), Code.FRAME),
        (pub(id=bytes(16)), Code.EXPIRED),
    ],
)
def test_what_a_connection_can_refuse_itself(frame: F.Pub, code: Code) -> None:
    action = decide(frame, FACTS, NOW_MS)
    assert isinstance(action, Refused)
    assert (action.code, action.retry_ms) == (code, None)
    assert len(action.text) > 20


def test_who_is_not_registered_publishes_nothing() -> None:
    action = decide(PLAIN, replace(FACTS, is_registered=False), NOW_MS)
    assert isinstance(action, Refused)
    assert action.code == Code.UNAUTHENTICATED


def test_ephemerals() -> None:
    assert decide(pub(Flag.EPHEMERAL), FACTS, NOW_MS) == Ephemeral(without_sender=False)
    assert decide(pub(Flag.EPHEMERAL | Flag.NO_ECHO | Flag.URGENT), FACTS, NOW_MS) == Ephemeral(without_sender=True)


def test_the_size_of_what_waits() -> None:
    bundle = F.Bundle(welcomes=(F.Welcome(b"B" * 32, b"12345"),))
    assert router.size_of(pub(header=b"123", bundle=bundle)) == 3 + 6 + 5


# -- acting -----------------------------------------------------------------------------------------------------------
class HeldStore(MemoryStore):
    """Appends wait until ``commit``, as during a slow commit; or the store is away."""

    def __init__(self) -> None:
        super().__init__(clock_ms=lambda: NOW_MS, spacing_ms=0)
        self.is_held = self.is_away = False
        self.held: list[Callable[[], None]] = []
        append = self.topics.append_nowait

        def append_nowait(intent: Append, done: Callable[[Outcome], None]) -> None:
            if self.is_away:
                raise StoreAway("the disk is full")
            if self.is_held:
                self.held.append(lambda: append(intent, done))
            else:
                append(intent, done)

        self.topics.append_nowait = append_nowait  # type: ignore[method-assign]

    def commit(self) -> None:
        """All that waits is done."""
        held, self.held = self.held, []
        for act in held:
            act()


async def found(client: FakeClient, person: Person, *others: Person) -> bytes:
    """A group, founded and subscribed by the founder."""
    founding = group(person, *others)
    await client.ok(founding, F.PubResult)
    await client.subscribe(founding.topic)
    return founding.topic


async def test_ok_comes_after_the_commit_and_before_the_echo() -> None:
    store = HeldStore()
    async with open_lab(store=store) as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        store.is_held = True
        client.peer.frames.clear()
        client.send(message(alice, topic, rid=5), message(alice, topic, rid=6))
        await settle()
        assert client.peer.frames == []
        assert lab.relay.pending.count == 2
        store.commit()
        await lab.relay.pending.none()
        kinds = [type(frame).__name__ for frame in client.peer.frames]
        assert kinds == ["Ok", "Msg", "Ok", "Msg"]


async def test_too_many_at_once_get_429() -> None:
    store = HeldStore()
    async with open_lab(small(inflight_pubs_max=3), store) as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        store.is_held = True
        client.send(*(message(alice, topic, rid=rid) for rid in range(1, 6)))
        errs = client.got(F.Err)
        assert [(err.rid, err.code) for err in errs] == [(4, Code.RATE), (5, Code.RATE)]
        assert all(err.retry_ms for err in errs)
        store.commit()
        await settle()
        assert len(client.got(F.Err)) == 2


async def test_bodies_that_wait_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "INFLIGHT_BYTES_MAX", 100)
    store = HeldStore()
    async with open_lab(store=store) as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        store.is_held = True
        client.send(*(message(alice, topic, bytes(size), rid=rid) for rid, size in ((1, 500), (2, 1))))
        assert [err.rid for err in client.got(F.Err)] == [2]  # the first may be of any size
        store.commit()
        await settle()


async def test_a_store_that_is_away_is_a_temporary_refusal() -> None:
    store = HeldStore()
    async with open_lab(store=store) as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        store.is_away = True
        frame = message(alice, topic)
        err = await client.err(frame)
        assert (err.code, bool(err.retry_ms)) == (Code.STORE_AWAY, True)
        store.is_away = False
        assert (await client.ok(frame, F.PubResult)).offset == 2


async def test_a_duplicate_has_its_first_answer_and_no_second_echo() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        frame = message(alice, topic)
        first = await client.ok(frame, F.PubResult)
        again = await client.ok(frame, F.PubResult)
        assert again == F.PubResult(first.generation, first.offset, first.ts, True)
        assert len(client.got(F.Msg)) == 1
        other = await client.err(msgspec.structs.replace(frame, body=b"other"))
        assert other.code == Code.CONFLICT
        assert other.detail is not None
        assert (other.detail.reason, other.detail.offset) == (Reason.ID_CONFLICT, first.offset)
        assert other.detail.hash == router.digest_of(frame)


async def test_a_duplicate_tells_the_hub_what_it_may_not_know() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        frame = message(alice, topic)
        assert isinstance(lab.store, MemoryStore)
        sent = decide(frame, Facts(alice.account, alice.device, client.connection.login, True), lab.now_ms)
        assert isinstance(sent, Append)
        assert isinstance(await lab.store.topics.append(sent), Appended)  # through another node
        assert client.got(F.Msg) == []
        assert (await client.ok(frame, F.PubResult)).duplicate
        assert [entry.offset for entry in client.got(F.Msg)] == [2]
        lab.relay.hubs._drop(lab.relay.hubs._hubs[topic])  # without a hub there is nobody to tell
        assert (await client.ok(frame, F.PubResult)).duplicate


async def test_a_superseded_login_is_told_and_ended() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        await lab.store.accounts.login(alice.account, alice.device)  # on another node
        client.send(message(alice, topic, rid=9))
        await settle()
        (err,) = client.got(F.Err)
        assert err.detail is not None
        assert err.detail.reason == Reason.SUPERSEDED
        assert client.bye is not None
        assert client.bye.code == 4502


async def test_no_rid_no_answer() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        topic = await found(client, alice)
        client.peer.frames.clear()
        client.send(message(alice, topic), message(alice, topic, fence=9))
        await settle()
        assert [type(frame) for frame in client.peer.frames] == [F.Msg]


async def test_ephemerals_are_spread_and_not_stored(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lab(small(ephemerals_per_s=2)) as lab:
        alice, bob, eve = lab.person("alice"), lab.person("bob"), lab.person("eve")
        a, b, e = await lab.register(alice), await lab.register(bob), await lab.register(eve)
        topic = await found(a, alice, bob)
        tid = (await b.subscribe(topic)).tid
        typing = F.Pub(0, topic, alice.id(), flags=Flag.EPHEMERAL | Flag.NO_ECHO, epoch=(1, 1), body=b"typing")
        result = await a.ok(typing, F.PubResult)
        assert (result.generation, result.offset) == (1, 0)
        (heard,) = b.got(F.Msg)
        assert (heard.tid, heard.offset, heard.fence, heard.body) == (tid, 0, 1, b"typing")
        assert (heard.account, heard.device) == (alice.account, alice.device)
        assert a.got(F.Msg) == []
        await a.ok(msgspec.structs.replace(typing, flags=Flag.EPHEMERAL, epoch=None), F.PubResult)
        assert len(a.got(F.Msg)) == 1
        assert (await e.err(typing)).code == Code.NOT_FOUND
        (state,) = await lab.store.topics.states([topic], alice.account)
        assert state is not None
        assert state.head == 1
        for _ in range(2):
            await a.ok(typing, F.PubResult)
        refused = await a.err(typing)
        assert refused.code == Code.RATE
        assert refused.retry_ms
        await trio.sleep(refused.retry_ms / 1000)
        await a.ok(typing, F.PubResult)


async def test_readers_send_no_ephemerals() -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        founding = group(alice, bob)
        founding = msgspec.structs.replace(
            founding, header=encode_struct(F.AccessChange(added=((bob.account, F.Role.READER),)))
        )
        await a.ok(founding, F.PubResult)
        await b.subscribe(founding.topic)
        typing = F.Pub(0, founding.topic, bob.id(), flags=Flag.EPHEMERAL, epoch=(1, 1))
        assert (await b.err(typing)).code == Code.FORBIDDEN


async def test_a_bug_after_the_commit_ends_one_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        topic = await found(a, alice, bob)
        await b.subscribe(topic)

        def broken(entry: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(lab.relay, "committed", broken)
            a.send(message(alice, topic, rid=3))
            await settle()
        assert len(a.answers(3)) == 1  # it is stored
        assert a.bye is not None
        assert a.bye.code == 4005
        assert b.bye is None
        assert lab.relay.counters.failures == 1
        lab.relay.counters.failures = 0

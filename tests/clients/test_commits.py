"""Changing a group: who is in, what is void for all alike, and Welcomes that are not believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from clients import records as R
from clients.client import Client
from clients.commits import Commits, Moot, accounts_of, fold, group_id, identity_of, split
from clients.directory import CannotAdd
from clients.events import Changed, Joined, Locked, Missing, Removed, Voided
from clients.groups import NEXT
from clients.records import Status
from clients.rosters import is_genuine
from protocol.codec import encode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import AccessChange, AnyFrame, Flag, Msg, Pub, Role
from protocol.ids import TopicKind, pair_topic, self_topic
from protocol.mls import Group, Member, MlsError
from tests.clients.rogues import STRANGER, cannot_open, package, rogue, welcome
from tests.support.clients import World, agree, events_of, group_of, open_world, texts
from tests.support.relay_model import Wire

KEY = bytes(range(32))


# -- small things ------------------------------------------------------------------------------------------------------
def test_credentials() -> None:
    identity = identity_of(KEY, STRANGER.public)
    assert split(identity) == (KEY, STRANGER.public)
    assert split(b"short") == (b"", b"")
    assert is_genuine(Member(0, identity, STRANGER.public))
    assert not is_genuine(Member(0, identity, KEY))
    assert not is_genuine(Member(0, b"short", KEY))
    assert accounts_of((Member(0, identity, KEY), Member(1, identity, KEY))) == {KEY}


def test_folding_a_roster() -> None:
    one, two, three = (bytes([n]) * 32 for n in (1, 2, 3))
    before = {one: Role.OWNER, two: Role.MEMBER}
    assert fold(before, AccessChange(added=((three, 2), (two, 3)), removed=(one, KEY))) == {two: 3, three: 2}
    assert before == {one: Role.OWNER, two: Role.MEMBER}


# -- what members do to their group ------------------------------------------------------------------------------------
async def test_add_remove_rotate(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        (dora,) = await world.people("dora")
        epoch = talk.epoch_authenticator
        await talk.rotate()
        await talk.add([dora.account, ben.account])
        await world.settle()
        assert talk.epoch_authenticator != epoch
        assert agree(talk.topic, anna, ben, cleo, dora)
        assert talk.in_group() == set(talk.members) == {anna.account, ben.account, cleo.account, dora.account}
        assert dora.conversation(talk.topic).title == "friends"
        (joined,) = events_of(dora, Joined)
        assert (joined.by, joined.again, set(joined.members)) == (anna.account, False, talk.in_group())
        assert events_of(ben, Changed)[-1].added == (dora.account,)
        await talk.remove([cleo.account])
        await world.settle()
        assert agree(talk.topic, anna, ben, dora)
        for client in (anna, ben, dora):
            change = events_of(client, Changed)[-1]
            assert (change.by, change.removed) == (anna.account, (cleo.account,))


async def test_who_is_put_out_is_told_that(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        await talk.remove([cleo.account])
        await world.settle()
        (removed,) = events_of(cleo, Removed)
        assert removed.by == talk._client.account
        assert cleo.conversation(talk.topic).status is Status.REMOVED
        assert cleo.conversation(talk.topic).epoch_authenticator is None
        assert not any(place in (R.GROUPS, R.RATCHETS) for place, _ in world.vaults["cleo"].records)
        for client in (ben, cleo):
            assert events_of(client, Voided) == []


async def test_who_leaves_is_put_out_of_the_group_by_one_member(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        await anna.conversation(talk.topic).leave()
        await world.settle()
        assert anna.conversation(talk.topic).status is Status.LEFT
        assert agree(talk.topic, ben, cleo)
        here = ben.conversation(talk.topic)
        assert here.in_group() == set(here.members) == {ben.account, cleo.account}
        assert here.record.left == ()
        commits = [frame for frame in world.relay.heard if isinstance(frame[1], Pub) and frame[1].flags & Flag.COMMIT]
        assert [who for who, _ in commits] == ["anna", "ben"]  # the founding, and one that cleans up
        cleaned = commits[-1][1]
        assert isinstance(cleaned, Pub)
        assert cleaned.header == encode_struct(AccessChange(removed=(anna.account,)))  # so the fence is strict


async def test_back_before_the_group_was_cleaned_up(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        for name in ("anna", "ben"):
            world.clients[name].engine.clean_up = lambda topic: None  # type: ignore[method-assign]
        await cleo.conversation(talk.topic).leave()
        await world.settle()
        assert cleo.account in talk.in_group()
        assert set(talk.record.left) == {cleo.account}
        await talk.add([cleo.account])
        await talk.send("welcome back")
        await world.settle()
        assert agree(talk.topic, anna, ben, cleo)
        assert not talk.record.left
        assert texts(cleo, talk.topic) == ["welcome back"]
        assert [event.again for event in events_of(cleo, Joined)] == [False, True]


async def test_two_who_do_the_same_do_it_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        with pytest.raises(CannotAdd, match="already"):
            await talk.add([ben.account])
        await talk.remove([cleo.account])
        await talk.remove([cleo.account])
        await world.settle()
        assert agree(talk.topic, anna, ben)
        assert not anna.engine.shelf.outgoing
        assert anna.engine.shelf.groups.get(talk.topic, NEXT) is None
        assert talk.record.fence == 2


async def test_an_access_list_with_somebody_who_has_no_leaf(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a void commit leaves it behind: it can be put right."""
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        (dora,) = await world.people("dora")
        with monkeypatch.context() as patch:
            patch.setattr(Commits, "_access_change", lambda *_: AccessChange(added=((dora.account, Role.MEMBER),)))
            await talk.rotate()
            await world.settle()
        assert dora.account in talk.members
        assert dora.account not in talk.in_group()
        await talk.remove([dora.account])
        await world.settle()
        assert dora.account not in talk.members
        assert agree(talk.topic, anna, ben, cleo)


# -- void commits ------------------------------------------------------------------------------------------------------
VOID: dict[str, tuple[str, Callable[[World, Client, Client, Client], dict[str, Any]]]] = {
    "no commit at all": ("", lambda world, anna, ben, dora: {"body": b"nothing of the kind"}),
    "a leaf without access": (
        "not those added",
        lambda world, anna, ben, dora: {
            "add": (package(world, identity_of(dora.account, STRANGER.public), STRANGER),)
        },
    ),
    "access without a leaf": (
        "not those added",
        lambda world, anna, ben, dora: {"change": AccessChange(added=((dora.account, Role.MEMBER),))},
    ),
    "removed, and stays in the group": (
        "stays in the group", lambda world, anna, ben, dora: {"change": AccessChange(removed=(ben.account,))}
    ),
    "put out of the group, and stays on the list": (
        "stays on the access list", lambda world, anna, ben, dora: {"remove": (ben.account,)}
    ),
    "a forged key": (
        "not the device that it names",
        lambda world, anna, ben, dora: {
            "add": (package(world, identity_of(dora.account, dora.engine.shelf.device.public), STRANGER),),
            "change": AccessChange(added=((dora.account, Role.MEMBER),)),
        },
    ),
    "no credential of ours": (
        "not the device that it names",
        lambda world, anna, ben, dora: {"add": (package(world, b"somebody", STRANGER),)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", VOID)
async def test_a_void_commit_is_void_for_all_and_the_group_goes_on(what: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        (dora,) = await world.people("dora")
        reason, make = VOID[what]
        epoch = talk.epoch_authenticator
        cleo_talk = cleo.conversation(talk.topic)
        await rogue(world, talk, **make(world, anna, ben, dora))
        staying = [cleo] if ben.account not in talk.members else [ben, cleo]
        for client in staying:
            (void,) = events_of(client, Voided)
            assert void.by == anna.account
            assert reason in void.reason
            assert client.conversation(talk.topic).epoch_authenticator == epoch
            assert client.conversation(talk.topic).record.fence == 2
        await cleo_talk.send("we go on")
        await cleo_talk.rotate()
        await world.settle()
        assert agree(talk.topic, *staying)
        assert all(texts(client, talk.topic) == ["we go on"] for client in staying)


async def test_a_commit_in_somebody_elses_name_is_void(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")

        def in_cleos_name(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
            if isinstance(frame, Msg) and frame.flags & Flag.COMMIT and wire.owner == "ben":
                return (msgspec.structs.replace(frame, account=cleo.account, device=cleo.engine.shelf.device.public),)
            return (frame,)

        world.relay.tamper = in_cleos_name
        await talk.rotate()
        await world.settle()
        (void,) = events_of(ben, Voided)
        assert "another member" in void.reason


async def test_the_author_of_a_faulty_commit_finds_it_void_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        (dora,) = await world.people("dora")
        with monkeypatch.context() as patch:
            patch.setattr(Commits, "_access_change", lambda *_: AccessChange(added=((dora.account, Role.MEMBER),)))
            await talk.rotate()
            await world.settle()
        for client in (anna, ben, cleo):
            (void,) = events_of(client, Voided)
            assert void.by == anna.account
        await talk.rotate()
        await talk.send("on we go")
        await world.settle()
        assert agree(talk.topic, anna, ben, cleo)
        assert texts(cleo, talk.topic) == ["on we go"]


async def test_nobody_is_let_into_a_pair(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben, cleo = await world.people("anna", "ben", "cleo")
        fits, topic = anna.engine.commits._fits, pair_topic(anna.account, ben.account)
        assert fits(TopicKind.PAIR, topic, {anna.account, ben.account})
        assert not fits(TopicKind.PAIR, topic, {anna.account, ben.account, cleo.account})
        assert not fits(TopicKind.PAIR, topic, {anna.account, cleo.account})
        assert fits(TopicKind.GROUP, topic, {anna.account, ben.account, cleo.account})
        assert fits(TopicKind.SELF, self_topic(anna.account), {anna.account})
        assert not fits(TopicKind.SELF, self_topic(ben.account), {anna.account})
        assert not fits(TopicKind.SELF, self_topic(anna.account), {anna.account, ben.account})
        assert not fits(TopicKind.FEED, topic, {anna.account})


# -- Welcomes that are not believed ------------------------------------------------------------------------------------
async def refused(client: Client, made: tuple[R.PendingWelcome, bytes], match: str) -> None:
    before = dict(client.engine.shelf.conversations)
    with pytest.raises((RemoteProtocolError, MlsError), match=match):
        client.engine.commits.join(*made)
    assert client.engine.shelf.conversations == before


async def test_welcomes_that_are_refused(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben, cleo = await world.people("anna", "ben", "cleo")
        pair = pair_topic(ben.account, cleo.account)
        # Anna, with the relay's help, invites Ben to what would be shown to him as his conversation with Cleo.
        await refused(ben, welcome(world, anna, ben, topic=pair, kind=TopicKind.PAIR), "cannot be in this")
        listed = welcome(world, anna, ben, topic=pair, kind=TopicKind.PAIR, roster=(cleo.account,))
        await refused(ben, listed, "cannot be in this")
        await refused(ben, welcome(world, anna, ben, topic=self_topic(ben.account), kind=TopicKind.SELF), "cannot be")
        await refused(ben, welcome(world, anna, ben, topic=KEY, kind=TopicKind.FEED), "cannot be")
        await refused(ben, welcome(world, anna, ben, topic=KEY, delivered_to=pair), "another conversation")
        await refused(ben, welcome(world, anna, ben, topic=KEY, sender=cleo.account), "somebody who is none")
        await refused(ben, welcome(world, anna, ben, topic=KEY, key=STRANGER), "forged member")
        ghost = package(world, identity_of(cleo.account, cleo.engine.shelf.device.public), STRANGER)
        await refused(ben, welcome(world, anna, ben, topic=KEY, extra=(ghost,)), "forged member")
        good, blob = welcome(world, anna, ben, topic=KEY)
        await refused(ben, (good, blob + b"x"), "another blob")
        await refused(cleo, (good, blob), "not ours")
        assert ben.engine.commits.join(good, blob).status == Status.ACTIVE
        await refused(ben, (good, blob), "not ours, or was used")


async def test_an_old_welcome_does_not_lead_back(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        here = ben.conversation(talk.topic).record
        await refused(ben, welcome(world, anna, ben, topic=talk.topic, fence=1), "older than what is known")
        wrong_kind = welcome(world, anna, ben, topic=talk.topic, kind=TopicKind.SELF, fence=9)
        await refused(ben, wrong_kind, "cannot be in this")
        here.status = Status.LOCKED
        await refused(ben, welcome(world, anna, ben, topic=talk.topic, fence=1), "older than what is known")
        here.kind = TopicKind.PAIR
        await refused(ben, welcome(world, anna, ben, topic=talk.topic, fence=9), "older than what is known")


async def test_a_welcome_that_is_ahead_of_our_reading_waits(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        ahead, _ = welcome(world, anna, ben, topic=talk.topic, fence=5)
        commits = ben.engine.commits
        assert commits.is_early(ahead)
        ben.conversation(talk.topic).record.status = Status.LOCKED
        assert not commits.is_early(ahead)
        unknown, _ = welcome(world, anna, ben, topic=KEY)
        assert not commits.is_early(unknown)


async def test_a_last_resort_package_serves_more_than_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben, cleo = await world.people("anna", "ben", "cleo")
        for _ in range(10):
            await world.relay.store.key_packages.claim([cleo.account])
        first = await anna.pair(cleo.account)
        second = await ben.group([cleo.account], "another")
        await world.settle()
        assert agree(first.topic, anna, cleo)
        assert agree(second.topic, ben, cleo)
        assert any(package.last_resort for package in cleo.engine.shelf.packages.values())


# -- plans -------------------------------------------------------------------------------------------------------------
async def test_a_plan_that_is_moot(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        commits, record = anna.engine.commits, talk.record

        def row(plan: R.Plan | None) -> R.Outgoing:
            return R.Outgoing(99, talk.topic, anna.engine.shelf.new_id(), R.Work.COMMIT, Flag.COMMIT, plan=plan)

        device = ben.engine.shelf.device.public
        commits.added_at[talk.topic, identity_of(ben.account, device)] = 7
        for plan in (
            None, R.Plan(remove=(KEY,)), R.Plan(renew=((ben.account, device),), fence=7),
            R.Plan(add=(R.Addition(ben.account, device, b""),)), R.Plan(TopicKind.GROUP, bytes(16)),
        ):  # fmt: skip
            with pytest.raises(Moot):
                commits.seal(record, row(plan))
        with pytest.raises(Moot):
            commits.seal(R.Conversation(KEY, TopicKind.GROUP, Status.ACTIVE), row(R.Plan()))
        with pytest.raises(Moot):
            commits._build(record, row(None), Group, [], [], {})  # type: ignore[arg-type]
        assert group_id(record) == talk.topic + (1).to_bytes(8, "big")


# -- when we alone cannot go on ----------------------------------------------------------------------------------------
async def test_locked_and_let_in_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        here = cleo.conversation(talk.topic)
        world.cut("ben")
        with cannot_open(cleo, talk.topic):
            await talk.rotate()
            await here.send("from somebody locked out")
            await talk.send("cannot be read by cleo")
            await world.settle(0.05)
        (locked,) = events_of(cleo, Locked)
        assert locked.topic == talk.topic
        await world.settle(5)
        await talk.send("can be read again")
        await world.settle()
        assert here.status is Status.ACTIVE
        assert agree(talk.topic, anna, ben, cleo)
        assert [event.again for event in events_of(cleo, Joined)] == [False, True]
        assert texts(anna, talk.topic) == ["from somebody locked out", "cannot be read by cleo", "can be read again"]
        assert texts(cleo, talk.topic) == ["from somebody locked out", "can be read again"]
        assert sum(event.count for event in events_of(cleo, Missing)) >= 1
        commits = [f for _, f in world.relay.heard if isinstance(f, Pub) and f.flags & Flag.COMMIT]
        assert len(commits) == 3  # founding, rotation, and one re-admission


async def test_an_own_commit_whose_state_is_gone_locks(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.vaults["anna"].hold()
        await_ = talk.record
        anna.engine.plan(await_, R.Plan())
        world.vaults["anna"].release()
        anna.engine.shelf.groups.put(talk.topic, None, NEXT, epoch=True)
        await world.settle()
        assert len(events_of(anna, Locked)) == 1
        await world.settle(5)
        assert agree(talk.topic, anna, ben)


async def test_a_reset_locks_until_its_author_lets_us_in(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        here = ben.conversation(talk.topic)
        await rogue(world, talk, flags=int(Flag.RESET), epoch=(2, 0), expect=talk.record.cursor)
        assert (here.record.group, here.record.fence) == (2, 1)
        assert here.status is Status.LOCKED

"""Those who do not play by the rules: commits and Welcomes that honest clients never make; a lying relay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from clients import records as R
from clients.client import Client
from clients.commits import identity_of, split
from clients.conversations import Conversation
from clients.sealing import seal_tree
from protocol.codec import encode_struct
from protocol.frames import AccessChange, AnyFrame, Bundle, Flag, Msg, Pub, Role
from protocol.identity import SigningKey
from protocol.ids import TopicKind
from protocol.mls import CannotOpen, Group, generate_key_package
from protocol.position import authenticated_data
from tests.protocol.mls.rogue import without
from tests.support.clients import World, entropy_of
from tests.support.relay_model import Wire

NO_CHANGE = AccessChange()
STRANGER = SigningKey(bytes([77]) * 32)


async def rogue(
    world: World, talk: Conversation, *, add: tuple[bytes, ...] = (), remove: tuple[bytes, ...] = (),
    change: AccessChange = NO_CHANGE, body: bytes | None = None, flags: int = 0,
    epoch: tuple[int, int] | None = None, expect: int | None = None,
) -> None:  # fmt: skip
    """Publish a commit of the talk's client that its own code would never make. That client is out of step then."""
    engine = talk._client.engine
    engine.send_box = lambda account, device, body: None  # type: ignore[method-assign]
    group, record = engine.shelf.groups.get(talk.topic), talk.record
    assert group is not None
    message_id, header = engine.shelf.new_id(), encode_struct(change) if change != NO_CHANGE else b""
    flags |= Flag.COMMIT | (Flag.ACCESS if header else 0)
    at = epoch or (record.group, record.fence)
    leaves = [member.leaf for member in group.members if split(member.identity)[0] in remove]
    with without("check_proposals", "check_members", "check_keys_unique"):
        pending = group.commit(
            add=add, remove=leaves, authenticated_data=authenticated_data(
                talk.topic, message_id, flags, 0, header, *at
            ), tree_in_welcome=False, entropy=entropy_of("rogue"), now_s=world.clock_ms() // 1000,
        )  # fmt: skip
    link = engine.link
    assert link is not None
    pub = Pub(
        0, talk.topic, message_id, None, flags, at, expect, header=header,
        body=pending.commit if body is None else body, bundle=Bundle(),
    )  # fmt: skip
    await link.call(pub)
    await world.settle()


def package(world: World, identity: bytes, key: SigningKey) -> bytes:
    now_s = world.clock_ms() // 1000
    return generate_key_package(
        identity=identity, signature_private=key.seed, not_before_s=now_s - 60, not_after_s=now_s + 3600,
        entropy=entropy_of(f"package {identity.hex()}"),
    ).key_package  # fmt: skip


def welcome(
    world: World, by: Client, to: Client, *, topic: bytes, kind: int = TopicKind.GROUP, roster: tuple[bytes, ...] = (),
    fence: int = 1, sender: bytes | None = None, delivered_to: bytes | None = None, extra: tuple[bytes, ...] = (),
    number: int = 1, key: SigningKey | None = None,
) -> tuple[R.PendingWelcome, bytes]:  # fmt: skip
    """A Welcome that somebody made all alone, and its tree."""
    now_s = world.clock_ms() // 1000
    who = by.engine.shelf
    group = Group.create(
        group_id=topic + number.to_bytes(8, "big"), identity=identity_of(who.account, who.device.public),
        signature_private=(key or who.device).seed, lifetime=(now_s - 60, now_s + 3600), entropy=entropy_of("rogue"),
    )  # fmt: skip
    public = next(p.public for p in to.engine.shelf.packages.values() if not p.last_resort)
    sealed: list[bytes] = []

    def anchor(tree: bytes) -> dict[int, bytes]:
        blob_hash, blob, tree_key = seal_tree(tree, entropy_of("tree"))
        sealed.append(blob)
        accounts = tuple((account, int(Role.OWNER)) for account in (who.account, to.account, *roster))
        return {R.ANCHOR_EXTENSION: encode_struct(R.Anchor(
            topic, kind, 1, 0, b"", number, fence, accounts, "", blob_hash, tree_key
        ))}  # fmt: skip

    pending = group.commit(
        add=[public, *extra], authenticated_data=b"", group_info_extensions=anchor, tree_in_welcome=False,
        entropy=entropy_of("rogue"), now_s=now_s,
    )  # fmt: skip
    assert pending.welcome is not None
    by_account = who.account if sender is None else sender
    return R.PendingWelcome(1, pending.welcome, delivered_to or topic, 1, by_account), sealed[0]


@contextmanager
def cannot_open(client: Client, topic: bytes) -> Iterator[None]:
    """Commits do not open for this member, as if a path secret for it were garbage."""
    group = client.engine.shelf.groups.get(topic)
    assert group is not None
    apply, leaf = Group.apply, group.own_leaf

    def failing(self: Group, *args: Any, **options: Any) -> Any:
        if self.own_leaf == leaf:
            raise CannotOpen("for this member alone")
        return apply(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Group, "apply", failing)
        yield


Change = Callable[[Msg], tuple[AnyFrame, ...]]


def to(world: World, name: str, change: Change, *, where: Callable[[Msg], bool] = lambda msg: True) -> None:
    """From now on the relay changes conversation entries for one member."""
    inboxes = {client.engine.shelf.inbox_topic for client in world.clients.values()}

    def tamper(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
        if wire.owner != name or not isinstance(frame, Msg) or not where(frame):
            return (frame,)
        topic = next(topic for topic, tid in world.relay.tids.items() if tid == frame.tid)
        return (frame,) if topic in inboxes else change(frame)

    world.relay.tamper = tamper

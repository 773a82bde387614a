"""The next version of the own list: who may sign what, judged by the readers' own rules."""

from __future__ import annotations

import msgspec
import pytest
from nacl import bindings as sodium

from clients import records as R
from clients.account import create_identity
from clients.devices import lists
from clients.devices.lists import CannotSign
from protocol import limits as L
from protocol.identity import SigningKey, open_signed, verify_list
from tests.support.clients import START_MS, MemoryVault, entropy_of, open_world

NOW = START_MS + 5
SECOND = SigningKey(b"2" * 32)
INBOX = sodium.crypto_scalarmult_base(b"i" * 32)


@pytest.fixture
def identity() -> R.Identity:
    return create_identity(MemoryVault(), START_MS, entropy_of("lists"))  # type: ignore[arg-type]


def test_a_device_more(identity: R.Identity) -> None:
    before = open_signed(identity.signed_list)
    signed = lists.with_device(identity, SECOND.public, INBOX, NOW)
    after = verify_list(signed, before, account=identity.account)
    assert (after.version, len(after.devices), after.devices[1].primary) == (2, 2, False)
    identity.signed_list = signed
    assert lists.with_device(identity, SECOND.public, INBOX, NOW + 1) == signed
    with pytest.raises(CannotSign):
        lists.with_device(identity, SECOND.public, sodium.crypto_scalarmult_base(b"x" * 32), NOW)


def test_only_the_root_adds(identity: R.Identity) -> None:
    other = msgspec.structs.replace(identity, root_seed=None)
    with pytest.raises(CannotSign, match="root key"):
        lists.with_device(other, SECOND.public, INBOX, NOW)


def test_the_number_of_devices_is_bounded(identity: R.Identity) -> None:
    for number in range(L.DEVICES_MAX - 1):
        key = SigningKey(number.to_bytes(32, "big"))
        identity.signed_list = lists.with_device(identity, key.public, INBOX, NOW)
    with pytest.raises(CannotSign, match="at most"):
        lists.with_device(identity, SECOND.public, INBOX, NOW)


@pytest.mark.parametrize("holds_root", [True, False])
def test_any_device_revokes(identity: R.Identity, holds_root: bool) -> None:
    own = SigningKey(identity.device_seed)
    identity.signed_list = lists.with_device(identity, SECOND.public, INBOX, NOW)
    before = open_signed(identity.signed_list)
    seed = identity.root_seed if holds_root else None
    holder = msgspec.structs.replace(identity, root_seed=seed)
    signed = lists.without_device(holder, own.public, SECOND, NOW + 1)
    after = verify_list(signed, before, account=identity.account)
    assert [device.key for device in after.devices] == [SECOND.public]
    assert (after.expires_ms == before.expires_ms) is not holds_root
    with pytest.raises(CannotSign, match="no such device"):
        lists.without_device(holder, b"?" * 32, SECOND, NOW)


async def test_publishing_remembers_the_list(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        shelf = alice.engine.shelf
        signed = lists.with_device(shelf.identity, SECOND.public, INBOX, shelf.clock_ms())
        devices = await lists.publish(shelf, await alice.wait_connected(), signed)
        assert (devices.version, shelf.identity.signed_list) == (2, signed)
        assert shelf.lists[alice.account] == devices

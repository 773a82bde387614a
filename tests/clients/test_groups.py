"""MLS states in the vault: written once per transaction, in two parts, in two slots."""

from __future__ import annotations

from typing import cast

import pytest
import trio

from clients import records as R
from clients.groups import NEXT, NOW, Groups
from clients.journal import Journal
from clients.vault import Vault
from tests.protocol.mls.people import AD, NOW_S, Person, founded
from tests.support.clients import MemoryVault, in_this_thread

TOPIC = bytes([1]) * 32
ANNA = Person("anna")


class Lab:
    def __init__(self) -> None:
        self.vault = MemoryVault()
        self.journal = Journal(cast("Vault", self.vault), lambda told: None)
        self.groups = self.again()

    def again(self) -> Groups:
        """As after a restart."""
        return Groups(cast("Vault", self.vault), self.journal)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(trio.to_thread, "run_sync", in_this_thread)
    return Lab()


async def test_a_state_comes_back(lab: Lab) -> None:
    group = founded(ANNA)
    lab.groups.put(TOPIC, group, epoch=True)
    await lab.journal.commit()
    found = lab.again().get(TOPIC)
    assert found is not None
    assert found.epoch_authenticator == group.epoch_authenticator
    assert lab.groups.get(bytes(32)) is None


async def test_a_message_writes_the_ratchets_only(lab: Lab) -> None:
    group = founded(ANNA)
    lab.groups.put(TOPIC, group, epoch=True)
    await lab.journal.commit()
    before = dict(lab.vault.records)
    for _ in range(3):
        _, group = group.seal(b"x", authenticated_data=AD, entropy=ANNA.entropy)
        lab.groups.put(TOPIC, group, epoch=False)
    await lab.journal.commit()
    changed = {place for (place, name), value in lab.vault.records.items() if before[place, name] != value}
    assert changed == {R.RATCHETS}
    found = lab.again().get(TOPIC)
    assert found is not None
    assert found.to_parts() == group.to_parts()


async def test_an_own_commit_takes_effect(lab: Lab) -> None:
    group = founded(ANNA)
    pending = group.commit(authenticated_data=AD, tree_in_welcome=False, entropy=ANNA.entropy, now_s=NOW_S)
    lab.groups.put(TOPIC, pending.current, NOW, epoch=False)
    lab.groups.put(TOPIC, pending.current, NOW, epoch=True)
    lab.groups.put(TOPIC, pending.next, NEXT, epoch=True)
    await lab.journal.commit()
    again = lab.again()
    assert again.advance(TOPIC).epoch == 1
    await lab.journal.commit()
    last = lab.again()
    found = last.get(TOPIC)
    assert found is not None
    assert found.epoch == 1
    assert last.get(TOPIC, NEXT) is None
    with pytest.raises(LookupError, match="not in the vault"):
        last.advance(TOPIC)


async def test_forgetting_leaves_no_secret(lab: Lab) -> None:
    group = founded(ANNA)
    lab.groups.put(TOPIC, group, NOW, epoch=True)
    lab.groups.put(TOPIC, group, NEXT, epoch=True)
    await lab.journal.commit()
    lab.groups.forget(TOPIC)
    assert lab.groups.get(TOPIC) is None
    await lab.journal.commit()
    assert not lab.vault.records
    assert lab.again().get(TOPIC) is None


async def test_half_a_state_is_none(lab: Lab) -> None:
    lab.groups.put(TOPIC, founded(ANNA), epoch=True)
    await lab.journal.commit()
    del lab.vault.records[R.RATCHETS, TOPIC + NOW]
    assert lab.again().get(TOPIC) is None

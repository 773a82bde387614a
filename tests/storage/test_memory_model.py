"""The few questions that several parts of the dict model ask."""

from __future__ import annotations

from protocol.ids import TopicKind
from protocol.limits import DEVICE_UNSEEN_MS_MAX
from storage.base import Account, Entry
from storage.facts import TopicFacts
from storage.memory_model import Blob, Device, Log, Model
from tests.contracts.kit import Clock

ANN, PHONE, DESK, TOPIC = (bytes([n]) * 32 for n in range(1, 5))


def entry(offset: int) -> Entry:
    return Entry(TOPIC, 1, offset, bytes(16), ANN, PHONE, 0, 0, 0, 0, b"head", b"body", bytes(32))


def model() -> tuple[Model, Log]:
    model = Model(Clock(), 0)
    model.people[ANN] = Account(ANN, 1, b"", 1, (PHONE, DESK), False, None)
    model.devices = {PHONE: Device(ANN, 100), DESK: Device(ANN, 200), TOPIC: Device(ANN, 0, listed=False)}
    log = Log(TopicFacts(TOPIC, TopicKind.INBOX, ANN, head=3), entries=[entry(n) for n in (1, 2, 3)])
    model.logs[TOPIC] = log
    return model, log


def test_unread_is_what_some_device_has_not_passed() -> None:
    here, log = model()
    assert [key for key, _ in here.listed(ANN)] == [PHONE, DESK]
    assert here.unread(log, 200) == 3
    log.acks = {PHONE: 2, DESK: 1}
    assert here.unread(log, 200) == 2
    assert here.unread(log, 101 + DEVICE_UNSEEN_MS_MAX) == 2  # only the desk was seen
    log.acks[PHONE] = 0
    assert here.unread(log, 101 + DEVICE_UNSEEN_MS_MAX) == 2
    assert here.unread(log, 201 + DEVICE_UNSEEN_MS_MAX) == 3  # none was seen: all count
    here.devices.clear()
    assert here.unread(log, 0) == 3


def test_a_buried_entry_lets_go_of_its_blobs() -> None:
    here, log = model()
    here.heap = {b"one": Blob(b"1", 0, {(TOPIC, 2)}), b"two": Blob(b"2", 0, {(TOPIC, 2), (TOPIC, 3)})}
    assert [blob.data for blob in here.bury(log, 2)] == [b"1"]
    assert list(here.heap) == [b"two"]
    assert [kept.offset for kept in log.alive()] == [1, 3]
    assert (log.entries[1].header, log.entries[1].body, log.entries[1].erased) == (b"", b"", True)

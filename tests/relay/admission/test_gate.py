"""The gate of a connection: three meters, refunds, patience."""

from __future__ import annotations

from protocol.limits import PATIENCE_PER_MESSAGE
from relay.admission.buckets import Kind, Meter
from relay.admission.gate import Gate, Wait
from relay.admission.why import Why


def _meter(**rates: float) -> Meter:
    return Meter({Kind[name]: (rate, rate) for name, rate in rates.items()})


def test_the_first_meter_without_room_refuses_and_the_others_get_theirs_back() -> None:
    device, account, address = _meter(PUBLISH=3), _meter(PUBLISH=1), _meter(PUBLISH=9)
    gate = Gate(address)
    gate.known(device, account)
    assert gate.take(Kind.PUBLISH, 0) is None
    assert gate.take(Kind.PUBLISH, 0) == Wait(1001, Why.ACCOUNT_RATE)
    account.give(Kind.PUBLISH)
    assert gate.take(Kind.PUBLISH, 0) is None
    account.give(Kind.PUBLISH)
    assert gate.take(Kind.PUBLISH, 0) is None  # the device's third: refusals cost it nothing
    account.give(Kind.PUBLISH)
    refused = gate.take(Kind.PUBLISH, 0)
    assert refused is not None
    assert refused.why is Why.DEVICE_RATE
    assert "this device" in refused.text


def test_before_the_login_the_address_counts() -> None:
    gate = Gate(_meter(REQUEST=1))
    assert gate.take(Kind.REQUEST, 0) is None
    refused = gate.take(Kind.REQUEST, 0)
    assert refused is not None
    assert refused.why is Why.ADDRESS_RATE
    assert "network address" in refused.text


def test_too_many_bytes_refuse_every_frame_of_their_message() -> None:
    gate = Gate(_meter(BYTE=1000))
    gate.receive(900, 0)
    assert gate.take(Kind.PUBLISH, 0) is None
    gate.receive(200, 0)
    assert gate.take(Kind.PUBLISH, 0) == gate.take(Kind.REQUEST, 0) == Wait(101, Why.ADDRESS_RATE)
    gate.receive(200, 1000)
    assert gate.take(Kind.PUBLISH, 1000) is None


def test_patience_ends_sooner_for_large_messages() -> None:
    gate = Gate(_meter())
    each = 1 + PATIENCE_PER_MESSAGE
    gate.known(_meter(PUBLISH=1, PATIENCE=10 * each), _meter())
    gate.take(Kind.PUBLISH, 0)
    for _ in range(10):
        gate.receive(10, 0)
        gate.take(Kind.PUBLISH, 0)
        assert not gate.is_flooding
    gate.take(Kind.PUBLISH, 0)
    assert gate.is_flooding
    large = Gate(_meter())
    large.known(_meter(PUBLISH=1, PATIENCE=each), _meter())
    large.take(Kind.PUBLISH, 0)
    large.receive(1 << 20, 0)
    large.take(Kind.PUBLISH, 0)
    assert large.is_flooding


def test_conversations_of_a_day() -> None:
    gate = Gate(_meter())
    gate.known(_meter(), _meter(TOPIC=1))
    assert gate.found(0) is None
    refused = gate.found(0)
    assert refused is not None
    assert refused.why is Why.TOPICS
    assert "conversations" in refused.text
    gate.founded_nothing()
    assert gate.found(0) is None

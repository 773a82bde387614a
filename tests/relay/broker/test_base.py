"""Both brokers have the methods of the seam."""

from __future__ import annotations

import inspect

import pytest

from relay.broker.base import Broker, BrokerAway
from relay.broker.memory import MemoryBroker
from relay.broker.redis import RedisBroker


@pytest.mark.parametrize("implementation", [MemoryBroker, RedisBroker])
def test_implementations_fit(implementation: type) -> None:
    for name, item in vars(Broker).items():
        if inspect.isfunction(item) and not name.startswith("_"):
            wanted, given = inspect.signature(item), inspect.signature(getattr(implementation, name))
            assert wanted == given
            assert inspect.iscoroutinefunction(item) == inspect.iscoroutinefunction(getattr(implementation, name))
    assert isinstance(inspect.getattr_static(implementation, "is_alone"), property)
    assert issubclass(BrokerAway, Exception)

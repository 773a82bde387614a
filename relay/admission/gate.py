"""What one connection may send now: asked before anything is done for it.

Three meters are asked (device, account, address); what is refused is refused with the time after which it works. A
device that goes on and on all the same loses patience with every refusal, and is cut off when it has none left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.limits import PATIENCE_BYTES, PATIENCE_PER_MESSAGE
from relay.admission.buckets import Kind, Meter
from relay.admission.why import Why

#: Three meters cost more than the rest of a small message: so a connection takes a few frames and bytes in advance.
#: What it never spends is lost to its device, account and address: less than a thousandth of a burst.
AHEAD: Final = 15
AHEAD_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Wait:
    """Refused for now."""

    ms: int
    why: Why

    @property
    def text(self) -> str:
        """Whose rate is used up."""
        whose = {Why.DEVICE_RATE: "this device", Why.ACCOUNT_RATE: "this account", Why.TOPICS: "this account"}
        what = "new conversations" if self.why is Why.TOPICS else "at once"
        return f"too much {what} from {whose.get(self.why, 'this network address')}; wait"


class Gate:
    """The meters of one connection. Before the login there is only the address."""

    __slots__ = ("_bytes", "_bytes_wait", "_ephemerals", "_levels", "_publishes", "_size", "is_flooding")

    def __init__(self, address: Meter) -> None:
        self._levels: tuple[tuple[Why, Meter], ...] = ((Why.ADDRESS_RATE, address),)
        self._bytes_wait: Wait | None = None
        self._size = 0
        self._bytes = 0  # taken from all meters in advance, and not spent yet
        self._publishes = 0
        self._ephemerals = 0
        self.is_flooding = False  # no patience is left: cut it off

    def known(self, device: Meter, account: Meter) -> None:
        """The login is decided, or the account's bounds have changed."""
        self._levels = ((Why.DEVICE_RATE, device), (Why.ACCOUNT_RATE, account), self._levels[-1])

    def receive(self, size: int, now_ms: int) -> None:
        """A message came. Its frames are refused if its bytes are too many."""
        self._size = size
        if self._bytes >= size:
            self._bytes -= size
            self._bytes_wait = None
        elif self._ask(Kind.BYTE, now_ms, size + AHEAD_BYTES) is None:
            self._bytes += AHEAD_BYTES
            self._bytes_wait = None
        else:
            self._bytes_wait = self._ask(Kind.BYTE, now_ms, size)

    def take(self, kind: Kind, now_ms: int) -> Wait | None:
        """Whether a frame of the last message may be dealt with; None: yes."""
        if self._bytes_wait is None:
            if kind is Kind.EPHEMERAL:
                if self._ephemerals:
                    self._ephemerals -= 1
                    return None
                if self._ask(kind, now_ms, 1 + AHEAD) is None:
                    self._ephemerals = AHEAD
                    return None
            elif kind is Kind.PUBLISH:
                if self._publishes:
                    self._publishes -= 1
                    return None
                if self._ask(kind, now_ms, 1 + AHEAD) is None:
                    self._publishes = AHEAD
                    return None
        wait = self._bytes_wait or self._ask(kind, now_ms)
        if wait is not None:
            weight = 1 + (PATIENCE_PER_MESSAGE + self._size // PATIENCE_BYTES if self._size else 0)
            self._size = 0  # a message's bytes count once
            self.is_flooding = self._levels[0][1].take(Kind.PATIENCE, now_ms, weight) > 0
        return wait

    def found(self, now_ms: int) -> Wait | None:
        """Whether the account may found one more conversation; None: yes."""
        wait = self._ask(Kind.TOPIC, now_ms)
        return None if wait is None else Wait(wait.ms, Why.TOPICS)

    def founded_nothing(self) -> None:
        """It was refused, or had happened before."""
        for _, meter in self._levels:
            meter.give(Kind.TOPIC)

    def _ask(self, kind: Kind, now_ms: int, tokens: float = 1.0) -> Wait | None:
        for place, (why, meter) in enumerate(self._levels):
            wait_ms = meter.take(kind, now_ms, tokens)
            if wait_ms:
                for _, taken in self._levels[:place]:
                    taken.give(kind, tokens)
                return Wait(wait_ms, why)
        return None

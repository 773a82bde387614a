"""What a wallet keeps in the vault, and which answer may follow which."""

from __future__ import annotations

from typing import Final

import msgspec

from protocol.messages.pay import FINAL, State

PAYMENTS: Final = "payments"  # by operation: payments of ours and to us
REQUESTS: Final = "requests"  # by hash: what was asked of us and what we asked
LOGS: Final = "ledger-logs"  # by worker: what it has signed about its log
HOME: Final = "wallet"  # one row: the worker that we use


class Home(msgspec.Struct):
    """The worker whose books we are in. ``accounts``: ledger → (exponent, free, reserved, expected), as last told."""

    worker: bytes
    log: str
    topic: bytes
    accounts: dict[str, tuple[int, int, int, int]] = {}


class Payment(msgspec.Struct):
    """A payment: ours if ``signed`` is there or the payer is us. Amounts in minor units, times in Unix ms."""

    operation: bytes
    worker: bytes
    payer: bytes
    payee: bytes
    ledger: str
    exponent: int
    amount: int
    made_ms: int
    state: int = State.UNKNOWN
    code: int = 0
    text: str = ""
    memo: str = ""
    request: bytes = b""
    original: bytes = b""
    signed: bytes = b""  # what we sent, kept to ask again with the very same bytes
    request_id: bytes = b""
    request_body: bytes = b""
    topic: bytes = b""  # the people's conversation, where the receipt is handed over
    sequence: int = 0
    receipt: bytes = b""
    handed: bool = False

    @property
    def id(self) -> bytes:
        """The payer's idempotency key."""
        return self.operation[:16]

    def __repr__(self) -> str:
        return f"Payment({self.id.hex()}, {State(self.state).name})"


class Request(msgspec.Struct):
    """A request, in the bytes in which it came. ``state``: open, declined, cancelled or paid."""

    hash: bytes
    id: bytes
    topic: bytes
    payee: bytes
    body: bytes
    made_ms: int
    state: str = "open"

    def __repr__(self) -> str:
        return f"Request({self.hash.hex()[:16]}, {self.state})"


class KnownLog(msgspec.Struct):
    """What a worker has signed about its log. ``proved``: shown to be one history with all that came before it."""

    worker: bytes
    name: str
    proved: bytes = b""
    latest: bytes = b""
    open: dict[int, bytes] = {}  # checkpoints by size that others showed, not proved yet
    asked_ms: int = 0
    alarm: str = ""
    evidence: tuple[bytes, ...] = ()  # two signed checkpoints that contradict each other


def may_follow(now: int, then: int) -> bool:
    """Whether a payment in one state may go on to another one by a mere word of the worker; a receipt always counts."""
    if now in (State.UNKNOWN, State.PENDING):
        return then != State.UNKNOWN
    if now == State.HELD:
        return then in FINAL
    return now == State.SETTLED and then == State.REVERSED

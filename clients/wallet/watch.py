"""Watching a worker's log: of all that it has ever signed, seen by us or shown to us by others, there is one history.

Two checkpoints of one size with different roots convict it by themselves. Of different sizes, the worker must prove
that the older is a prefix; a proof that does not hold convicts it too, and one that does not come leaves the checkpoint
open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from clients.wallet.records import KnownLog
from protocol.errors import RemoteProtocolError
from protocol.receipts import Checkpoint, ReceiptError, open_checkpoint, verify_extension

OPEN_MAX: Final = 32  # checkpoints of others that wait for a proof; the oldest goes when there are more
PROVE_EVERY_MS: Final = 600_000  # what the worker itself shows is proved at least every ten minutes


class Watch:
    """What is known of one worker's log.

    ``ask(old, to)`` asks it for a proof (to 0: up to now), ``alarm(text)`` tells people.
    """

    def __init__(
        self, log: KnownLog, clock_ms: Callable[[], int], ask: Callable[[int, int], None], alarm: Callable[[str], None]
    ) -> None:
        self.log = log
        self._clock_ms = clock_ms
        self._ask = ask
        self._alarm = alarm
        self.answers = 0  # proofs that came since the start, good or bad

    def _read(self, signed: bytes) -> Checkpoint | None:
        """None: not signed by this worker for this log."""
        try:
            return open_checkpoint(signed, self.log.worker, self.log.name)
        except (ReceiptError, RemoteProtocolError):
            return None

    def _known(self) -> list[bytes]:
        return [signed for signed in (self.log.proved, self.log.latest, *self.log.open.values()) if signed]

    @property
    def newest(self) -> bytes:
        """The newest checkpoint, to be shown to others; empty if there is none."""
        return self.log.latest or self.log.proved

    def shown_by_worker(self, signed: bytes) -> bool:
        """The worker itself shows a checkpoint. False: it is none, or contradicts another one."""
        checkpoint = self._compared(signed)
        if checkpoint is None:
            return False
        latest = self._read(self.log.latest) if self.log.latest else None
        if latest is None or checkpoint.size > latest.size:
            self.log.latest = signed
        if not self.log.proved:
            self.log.proved = signed
        elif self._clock_ms() - self.log.asked_ms > PROVE_EVERY_MS:
            self.prove()
        return True

    def shown_by_others(self, signed: bytes) -> None:
        """Somebody else shows one: it is the same log, or the worker lies to one of us."""
        checkpoint = self._compared(signed)
        if checkpoint is None or signed in self._known():
            return
        while len(self.log.open) >= OPEN_MAX:
            del self.log.open[min(self.log.open)]
        proved = self._read(self.log.proved) if self.log.proved else None
        if proved is None:
            self.log.proved = signed
            return
        self.log.open[checkpoint.size] = signed
        self._ask(min(proved.size, checkpoint.size), max(proved.size, checkpoint.size))

    def prove(self) -> None:
        """Ask for a proof that the log has only grown since the last one."""
        proved = self._read(self.log.proved)
        if proved is not None and proved.size:
            self.log.asked_ms = self._clock_ms()
            self._ask(proved.size, 0)

    def _compared(self, signed: bytes) -> Checkpoint | None:
        checkpoint = self._read(signed)
        if checkpoint is None:
            return None
        for other in self._known():
            known = self._read(other)
            if known is not None and known.size == checkpoint.size and known.root != checkpoint.root:
                self._caught("it has signed two different logs of one size", other, signed)
                return None
        return checkpoint

    def proof(self, old: int, to: int, signed: bytes, proof: tuple[bytes, ...]) -> None:
        """The worker's answer to ``ask``: the log of ``old`` receipts is a prefix of that of ``to``."""
        self.answers += 1
        newer = self._compared(signed) if signed else None
        theirs = signed
        if newer is None or newer.size != to:
            theirs = self._of_size(to)
            newer = self._read(theirs) if theirs else None
        other = self._of_size(old)
        older = self._read(other) if other else None
        if newer is None or older is None:
            return
        try:
            verify_extension(older, newer, proof)
        except ReceiptError as error:
            self._caught(str(error), other, theirs)
            return
        self.log.open.pop(old, None)
        self.log.open.pop(to, None)
        if other == self.log.proved:
            self.log.proved = theirs

    def _of_size(self, size: int) -> bytes:
        known = ((signed, self._read(signed)) for signed in self._known())
        return next((signed for signed, read in known if read is not None and read.size == size), b"")

    def _caught(self, text: str, one: bytes, other: bytes) -> None:
        if not self.log.alarm:
            self.log.alarm, self.log.evidence = text, (one, other)
            self._alarm(f"do not trust this worker's books any more: {text}. Both signed statements are kept as proof.")

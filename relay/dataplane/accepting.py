"""Who may come in: a few at a time, within the bounds of the relay and of each address, even out of descriptors."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from typing import Final

from protocol.websocket import Refused
from relay import bounds as B
from relay import log
from relay.admission.why import Why
from relay.config import Settings
from relay.counters import Counters
from relay.sockets import NOTSENT_LOWAT, address_of

_FULL: Final = Refused(503, "no more connections here now", (("Retry-After", "5"),)).response()
_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Takes sockets from listeners and hands those that may stay to ``admit``, with their address; it counts them.

    ``may_speak``: whether who is turned away can be told so (before TLS nothing can be said).
    """

    def __init__(
        self, settings: Settings, counters: Counters, admit: Callable[[socket, str], None],
        may_connect: Callable[[str, int], bool], now_ms: Callable[[], int], may_speak: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._counters = counters
        self._admit = admit
        self._may_connect = may_connect
        self._now_ms = now_ms
        self._may_speak = may_speak
        self._addresses: Counter[str] = Counter()
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._warned_ms: int | None = None
        self.count = 0  # connections that are here

    @property
    def addresses(self) -> int:
        """Network addresses with a connection."""
        return len(self._addresses)

    def close(self) -> None:
        """Nobody comes any more."""
        os.close(self._spare)

    def stays(self, address: str) -> None:
        """Its socket stays open, in other hands: that will be told as another ``left``."""
        self.count += 1
        self._addresses[address] += 1

    def left(self, address: str) -> None:
        """A connection of this address is over."""
        self.count -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def accept(self, listener: socket) -> None:
        """Take those who wait, at most ``ACCEPTS_PER_TURN``."""
        for _ in range(B.ACCEPTS_PER_TURN):
            try:
                sock, name = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    self._turn_away_without_descriptor(listener)
                return  # or whoever came has left again
            self._take(sock, address_of(name))

    def _take(self, sock: socket, address: str) -> None:
        sock.setblocking(False)
        why = self._refusal(address)
        if why is not None:
            self._turn_away(sock, address, why)
            return
        try:
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            if NOTSENT_LOWAT is not None:
                sock.setsockopt(IPPROTO_TCP, NOTSENT_LOWAT, B.KERNEL_BYTES_MAX)
        except OSError:
            sock.close()  # it has left again
            return
        self.count += 1
        self._addresses[address] += 1
        self._admit(sock, address)

    def _refusal(self, address: str) -> Why | None:
        settings = self._settings
        if self.count >= settings.connections_max:
            return Why.CONNECTIONS
        if self._addresses.get(address, 0) >= settings.connections_per_address_max:
            return Why.CONNECTIONS
        return None if self._may_connect(address, self._now_ms()) else Why.ADDRESS_CONNECTS

    def _turn_away(self, sock: socket, address: str, why: Why) -> None:
        self._counters.refused_handshakes += 1
        self._counters.refusals[why] += 1
        log.debug("turned-away", address=address, why=why)
        with suppress(OSError):
            if self._may_speak():
                sock.send(_FULL)
        sock.close()

    def _turn_away_without_descriptor(self, listener: socket) -> None:
        """The spare descriptor is given up for a moment, so that whoever waits gets an answer."""
        now_ms = self._now_ms()
        if self._warned_ms is None or now_ms - self._warned_ms >= B.WARN_EVERY_MS:
            self._warned_ms = now_ms
            log.warning("no-descriptors", open=self.count, hint="raise LimitNOFILE, or lower connections_max")
        os.close(self._spare)
        try:
            with suppress(OSError):
                sock, name = listener.accept()
                sock.setblocking(False)
                self._turn_away(sock, address_of(name), Why.DESCRIPTORS)
        finally:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

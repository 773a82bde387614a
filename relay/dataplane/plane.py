"""All sockets of a relay, on one private level-triggered epoll that one trio task waits for.

A turn: ready sockets are read once each and their whole frames handled, at most ``EVENTS_PER_TURN`` of them; then what
was put off (fan-outs, joined per topic) is done; then every connection that has something to say is written once. After
each turn trio's other tasks run.

Rule 1.  Fan-outs to many wait in the bulk queue, written ``SLICE`` connections a turn: whoever else is ready is read
         and answered in between. An answer to somebody in that queue takes what waits for them along.
Rule 2.  A connection gets one read of at most ``READ_BYTES`` a turn, so none starves another.
Rule 3.  TLS handshakes cost ``HANDSHAKES_MS`` of a turn; the others stay ready.
Rule 4.  Nobody is awaited. What the kernel does not take waits in the connection, bounded by the seam's rules.
Rule 5.  Running out of descriptors answers whoever came with 503 and costs nobody else anything.
"""

from __future__ import annotations

import heapq
import os
import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import socket
from typing import Final

import trio

from protocol.frames import SUBPROTOCOL
from protocol.websocket import Policy, Refused, Request, upgrade_required
from relay import bounds as B
from relay.boundary import Boundary
from relay.config import Settings
from relay.counters import Counters
from relay.dataplane.accepting import Acceptor
from relay.dataplane.driver import Stage
from relay.dataplane.handover import stream_of
from relay.dataplane.peer import Peer
from relay.seam import Accept, FrontStatistics, HttpService
from relay.sockets import location_of, open_sockets

IS_AVAILABLE: Final = hasattr(select, "epoll") and hasattr(os, "eventfd")


@dataclass(frozen=True, slots=True)
class PlaneStatistics(FrontStatistics):
    """What is open, and what waits."""

    blocked: int  # connections whose socket takes nothing now
    bulk: int  # connections that wait for their part of a fan-out
    turns: int
    longest_turn_ms: float  # since the last look


class Plane:
    """A ``seam.Front``: ``serve``; everything else is called from the trio thread."""

    def __init__(
        self, settings: Settings, accept: Accept, counters: Counters, tick_ms: Callable[[], int], *,
        tls: ssl.SSLContext | None = None, http: HttpService | None = None,
        may_connect: Callable[[str, int], bool] = lambda address, now_ms: True,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.bound = settings.outbound_bytes_max
        self.accept = accept
        self.counters = counters
        self.policy = Policy(b"/ws", SUBPROTOCOL, settings.origins)
        self.tls = tls
        self.now_ms = tick_ms()
        self._tick_ms = tick_ms
        self._http = http
        self._acceptor = Acceptor(
            settings, counters, self._admit, may_connect, lambda: self.now_ms, lambda: self.tls is None
        )
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._listeners: dict[int, socket] = {}
        self._peers: dict[int, Peer] = {}
        self._dirty: list[Peer] = []
        self._bulk: deque[Peer] = deque()
        self._later: list[Callable[[], None]] = []
        self._unread: set[Peer] = set()  # TLS has bytes of theirs that epoll cannot see
        self._timed: set[Peer] = set()
        self._pauses: list[tuple[int, int, Peer]] = []  # a heap of (when it ends, descriptor, who)
        self._second_ms = self.now_ms
        self._is_parked = False
        self._nursery: trio.Nursery | None = None
        self._current: Peer | None = None
        self._boundary = Boundary("data plane", self._failed)
        self._turns = 0
        self._longest_s = 0.0

    # -- life ----------------------------------------------------------------------------------------------------------
    async def listen(self, host: str, port: int, setting: str) -> str:
        """Bind. Raises ``ConfigError``, naming ``setting``, where that cannot be had."""
        found = await trio.to_thread.run_sync(open_sockets, host, port, setting)
        self._listeners = {listener.fileno(): listener for listener in found}
        return location_of(found[0])

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and serve until cancelled; then every socket is closed."""
        with self._opened():
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                while True:
                    if self._dirty or self._bulk or self._later or self._unread:
                        await trio.lowlevel.checkpoint()
                    else:
                        await self._park()
                    self.turn()

    async def _park(self) -> None:
        """Wait until a socket is ready, somebody rings, or a pause is over."""
        self._is_parked = True
        if self._pauses:
            with trio.move_on_after(max(0, self._pauses[0][0] - self._tick_ms()) / 1000):
                await trio.lowlevel.wait_readable(self._epoll.fileno())
        else:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
        self._is_parked = False

    @contextmanager
    def _opened(self) -> Iterator[None]:
        self._epoll.register(self._bell, select.EPOLLIN)
        for descriptor in self._listeners:
            self._epoll.register(descriptor, select.EPOLLIN)
        try:
            yield
        finally:
            self.stop_accepting()
            for peer in list(self._peers.values()):
                peer.drop()
            trio.lowlevel.notify_closing(self._epoll.fileno())
            self._epoll.close()
            os.close(self._bell)
            self._acceptor.close()

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections go on."""
        for listener in self._listeners.values():
            listener.close()  # epoll forgets what is closed
        self._listeners.clear()

    def sweep(self, now_ms: int) -> None:
        """End what takes too long; called about once a second."""
        self.now_ms = now_ms
        for peer in list(self._timed):
            with self._boundary:
                self._current = peer
                peer.on_second(now_ms)
            if not peer.is_timed():
                self._timed.discard(peer)

    # -- a turn --------------------------------------------------------------------------------------------------------
    def turn(self) -> None:
        """See the module."""
        began = time.perf_counter()
        self.now_ms = self._tick_ms()
        self._serve(self._epoll.poll(0, B.EVENTS_PER_TURN), began)
        if self._unread:
            self._read_unread()
        if self._pauses:
            self._end_pauses()
        self._write()
        self._turns += 1
        took = time.perf_counter() - began
        if took > self._longest_s:
            self._longest_s = took

    def _serve(self, events: list[tuple[int, int]], began: float) -> None:
        """Everybody who is ready; a bug met for one of them ends that one's connection only."""
        waiting = iter(events)
        peers, clock, enough = self._peers, time.perf_counter, began + B.TURN_MS / 1000
        while events:
            with self._boundary:
                for fd, event in waiting:
                    if clock() > enough:
                        return
                    peer = self._current = peers.get(fd)
                    if peer is None:
                        self._other(fd)
                    elif peer.stage is Stage.HANDSHAKE:
                        self._shake_hands(peer, began)
                    else:
                        if event & select.EPOLLOUT and peer.is_writing:
                            peer.on_room()
                        if event & ~select.EPOLLOUT and peer.stage is not Stage.OVER:
                            peer.on_readable()
                            if self.tls is not None:
                                self._look_into_tls(peer)
                break

    def _failed(self) -> None:
        """A bug in serving one connection: it is over, the relay goes on."""
        self.counters.failures += 1
        if self._current is not None:
            self._current.drop()

    def _other(self, fd: int) -> None:
        if fd == self._bell:
            with suppress(BlockingIOError):
                os.eventfd_read(fd)
        elif fd in self._listeners:
            self._acceptor.accept(self._listeners[fd])

    def _write(self) -> None:
        """What was put off, then everybody with something to say, then a slice of those who wait for a fan-out."""
        while self._later or self._dirty:
            later, self._later = self._later, []
            self._do(later)
            dirty, self._dirty = self._dirty, []
            self._flush(dirty)
        bulk = self._bulk
        if bulk:
            due = [bulk.popleft() for _ in range(min(B.SLICE, len(bulk)))]
            for peer in due:
                peer.is_bulk = False
            self._flush(due)

    def _do(self, later: list[Callable[[], None]]) -> None:
        waiting = iter(later)
        self._current = None
        while later:
            with self._boundary:
                for do in waiting:
                    do()
                break

    def _flush(self, peers: list[Peer]) -> None:
        waiting = iter(peers)
        while peers:
            with self._boundary:
                for peer in waiting:
                    self._current = peer
                    peer.flush()
                break

    # -- what connections ask for --------------------------------------------------------------------------------------
    def later(self, do: Callable[[], None]) -> None:
        """Call ``do`` at the end of this turn, or in one that begins at once."""
        self._later.append(do)
        if self._is_parked:
            self.wake()

    def wants_to_write(self, peer: Peer) -> None:
        """Flush ``peer`` at the end of this turn."""
        self._dirty.append(peer)
        if self._is_parked:
            self.wake()

    def wants_to_write_in_turn(self, peer: Peer) -> None:
        """Flush ``peer`` when those who came before it have been written."""
        peer.is_bulk = True
        self._bulk.append(peer)
        if self._is_parked:
            self.wake()

    def wake(self) -> None:
        """End the wait for sockets."""
        self._is_parked = False
        os.eventfd_write(self._bell, 1)

    def wake_at(self, when_ms: int, peer: Peer) -> None:
        """A pause of ``peer`` ends then."""
        heapq.heappush(self._pauses, (when_ms, peer.fd, peer))

    def _end_pauses(self) -> None:
        while self._pauses and self._pauses[0][0] <= self.now_ms:
            peer = heapq.heappop(self._pauses)[2]
            with self._boundary:
                self._current = peer
                if peer.stage is not Stage.OVER:
                    peer.on_pause_over()

    def watch(self, peer: Peer) -> None:
        """Something of ``peer`` has a deadline."""
        self._timed.add(peer)

    def register(self, peer: Peer) -> None:
        """Tell epoll what ``peer`` waits for."""
        mask = (select.EPOLLIN if peer.is_reading else 0) | (select.EPOLLOUT if peer.is_writing else 0)
        self._epoll.modify(peer.fd, mask)

    def forget(self, peer: Peer) -> None:
        """The connection is over; its socket is still open."""
        del self._peers[peer.fd]
        self._epoll.unregister(peer.fd)
        self._timed.discard(peer)
        self._unread.discard(peer)
        self._acceptor.left(peer.address)

    def _admit(self, sock: socket, address: str) -> None:
        """Somebody new, who may stay."""
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()  # it has left again
            self._acceptor.left(address)
            return
        peer = Peer(self, sock, address, is_tls=self.tls is not None)
        self._peers[peer.fd] = peer
        self._epoll.register(peer.fd, select.EPOLLIN)
        self._timed.add(peer)

    # -- TLS -----------------------------------------------------------------------------------------------------------
    def _shake_hands(self, peer: Peer, began: float) -> None:
        if time.perf_counter() - began > B.HANDSHAKES_MS / 1000 or not isinstance(peer.sock, ssl.SSLSocket):
            return
        try:
            peer.sock.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            peer.is_writing = True
            self.register(peer)
            return
        except OSError:
            self.counters.refused_handshakes += 1
            peer.drop()
            return
        peer.is_writing = False
        self.register(peer)
        peer.stage = Stage.HEAD
        self._look_into_tls(peer)

    def _look_into_tls(self, peer: Peer) -> None:
        """A record may hold more than one read took, and epoll knows nothing of it."""
        if peer.stage is not Stage.OVER and isinstance(peer.sock, ssl.SSLSocket) and peer.sock.pending():
            self._unread.add(peer)

    def _read_unread(self) -> None:
        unread, self._unread = self._unread, set()
        for peer in unread:
            with self._boundary:
                self._current = peer
                if peer.stage is not Stage.OVER and peer.is_reading:
                    peer.on_readable()
                    self._look_into_tls(peer)

    # -- plain HTTP ----------------------------------------------------------------------------------------------------
    def hand_over(self, peer: Peer, request: Request) -> bool:
        """Give the socket to the service that wants this request; False: none does."""
        if self._http is None or self._nursery is None or not self._http.wants(request.data):
            return False
        self._acceptor.stays(peer.address)
        self._nursery.start_soon(self._serve_guest, peer.release(), peer.address, self._http, request.data)
        return True

    async def _serve_guest(self, sock: socket, address: str, http: HttpService, data: bytes) -> None:
        try:
            async with stream_of(sock) as stream:
                await http.serve(stream, data)
        finally:
            self._acceptor.left(address)

    def not_found(self, request: Request) -> Refused:
        """What to say to a request that nobody answers."""
        if request.target.partition(b"?")[0] == self.policy.path:
            return upgrade_required()
        return Refused(404, f"nothing here; the websocket is at {self.policy.path.decode()}")

    def statistics(self) -> PlaneStatistics:
        """Numbers now."""
        longest, self._longest_s = self._longest_s, 0.0
        peers = self._peers.values()
        return PlaneStatistics(
            self._acceptor.count, self._acceptor.addresses, sum(peer.buffered_bytes for peer in peers),
            sum(peer.is_blocked for peer in peers), len(self._bulk), self._turns, longest * 1000,
        )  # fmt: skip

"""Who is connected to this process: by connection, by device (one each), by account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import trio

from protocol.errors import Close
from protocol.frames import Frame


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """What an operator is told about a connection."""

    since_ms: int  # wall-clock time of its websocket's opening
    subscriptions: int
    backlog: int  # of them behind the head
    inflight: int  # PUBs that wait for their commit
    requests: int  # that wait
    buffered_bytes: int  # that the socket has not taken


class Online(Protocol):
    """What the registry needs of a connection."""

    account: bytes
    device: bytes
    login: int
    is_shared: bool  # one of several processes of a worker

    @property
    def is_over(self) -> bool: ...

    def send(self, frame: Frame) -> None: ...

    def bye(self, close: Close, text: str | None = None) -> None: ...


class Registry:
    """All open connections of this process."""

    def __init__(self) -> None:
        self._all: dict[Online, None] = {}
        self._devices: dict[bytes, Online] = {}
        self._accounts: dict[bytes, dict[Online, None]] = {}
        self._empty = trio.Event()
        self.gone: Callable[[Online], None] = lambda connection: None  # told of every connection that has ended

    def opened(self, connection: Online) -> None:
        """A websocket is open."""
        self._all[connection] = None

    def logged_in(self, connection: Online) -> bool:
        """A connection got its login number: the older connection of the device ends. False: this is the older one."""
        for other in self._others(connection):
            if other.login > connection.login:
                connection.bye(Close.SUPERSEDED)
                return False
            self._forget(other)
            other.bye(Close.SUPERSEDED)
        self._devices[connection.device] = connection
        self._accounts.setdefault(connection.account, {})[connection] = None
        return True

    def _others(self, connection: Online) -> list[Online]:
        """The older connections of the same device, but for processes of a worker beside each other."""
        same = [item for item in self.of_account(connection.account) if item.device == connection.device]
        return [item for item in same if item is not connection and not (item.is_shared and connection.is_shared)]

    def closed(self, connection: Online) -> None:
        """A websocket is gone."""
        self._all.pop(connection, None)
        self._forget(connection)
        self.gone(connection)
        if not self._all:
            self._empty.set()

    async def empty(self) -> None:
        """Wait until no connection is open."""
        while self._all:
            self._empty = trio.Event()
            await self._empty.wait()

    def _forget(self, connection: Online) -> None:
        if self._devices.get(connection.device) is connection:
            del self._devices[connection.device]
        peers = self._accounts.get(connection.account)
        if peers is not None and peers.pop(connection, self) is None and not peers:
            del self._accounts[connection.account]

    def device(self, device: bytes) -> Online | None:
        """The connection of a device."""
        return self._devices.get(device)

    def of_account(self, account: bytes) -> list[Online]:
        """The connections of an account's devices."""
        return list(self._accounts.get(account, ()))

    def everyone(self) -> list[Online]:
        """All open connections, logged in or not."""
        return list(self._all)

    def __iter__(self) -> Iterator[Online]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

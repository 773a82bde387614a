"""Who is connected, and which of two connections of a device stays."""

from __future__ import annotations

import trio
import trio.testing

from protocol.errors import Close
from protocol.frames import Frame
from relay.registry import Registry


class Fake:
    """A connection."""

    def __init__(self, account: bytes, device: bytes, login: int) -> None:
        self.account, self.device, self.login = account, device, login
        self.is_shared = False
        self.byes: list[Close] = []
        self.is_over = False

    def send(self, frame: Frame) -> None:
        """Not used here."""

    def bye(self, close: Close, text: str | None = None) -> None:
        """Told to go."""
        self.byes.append(close)


def test_a_newer_login_ends_the_older() -> None:
    registry = Registry()
    first, second = Fake(b"a", b"d", 1), Fake(b"a", b"d", 2)
    for connection in (first, second):
        registry.opened(connection)
        assert registry.logged_in(connection)
    assert (first.byes, second.byes) == ([Close.SUPERSEDED], [])
    assert registry.device(b"d") is second
    registry.closed(first)
    assert registry.of_account(b"a") == [second]
    assert list(registry) == [second]
    assert len(registry) == 1
    assert registry.logged_in(second)


def test_an_older_login_that_comes_late_goes() -> None:
    registry = Registry()
    newer, older = Fake(b"a", b"d", 2), Fake(b"a", b"d", 1)
    assert registry.logged_in(newer)
    assert not registry.logged_in(older)
    assert older.byes == [Close.SUPERSEDED]
    registry.closed(older)
    assert registry.device(b"d") is newer


def test_devices_of_an_account() -> None:
    registry = Registry()
    one, two = Fake(b"a", b"d", 1), Fake(b"a", b"e", 1)
    for connection in (one, two):
        registry.opened(connection)
        registry.logged_in(connection)
    assert registry.of_account(b"a") == [one, two]
    registry.closed(one)
    registry.closed(one)
    assert registry.of_account(b"a") == [two]
    registry.closed(two)
    assert registry.of_account(b"a") == []
    assert registry.everyone() == []
    assert registry.device(b"e") is None


async def test_waiting_until_nobody_is_left(nursery: trio.Nursery) -> None:
    registry = Registry()
    await registry.empty()
    connection = Fake(b"a", b"d", 1)
    registry.opened(connection)
    done = trio.Event()

    async def wait() -> None:
        await registry.empty()
        done.set()

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert not done.is_set()
    registry.closed(connection)
    await done.wait()

"""Waiting until nothing is under way."""

from __future__ import annotations

import trio
import trio.testing

from relay.pending import Pending


async def test_waiting(nursery: trio.Nursery) -> None:
    pending = Pending()
    await pending.none()
    pending.began()
    pending.began()
    done = trio.Event()

    async def wait() -> None:
        await pending.none()
        done.set()

    nursery.start_soon(wait)
    for _ in range(2):
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()
        pending.ended()
    await done.wait()
    assert pending.count == 0

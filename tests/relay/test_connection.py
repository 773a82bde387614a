"""A connection from INFO to BYE, over the store in memory, without sockets."""

from __future__ import annotations

import trio

from protocol import frames as F
from tests.support.lab import open_lab
from tests.support.people import group, message


async def test_hello(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        founding = group(alice, bob)
        result = await a.ok(founding, F.PubResult)
        assert (result.generation, result.offset, result.duplicate) == (1, 1, False)
        sub = await b.subscribe(founding.topic, last=0)
        assert b.offsets(sub.tid) == [1]
        assert b.got(F.Live)[-1] == F.Live(sub.tid, 1)
        await a.ok(message(alice, founding.topic), F.PubResult)
        assert b.offsets(sub.tid) == [1, 2]

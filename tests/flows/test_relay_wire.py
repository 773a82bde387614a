"""A relay over real sockets and SQLite, spoken to in frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol import frames as F
from protocol import requests as R
from relay.testing import open_relay
from tests.support.people import Person, group, message
from tests.support.wire import open_wire


@pytest.mark.parametrize("durable", [False, True])
async def test_two_people_talk(tmp_path: Path, durable: bool) -> None:
    async with open_relay(data=tmp_path if durable else None) as relay:
        now_ms = relay.clock_ms()
        alice, bob = Person("alice", now_ms), Person("bob", now_ms)
        async with open_wire(relay.url) as a, open_wire(relay.url) as b:
            await a.register(alice)
            await b.register(bob)
            founding = group(alice, bob)
            topic = founding.topic
            assert (await a.ok(founding, F.PubResult)).offset == 1
            (at_b,) = await b.subscribe(F.Subscription(topic, last=0))
            assert (at_b.head, at_b.group, at_b.fence) == (1, 1, 1)
            assert (await b.expect(F.Msg)).body == b"commit"
            assert (await b.expect(F.Live)).offset == 1
            for number in range(2, 12):
                result = await a.ok(message(alice, topic, b"%d" % number), F.PubResult)
                assert result.offset == number
                heard = await b.expect(F.Msg)
                assert (heard.tid, heard.offset, heard.body) == (at_b.tid, number, b"%d" % number)
                assert (heard.account, heard.device) == (alice.account, alice.device)
        async with open_wire(relay.url) as b:
            assert (await b.login(bob)).registered
            await b.subscribe(F.Subscription(topic, start=(1, 6)))
            assert [(await b.expect(F.Msg)).offset for _ in range(5)] == [7, 8, 9, 10, 11]
            assert (await b.expect(F.Live)).offset == 11
            assert await b.request("topics.members", R.GetMembers(topic), list[tuple[bytes, int]])

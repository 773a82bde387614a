"""The broker of one process, beside what ``tests/contracts/test_broker.py`` asks of every broker."""

from __future__ import annotations

from relay.broker.memory import Bus


async def test_one_node_is_alone_and_two_are_not() -> None:
    bus = Bus()
    heard: list[bytes] = []
    async with bus.open(lambda channel, data: heard.append(data), lambda: None) as one:
        alone = [one.is_alone]
        one.listen_nowait(b"c")
        await one.listening()
        one.announce_nowait(b"c", b"to myself")
        async with bus.open(lambda channel, data: None, lambda: None) as other:
            alone.append(one.is_alone)
            other.announce_nowait(b"c", b"hello")
            other.announce_nowait(b"d", b"unheard")
            one.ignore_nowait(b"c")
            other.announce_nowait(b"c", b"too late")
            assert other.statistics().announced == 3
        alone.append(one.is_alone)
    assert alone == [True, False, True]
    assert heard == [b"hello"]
    assert one.statistics() == type(one.statistics())(True, 1, 0, 1, 0)
    assert bus.nodes == []

"""The broker of one process, beside what ``tests/contracts/test_broker.py`` asks of every broker."""

from __future__ import annotations

from relay.broker.memory import Bus


async def test_one_node_is_alone_and_two_are_not() -> None:
    bus = Bus()
    heard: list[bytes] = []
    async with bus.open(lambda channel, data: heard.append(data), lambda: None) as one:
        assert one.is_alone is True
        one.listen_nowait(b"c")
        await one.listening()
        one.announce_nowait(b"c", b"to myself")
        async with bus.open(lambda channel, data: None, lambda: None) as other:
            assert one.is_alone is other.is_alone is False
            other.announce_nowait(b"c", b"hello")
            other.announce_nowait(b"d", b"unheard")
            one.ignore_nowait(b"c")
            other.announce_nowait(b"c", b"too late")
            assert other.statistics().announced == 3
    assert heard == [b"hello"]
    assert one.statistics() == type(one.statistics())(True, 1, 0, 1, 0)
    assert bus.nodes == []

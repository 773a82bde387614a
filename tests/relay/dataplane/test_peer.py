"""One connection of the plane: deadlines by a clock that is moved by hand, rooms that fill up, and how it ends."""

from __future__ import annotations

import trio
import trio.testing

from protocol import limits as L
from protocol.errors import Close
from relay import bounds as B
from relay.dataplane.driver import Stage
from relay.dataplane.peer import Peer
from tests.support.fronts import Bench, bench, everything, head
from tests.support.rfc6455 import client_frame
from tests.support.waiting import until


def peers(b: Bench) -> list[Peer]:
    """Who is connected."""
    return list(b.plane._peers.values())


def stage_of(peer: Peer) -> Stage:
    """How far it has come."""
    return peer.stage


async def connected(b: Bench, count: int = 1) -> list[Peer]:
    """Wait until so many are."""
    await until(lambda: len(peers(b)) == count)
    return peers(b)


async def test_a_request_that_does_not_come() -> None:
    async with bench("epoll", handshake_ms=1000) as b:
        silent, slow = await b.tcp(), await b.tcp()
        await slow.send_all(head()[:20])
        await connected(b, 2)
        b.pass_ms(999)
        assert len(peers(b)) == 2
        b.pass_ms(1)
        assert (await everything(silent)).startswith(b"HTTP/1.1 408 ")
        assert (await everything(slow)).startswith(b"HTTP/1.1 408 ")
        assert b.counters.refused_handshakes == 2
        b.pass_ms(B.CLOSE_MS)
        assert not peers(b)


async def test_a_message_that_does_not_go_on() -> None:
    async with bench("epoll", frame_ms=1000) as b:
        socket = await b.websocket()
        await socket.send(b"whole")
        assert await socket.receive() == b"whole"
        b.pass_ms(60_000)
        await socket.stream.send_all(client_frame(2, b"in two parts")[:10])
        (peer,) = peers(b)
        await until(lambda: peer.is_timed())
        b.pass_ms(999)
        assert peer.stage is Stage.OPEN
        b.pass_ms(1)
        assert await socket.code() == Close.PARTIAL
        assert b.counters.refusals["partial"] == 1


async def test_a_message_that_comes_in_drops() -> None:
    async with bench("epoll", frame_ms=1000) as b:
        socket = await b.websocket()
        await socket.send(b"login")
        await socket.send(b"decided")
        assert await socket.receive() == b"decided"
        data = client_frame(2, bytes(100))
        (peer,) = peers(b)
        for octet in data[:50]:  # each in time, all together too slow
            heard = peer._midway_bytes
            await socket.stream.send_all(bytes([octet]))
            await until(lambda heard=heard: peer._midway_bytes > heard)  # type: ignore[misc]
            b.pass_ms(100)
            if peer.stage is not Stage.OPEN:
                break
        assert await socket.code() == Close.PARTIAL


async def test_fragments_have_one_deadline_and_the_next_message_another() -> None:
    async with bench("epoll", frame_ms=1000) as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        first, last = client_frame(2, b"a", fin=False), client_frame(0, b"b")
        await socket.stream.send_all(first)
        await until(lambda: peer._began_ms > 0)
        b.pass_ms(900)
        await socket.stream.send_all(last + first)
        assert await socket.receive() == b"ab"
        b.pass_ms(900)
        assert peer.stage is Stage.OPEN
        await socket.stream.send_all(last)
        assert await socket.receive() == b"ab"
        assert not peer.is_timed()


async def test_a_socket_that_takes_nothing() -> None:
    async with bench("epoll", stalled_ms=5000, outbound_bytes_max=1 << 15) as b:
        socket = await b.websocket(receive_bytes=4096)
        for _ in range(40):
            await socket.send(b"flood 100")
        (peer,) = peers(b)
        await until(lambda: peer.is_blocked and not peer.is_reading)
        b.pass_ms(4999)
        assert stage_of(peer) is Stage.OPEN
        assert b.plane.statistics().blocked == 1
        b.pass_ms(1)
        assert stage_of(peer) is Stage.OVER
        assert b.counters.closes[Close.SLOW] == 1
        assert b.handlers[0].events[-1] == "closed"
        peer.send_nowait(b"too late")
        peer.close_nowait(1000, "too late")
        peer.flush()
        peer.drop()
        assert b.handlers[0].events.count("closed") == 1


async def test_a_close_frame_that_is_not_answered() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        await socket.send(b"close")
        (peer,) = peers(b)
        said = b""
        while b"told to" not in said:
            said += bytes(await socket.stream.receive_some())
        assert stage_of(peer) is Stage.CLOSING
        peer.send_nowait(b"not any more")
        peer.send_shared_nowait(b"nor this")
        b.pass_ms(B.CLOSE_MS)
        assert stage_of(peer) is Stage.OVER
        assert await everything(socket.stream) == b""


async def test_what_comes_behind_the_close_is_forgotten() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        await socket.stream.send_all(client_frame(2, b"close") + client_frame(2, b"unheard") * 3)
        assert await socket.end() == ([b"goodbye"], 4002)
        assert b.handlers[0].events == [b"close", "closed"]


async def test_after_an_error_the_peer_may_say_its_last() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        await socket.stream.send_all(b"\x83\x80\0\0\0\0")
        assert (await socket.end())[1] == 1002
        assert stage_of(peer) is Stage.ENDING
        await socket.stream.send_all(b"whatever")  # read, and forgotten
        await socket.stream.aclose()
        await until(lambda: not peers(b))


async def test_a_flood_of_pings() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        for _ in range(2):  # in two reads, so that neither alone is too much
            await socket.stream.send_all(client_frame(9) * (B.CONTROLS_PER_S // 2 + 10))
            await until(lambda: peer.endpoint is not None and peer.endpoint.control_frames > B.CONTROLS_PER_S // 2)
        assert (await socket.end())[1] == 1008
        assert b.counters.refusals["flood"] == 1


async def test_pings_are_answered_for_ever_at_a_bearable_rate() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        for _ in range(5):
            await socket.stream.send_all(client_frame(9) * (B.CONTROLS_PER_S - 1))
            await socket.send(b"still here")
            assert await socket.receive() == b"still here"
            b.pass_ms(1000)


async def test_a_reset_while_something_waits() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        await trio.aclose_forcefully(socket.stream)
        peer.send_nowait(bytes(100))
        await until(lambda: peer.stage is Stage.OVER)
        assert b.handlers[0].events == ["closed"]


async def test_limits_before_and_after_the_login() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        assert peer.endpoint is not None
        assert peer.endpoint.message_bytes_max == L.LOGIN_BUFFER_BYTES_MAX
        await socket.send(b"login")
        await until(lambda: b.handlers[0].events == [b"login"])
        assert peer.endpoint.message_bytes_max == L.MESSAGE_BYTES_MAX


async def test_a_message_that_waits_is_delivered_when_there_is_room() -> None:
    async with bench("epoll", outbound_bytes_max=1 << 15) as b:
        socket = await b.websocket(receive_bytes=65536)
        (peer,) = peers(b)
        await socket.stream.send_all(b"".join(socket.client.frame(b"flood 100") for _ in range(60)))
        await until(lambda: peer._held is not None)
        assert not peer.is_reading
        assert peer.buffered_bytes < 4 << 20
        for _ in range(6000):
            assert await socket.receive() == bytes(1000)
        assert b.handlers[0].events.count(b"flood 100") == 60
        await until(lambda: peer.is_reading and not peer.is_writing)


async def test_an_answer_in_http_that_the_peer_does_not_read() -> None:
    async with bench("epoll") as b:
        stream = await b.tcp()
        await stream.send_all(b"nonsense\r\n\r\n")
        (peer,) = await connected(b)
        await until(lambda: stage_of(peer) is Stage.ENDING)
        await trio.aclose_forcefully(stream)
        await until(lambda: stage_of(peer) is Stage.OVER)


async def test_too_long_for_the_limit_is_counted() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        await socket.stream.send_all(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4))
        assert await socket.code() == 1009
        assert b.counters.refusals["oversize"] == 1


async def test_text_messages_go_their_own_way() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        await socket.stream.send_all(client_frame(1, "wörter".encode()))
        assert await socket.code() == 1003
        assert b.handlers[0].events[0] == "text"


async def test_the_room_of_a_shared_send() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        await socket.send(b"shared")
        assert [await socket.receive(), await socket.receive()] == [b"one", b"two"]


async def test_no_subprotocol_is_told_in_http() -> None:
    async with bench("epoll") as b:
        stream = await b.tcp()
        await stream.send_all(head(Sec_WebSocket_Protocol="chat"))
        assert (await everything(stream)).startswith(b"HTTP/1.1 400 ")
        plain = await b.tcp()
        await plain.send_all(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await everything(plain)).startswith(b"HTTP/1.1 426 ")


async def test_a_pause() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        await socket.send(b"before")
        assert await socket.receive() == b"before"
        peer.pause_nowait(500)
        peer.pause_nowait(1000)  # the longer one counts
        await socket.stream.send_all(b"".join(socket.client.frame(word) for word in (b"a", b"b")))
        await trio.testing.wait_all_tasks_blocked()
        assert b.handlers[0].events == [b"before"]
        b.now_ms += 500
        b.plane.turn()
        assert peer._paused_ms > 0
        b.now_ms += 500
        b.plane.turn()
        assert [await socket.receive(), await socket.receive()] == [b"a", b"b"]
        await socket.send(b"close")
        assert await socket.code() == 4002
        peer.pause_nowait(10)
        assert peer._paused_ms == 0


async def test_a_pause_in_the_middle_of_what_was_read() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        handler = b.handlers[0]
        heard = handler.on_message

        def pausing(data: bytes) -> None:
            heard(data)
            peer.pause_nowait(100)

        handler.on_message = pausing  # type: ignore[method-assign]
        await socket.stream.send_all(b"".join(socket.client.frame(bytes([n])) for n in range(3)))
        for n in range(3):
            assert await socket.receive() == bytes([n])
            assert len(handler.events) == n + 1
            b.now_ms += 100
            b.plane.turn()


async def test_who_goes_on_after_our_close_frame_is_held_up() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        (peer,) = peers(b)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def flood() -> None:
                    data = client_frame(2, b"x" * 1000) * 100
                    while True:
                        await socket.stream.send_all(data)

                nursery.start_soon(flood)
                peer.close_nowait(4000, "enough")
                await until(lambda: not peer.is_reading)
                assert peer._last_bytes < 4 * B.LINGER_BYTES
                b.pass_ms(B.CLOSE_MS)
                assert stage_of(peer) is Stage.OVER
                scope.cancel()

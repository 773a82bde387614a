"""Bad input that a connection survives with a documented answer, before and after the login."""

from __future__ import annotations

import msgpack
import msgspec
import pytest

from protocol import frames as F
from protocol import limits as L
from protocol import requests as R
from protocol.codec import encode_batch, encode_struct
from protocol.errors import Close, Code
from tests.support.lab import open_lab, req, settle


def bomb(depth: int) -> bytes:
    """Arrays in arrays."""
    return b"\x91" * depth + b"\xc0"


BEFORE_LOGIN: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no array", b"\xc0"),
    ("text", b"\xa5hello"),
    ("a map", b"\x80"),
    ("an empty array", b"\x90"),
    ("a type that is no number", encode_struct(("two", 1))),
    ("a type that does not exist", encode_struct((40, 1))),
    ("a type of the relay", encode_struct(F.Ok(1))),
    ("a request before CONNECT", encode_struct(F.Sub(1, ()))),
    ("a lying length", b"\xdd\xff\xff\xff\xff\x02"),
    ("a lying string", b"\x92\x02\xdb\xff\xff\xff\xff"),
    ("cut short", encode_struct(F.Pub(1, b"T" * 32, b"i" * 16))[:-20]),
    ("nested", bomb(1000)),
    ("nested as a field", b"\x93\x0f\x01" + bomb(4000)),
    ("an integer beyond 2^53-1", encode_struct((5, 2**53))),
    ("a negative rid", encode_struct((7, -1, None))),
    ("bad UTF-8", b"\x93\x0f\x01\xa4\xff\xfe\xfd\xfc"),
    ("an extension type", b"\x92\x02\xd4\x01\x00"),
    ("trailing bytes", encode_struct(F.Ping(1)) + b"\xc0"),
    ("a float", msgpack.packb([5, 1.5])),
    ("too much", encode_struct(F.Req(1, "x", msgspec.Raw(encode_struct(bytes(L.LOGIN_BYTES_MAX)))))),
]


@pytest.mark.parametrize(("name", "data"), BEFORE_LOGIN, ids=[name for name, _ in BEFORE_LOGIN])
async def test_bad_input_before_the_login_ends_the_connection(name: str, data: bytes) -> None:
    async with open_lab() as lab:
        client = lab.open()
        client.connection.on_message(data)
        await settle()
        assert client.bye is not None, name
        assert client.bye.code in (Close.PROTOCOL, Close.TOO_LARGE)
        assert len(client.bye.text) > 10
        client.connection.on_message(data)  # what is on the way is dropped
        assert len(client.got(F.Bye)) == 1


AFTER_LOGIN: list[tuple[str, bytes, int | None]] = [  # the rid that is refused; None: the connection ends
    ("a PUB with a short topic", encode_struct((13, 9, b"short", b"i" * 16)), 9),
    ("a PUB with a huge header", encode_struct((13, 9, b"T" * 32, b"i" * 16, None, 0, None, None, 0, bytes(5000))), 9),
    (
        "a PUB with a huge body",
        encode_struct((13, 9, b"T" * 32, b"i" * 16, None, 0, None, None, 0, b"", bytes(80000))),
        9,
    ),
    ("a PUB with flags beyond 2^53-1", encode_struct((13, 9, b"T" * 32, b"i" * 16, None, 2**53)), 9),
    ("a PUB with a float for flags", msgpack.packb([13, 9, b"T" * 32, b"i" * 16, None, 1.5]), 9),
    ("a PUB with a negative expect", encode_struct((13, 9, b"T" * 32, b"i" * 16, None, 0, None, -1)), 9),
    ("a SUB of too many topics", encode_struct((7, 9, [(b"T" * 32,)] * 257)), 9),
    ("a REQ with a name that is no UTF-8", b"\x93\x0f\x09\xa2\xff\xfe", 9),
    ("a REQ with a bomb", b"\x94\x0f\x09\xa1x" + bomb(3000), None),
    ("a PUB whose rid is a text", encode_struct((13, "nine", b"T" * 32, b"i" * 16)), None),
    ("CONNECT again", encode_struct(F.Connect(1, 1, b"d" * 32, b"n" * 32, b"s" * 64, b"a" * 32, 1)), None),
    ("MSG from a client", encode_struct(F.Live(1, 1)), None),
    ("a batch of too many", encode_batch([F.Ping(1)])[:1] + b"", None),
    ("257 frames", b"\xdc\x01\x01" + encode_struct(F.Ping(1)) * 257, None),
    ("a batch in a batch", msgpack.packb([[[5, 1]]]), None),
    ("a message that is too large", b"\x91" + bytes(L.MESSAGE_BYTES_MAX), None),
]


@pytest.mark.parametrize(("name", "data", "rid"), AFTER_LOGIN, ids=[name for name, *_ in AFTER_LOGIN])
async def test_bad_input_after_the_login(name: str, data: bytes, rid: int | None) -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        client.connection.on_message(data)
        await settle()
        if rid is None:
            assert client.bye is not None
            assert client.bye.code in (Close.PROTOCOL, Close.TOO_LARGE)
        else:
            (err,) = client.got(F.Err)
            assert (err.rid, err.code) == (rid, Code.FRAME)
            assert client.bye is None
            assert await client.ok(F.Sub(0, ()), list[F.SubResult]) == []


async def test_unknown_types_of_later_versions_are_ignored() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        client.connection.on_message(encode_struct((64, "whatever", 1)))
        assert client.bye is None


async def test_text_messages_are_refused() -> None:
    async with open_lab() as lab:
        client = lab.open()
        client.connection.on_text()
        assert client.bye is not None
        assert client.bye.code == Close.PROTOCOL
        assert client.peer.closed is not None
        assert client.peer.closed[0] == 1003


async def test_too_much_behind_a_connect() -> None:
    async with open_lab() as lab:
        client = lab.open()
        client.send(lab.person("alice").connect(client.got(F.Info)[0]))
        for _ in range(70):
            client.send(req("x", R.PutBlob(b"h" * 32, bytes(1000)), rid=1))
        await settle()
        assert client.bye is not None
        assert client.bye.code == Close.TOO_LARGE

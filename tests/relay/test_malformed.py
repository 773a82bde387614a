"""Malformed requests after the login: refused alone or with their batch, and nobody is left without an answer."""

from __future__ import annotations

from protocol import frames as F
from protocol.codec import encode_struct
from protocol.errors import Code
from tests.support.lab import open_lab, settle


async def test_a_malformed_frame_in_a_batch_leaves_nobody_without_an_answer() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        heads: tuple[int, int, str, list[list[bytes]]] = (15, 3, "topics.heads", [[]])
        client.connection.on_message(encode_struct((heads, (13, 4, b"short"), (13, 0, b"short"), (8, 5, []))))
        await settle()
        assert {(err.rid, err.code, err.retry_ms is None) for err in client.got(F.Err)} == {
            (3, Code.FRAME, False), (4, Code.FRAME, True), (5, Code.FRAME, False),
        }  # fmt: skip


async def test_a_malformed_request_without_a_number_is_not_answered() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        client.connection.on_message(encode_struct((13, 0, b"short")))
        await settle()
        assert client.got(F.Err) == []
        assert client.bye is None

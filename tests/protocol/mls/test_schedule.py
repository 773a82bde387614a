"""Key schedule, group context, transcript hashes, pre-shared keys (RFC 9420 section 8)."""

from __future__ import annotations

import pytest

from protocol.mls import schedule
from protocol.mls.codec import parse_exact, u8, vec
from protocol.mls.errors import DecodeError
from protocol.mls.schedule import GroupContext, PskId
from tests.protocol.mls.vector_table import check_file


@pytest.mark.parametrize(
    ("name", "at_least"), [("key-schedule.json", 2), ("psk_secret.json", 22), ("transcript-hashes.json", 2)]
)
def test_official_vectors(name: str, at_least: int) -> None:
    check_file(name, at_least)


def test_group_context_round_trip() -> None:
    context = GroupContext(3, b"group", 7, b"t" * 32, b"c" * 32, ((0xF0C4, b"x"),))
    assert schedule.decode_group_context(context.encode()) == context


def test_group_context_of_another_version() -> None:
    data = GroupContext(3, b"group", 7, b"", b"", ()).encode()
    with pytest.raises(DecodeError, match="version"):
        schedule.decode_group_context(b"\x00\x02" + data[2:])


def test_13_4_extension_types_are_distinct() -> None:
    data = GroupContext(3, b"group", 7, b"", b"", ((9, b"a"), (9, b"b"))).encode()
    with pytest.raises(DecodeError, match=r"13\.4"):
        schedule.decode_group_context(data)


@pytest.mark.parametrize(
    "psk",
    [
        PskId(schedule.PSK_EXTERNAL, b"n" * 32, b"id"),
        PskId(schedule.PSK_RESUMPTION, b"n" * 32, usage=schedule.USAGE_APPLICATION, group_id=b"g", epoch=5),
    ],
)
def test_psk_ids_round_trip(psk: PskId) -> None:
    assert parse_exact(psk.encode(), schedule.parse_psk_id) == psk


def test_unknown_psks() -> None:
    with pytest.raises(DecodeError, match="unknown type"):
        parse_exact(u8(3) + vec(b""), schedule.parse_psk_id)
    with pytest.raises(DecodeError, match="unknown usage"):
        parse_exact(u8(2) + u8(4) + vec(b"") + bytes(8) + vec(b""), schedule.parse_psk_id)


def test_secrets_do_not_show_in_reprs() -> None:
    keys = schedule.from_epoch_secret(b"e" * 32)
    for value in (keys, keys.kept):
        assert keys.kept.exporter.hex() not in repr(value)
        assert repr(keys.kept.exporter) not in repr(value)

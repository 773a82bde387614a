"""Transcripts: signed bodies in one spelling only, files, and two statements that convict."""

from __future__ import annotations

import msgpack
import msgspec
import pytest

from protocol import transcript as T
from protocol.codec import encode_struct
from protocol.limits import GAME_TRANSCRIPT_BYTES_MAX
from protocol.plies import Fault, Kind
from protocol.rules.clocks import Clocks
from protocol.rules.lines import TicTacToe
from tests.protocol.playing import KEYS, Scribe, replace_struct

MATCH = b"m" * 32
MOVE = T.Statement(MATCH, 3, b"p" * 32, Kind.MOVE, 0, "4")


def test_a_signed_body_comes_back() -> None:
    signed = T.sign(MOVE, KEYS[0])
    assert T.open_signed(signed, T.Statement) == MOVE
    assert MOVE.act().kind is Kind.MOVE


@pytest.mark.parametrize(
    ("body", "fault", "why"),
    [
        (b"", Fault.MALFORMED, "cannot be read"),
        (b"\xc1", Fault.MALFORMED, "cannot be read"),
        (msgpack.packb([MATCH, 3, b"p" * 32, 1, 0, "4"]), Fault.MALFORMED, "not canonical"),
        (msgpack.packb([MATCH, 3, b"p" * 32, 1, 0, "4", False, None, "more"]), Fault.MALFORMED, "not canonical"),
        (encode_struct(MOVE).replace(b"\x03", b"\xcc\x03", 1), Fault.MALFORMED, "not canonical"),
        (encode_struct(replace_struct(MOVE, kind=10)), Fault.MALFORMED, "number 10"),
        (encode_struct(replace_struct(MOVE, kind=37)), Fault.MALFORMED, "number 37"),
        (encode_struct(replace_struct(MOVE, action="a" * 129)), Fault.MALFORMED, "cannot be read"),
    ],
)
def test_bodies_that_are_refused(body: bytes, fault: Fault, why: str) -> None:
    signed = T.Signed(body, KEYS[0].public, KEYS[0].sign(b"chappe/v1/game/statement\x00", body))
    with pytest.raises(T.TranscriptError, match=why) as caught:
        T.open_signed(signed, T.Statement)
    assert caught.value.fault is fault


def test_a_signature_counts_for_one_kind_of_body_and_one_key() -> None:
    signed = T.sign(MOVE, KEYS[0])
    for bad in (
        replace_struct(signed, signer=KEYS[1].public),
        replace_struct(signed, signature=bytes(64)),
        replace_struct(signed, signature=KEYS[0].sign(b"chappe/v1/game/ruling\x00", signed.body)),
    ):
        with pytest.raises(T.TranscriptError, match="signature") as caught:
            T.open_signed(bad, T.Statement)
        assert caught.value.fault is Fault.BAD_SIGNATURE


# -- what proves itself ------------------------------------------------------------------------------------------------
def test_two_statements_for_one_ply_convict() -> None:
    one, other = T.sign(MOVE, KEYS[0]), T.sign(replace_struct(MOVE, action="5"), KEYS[0])
    assert T.convicts(one, other) == MOVE
    assert T.convicts(other, one) is not None


@pytest.mark.parametrize("changes", [{}, {"ply": 4, "action": "5"}, {"match": b"n" * 32, "action": "5"}])
def test_what_convicts_nobody(changes: dict[str, object]) -> None:
    assert T.convicts(T.sign(MOVE, KEYS[0]), T.sign(replace_struct(MOVE, **changes), KEYS[0])) is None


def test_nobody_is_convicted_by_others_or_by_what_was_not_signed() -> None:
    one, other = T.sign(MOVE, KEYS[0]), T.sign(replace_struct(MOVE, action="5"), KEYS[1])
    assert T.convicts(one, other) is None
    assert T.convicts(one, replace_struct(other, signer=KEYS[0].public)) is None
    assert T.convicts(T.Signed(b"", KEYS[0].public, bytes(64)), one) is None


# -- links, files ------------------------------------------------------------------------------------------------------
def test_links_name_everything_before_them() -> None:
    scribe = Scribe(TicTacToe()).moves("0", "1")
    first = T.first_link(scribe.signed)
    links = [T.next_link(first, scribe.entries[0])]
    links.append(T.next_link(links[0], scribe.entries[1]))
    assert links[-1] == scribe.log.link
    assert T.next_link(first, scribe.entries[1]) not in links
    assert T.statement_hash(None) == b""
    assert T.match_id(b"a" * 32, b"n") != T.match_id(b"b" * 32, b"n")
    assert T.readings(Clocks((1, 2), (3, 4), (5, 6))) == (T.ClockReading(1, 3, 5), T.ClockReading(2, 4, 6))


def test_a_file_comes_back() -> None:
    scribe = Scribe(TicTacToe()).moves("0", "1")
    data = T.to_bytes(scribe.signed, tuple(scribe.entries))
    assert T.from_bytes(data) == scribe.transcript
    assert len(data) / 2 < 1100  # bytes an entry, the genesis with them


def test_files_that_are_none() -> None:
    scribe = Scribe(TicTacToe()).moves("0")
    data = T.to_bytes(scribe.signed, tuple(scribe.entries))
    other = msgspec.msgpack.encode(replace_struct(scribe.transcript, magic="chappe-other"))
    for bad in (b"", data[:-1], data + b"\0", b"not at all", other, bytes(GAME_TRANSCRIPT_BYTES_MAX + 1)):
        with pytest.raises(T.TranscriptError):
            T.from_bytes(bad)

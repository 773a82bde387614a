"""Every number has a meaning, and the numbers alone tell whether to come back."""

from __future__ import annotations

import pytest

from protocol import errors
from protocol.errors import CLOSES, CODES, Close, Code, Reason
from protocol.frames import ErrDetail
from protocol.limits import TEXT_BYTES_MAX

TEMPORARY = {Code.RATE, Code.INTERNAL, Code.DRAINING, Code.STORE_AWAY}


@pytest.mark.parametrize("code", Code)
def test_every_code_says_what_it_means_and_what_to_do(code: Code) -> None:
    info = CODES[code]
    assert 400 <= code < 600
    assert info.text
    assert info.action
    assert len(info.text) + len(info.action) < TEXT_BYTES_MAX
    assert info.temporary is (code in TEMPORARY)


def test_nothing_else_has_a_meaning() -> None:
    assert set(CODES) == set(Code)
    assert set(CLOSES) == set(Close)
    assert sorted(Reason) == list(range(len(Reason)))
    assert Reason(ErrDetail().reason) is Reason.NONE


@pytest.mark.parametrize("close", Close)
def test_close_codes_are_in_the_private_range_and_have_a_text(close: Close) -> None:
    assert 4000 <= close < 5000
    assert CLOSES[close]
    assert ("reconnect" in CLOSES[close]) is errors.may_reconnect(close)


@pytest.mark.parametrize(
    ("close", "again"),
    [(1000, True), (1001, True), (1006, True), (1012, True), (4000, True), (4499, True), (4500, False), (4999, False)],
)
def test_reconnect_is_decided_by_the_number(close: int, again: bool) -> None:
    assert errors.may_reconnect(close) is again


def test_a_remote_mistake_carries_what_to_answer() -> None:
    bare = errors.RemoteProtocolError("text")
    assert (bare.code, bare.rid, bare.fatal, bare.undone, str(bare)) == (Code.FRAME, 0, True, (), "text")
    full = errors.RemoteProtocolError("text", code=Code.TOO_LARGE, rid=7, fatal=False)
    assert (full.code, full.rid, full.fatal, full.text) == (Code.TOO_LARGE, 7, False, "text")


def test_mistakes_of_both_sides_are_kept_apart() -> None:
    assert issubclass(errors.RemoteProtocolError, errors.ChappeError)
    assert issubclass(errors.LocalProtocolError, errors.ChappeError)
    assert not issubclass(errors.RemoteProtocolError, errors.LocalProtocolError)
    assert not issubclass(errors.LocalProtocolError, errors.RemoteProtocolError)

"""QR codes in a terminal: they say what the text says, and only where they can be seen."""

from __future__ import annotations

import io

import pytest
import segno

from clients.cli.qr import compact, for_terminal, half_blocks
from clients.devices.code import LinkCode, invite_text, read_invite

LINK = LinkCode(b"d" * 32, b"i" * 32, b"s" * 16)
DARK = {"█": (False, False), "▀": (False, True), "▄": (True, False), " ": (True, True)}


class Terminal(io.TextIOWrapper):
    """A stream that may be a terminal."""

    def __init__(self, encoding: str = "utf-8", *, is_terminal: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def modules(lines: list[str]) -> list[list[bool]]:
    """The rows of modules that lines show."""
    rows: list[list[bool]] = []
    for line in lines:
        rows += [[DARK[letter][half] for letter in line] for half in (0, 1)]
    return rows


@pytest.mark.parametrize("text", ["A", compact(LINK.text()), "x" * 100])
def test_what_is_drawn_is_the_code(text: str) -> None:
    wanted = [list(map(bool, row)) for row in segno.make_qr(text, error="m").matrix_iter(border=2)]
    drawn = modules(half_blocks(text))
    assert drawn[: len(wanted)] == wanted
    assert not any(any(row) for row in drawn[len(wanted) :])


def test_a_compact_code_reads_the_same() -> None:
    assert LinkCode.read(compact(LINK.text())) == LINK
    invitation = invite_text(b"a" * 32, b"t" * 16)
    assert read_invite(compact(invitation)) == (b"a" * 32, b"t" * 16)
    assert compact("12345 67890") == "1234567890"


def test_only_where_it_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert len(for_terminal(LINK.text(), Terminal())) < 30
    assert not for_terminal(LINK.text(), Terminal(is_terminal=False))
    assert not for_terminal(LINK.text(), Terminal("ascii"))
    assert not for_terminal("x" * 5000, Terminal())
    monkeypatch.setenv("COLUMNS", "20")
    assert not for_terminal(LINK.text(), Terminal())

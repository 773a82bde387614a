"""SGF in and out."""

from __future__ import annotations

import pytest

from protocol import limits as L
from protocol.rules.go.sgf import Record, SgfError, parse_sgf, to_sgf


def test_what_is_written_is_read() -> None:
    record = Record(
        9, "7.5", ((1, "e5"), (0, "pass"), (1, "a1")), ("c3", "g7"), (12_500, None, 3_000),
        (("PB", "A ] \\ B"), ("RE", "W+2.5")),
    )  # fmt: skip
    text = to_sgf(record)
    assert text.startswith("(;GM[1]FF[4]CA[UTF-8]AP[Chappe]RU[AGA]SZ[9]KM[7.5]HA[2]AB[cg][gc]PB[A \\] \\\\ B]RE[W+2.5]")
    assert ";W[ee]WL[12.5];B[];W[ai]WL[3]" in text
    assert parse_sgf(text) == record


def test_files_of_other_programs() -> None:
    text = """junk before (;GaMe[1]FF[3]SiZe[19]KM[6.5]C[a comment (;not a game\\]) here]
      ;B[pd]BL[1799.984]C[x];W[dp](;B[tt];W[qp]C[main])(;B[cc];W[dd](;B[ee])))(;GM[2])"""
    record = parse_sgf(text)
    assert record.moves == ((0, "q16"), (1, "d4"), (0, "pass"), (1, "r4"))
    assert (record.size, record.komi, record.left_ms[0], record.left_ms[1]) == (19, "6.5", 1_799_984, None)
    assert dict(record.tags)["C"].endswith("not a game]) here")
    assert parse_sgf("(;)").moves == ()
    assert parse_sgf("(;;B[aa]W[bb])").moves == ((0, "a19"), (1, "b18"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1. e4 e5",
        "(;GM[2])",
        "(;SZ[99])",
        "(;SZ[1])",
        "(;SZ[x])",
        "(;SZ[9];B[zz])",
        "(;SZ[9];B[a])",
        "(;B[aa",
        "(;\x01)",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(SgfError):
        parse_sgf(text)


def test_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "GAME_PLIES_MAX", 1)
    with pytest.raises(SgfError, match="more than"):
        parse_sgf("(;;B[aa];W[bb])")

"""`chappe game verify`: what people and programs are told of a match that holds, and of one that does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.cli import game as cli
from protocol.plies import Kind
from protocol.rules.games import GAMES
from protocol.transcript import Entry, Signed, to_bytes
from tests.protocol.playing import REFEREE, Scribe

Capture = pytest.CaptureFixture[str]


def mate() -> Scribe:
    return Scribe(GAMES["chess"]).moves("f2f3", "e7e5", "g2g4", "d8h4").finish()


def saved(folder: Path, scribe: Scribe) -> Path:
    path = folder / "match.chappe"
    path.write_bytes(to_bytes(scribe.signed, tuple(scribe.entries)))
    return path


def test_a_match_that_holds(tmp_path: Path, capsys: Capture) -> None:
    assert cli.verify(saved(tmp_path, mate()), moves=True, referee=REFEREE.public.hex()) == cli.GOOD == 0
    shown = capsys.readouterr().out
    assert shown.startswith("VERIFIED\nchess, begun 2025-06-15T")
    assert "0 : 1 (checkmate)" in shown
    assert "    3  player 2  move      d8h4" in shown
    assert "    | rnb1kbnr/" in shown
    assert "note" not in shown


def test_a_match_for_programs(tmp_path: Path, capsys: Capture) -> None:
    assert cli.verify(saved(tmp_path, mate()), json=True, moves=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["points"], told["reason"], told["final"]) == (True, [0, 2], "checkmate", True)
    assert (told["game"], told["plies"], told["bad_ply"]) == ("chess", 6, None)
    assert told["entries"][3]["action"] == "d8h4"
    assert len(told["players"]) == 2


def test_a_match_that_does_not_hold(tmp_path: Path, capsys: Capture) -> None:
    scribe = mate()
    bad = scribe.entries[2]
    assert bad.statement is not None
    body = bad.statement.body.replace(b"g2g4", b"h2h4")
    scribe.entries[2] = Entry(Signed(body, bad.statement.signer, bad.statement.signature), bad.ruling)
    path = saved(tmp_path, scribe)
    assert cli.verify(path) == cli.BAD == 1
    shown = capsys.readouterr().out
    assert shown.startswith("NOT VERIFIED: ply 2: ")
    assert "what is before that entry holds" in shown
    assert cli.verify(path, json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["bad_ply"], told["fault"]) == (2, "bad-signature")


def test_what_is_not_certain_is_said(tmp_path: Path, capsys: Capture) -> None:
    scribe = Scribe(GAMES["chess"])
    path = saved(tmp_path, scribe)
    assert cli.verify(path) == 0
    assert "not finished" in capsys.readouterr().out
    scribe.rule(Kind.ABORTED)
    path = saved(tmp_path, scribe)
    assert cli.verify(path) == 0
    shown = capsys.readouterr().out
    assert "no points (aborted)" in shown
    assert "note: ply 0 rests on the referee's word" in shown
    assert "note: the referee's statement of the result is missing" in shown
    assert "note: what chance decided is not checked" in shown


def test_another_referee(tmp_path: Path, capsys: Capture) -> None:
    assert cli.verify(saved(tmp_path, mate()), referee="ab" * 32) == 1
    assert "NOT VERIFIED: another referee has signed it" in capsys.readouterr().out


def test_a_genesis_that_cannot_be_read(tmp_path: Path, capsys: Capture) -> None:
    scribe = mate()
    scribe.signed = Signed(b"\x90", scribe.signed.signer, scribe.signed.signature)
    path = saved(tmp_path, scribe)
    assert cli.verify(path) == 1
    assert "NOT VERIFIED: the genesis" in capsys.readouterr().out
    assert cli.verify(path, json=True) == 1
    assert "match" not in json.loads(capsys.readouterr().out)


def test_files_that_cannot_be_read(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "none"
    assert cli.verify(path) == cli.EXIT_REFUSED == 2
    path.write_bytes(b"no match")
    assert cli.verify(path) == 2
    assert cli.verify(saved(tmp_path, mate()), referee="xyz") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("chappe game:") == 3


def test_times_beyond_the_calendar() -> None:
    assert cli._when(2**53 - 1) == f"{2**53 - 1} ms"

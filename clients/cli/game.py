"""``chappe game``: check the transcript of a match offline. Nothing is asked of any relay or referee."""

from __future__ import annotations

import json as json_module
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from protocol.judging import Verdict

command = App(name="game", help="Games: check offline that a match was played by the rules, and by whom.")

GOOD, BAD, EXIT_REFUSED = 0, 1, 2


def _say(text: str) -> int:
    print(f"chappe game: {text}", file=sys.stderr)
    return EXIT_REFUSED


@command.command
def verify(
    file: Annotated[Path, Parameter(help="The transcript of a match.")],
    *,
    referee: Annotated[str, Parameter(help="Its key (64 hex digits) must be this one.")] = "",
    moves: Annotated[bool, Parameter(negative="", help="Print every entry too.")] = False,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:
    """Replay a match and judge it. Exit code 0: every entry holds; 1: one does not; 2: the file cannot be read."""
    from protocol.judging import verify as judge
    from protocol.limits import GAME_TRANSCRIPT_BYTES_MAX
    from protocol.rules.games import GAMES
    from protocol.transcript import TranscriptError, from_bytes

    try:
        with file.open("rb") as stream:
            transcript = from_bytes(stream.read(GAME_TRANSCRIPT_BYTES_MAX + 1))
        wanted = bytes.fromhex(referee)
    except OSError as error:
        return _say(f"{file} cannot be read: {error.strerror}")
    except TranscriptError as error:
        return _say(f"{file} cannot be read: {error}")
    except ValueError:
        return _say("--referee is a key of 64 hexadecimal digits, as `verify` prints it")
    verdict = judge(transcript, GAMES)
    stranger = verdict.genesis is not None and wanted not in (b"", verdict.genesis.referee)
    if json:
        print(json_module.dumps(_as_json(verdict, stranger, moves)))
    else:
        print("\n".join(_lines(verdict, stranger, moves)))
    return GOOD if verdict.ok and not stranger else BAD


def _why(verdict: Verdict, stranger: bool) -> str:
    if verdict.ok:
        return "another referee has signed it" if stranger else ""
    where = "" if verdict.bad_ply == -1 else f"ply {verdict.bad_ply}: "
    return f"{where}{verdict.why}"


def _as_json(verdict: Verdict, stranger: bool, moves: bool) -> dict[str, Any]:
    genesis, outcome = verdict.genesis, verdict.outcome
    told: dict[str, Any] = {
        "verified": verdict.ok and not stranger, "why": _why(verdict, stranger), "bad_ply": verdict.bad_ply,
        "fault": verdict.fault.value if verdict.fault else None, "plies": verdict.plies, "final": verdict.final,
        "points": None if outcome is None else list(outcome.points),
        "reason": None if outcome is None else outcome.reason, "sealed": verdict.sealed,
        "on_its_word": list(verdict.on_its_word), "position": verdict.seen.decode(),
    }  # fmt: skip
    if genesis is not None:
        told |= {
            "match": genesis.match.hex(), "game": genesis.game, "referee": genesis.referee.hex(),
            "started_ms": genesis.started_ms, "rated": genesis.rated, "params": dict(genesis.params),
            "players": [seat.account.hex() for seat in genesis.seats],
        }  # fmt: skip
    if moves:
        told["entries"] = [
            {"kind": act.kind.name.lower(), "seat": act.seat, "action": act.action, "at_ms": at}
            for act, at in verdict.acts
        ]
    return told


def _when(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def _lines(verdict: Verdict, stranger: bool, moves: bool) -> list[str]:
    from clients.cli.room import clean

    why = _why(verdict, stranger)
    lines = [f"NOT VERIFIED: {clean(why)}" if why else "VERIFIED"]
    genesis, outcome = verdict.genesis, verdict.outcome
    if genesis is None:
        return lines
    lines.append(f"{clean(genesis.game)}, begun {_when(genesis.started_ms)}, {verdict.plies} entries")
    lines += [f"  player {number}  {seat.account.hex()}" for number, seat in enumerate(genesis.seats, 1)]
    lines.append(f"  referee   {genesis.referee.hex()}")
    if moves:
        lines += [
            f"  {ply:4}  player {act.seat + 1}  {act.kind.name.lower():8}  {clean(act.action)}".rstrip()
            for ply, (act, _at) in enumerate(verdict.acts)
        ]
    if outcome is None:
        lines.append("not finished" if verdict.ok else "what is before that entry holds")
    else:
        points = " : ".join(f"{value / 2:g}" for value in outcome.points) or "no points"
        lines.append(f"{points} ({clean(outcome.reason)})")
    if verdict.ok and outcome is not None and not verdict.final:
        lines.append("note: the referee's statement of the result is missing at the end")
    if verdict.sealed:
        lines.append("note: what chance decided is not checked: the seed is not revealed yet")
    lines += [f"note: ply {ply} rests on the referee's word" for ply in verdict.on_its_word]
    return [*lines, *(f"    | {clean(row)}" for row in verdict.seen.decode().splitlines())]

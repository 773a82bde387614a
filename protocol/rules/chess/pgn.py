"""PGN: chess games in and out, with clocks (``[%clk h:mm:ss]`` after a move: what is left on the mover's clock)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from protocol import limits as L
from protocol.rules.base import IllegalAction, RulesError
from protocol.rules.chess.board import Position
from protocol.rules.chess.fen import START, parse_fen
from protocol.rules.chess.moves import make
from protocol.rules.chess.notation import parse_san, to_san

ROSTER: Final = {"Event": "?", "Site": "?", "Date": "????.??.??", "Round": "?", "White": "?", "Black": "?"}
RESULTS: Final = ("1-0", "0-1", "1/2-1/2", "*")
_WIDTH: Final = 80
_TAG: Final = re.compile(r'\[\s*(\w+)\s+"((?:[^"\\]|\\.)*)"\s*\]')
_TOKEN: Final = re.compile(
    r"(?P<space>\s+)|(?P<comment>\{[^}]*\}|;[^\n]*)|(?P<nag>\$\d{1,3})|(?P<open>\()|(?P<close>\))"
    r"|(?P<end>1-0|0-1|1/2-1/2|\*)|(?P<number>\d{1,5}\.*|\.+)|(?P<san>[A-Za-z0O][\w:=+#!?/-]*)|(?P<nag2>[!?]+)"
)
_CLOCK: Final = re.compile(r"\[%clk\s+(\d{1,3}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,3}))?\]")


class PgnError(RulesError):
    """A text that is no game in PGN; the text says where."""


@dataclass(frozen=True, slots=True)
class Game:
    """A game: tags, moves, and for each move what the mover's clock showed after it (ms; None: not told)."""

    tags: tuple[tuple[str, str], ...]
    moves: tuple[int, ...]
    result: str = "*"
    clocks_ms: tuple[int | None, ...] = ()

    def first(self) -> Position:
        """The position that it begins with. Raises ``PositionError``."""
        return parse_fen(dict(self.tags).get("FEN", START))


def to_pgn(game: Game) -> str:
    """The game in export format: the seven tags first, lines of at most 80 characters."""
    tags: Mapping[str, str] = {**ROSTER, **dict(game.tags)}
    head = {name: tags[name] for name in ROSTER} | {"Result": game.result} | dict(tags)
    head["Result"] = game.result
    lines = [f'[{name} "{_escaped(value)}"]' for name, value in head.items()]
    return "\n".join([*lines, "", *_wrapped([*_moves(game), game.result]), ""])


def _moves(game: Game) -> Iterator[str]:
    position = game.first()
    told = True  # whether the number must be written although black moves
    for at, move in enumerate(game.moves):
        if not position.side:
            yield f"{position.number}."
        elif told:
            yield f"{position.number}..."
        yield to_san(position, move)
        clock = game.clocks_ms[at] if at < len(game.clocks_ms) else None
        told = clock is not None
        if clock is not None:
            yield f"{{[%clk {_clock_text(clock)}]}}"
        position = make(position, move)


def _wrapped(words: list[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line


def _escaped(value: str) -> str:
    flat = "".join(letter if letter.isprintable() else " " for letter in value)
    return flat.replace("\\", "\\\\").replace('"', '\\"')


def _clock_text(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    text = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{rest:03}" if rest else text


def parse_pgn(text: str) -> Game:
    """Read one game; comments, numbers, praise and side lines are skipped, clocks are kept. Raises ``PgnError``.

    What follows the result is not looked at.
    """
    tags, at = _tags(text.removeprefix("\ufeff"))
    body = text.removeprefix("\ufeff")[at:]
    game = Game(tags, ())
    try:
        position = game.first()
    except RulesError as error:
        raise PgnError(f"the tag FEN: {error}") from None
    moves: list[int] = []
    clocks: list[int | None] = []
    result = "*"
    for kind, word in _main_line(body):
        if kind == "comment":
            found = _CLOCK.search(word)
            if found and clocks:
                hours, minutes, seconds, part = found.groups()
                whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
                clocks[-1] = whole * 1000 + int((part or "0").ljust(3, "0"))
        elif kind == "end":
            result = word
            break
        else:
            try:
                move = parse_san(position, word)
            except IllegalAction as error:
                raise PgnError(f"move {len(moves) // 2 + 1}: {error}") from None
            position = make(position, move)
            moves.append(move)
            clocks.append(None)
            if len(moves) > L.GAME_PLIES_MAX:
                raise PgnError(f"a game has at most {L.GAME_PLIES_MAX} moves")
    return Game(tags, tuple(moves), result, tuple(clocks) if any(clock is not None for clock in clocks) else ())


def _tags(text: str) -> tuple[tuple[tuple[str, str], ...], int]:
    tags: dict[str, str] = {}
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if text.startswith("%", at):  # PGN 6: an escaped line
            at = text.find("\n", at) + 1 or len(text)
            continue
        found = _TAG.match(text, at)
        if found is None:
            return tuple(tags.items()), at
        tags[found[1]] = re.sub(r"\\(.)", r"\1", found[2])
        at = found.end()


def _main_line(body: str) -> Iterator[tuple[str, str]]:
    """Moves, comments and the result of the main line."""
    depth = at = 0
    while at < len(body):
        found = _TOKEN.match(body, at)
        if found is None:
            raise PgnError(f"{body[at : at + 16]!r} is nothing that a game can hold")
        kind = found.lastgroup or ""
        depth += (kind == "open") - (kind == "close")
        if depth < 0:
            raise PgnError("a side line ends that never began")
        if not depth and kind in ("san", "comment", "end"):
            yield kind, found[0]
        at = found.end()
    if depth:
        raise PgnError("a side line does not end")

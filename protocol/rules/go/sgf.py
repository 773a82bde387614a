"""SGF (FF[4], GM[1]): games of go in and out, the main line of the first game.

What is written is read again as it was; of other programs' files sizes to 19, komi, handicap stones, moves and times
are kept, and everything else is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol import limits as L
from protocol.rules.base import RulesError
from protocol.rules.go.board import name_of, point_of
from protocol.rules.go.rules import PASS

_SGF: Final = "abcdefghijklmnopqrs"
_TOKEN: Final = re.compile(
    r"(?P<space>\s+)|(?P<mark>[();])|(?P<name>[A-Za-z]{1,64})|\[(?P<value>(?:[^\]\\]|\\.)*)\]", re.S
)


_ESCAPE: Final = re.compile(r"\\(\n|.)", re.S)


class SgfError(RulesError):
    """A text that is no game of go in SGF; the text says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """A game: actions as the rules take them, by colour (0 black), and what was left of the mover's time (ms)."""

    size: int
    komi: str
    moves: tuple[tuple[int, str], ...]
    stones: tuple[str, ...] = ()  # of black, that stand before the first move
    left_ms: tuple[int | None, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()  # PB, PW, RE, DT and the like


def to_sgf(record: Record) -> str:
    """The game as SGF."""
    head = f"(;GM[1]FF[4]CA[UTF-8]AP[Chappe]RU[AGA]SZ[{record.size}]KM[{record.komi}]"
    if record.stones:
        head += f"HA[{len(record.stones)}]AB" + "".join(f"[{_place(stone, record.size)}]" for stone in record.stones)
    head += "".join(f"{name}[{_escaped(value)}]" for name, value in record.tags)
    nodes = []
    for number, (colour, action) in enumerate(record.moves):
        left = record.left_ms[number] if number < len(record.left_ms) else None
        clock = "" if left is None else f"{'BW'[colour]}L[{left / 1000:g}]"
        nodes.append(f";{'BW'[colour]}[{_place(action, record.size)}]{clock}")
    lines = ["".join(nodes[at : at + 10]) for at in range(0, len(nodes), 10)]
    return "\n".join([head, *lines]) + ")\n"


def _place(action: str, size: int) -> str:
    point = point_of(action, size)
    if point is None:
        return ""
    y, x = divmod(point, size)
    return _SGF[x] + _SGF[y]


def _escaped(value: str) -> str:
    flat = "".join(letter if letter.isprintable() else " " for letter in value)
    return flat.replace("\\", "\\\\").replace("]", "\\]")


def parse_sgf(text: str) -> Record:
    """Read a game. Raises ``SgfError``."""
    nodes = list(_main_line(text))
    if not nodes:
        raise SgfError("there is no game in it")
    root = nodes[0]
    if root.get("GM", ["1"])[0].strip() not in ("", "1"):
        raise SgfError("it is a game of something else than go")
    size = _number(root.get("SZ", ["19"])[0], 19)
    stones = tuple(_action(value, size) for value in root.get("AB", []))
    moves: list[tuple[int, str]] = []
    left: list[int | None] = []
    for node in nodes:
        for colour, name in enumerate("BW"):
            if name in node:
                moves.append((colour, _action(node[name][0], size)))
                left.append(_ms(node.get(f"{name}L", [""])[0]))
    if len(moves) > L.GAME_PLIES_MAX:
        raise SgfError(f"it has more than {L.GAME_PLIES_MAX} moves")
    skipped = {"GM", "FF", "CA", "AP", "RU", "SZ", "KM", "HA", "AB", "B", "W", "BL", "WL"}
    tags = tuple((name, values[0]) for name, values in root.items() if name not in skipped)
    return Record(size, root.get("KM", ["0"])[0].strip(), tuple(moves), stones, tuple(left), tags)


def _number(text: str, most: int) -> int:
    digits = text.strip()
    if not digits.isascii() or not digits.isdecimal() or not 2 <= int(digits[:4]) <= most:
        raise SgfError(f"a board of {text[:8]!r} points a side cannot be read")
    return int(digits)


def _ms(text: str) -> int | None:
    found = re.fullmatch(r"\s*(\d{1,7})(?:\.(\d{1,3}))?\d*\s*", text)
    return None if found is None else int(found[1]) * 1000 + int((found[2] or "0").ljust(3, "0"))


def _action(value: str, size: int) -> str:
    place = value.strip()
    if place == "" or (place == "tt" and size <= 19):
        return PASS
    if len(place) != 2 or not set(place) <= set(_SGF[:size]):
        raise SgfError(f"{value[:8]!r} is no point of a board of {size} × {size}")
    return name_of(_SGF.index(place[1]) * size + _SGF.index(place[0]), size)


def _plain(found: re.Match[str]) -> str:
    """An escaped character; an escaped end of line is none at all."""
    return "" if found[1] == "\n" else found[1]


def _main_line(text: str) -> Iterator[dict[str, list[str]]]:
    """The nodes of the first line of the first game; other variations are skipped."""
    at, depth, closed, name = text.find("(;"), 0, False, ""
    node: dict[str, list[str]] | None = None
    if at < 0:
        raise SgfError("it does not begin like a game")
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise SgfError(f"character {at + 1} cannot be read")
        at = found.end()
        if found["mark"] == "(":
            depth += 1
        elif found["mark"] == ")":
            depth, closed = depth - 1, True
            if depth == 0:
                break
        elif closed:
            continue  # a variation beside the main line
        elif found["mark"] == ";":
            if node is not None:
                yield node
            node, name = {}, ""
        elif found["name"]:
            name = "".join(letter for letter in found["name"] if letter.isupper())
        elif found["value"] is not None and node is not None and name:
            node.setdefault(name, []).append(_ESCAPE.sub(_plain, found["value"]))
    if node is not None:
        yield node

"""All games that come with Chappe, by name: what `chappe game verify` and every client know without an engine."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from protocol.rules.backgammon import BackgammonRules
from protocol.rules.base import AnyRules
from protocol.rules.chess.rules import Chess
from protocol.rules.eights import CrazyEights
from protocol.rules.go.rules import GoRules
from protocol.rules.hands import RockPaperScissors
from protocol.rules.lines import ConnectFour, TicTacToe
from protocol.rules.nim import Nim

_ALL: Final[tuple[AnyRules, ...]] = (
    Chess(), TicTacToe(), ConnectFour(), Nim(), RockPaperScissors(), CrazyEights(), BackgammonRules(), GoRules(),
)  # fmt: skip
GAMES: Final = MappingProxyType({rules.name: rules for rules in _ALL})

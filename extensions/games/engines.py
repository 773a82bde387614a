"""The games that a referee knows: our own at once, OpenSpiel's from when somebody wants one.

Their engine is a process of its own that takes a second to tell what it has, so it is asked only when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec

import trio

from extensions.games.openspiel import rules as openspiel
from extensions.games.openspiel.engine import Engine, EngineFailed
from protocol.rules.base import AnyRules
from protocol.rules.games import GAMES


class Engines(Mapping[str, AnyRules]):
    """Rules by name. ``engine`` None: our own games only."""

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine
        self._rules: dict[str, AnyRules] = dict(GAMES)
        self._asked = engine is None

    def __getitem__(self, name: str) -> AnyRules:
        return self._rules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """What judges, for the genesis of a match."""
        return (
            (("chappe", "1"),)
            if self._engine is None
            else (("chappe", "1"), ("open_spiel", metadata.version("open_spiel")))
        )

    async def ensure(self, name: str) -> None:
        """Have the rules of a game ready, if there are any. An engine that fails is asked again next time."""
        if self._asked or self._engine is None or not name.startswith(openspiel.PREFIX):
            return
        try:
            self._rules |= await trio.to_thread.run_sync(openspiel.spiel_games, self._engine)
        except EngineFailed:
            return
        self._asked = True

    def close(self) -> None:
        """End the engine's process."""
        if self._engine is not None:
            self._engine.close()


def make_engines() -> Engines:
    """With OpenSpiel where it is installed."""
    return Engines(Engine() if find_spec("pyspiel") else None)

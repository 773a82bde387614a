"""The games that a referee knows: our own at once, OpenSpiel's from when somebody wants one.

Their engine is a process of its own that takes a second to tell what it has, so it is asked only when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import trio

from extensions.games import openspiel
from extensions.games.openspiel_sandbox import EngineFailed, Sandbox
from protocol.rules.base import AnyRules
from protocol.rules.games import GAMES


class Engines(Mapping[str, AnyRules]):
    """Rules by name. ``sandbox`` None: our own games only."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox
        self._rules: dict[str, AnyRules] = dict(GAMES)
        self._asked = sandbox is None

    def __getitem__(self, name: str) -> AnyRules:
        return self._rules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """What judges, for the genesis of a match."""
        return (("chappe", "1"),) if self._sandbox is None else (("chappe", "1"), ("open_spiel", openspiel.version()))

    async def ensure(self, name: str) -> None:
        """Have the rules of a game ready, if there are any. An engine that fails is asked again next time."""
        if self._asked or self._sandbox is None or not name.startswith(openspiel.PREFIX):
            return
        try:
            self._rules |= await trio.to_thread.run_sync(openspiel.games, self._sandbox)
        except EngineFailed:
            return
        self._asked = True

    def close(self) -> None:
        """End the engine's process."""
        if self._sandbox is not None:
            self._sandbox.close()


def make_engines() -> Engines:
    """With OpenSpiel where it is installed."""
    return Engines(Sandbox() if openspiel.is_there() else None)

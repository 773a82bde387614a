"""One engine for all tests: to begin one takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from extensions.games.openspiel.engine import Engine
from extensions.games.openspiel.rules import spiel_games
from protocol.rules.base import AnyRules


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    pytest.importorskip("pyspiel", reason="open-spiel has no wheel for this machine")
    engine = Engine(call_s=60.0)  # a loaded machine is no broken engine
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def games(engine: Engine) -> Mapping[str, AnyRules]:
    return spiel_games(engine)

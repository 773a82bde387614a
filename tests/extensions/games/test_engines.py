"""Which games a referee knows, and from when."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest

from extensions.games import engines as module
from extensions.games.engines import Engines, make_engines
from extensions.games.openspiel import rules as openspiel
from extensions.games.openspiel.engine import Engine
from protocol.rules.games import GAMES


async def test_our_own_games_only() -> None:
    engines = Engines()
    await engines.ensure("openspiel:hex")
    assert set(engines) == set(GAMES)
    assert (len(engines), engines.versions) == (len(GAMES), (("chappe", "1"),))
    engines.close()


async def test_an_engine_is_asked_when_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    monkeypatch.setattr(metadata, "version", lambda name: "2")
    monkeypatch.setattr(openspiel, "spiel_games", lambda engine: {"openspiel:hex": GAMES["nim"]})
    engines = make_engines()
    await engines.ensure("chess")
    assert "openspiel:hex" not in engines
    await engines.ensure("openspiel:hex")
    assert engines["openspiel:hex"] is GAMES["nim"]
    await engines.ensure("openspiel:go")
    assert engines.versions[1] == ("open_spiel", "2")
    engines.close()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert len(make_engines().versions) == 1


async def test_an_engine_that_fails_is_asked_again() -> None:
    engine = Engine((sys.executable, "-c", "import sys; sys.exit(1)"))
    engines = Engines(engine)
    for starts in (1, 2):
        await engines.ensure("openspiel:hex")
        assert "openspiel:hex" not in engines
        assert engine.statistics().starts == starts
    engines.close()

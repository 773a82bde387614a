"""Which games a referee knows, and from when."""

from __future__ import annotations

import pytest

from extensions.games import openspiel
from extensions.games.engines import Engines, make_engines
from extensions.games.openspiel_sandbox import Sandbox
from protocol.rules.games import GAMES


async def test_our_own_games_only() -> None:
    engines = Engines()
    await engines.ensure("openspiel:hex")
    assert set(engines) == set(GAMES)
    assert (len(engines), engines.versions) == (len(GAMES), (("chappe", "1"),))
    engines.close()


async def test_an_engine_is_asked_when_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openspiel, "is_there", lambda: True)
    monkeypatch.setattr(openspiel, "version", lambda: "2")
    monkeypatch.setattr(openspiel, "games", lambda sandbox: {"openspiel:hex": GAMES["nim"]})
    engines = make_engines()
    await engines.ensure("chess")
    assert "openspiel:hex" not in engines
    await engines.ensure("openspiel:hex")
    assert engines["openspiel:hex"] is GAMES["nim"]
    await engines.ensure("openspiel:go")
    assert engines.versions[1] == ("open_spiel", "2")
    engines.close()
    monkeypatch.setattr(openspiel, "is_there", lambda: False)
    assert len(make_engines().versions) == 1


async def test_an_engine_that_fails_is_asked_again() -> None:
    engines = Engines(Sandbox("no_such_module_anywhere"))
    await engines.ensure("openspiel:hex")
    await engines.ensure("openspiel:hex")
    assert "openspiel:hex" not in engines

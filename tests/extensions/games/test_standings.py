"""Ratings and colours of one round."""

from __future__ import annotations

from extensions.games.standings import Standings
from protocol.rules.base import Result
from tests.extensions.games.halls import House, account

WON = Result((2, 0), "checkmate")


def test_what_a_match_changes() -> None:
    house = House()
    players = (account(0), account(1))
    standings = Standings(house.query)
    assert standings.ended("eights", (*players, account(2)), WON, rated=True) == {}
    assert standings.ended("chess", players, WON, rated=False) == {}
    assert standings.ended("chess", players, Result((), "aborted"), rated=True) == {}
    changed = standings.ended("chess", players, WON, rated=True)
    assert changed[account(0)].rating.rating > 1600 > 1400 > changed[account(1)].rating.rating
    again = standings.ended("chess", players, WON, rated=True)
    assert again[account(0)].games == 2
    standings.write(house.db)
    later = Standings(house.query)
    assert later.of(account(0), "chess") == again[account(0)]
    assert (later.balance(account(0), "chess"), later.balance(account(1), "chess")) == (4, -4)
    assert (later.balance(account(2), "chess"), later.of(account(2), "chess").games) == (0, 0)

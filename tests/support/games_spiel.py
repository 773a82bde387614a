"""Every game of OpenSpiel that loads by default: random games restored at each ply, and actions of all kinds."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any, Final

import trio

from extensions.games.openspiel_sandbox import EngineFailed, Sandbox
from protocol.rules.base import IllegalAction
from tests.support.proof import NotRun, check

#: What cannot be walked, and why: neither is offered to people.
KNOWN: Final = {
    "crossword": "it has no lists of actions (structures only)",
    "negotiation": "what it draws inside is not in its own written state",
}
SLOW: Final = {"bridge_uncontested_bidding": 60}  # actions: each deal is solved double dummy, for a second
_WAIT_S: Final = 120.0
_PLIES: Final = 600


def _sandbox() -> Sandbox:
    if find_spec("pyspiel") is None:
        raise NotRun("OpenSpiel is not installed (the extra `games`)")
    return Sandbox()


async def walks(seed: int, games: int = 20) -> dict[str, Any]:
    """Random games of each, serialised and restored at every ply with equal observations."""
    return await trio.to_thread.run_sync(run_walks, seed, games)


def run_walks(seed: int, games: int) -> dict[str, Any]:
    """The same, blocking."""
    sandbox, plies, bad = _sandbox(), 0, list[str]()
    try:
        names = sandbox.ask(list[str], "names", timeout_s=_WAIT_S)
        began = time.perf_counter()
        for name in names:
            for number in range(games):
                try:
                    plies += sandbox.ask(int, "walk", name, seed + number, _PLIES, timeout_s=_WAIT_S)
                except IllegalAction as error:
                    bad.append(f"{name}: {error}")
                    break
        found = {line.split(":")[0] for line in bad}
        check(found == set(KNOWN), f"other games than the known ones fail: {bad}")
        return {
            "games": f"{len(names) - len(found)} of {len(names)}", "each": games, "plies": plies,
            "not": ", ".join(sorted(found)), "processes": sandbox.started, "s": round(time.perf_counter() - began),
        }  # fmt: skip
    finally:
        sandbox.close()


async def fuzz(seed: int, actions: int = 1_000_000) -> dict[str, Any]:
    """Actions of all kinds through the two checks: none that is not legal is accepted, nothing leaves the sandbox."""
    return await trio.to_thread.run_sync(run_fuzz, seed, actions)


def run_fuzz(seed: int, actions: int) -> dict[str, Any]:
    """The same, blocking."""
    sandbox = _sandbox()
    try:
        names = [n for n in sandbox.ask(list[str], "names", timeout_s=_WAIT_S) if n not in KNOWN]
        share = -(-(actions - sum(SLOW.values())) // (len(names) - len(SLOW)))
        tried = accepted = died = 0
        began = time.perf_counter()
        for name in names:
            try:
                count = min(share, SLOW.get(name, share))
                done = sandbox.ask(tuple[int, int], "fuzz", name, seed, count, timeout_s=_WAIT_S)
                tried, accepted = tried + done[0], accepted + done[1]
            except EngineFailed as error:
                died += 1
                print(f"  {name}: {error}")
        check(tried >= actions, f"only {tried} actions were tried; {died} engines died")
        return {
            "games": len(names), "actions": tried, "accepted, all legal": accepted, "engines that died": died,
            "s": round(time.perf_counter() - began),
        }  # fmt: skip
    finally:
        sandbox.close()

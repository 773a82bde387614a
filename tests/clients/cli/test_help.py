"""The help names every verb."""

from __future__ import annotations

from collections.abc import Callable

import trio

from clients.cli.help import HELP
from clients.cli.lines import Lines
from tests.support.clients import open_world


async def test_every_verb_is_in_it(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        await world.people("alice")
        lines = Lines(world.clients["alice"], nursery)
        assert [verb for verb in lines._verbs if f"/{verb}[/]" not in HELP] == []

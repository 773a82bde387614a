"""What somebody types to report a message."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from clients.cli.reporting import ground_of, report_typed
from clients.reports import CannotReport
from protocol.reports import Ground
from tests.support.clients import open_world
from tests.support.reporting import scene, take_reports


def test_grounds_have_names() -> None:
    assert ground_of("Threat") is Ground.THREAT
    with pytest.raises(CannotReport, match="there are spam, abuse, threat"):
        ground_of("boring")


async def test_a_message_is_reported(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        posted = take_reports(world)
        (_, ben, _), talk, at = await scene(world, "one", "two", "three")
        said = await report_typed(ben, talk.topic, [str(at[2]), "+1", "spam", "buy", "this"])
        assert "(number 1)" in said
        assert "the 1 before it" in said
        assert [item.offset for item in posted[0].items] == [at[2], at[1]]
        assert (posted[0].ground, posted[0].text) == (Ground.SPAM, "buy this")
        assert "who can read this message and" in await report_typed(ben, talk.topic, [str(at[0]), "other"])
        assert (len(posted[1].items), posted[1].text) == (1, "")


@pytest.mark.parametrize("words", [[], ["5"], ["5", "+2"]])
async def test_words_that_are_missing(autojump_clock: MockClock, words: list[str]) -> None:
    async with open_world() as world:
        (_, ben, _), talk, _ = await scene(world, "one")
        with pytest.raises(IndexError):
            await report_typed(ben, talk.topic, words)


@pytest.mark.parametrize(("words", "part"), [(["x", "spam"], "write the number"), (["5", "+x"], "is no reason")])
async def test_words_that_are_wrong(autojump_clock: MockClock, words: list[str], part: str) -> None:
    async with open_world() as world:
        (_, ben, _), talk, _ = await scene(world, "one")
        with pytest.raises(CannotReport, match=part):
            await report_typed(ben, talk.topic, words)

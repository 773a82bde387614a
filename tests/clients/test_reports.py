"""Reporting: what is revealed, to whom, and what cannot be reported."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from clients.connection import LinkDown, Refusal
from clients.reports import CannotReport
from protocol import limits as L
from protocol.errors import Code
from protocol.identity import open_signed
from protocol.reports import Ground, check
from storage.base import Refused
from tests.support.clients import events_of, open_world, say
from tests.support.reporting import scene, take_reports


async def test_a_report_reveals_what_was_chosen(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        posted = take_reports(world)
        (anna, ben, _), talk, at = await scene(world, "one", "two", "three")
        assert await ben.report(talk.topic, at[2], Ground.ABUSE, "look", attach=[at[0], at[2]]) == 1
        (report,) = posted
        assert [item.offset for item in report.items] == [at[2], at[0]]
        assert (report.ground, report.text, len(report.lists)) == (Ground.ABUSE, "look", 1)
        verdict = check(report)
        assert verdict.verified, verdict.why
        assert verdict.findings[0].item.account == anna.account
        assert b"two" not in b"".join(item.content for item in report.items)


async def test_a_relay_without_a_report_key(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.relay.answer["reports.key"] = lambda wire, params: Refused(Code.NOT_FOUND, "this relay takes no reports")
        (_, ben, _), talk, at = await scene(world, "one")
        with pytest.raises(Refusal, match="takes no reports"):
            await ben.report(talk.topic, at[0])


async def test_what_cannot_be_reported(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        take_reports(world)
        (anna, ben, _), talk, at = await scene(world, "one")
        with pytest.raises(CannotReport, match="no evidence of message"):
            await anna.report(talk.topic, at[0])  # her own
        with pytest.raises(KeyError):
            await ben.report(bytes(32), 1)
        with pytest.raises(CannotReport, match="at most 2000"):
            await ben.report(talk.topic, at[0], text="x" * (L.REPORT_TEXT_CHARS_MAX + 1))
        with pytest.raises(CannotReport, match="at most 10"):
            await ben.report(talk.topic, at[0], attach=range(100, 111))


async def test_the_connection_breaks_while_it_is_posted(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        posted = take_reports(world)
        (_, ben, _), talk, at = await scene(world, "one")
        reporter, tries = ben.reporter, [LinkDown("cut"), None, LinkDown("for good", final=True)]
        connected = reporter._connected

        class Breaking:
            """A link that breaks when something is posted."""

            def __init__(self, link: Any) -> None:
                self._link = link

            async def ask(self, method: str, *rest: Any) -> Any:
                error = tries.pop(0) if method == "reports.post" else None
                if error is not None:
                    raise error
                return await self._link.ask(method, *rest)

        async def breaking() -> Any:
            return Breaking(await connected())

        reporter._connected = breaking
        assert await ben.report(talk.topic, at[0]) == 1
        assert len(posted) == 1
        with pytest.raises(LinkDown, match="for good"):
            await ben.report(talk.topic, at[0])


async def test_who_took_the_device_off_its_list_stays_answerable(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        take_reports(world)
        (anna, ben, _), talk, at = await scene(world, "one")
        shelf = ben.engine.shelf
        empty = open_signed(shelf.signed_list(anna.account) or b"")
        shelf.lists[anna.account] = empty
        shelf._signed_lists[anna.account] = ben.engine.shelf.identity.signed_list
        report = await ben.reporter.make(talk.topic, at[0], Ground.OTHER, "")
        assert check(report).verified


async def test_a_list_that_is_not_known_is_asked_for(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        take_reports(world)
        (anna, ben, _), talk, at = await scene(world, "one")
        shelf = ben.engine.shelf

        def forget() -> None:
            shelf.lists.pop(anna.account, None)
            shelf._signed_lists.pop(anna.account, None)

        forget()
        await say(talk, "two")
        await world.settle()
        forget()
        report = await ben.reporter.make(talk.topic, ben.reporter.before(talk.topic, 10**6, 1)[0], Ground.OTHER, "")
        assert check(report).verified
        forget()
        world.relay.answer["devices.get"] = lambda wire, params: [None]
        with pytest.raises(CannotReport, match="on no device list"):
            await ben.reporter.make(talk.topic, ben.reporter.before(talk.topic, 10**6, 1)[0], Ground.OTHER, "")
        assert (await ben.reporter.make(talk.topic, at[0], Ground.OTHER, "")).lists  # kept with the message


async def test_an_event_that_is_another(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        take_reports(world)
        (_, ben, _), talk, at = await scene(world, "one")
        vault: Any = ben.engine.shelf.vault
        first = vault.log[0]
        vault.log[:] = [(seq, topic, first[2]) for seq, topic, _ in vault.log]
        assert events_of(ben, object)  # type: ignore[type-var]
        with pytest.raises(CannotReport, match="another event"):
            await ben.report(talk.topic, at[0])

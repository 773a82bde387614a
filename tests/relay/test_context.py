"""What all connections share: tasks behind a boundary, the greeting, what follows a commit."""

from __future__ import annotations

import logging

import msgspec
import pytest

from protocol import frames as F
from protocol import requests as R
from protocol.codec import decode_struct
from protocol.ids import inbox_topic
from relay.context import FLAG_DRAINING
from tests.support.lab import open_lab, settle
from tests.support.people import group


async def test_a_task_that_fails_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with open_lab() as lab:
        told: list[str] = []

        async def broken() -> None:
            raise ZeroDivisionError

        with caplog.at_level(logging.ERROR):
            lab.relay.spawn("job", broken, lambda: told.append("failed"))
            lab.relay.spawn("job", broken)
            await settle()
        assert told == ["failed"]
        assert lab.relay.counters.failures == 2
        assert len(caplog.records) == 2
        lab.relay.counters.failures = 0


async def test_the_greeting() -> None:
    async with open_lab() as lab:
        info = lab.relay.info(b"n" * 32)
        assert (info.nonce, info.flags, info.cluster) == (b"n" * 32, 0, lab.relay.cluster)
        lab.relay.is_draining = True
        assert lab.relay.info(b"n" * 32).flags == FLAG_DRAINING


async def test_a_new_list_is_told_to_the_account_and_to_nobody_else() -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        seen = len(b.got(F.Evt))
        await a.request("devices.publish", R.PublishList(alice.signed(alice.devices(2))), int)
        event = a.got(F.Evt)[-1]
        assert decode_struct(event.payload, R.DevicesChanged) == R.DevicesChanged(alice.account, 2)
        assert len(b.got(F.Evt)) == seen


async def test_an_inbox_hears_of_welcomes() -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        tid = (await b.subscribe(inbox_topic(bob.account), last=0)).tid
        before = len(b.offsets(tid))
        founding = group(alice, bob)
        bundle = F.Bundle(founding.bundle.create if founding.bundle else None, 0, (F.Welcome(bob.account, b"come in"),))
        await a.ok(msgspec.structs.replace(founding, bundle=bundle), F.PubResult)
        news = [frame for frame in b.got(F.Msg) if frame.tid == tid][before:]
        assert [(frame.flags, frame.body) for frame in news] == [(F.Flag.WELCOME | F.Flag.STRANGER, b"come in")]
        header = decode_struct(news[0].header, F.WelcomeHeader)
        assert (header.topic, header.group, header.fence) == (founding.topic, 1, 1)

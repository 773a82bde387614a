"""A worker's client: what slots bring and take, topics as they have news, acknowledgements with tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients import records as R
from extensions.jobs import Job
from protocol.frames import Flag, Gap, GapReason, Pub
from protocol.ids import inbox_topic, slot_inbox
from protocol.messages.ext import Request
from protocol.requests import TopicNews
from tests.support.workers import make_worker, open_stage, result, until


async def test_what_waits_is_said_by_the_next_process(tmp_path: Path) -> None:
    async def answer(job: Job[Request]) -> None:
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker(answer))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic, "one")
        await ann.hears(topic, 1)
        engine = first.process.engine
        engine.outbox.transmit = None  # its cable is pulled, and it does not know yet
        engine.say(engine.shelf.conversations[topic], _reply("two"), quiet=True)
        await engine.shelf.journal.flushed()
        await first.crash()
        await stage.start(make_worker(answer))
        assert await ann.hears(topic, 2) == ["one", "two"]


def _reply(value: str) -> bytes:
    from protocol.messages import compose

    return compose(result(value))


async def test_news_of_topics(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic)
        await ann.hears(topic, 1)
        engine = running.process.engine
        shelf = engine.shelf
        await until(lambda: topic in engine.tids.values())
        talk = shelf.conversations[topic]
        engine.topic_news(TopicNews(900, topic, 1, talk.cursor + 1, talk.cursor, 1))
        assert engine.tids[900] == topic
        engine.topic_news(TopicNews(901, b"\x05" * 32, 1, 1, 1, 1))  # not ours yet: its Welcome comes
        assert 901 not in engine.tids
        inbox = slot_inbox(shelf.account, 3)
        engine.topic_news(TopicNews(902, inbox, 1, 1, 0, 0))
        assert engine.tids[902] == inbox
        engine._gap(Gap(902, 1, 1, 4, GapReason.RETENTION))
        assert shelf.cursor(inbox).cursor == 4
        engine._gap(Gap(999, 1, 1, 4, GapReason.RETENTION))
        engine.topic_news(TopicNews(903, topic, 1, talk.cursor + 9, talk.cursor + 9, 1))
        assert "reading again" in caplog.text
        await until(lambda: topic in engine.tids.values())
        talk.status = R.Status.LOCKED
        engine.topic_news(TopicNews(904, topic, 1, talk.cursor + 1, talk.cursor, 1))
        talk.status = R.Status.ACTIVE
        engine.topic_news(TopicNews(0, topic, 0, 0, 0, 0))
        assert talk.status == R.Status.REMOVED
        engine.topic_news(TopicNews(0, b"\x06" * 32, 0, 0, 0, 0))
        assert engine.subscriptions() == []


async def test_tokens_and_slots_that_are_not_ours(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        await running.holds(256)
        engine = running.process.engine
        topic = b"\x05" * 32
        assert engine.signed_out(Pub(0, topic, b"i" * 16)).token == (1).to_bytes(8, "big")
        box = Pub(0, inbox_topic(b"x" * 32), b"i" * 16, flags=Flag.SEALED, token=b"contact")
        assert engine.signed_out(box) is box
        engine.tids[7] = topic
        row = R.Outgoing(engine.shelf.next_number(), topic, b"i" * 16, R.Work.BOX, Flag.SEALED, body=b"x")
        engine.outbox.queue(row)
        engine.part([5])
        assert 7 not in engine.tids
        assert engine.outbox.lane(topic).rows == []
        await engine.shelf.journal.flushed()
        running.vault.let_go([5])
        assert engine.token(topic) is None
        engine.topic_news(TopicNews(8, topic, 1, 1, 1, 1))
        assert 8 not in engine.tids


async def test_boxes_and_welcomes_that_waited(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        await running.holds(256)
        engine = running.process.engine
        shelf = engine.shelf
        shelf.select(slot_inbox(shelf.account, 3))
        shelf.save_box(R.PendingBox(shelf.next_number(), b"a" * 32, b"d" * 32, b"no content"))
        shelf.save_welcome(R.PendingWelcome(shelf.next_number(), b"no welcome", b"\x05" * 32, 1, b"b" * 32))
        await shelf.journal.flushed()
        await running.crash()
        again = await stage.start(make_worker())
        await again.holds(256)
        # Both are looked at once more, found hopeless, and dropped.
        await until(lambda: again.vault.places(R.BOXES) == again.vault.places(R.WELCOMES) == {})

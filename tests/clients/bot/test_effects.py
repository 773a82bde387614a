"""What a run of a handler wants: visible to itself at once, to everybody else when it has ended well."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.bot import bounds
from clients.bot.effects import Effects, Later, Speaker, State, Values, post_once
from clients.bot.memory import DIALOGS, TIMERS, VALUES
from clients.conversations import Conversation, NotActive
from clients.records import Status
from protocol.content import Reference
from protocol.messages import parse
from protocol.messages.chat import Poll, Text
from tests.clients.bot.support import ALICE, NOW_MS, OTHER_TOPIC, TOPIC, clock_ms, open_alone, said


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test can reach."""
    monkeypatch.setattr(bounds, "SENDS_MAX", 2)
    monkeypatch.setattr(bounds, "ROWS_MAX", 2)


async def test_nothing_happens_before_the_commit(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        run = Effects(client, memory)
        here, there = Conversation(client, TOPIC), Conversation(client, OTHER_TOPIC)
        reply, send = Speaker(run, here, Reference(b"q" * 16)), Speaker(run, here, None)
        first = await reply("yes")
        await send(Poll(question="tea?", options=("a", "b")), ttl_ms=5000, ex_ms=NOW_MS, rp=first)
        await send("over there", to=there, re=Reference(b"r" * 16))
        Values(run)["n"] = 1
        assert said(client) == []
        assert not memory.values
        run.commit()
        assert said(client) == ["yes", "Poll", "over there"]
        rows = list(client.engine.shelf.outgoing.values())
        contents = [parse(row.content).content for row in rows]
        assert rows[0].id == first
        assert [row.topic for row in rows] == [TOPIC, TOPIC, OTHER_TOPIC]
        assert [content.re.id if content.re else None for content in contents] == [b"q" * 16, None, b"r" * 16]
        assert (rows[1].ttl, contents[1].ex, contents[1].rp) == (5000, NOW_MS, first)
        assert Values(Effects(client, memory))["n"] == 1


async def test_what_cannot_be_said_is_refused_in_the_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    async with open_alone(tmp_path) as (client, memory):
        run = Effects(client, memory)
        send = Speaker(run, Conversation(client, TOPIC), None)
        with pytest.raises(ValueError, match="at most"):
            await send(Text(text="x" * 70_000))
        await send("1")
        await send("2")
        with pytest.raises(ValueError, match="at most 2 messages in one run"):
            await send("3")
        client.engine.shelf.conversations[OTHER_TOPIC].status = Status.LEFT
        with pytest.raises(NotActive, match="not in this conversation"):
            await send("x", to=Conversation(client, OTHER_TOPIC))


async def test_values_are_a_dict_that_a_run_sees_as_it_wrote_it(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        before = Effects(client, memory)
        Values(before, TOPIC).update(kept=1, changed=[1], gone="x")
        Values(before)["bot"] = True
        before.commit()
        run = Effects(client, memory)
        local = Values(run, TOPIC)
        local["changed"].append(2)  # of a copy
        assert local["changed"] == [1]
        local["changed"] = [1, 2]
        local["new"] = {"a": None}
        del local["gone"]
        assert dict(local) == {"kept": 1, "changed": [1, 2], "new": {"a": None}}
        assert (len(local), "gone" in local, local.get("gone")) == (3, False, None)
        assert dict(Values(run)) == {"bot": True}
        with pytest.raises(KeyError):
            del local["gone"]
        assert dict(Values(Effects(client, memory), TOPIC)) == {"kept": 1, "changed": [1], "gone": "x"}
        run.commit()
        assert dict(Values(Effects(client, memory), TOPIC)) == {"kept": 1, "changed": [1, 2], "new": {"a": None}}
    async with open_alone(tmp_path) as (client, memory):
        assert dict(Values(Effects(client, memory), TOPIC)) == {"kept": 1, "changed": [1, 2], "new": {"a": None}}


async def test_a_bot_keeps_a_bounded_number_of_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    async with open_alone(tmp_path) as (client, memory):
        run = Effects(client, memory)
        Values(run).update(a=1, b=2)
        run.commit()
        again = Effects(client, memory)
        Values(again)["a"] = 3
        with pytest.raises(ValueError, match=f"keeps 2 rows of {VALUES} already"):
            Values(again)["c"] = 3


async def test_a_dialog_has_a_state_with_data(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        run = Effects(client, memory)
        state = State(run, TOPIC, ALICE)
        assert (state.name, state.data) == (None, {})
        state.set("asking", question="tea?", tries=1)
        assert (state.name, state.data) == ("asking", {"question": "tea?", "tries": 1})
        run.commit()
        assert State(Effects(client, memory), OTHER_TOPIC, ALICE).name is None
        later = Effects(client, memory)
        State(later, TOPIC, ALICE).clear()
        assert State(later, TOPIC, ALICE).name is None
        later.commit()
        assert not memory.rows(DIALOGS)


async def test_timers_are_set_and_cancelled(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        run = Effects(client, memory)
        later = Later(run, TOPIC, frozenset({"ring", "dong"}))
        now_ms = clock_ms()
        first = later("ring", days=1, hours=1, minutes=1, seconds=1.5, data={"what": "tea"})
        later("dong")
        with pytest.raises(LookupError, match=r"no @bot.on_timer\('rign'\) is there; known: dong, ring"):
            later("rign")
        with pytest.raises(LookupError, match="known: none"):
            Later(run, TOPIC, frozenset())("ring")
        run.commit()
        assert 0 <= memory.timers[first].at_ms - now_ms - 90_061_500 < 1000
        assert len(memory.timers) == 2
        again = Effects(client, memory)
        Later(again, TOPIC, frozenset()).cancel(first)
        again.commit()
        assert [timer.name for timer in memory.timers.values()] == ["dong"]
        assert TIMERS in {place for place, _ in again.rows}


async def test_a_post_with_a_key_is_said_once(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        talk = Conversation(client, TOPIC)
        for key in (b"k", b"k", None, None):
            run = Effects(client, memory)
            assert (post_once(run, talk, "hello", key) is None) == (key is not None and bool(memory.posted))
            run.commit()
        assert said(client) == ["hello"] * 3

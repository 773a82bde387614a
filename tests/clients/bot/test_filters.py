"""Which messages pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clients.bot import filters as F
from clients.bot.filters import Filter
from clients.client import Client
from clients.records import Contact
from protocol.ids import TopicKind
from protocol.messages.chat import Text
from tests.clients.bot.support import ALICE, TOPIC, incoming, open_alone

TEXTS = {
    F.text("hello", "Hi there"): (["Hello", " hi THERE "], ["hello you", ""]),
    F.contains("Tea"): (["a cup of tea"], ["coffee"]),
    F.matches(r"(?i)^h.t$"): (["HAT", "hot"], ["heat", "a hat"]),
    F.command("/remind", "/r"): (["/remind", "/R 10 tea"], ["/reminder", "please /remind", "  "]),
}


@pytest.mark.parametrize("condition", TEXTS, ids=repr)
async def test_filters_by_text(condition: Filter, tmp_path: Path) -> None:
    passes, fails = TEXTS[condition]
    async with open_alone(tmp_path) as (client, _):
        assert all(condition(incoming(client, text)) for text in passes)
        assert not any(condition(incoming(client, text)) for text in fails if text)


def in_a_pair(client: Client) -> None:
    client.engine.shelf.conversations[TOPIC].kind = TopicKind.PAIR


async def test_filters_by_place_and_people(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, _):
        message = incoming(client, "x", state="asking", contact=Contact(ALICE, "alice"))
        verified = incoming(client, Text(text="x", mentions=(client.account,)), contact=Contact(ALICE, "a", True))
        stranger = incoming(client, "x")
        table: list[tuple[Callable[..., bool], list[bool]]] = [
            (F.in_state("asking", "other"), [True, False, False]),
            (F.from_account(ALICE), [True, True, True]),
            (F.from_account(b"b" * 32), [False, False, False]),
            (F.from_contact, [True, True, False]),
            (F.from_verified, [False, True, False]),
            (F.mentions_me, [False, True, False]),
            (F.from_admin, [True, True, True]),
            (F.in_group, [True, True, True]),
            (F.in_pair, [False, False, False]),
        ]
        for condition, wanted in table:
            assert [condition(one) for one in (message, verified, stranger)] == wanted, condition
        client.engine.shelf.conversations[TOPIC].kind = TopicKind.PAIR
        assert F.in_pair(message)
        assert not F.in_group(message)


async def test_filters_combine_with_each_other_and_with_any_function(tmp_path: Path) -> None:
    def is_long(message: object) -> bool:
        return len(getattr(message, "text", "")) > 5

    async with open_alone(tmp_path) as (client, _):
        short, long = incoming(client, "tea"), incoming(client, "more tea please")
        both = F.contains("tea") & is_long
        either = F.text("tea") | is_long
        assert [both(short), both(long)] == [False, True]
        assert [either(short), either(long)] == [True, True]
        assert [(~both)(short), (~both)(long)] == [True, False]
        assert repr(~both) == "~(contains('tea') & is_long)"
        assert F.name_of(either) == "(text('tea',) | is_long)"

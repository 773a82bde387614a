"""Registration says at once what is wrong, and a handler gets what it names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clients.bot import handlers as H
from clients.bot.effects import Effects
from clients.bot.errors import BotError
from clients.bot.filters import command
from clients.bot.memory import Timer
from clients.events import Changed, Joined, Received
from protocol.messages import Body, Unknown
from protocol.messages.chat import Media, Text
from protocol.messages.eph import Typing
from protocol.messages.rcpt import Delivered
from tests.clients.bot.support import ALICE, TOPIC, incoming, open_alone

LOG = logging.getLogger("chappe.bot.test")


def make(function: Any, kind: str = H.MESSAGE) -> H.Handler:
    """A handler of all texts."""
    return H.make_handler(function, kind, (Text,), ())


async def test_a_handler_gets_what_it_names(tmp_path: Path) -> None:
    got: dict[str, Any] = {}

    async def everything(
        message: Any, body: Any, args: Any, reply: Any, account: Any, state: Any, event: Any, send: Any, talk: Any,
        later: Any, store: Any, local: Any, bot: Any, client: Any, log: Any, extra: int = 5,
    ) -> None:  # fmt: skip
        got.update(locals())

    async with open_alone(tmp_path) as (client, memory):
        message, effects = incoming(client, "/go far away"), Effects(client, memory)
        context = H.Context("the bot", client, effects, LOG, TOPIC, frozenset(), message, message.event)
        await make(everything).run(context)
        await got["reply"]("yes")
        await got["send"]("and")
        got["state"].set("there")
        got["local"]["a"] = 1
        got["store"]["a"] = 2
        assert [row.content.count(message.id) for row in effects.sends] == [1, 0]
        assert {row for row, _ in effects.rows} == {"bot.dialogs", "bot.values"}
        assert context.reply is context.reply
    assert got["message"] is message
    assert got["body"] is message.body
    assert got["event"] is message.event
    assert (got["args"], got["account"], got["bot"]) == ("far away", ALICE, "the bot")
    assert (got["talk"].topic, got["client"], got["log"], got["extra"]) == (TOPIC, client, LOG, 5)
    assert set(H.NAMES) - set(got) == {"data"}


async def test_a_timer_gets_its_data(tmp_path: Path) -> None:
    got: list[Any] = []

    async def ring(data: Any, later: Any) -> None:
        got.append(data)

    async with open_alone(tmp_path) as (client, memory):
        timer = Timer(b"i" * 16, 0, TOPIC, "ring", msgspec.msgpack.encode({"what": "tea"}))
        for one in (timer, None):
            context = H.Context(None, client, Effects(client, memory), LOG, TOPIC, frozenset(), timer=one)
            await make(ring, H.TIMER).run(context)
    assert got == [{"what": "tea"}, None]


async def nameless(mesage: Any) -> None: ...
async def strange(quux: Any) -> None: ...
async def timed(data: Any) -> None: ...
async def greedy(*message: Any) -> None: ...
async def positional(message: Any, /) -> None: ...
def blocking(message: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (nameless, r"handler tests.*nameless asks for 'mesage', and nothing is called so; did you mean 'message'\?"),
        (strange, r"asks for 'quux', and nothing is called so; known: message, body, args, reply"),
        (timed, r"asks for 'data', which handlers of a message do not get: message, body"),
        (greedy, r"has the parameter \*message; name what it needs: message"),
        (positional, r"has the parameter message; name what it needs"),
        (blocking, r"blocking must be an `async def` function"),
    ],
)
def test_a_handler_that_cannot_be_called_is_refused_at_once(function: Any, sentence: str) -> None:
    with pytest.raises(BotError, match=sentence):
        make(function)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say which messages"),
        ((command("/go"),), "say which messages"),
        ((Text, Joined), "say which messages"),
        ((Text, "hello"), "'hello' is neither a message type nor a filter"),
        ((int,), "int is no message"),
        ((Typing,), "eph.typing is nothing for handlers"),
        ((Delivered,), "rcpt.delivered is nothing for handlers"),
        ((Received,), "messages come by their type"),
        ((Joined, command("/go")), r"the filter command\('/go',\) is for messages"),
    ],
)
def test_what_a_handler_is_for_is_checked(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(BotError, match=sentence):
        H.split_arguments(arguments)


def test_what_a_handler_can_be_for() -> None:
    go = command("/go")
    assert H.split_arguments((Text, Media, go)) == (H.MESSAGE, (Text, Media), (go,))
    assert H.split_arguments((Body, Unknown))[0] == H.MESSAGE
    assert H.split_arguments((Joined, callable)) == (H.EVENT, (Joined,), (callable,))


async def test_it_accepts_its_types_that_pass_all_conditions(tmp_path: Path) -> None:
    async def handler() -> None: ...

    async with open_alone(tmp_path) as (client, _):
        wants = H.make_handler(handler, H.MESSAGE, (Text,), (command("/go"), lambda message: "far" in message.text))
        assert [wants.accepts(incoming(client, text)) for text in ("/go far", "/go", "far")] == [True, False, False]
        assert not H.make_handler(handler, H.MESSAGE, (Media,), ()).accepts(incoming(client, "/go far"))
        joined = H.make_handler(handler, H.EVENT, (Joined,), (lambda event: event.again,))
        assert joined.accepts(Joined(topic=TOPIC, by=ALICE, members=(), again=True))
        assert not joined.accepts(Joined(topic=TOPIC, by=ALICE, members=()))
        assert not joined.accepts(Changed(topic=TOPIC, by=ALICE))


def test_the_guide_names_everything_that_a_handler_can_ask_for() -> None:
    guide = (Path(__file__).resolve().parents[3] / "clients" / "README.md").read_text()
    table = guide.partition("| name | what |")[2].partition("\n\n")[0]
    assert all(f"`{name}`" in table for name in H.NAMES)

"""A message as handlers see it: who, where, and what a person would read."""

from __future__ import annotations

from pathlib import Path

import msgspec

from clients.bot.incoming import Incoming
from clients.records import Contact
from protocol.content import Reference
from protocol.ids import TopicKind
from protocol.limits import CHUNK_BYTES
from protocol.messages import Unknown, compose
from protocol.messages.chat import Media, Poll, Reaction, Text
from tests.clients.bot.support import ALICE, TOPIC, incoming, open_alone, received, unknown


async def test_who_said_what_where(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, _):
        event = received(Text(text="/remind  10 tea time ", mentions=(client.account,)))
        contact = Contact(ALICE, "alice")
        message = incoming(client, event, state="asking", contact=contact)
        assert (message.id, message.account, message.topic, message.ts) == (event.id, ALICE, TOPIC, event.ts)
        assert message.text == "/remind  10 tea time "
        assert message.args == "10 tea time"
        assert message.mentions == (client.account,)
        assert message.content.t == "chat.text"
        assert message.reference == Reference(event.id)
        assert (message.state, message.contact, message.me) == ("asking", contact, client.account)
        assert isinstance(message.body, Text)
        assert (message.is_admin, message.is_pair, message.by_bot) == (True, False, False)
        client.engine.shelf.conversations[TOPIC].kind = TopicKind.PAIR
        client.engine.shelf.conversations[TOPIC].roster.pop(ALICE)
        assert (message.role, message.is_admin, message.is_pair) == (0, False, True)


async def test_what_it_answers(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, _):
        assert incoming(client, "hello").re is None
        event = received("x")
        answer = msgspec.structs.replace(event, content=compose(Text(text="yes"), re=Reference(b"q" * 16)))
        assert incoming(client, answer).re == b"q" * 16


async def test_every_message_has_a_text_that_people_can_read(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, _):

        def shown(message: Incoming) -> tuple[str, str]:
            return message.text, message.args

        media = Media(
            id=b"i" * 16, name="a.png", mime="image/png", size=1, hash=b"h" * 32, key=b"k" * 32, chunk=CHUNK_BYTES,
            chunks=(), caption="look here",
        )  # fmt: skip
        assert shown(incoming(client, media)) == ("look here", "here")
        assert shown(incoming(client, Poll(question="tea?", options=("a", "b")))) == ("tea?", "")
        assert shown(incoming(client, Reaction(emoji="+"))) == ("", "")
        assert incoming(client, Reaction(emoji="+")).mentions == ()
        newer = incoming(client, unknown("chat.text", 2, "from the future"))
        assert isinstance(newer.body, Unknown)
        assert newer.text == "from the future"
        assert incoming(client, unknown("feed.post", 3)).text == ""

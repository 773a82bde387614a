"""Questions to a ranker: its answer to that very message, a refusal with its code, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients.events import Received
from clients.feed import asking
from clients.feed.asking import Asking, RankError
from protocol.content import Reference
from protocol.messages import Body, compose
from protocol.messages import rank as K
from protocol.messages.chat import Text
from protocol.messages.rank import RefusedCode
from tests.support.feeds import open_town, patiently, people
from tests.support.workers import until


async def test_an_answer_is_of_whom_was_asked_and_to_what_was_asked(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        topic = (await patiently(lambda: ann.pair(bob.account))).topic
        asked = Asking(ann.engine)
        found: list[object] = []

        async def ask() -> None:
            found.append(await asked.ask(K.Export(), K.Known, bob.account, topic))

        def told(content: bytes, account: bytes = bob.account) -> None:
            asked._heard(Received(
                topic=topic, offset=1, id=b"i" * 16, account=account, device=b"d", ts=1, content=content
            ))  # fmt: skip

        told(compose(K.Known(data=b"nobody asked")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: asked._asked)
            (message_id,) = asked._asked
            known = K.Known(data=b"all of it")
            for content in (
                b"rank.", compose(Text(text="no answer")), compose(known), compose(known, re=Reference(b"?" * 16))
            ):  # fmt: skip
                told(content)
            told(compose(known, re=Reference(message_id)), ann.account)
            assert asked._asked == {message_id: None}
            told(compose(known, re=Reference(message_id)))
            await until(lambda: found)
        assert found == [known]
        assert not asked._asked


async def test_refused_or_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        topic = (await patiently(lambda: ann.pair(bob.account))).topic
        asked = Asking(ann.engine)
        answers: list[tuple[Body, str, RefusedCode]] = [
            (K.Refused(text="it is gone", code=int(RefusedCode.GONE)), "it is gone", RefusedCode.GONE),
            (K.Because(text="so"), "something else", RefusedCode.OTHER),
        ]
        for answer, text, code in answers:

            async def say(answer: Body = answer) -> None:
                await until(lambda: asked._asked)
                (message_id,) = asked._asked
                content = compose(answer, re=Reference(message_id))
                asked._heard(Received(
                    topic=topic, offset=1, id=b"i" * 16, account=bob.account, device=b"d", ts=1, content=content
                ))  # fmt: skip

            async with trio.open_nursery() as nursery:
                nursery.start_soon(say)
                with pytest.raises(RankError, match=text) as error:
                    await asked.ask(K.Export(), K.Known, bob.account, topic)
            assert error.value.code == code
        monkeypatch.setattr(asking, "ANSWER_S", 0.01)
        with pytest.raises(RankError, match="does not answer"):
            await asked.ask(K.Export(), K.Known, bob.account, topic)
        assert not asked._whom

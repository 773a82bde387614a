"""Asking rankers: what is said to one, and its answer to that very message."""

from __future__ import annotations

from typing import Final, TypeVar

import trio

from clients.engine import Engine
from clients.events import Received
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.messages import Body, Unknown, compose, parse
from protocol.messages import rank as K

B = TypeVar("B", bound=Body)
ANSWER_S: Final = 20.0  # a ranker answers in milliseconds, or is not there
_MARK: Final = b"rank."


class RankError(ChappeError):
    """A page cannot be had or believed; the text says why and what to do. ``code``: of ``rank.RefusedCode``."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Asking:
    """Questions that wait for their answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shelf = engine.shelf
        self._asked: dict[bytes, Body | None] = {}
        self._whom: dict[bytes, bytes] = {}  # who is to answer what was asked
        self._answered = trio.Event()
        self._shelf.journal.listen(self._heard)

    def say(self, body: Body, topic: bytes) -> bytes:
        """Say something in a conversation with a ranker; its id."""
        talk = self._shelf.conversations[topic]
        return self._engine.say(talk, compose(body, seen=self._engine.seen(talk)), quiet=True)

    async def ask(self, body: Body, wanted: type[B], account: bytes, topic: bytes) -> B:
        """Ask, and wait for the answer of ``account``. Raises ``RankError``: none, a refusal, or something else."""
        message_id = self.say(body, topic)
        self._asked[message_id] = None
        self._whom[message_id] = account
        try:
            with trio.fail_after(ANSWER_S):
                while self._asked[message_id] is None:
                    await self._answered.wait()
        except trio.TooSlowError:
            raise RankError("the ranker does not answer; /timeline shows posts by time") from None
        finally:
            answer = self._asked.pop(message_id)
            del self._whom[message_id]
        if isinstance(answer, wanted):
            return answer
        if isinstance(answer, K.Refused):
            raise RankError(answer.text, answer.code)
        raise RankError("the ranker answered something else")

    def _heard(self, event: Received) -> None:
        if not self._asked or _MARK not in event.content:
            return
        try:
            message = parse(event.content)
        except RemoteProtocolError:
            return
        re, body = message.content.re, message.body
        if re is not None and self._whom.get(re.id) == event.account and not isinstance(body, Unknown):
            self._asked[re.id] = body
            self._shelf.journal.after(self._wake)

    def _wake(self) -> None:
        self._answered.set()
        self._answered = trio.Event()

"""What one run of a handler wants done: collected while it runs, done in one transaction when it has ended well.

A handler that raises leaves nothing behind, so running it again says nothing twice. What is read back within the run is
what the run wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import trio

from clients import records as R
from clients.bot import bounds as B
from clients.bot.incoming import BOT_MARK
from clients.bot.memory import (
    DIALOGS,
    POSTED,
    TIMERS,
    VALUES,
    BotMemory,
    Dialog,
    Posted,
    Row,
    Timer,
    Value,
    encode_value,
)
from clients.client import Client
from clients.conversations import Conversation, NotActive
from clients.records import Status, Work
from protocol.content import Reference, decode_content, encode_content
from protocol.messages import Body, compose
from protocol.messages.chat import Text

_TRUE: Final = msgspec.Raw(b"\xc3")


@dataclass(slots=True)
class Effects:
    """Messages to say and rows to write."""

    client: Client
    memory: BotMemory
    sends: list[R.Outgoing] = field(default_factory=list)
    rows: dict[tuple[str, bytes], Row | None] = field(default_factory=dict)

    def row(self, place: str, key: bytes) -> Row | None:
        """A row as this run sees it."""
        return self.rows[place, key] if (place, key) in self.rows else self.memory.rows(place).get(key)

    def keys(self, place: str) -> list[bytes]:
        """The keys of a table as this run sees it."""
        keys = dict.fromkeys(self.memory.rows(place))
        for (changed, key), row in self.rows.items():
            if changed == place and row is None:
                keys.pop(key, None)
            elif changed == place:
                keys[key] = None
        return list(keys)

    def put(self, place: str, key: bytes, row: Row | None) -> None:
        """Write a row. Raises ``ValueError`` when the bot keeps too much."""
        if row is not None and key not in self.memory.rows(place) and len(self.memory.rows(place)) >= B.ROWS_MAX:
            raise ValueError(f"this bot keeps {B.ROWS_MAX} rows of {place} already; delete some first")
        self.rows[place, key] = row

    def say(
        self, talk: Conversation, body: Body | str, *, re: Reference | None = None, rp: bytes | None = None,
        ttl_ms: int = 0, ex_ms: int | None = None,
    ) -> bytes:  # fmt: skip
        """Note a message; its id. Raises ``NotActive``, and ``ValueError`` if it is too large or one too many."""
        if talk.status in (Status.REMOVED, Status.LEFT):
            raise NotActive("you are not in this conversation any more")
        if len(self.sends) >= B.SENDS_MAX:
            raise ValueError(f"a handler says at most {B.SENDS_MAX} messages in one run; use `later` for the rest")
        engine = self.client.engine
        words = Text(text=body) if isinstance(body, str) else body
        content = decode_content(compose(words, re=re, rp=rp, ex=ex_ms, seen=engine.seen(talk.record)))
        marked = encode_content(msgspec.structs.replace(content, x={BOT_MARK: _TRUE}))
        row = R.Outgoing(0, talk.topic, engine.shelf.new_id(), Work.MESSAGE, 0, marked, ttl_ms)
        self.sends.append(row)
        return row.id

    def commit(self) -> None:
        """Do all of it; it becomes durable in one transaction with whatever else is noted before anybody waits."""
        for (place, key), row in self.rows.items():
            self.memory.put(place, key, row)
        for outgoing in self.sends:
            outgoing.number = self.client.engine.shelf.next_number()
            self.client.engine.outbox.queue(outgoing)


class Speaker:
    """``send`` and ``reply`` of a handler: ``await send("hello")``."""

    def __init__(self, effects: Effects, talk: Conversation, answers: Reference | None) -> None:
        self._effects = effects
        self._talk = talk
        self._answers = answers

    async def __call__(
        self, body: Body | str, *, to: Conversation | None = None, re: Reference | None = None,
        rp: bytes | None = None, ttl_ms: int = 0, ex_ms: int | None = None,
    ) -> bytes:  # fmt: skip
        """Say something here, or in ``to``; its message id. It goes out when the handler has ended well.

        ``re``: what it answers; ``rp``: the message it replaces; ``ttl_ms``: how long the relay keeps it; ``ex_ms``:
        when readers should drop it (Unix ms). Raises ``NotActive``, ``ValueError``.
        """
        await trio.lowlevel.checkpoint()
        talk = self._talk if to is None else to
        return self._effects.say(talk, body, re=re or self._answers, rp=rp, ttl_ms=ttl_ms, ex_ms=ex_ms)


class Values(MutableMapping[str, Any]):
    """``store`` (of the whole bot) and ``local`` (of this conversation): a dict that is still there tomorrow.

    Values are plain: texts, numbers, bytes, lists, dicts. What you get is a copy: assign it to change what is kept.
    Conversations are served in parallel and the last writer of a name in ``store`` wins; ``local`` has one writer.
    """

    def __init__(self, effects: Effects, scope: bytes = b"") -> None:
        self._effects = effects
        self._scope = scope

    def _key(self, name: str) -> bytes:
        return self._scope + b"\0" + name.encode()

    def __getitem__(self, name: str) -> Any:
        row = self._effects.row(VALUES, self._key(name))
        if not isinstance(row, Value):
            raise KeyError(name)
        return msgspec.msgpack.decode(row.data)

    def __setitem__(self, name: str, value: Any) -> None:
        self._effects.put(VALUES, self._key(name), Value(self._scope, name, encode_value(value)))

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._effects.put(VALUES, self._key(name), None)

    def __iter__(self) -> Iterator[str]:
        for key in self._effects.keys(VALUES):
            row = self._effects.row(VALUES, key)
            if isinstance(row, Value) and row.scope == self._scope:
                yield row.name

    def __len__(self) -> int:
        return sum(1 for _ in self)


class State:
    """``state`` of a handler: where the dialog with this account in this conversation stands.

    ``name`` is None outside a dialog. ``data`` is a copy of what was given to ``set``.
    """

    def __init__(self, effects: Effects, topic: bytes, account: bytes) -> None:
        self._effects = effects
        self._topic = topic
        self._account = account

    def _row(self) -> Dialog | None:
        row = self._effects.row(DIALOGS, self._topic + self._account)
        return row if isinstance(row, Dialog) else None

    @property
    def name(self) -> str | None:
        """The state; ``in_state(...)`` filters by it."""
        row = self._row()
        return None if row is None else row.name

    @property
    def data(self) -> dict[str, Any]:
        """What was noted with the state."""
        row = self._row()
        return {} if row is None else msgspec.msgpack.decode(row.data, type=dict[str, Any])

    def set(self, name: str, **data: Any) -> None:
        """Go to a state, with what is to be remembered."""
        row = Dialog(self._topic, self._account, name, encode_value(data))
        self._effects.put(DIALOGS, row.key, row)

    def clear(self) -> None:
        """The dialog is over."""
        self._effects.put(DIALOGS, self._topic + self._account, None)


class Later:
    """``later`` of a handler: ``later("ring", hours=24, data="tea")`` runs ``@bot.on_timer("ring")`` in a day, once.

    Timers are kept in the vault; what came due while the bot was not running is rung at the next start.
    """

    def __init__(self, effects: Effects, topic: bytes, names: frozenset[str]) -> None:
        self._effects = effects
        self._topic = topic
        self._names = names

    def __call__(
        self, name: str, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, data: Any = None
    ) -> bytes:
        """Ring in a while; the timer's id. Raises ``LookupError`` if no handler is called so."""
        if name not in self._names:
            raise LookupError(f"no @bot.on_timer({name!r}) is there; known: {', '.join(sorted(self._names)) or 'none'}")
        shelf = self._effects.client.engine.shelf
        wait_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        timer = Timer(shelf.entropy(16), shelf.clock_ms() + int(wait_s * 1000), self._topic, name, encode_value(data))
        self._effects.put(TIMERS, timer.id, timer)
        return timer.id

    def cancel(self, timer_id: bytes) -> None:
        """Do not ring."""
        self._effects.put(TIMERS, timer_id, None)


def post_once(
    effects: Effects, talk: Conversation, body: Body | str, key: bytes | None
) -> bytes | None:  # fmt: skip
    """Say something unless it was said under ``key`` before (None then). The caller commits."""
    if key is not None:
        if effects.row(POSTED, key) is not None:
            return None
        effects.put(POSTED, key, Posted(key, effects.client.engine.shelf.clock_ms()))
    return effects.say(talk, body)

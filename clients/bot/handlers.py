"""Handlers: what a function asks for by its parameters' names, checked when it is registered."""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clients.bot.effects import Effects, Later, Speaker, State, Values
from clients.bot.errors import BotError
from clients.bot.filters import Condition, Filter, name_of
from clients.bot.incoming import Incoming
from clients.bot.memory import Timer
from clients.client import Client
from clients.conversations import Conversation
from clients.events import Event, Received
from protocol.messages import Body, Unknown

if TYPE_CHECKING:
    from clients.events import AnyEvent

Function = Callable[..., Awaitable[object]]
MESSAGE: Final = "message"
EVENT: Final = "event"
TIMER: Final = "timer"
#: What a parameter's name gives, and to which kinds of handlers.
NAMES: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "message": ("the message: text, body, account, id, re, role, …", frozenset({MESSAGE})),
    "body": ("its typed body, such as Text", frozenset({MESSAGE})),
    "args": ("what follows the first word of its text", frozenset({MESSAGE})),
    "reply": ("await reply(text or body): answer it", frozenset({MESSAGE})),
    "account": ("who said it", frozenset({MESSAGE})),
    "state": ("the dialog with this account here: name, data, set, clear", frozenset({MESSAGE})),
    "event": ("the event of the SDK", frozenset({MESSAGE, EVENT})),
    "data": ("what was given to `later`", frozenset({TIMER})),
    "send": ("await send(text or body): say something here, or elsewhere with to=", frozenset({MESSAGE, EVENT, TIMER})),
    "talk": ("the conversation: members, add, remove, typing, …", frozenset({MESSAGE, EVENT, TIMER})),
    "later": ('later("name", hours=24, data=…): ring @bot.on_timer("name")', frozenset({MESSAGE, EVENT, TIMER})),
    "store": ("a dict of the bot that is still there tomorrow", frozenset({MESSAGE, EVENT, TIMER})),
    "local": ("the same for this conversation alone", frozenset({MESSAGE, EVENT, TIMER})),
    "bot": ("the bot: name, post, dead_letters, …", frozenset({MESSAGE, EVENT, TIMER})),
    "client": ("the client under it", frozenset({MESSAGE, EVENT, TIMER})),
    "log": ("a logger of the bot's", frozenset({MESSAGE, EVENT, TIMER})),
}
_NEVER_TOLD: Final = frozenset({"eph", "rcpt", "key"})  # families that come as notices, or are the SDK's own business


@dataclass
class Context:
    """Everything that one run of a handler can ask for."""

    bot: Any
    client: Client
    effects: Effects
    log: logging.Logger
    topic: bytes
    timers: frozenset[str]
    incoming: Incoming | None = None
    event: AnyEvent | None = None
    timer: Timer | None = None

    @property
    def message(self) -> Incoming:
        """See ``NAMES``."""
        assert self.incoming is not None
        return self.incoming

    @property
    def body(self) -> Body | Unknown:
        """See ``NAMES``."""
        return self.message.body

    @property
    def args(self) -> str:
        """See ``NAMES``."""
        return self.message.args

    @property
    def account(self) -> bytes:
        """See ``NAMES``."""
        return self.message.account

    @cached_property
    def talk(self) -> Conversation:
        """See ``NAMES``."""
        return Conversation(self.client, self.topic)

    @cached_property
    def send(self) -> Speaker:
        """See ``NAMES``."""
        return Speaker(self.effects, self.talk, None)

    @cached_property
    def reply(self) -> Speaker:
        """See ``NAMES``."""
        return Speaker(self.effects, self.talk, self.message.reference)

    @cached_property
    def state(self) -> State:
        """See ``NAMES``."""
        return State(self.effects, self.topic, self.account)

    @cached_property
    def store(self) -> Values:
        """See ``NAMES``."""
        return Values(self.effects)

    @cached_property
    def local(self) -> Values:
        """See ``NAMES``."""
        return Values(self.effects, self.topic)

    @cached_property
    def later(self) -> Later:
        """See ``NAMES``."""
        return Later(self.effects, self.topic, self.timers)

    @property
    def data(self) -> Any:
        """See ``NAMES``."""
        return None if self.timer is None else msgspec.msgpack.decode(self.timer.data)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function with what it is for. ``types``: bodies, or events; ``wants``: the names it asks for."""

    function: Function
    name: str
    kind: str
    types: tuple[type, ...]
    conditions: tuple[Condition, ...]
    wants: tuple[str, ...]

    def accepts(self, subject: Incoming | AnyEvent) -> bool:
        """Whether it is for this message or event."""
        told = subject.body if isinstance(subject, Incoming) else subject
        return isinstance(told, self.types) and all(condition(subject) for condition in self.conditions)

    async def run(self, context: Context) -> None:
        """Call the function with what it wants."""
        await self.function(**{name: getattr(context, name) for name in self.wants})


def make_handler(function: Function, kind: str, types: tuple[type, ...], conditions: tuple[Condition, ...]) -> Handler:
    """Check a function and what it is for. Raises ``BotError`` with a sentence."""
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
    if not inspect.iscoroutinefunction(function):
        raise BotError(f"the handler {name} must be an `async def` function")
    return Handler(function, name, kind, types, conditions, _wants(function, name, kind))


def _wants(function: Function, name: str, kind: str) -> tuple[str, ...]:
    wants = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            shown = str(parameter).partition(":")[0]
            raise BotError(f"the handler {name} has the parameter {shown}; name what it needs: {_known(kind)}")
        known = NAMES.get(parameter.name)
        if known is not None and kind in known[1]:
            wants.append(parameter.name)
        elif known is not None:
            text = f"asks for {parameter.name!r}, which handlers of a {kind} do not get: {_known(kind)}"
            raise BotError(f"the handler {name} {text}")
        elif parameter.default is parameter.empty:
            near = difflib.get_close_matches(parameter.name, NAMES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {_known(kind)}"
            raise BotError(f"the handler {name} asks for {parameter.name!r}, and nothing is called so; {hint}")
    return tuple(wants)


def _known(kind: str) -> str:
    return ", ".join(name for name, (_, kinds) in NAMES.items() if kind in kinds)


def split_arguments(arguments: tuple[Any, ...]) -> tuple[str, tuple[type, ...], tuple[Condition, ...]]:
    """What ``bot.on`` was given: the kind of handler, types and conditions. Raises ``BotError``."""
    types = tuple(argument for argument in arguments if isinstance(argument, type))
    conditions = tuple(argument for argument in arguments if not isinstance(argument, type))
    for condition in conditions:
        if not callable(condition):
            raise BotError(f"{condition!r} is neither a message type nor a filter; write @bot.on(Text, command('/go'))")
    events = [one for one in types if issubclass(one, Event)]
    if not types or (events and len(events) != len(types)):
        raise BotError("say which messages, such as @bot.on(Text), or which events, such as @bot.on(Joined)")
    if not events:
        for one in types:
            _check_message(one)
        return MESSAGE, types, conditions
    if Received in events:
        raise BotError("messages come by their type: write @bot.on(Text), or Body for all of them")
    filters = [name_of(condition) for condition in conditions if isinstance(condition, Filter)]
    if filters:
        raise BotError(f"the filter {filters[0]} is for messages; for events write a function of the event")
    return EVENT, types, conditions


def _check_message(one: type) -> None:
    if not issubclass(one, Body | Unknown):
        raise BotError(f"{one.__name__} is no message (see protocol.messages), and no event (see clients.events)")
    type_name = str(getattr(one, "TYPE", ""))
    if type_name.partition(".")[0] in _NEVER_TOLD:
        raise BotError(f"{type_name} is nothing for handlers: such notices pass by, or are the SDK's own business")

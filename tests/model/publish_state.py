"""The world of the publishing model as values: its rules, its size, and what can be where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

OK, STALE, OUT_OF_ORDER, QUOTA, CONFLICT, AWAY = "OK", "STALE", "OOO", "QUOTA", "CONFLICT", "504"
APPENDED = "APPENDED"
UNSENT, SENT, STORED, GIVEN_UP = range(4)
COMMITTER = 2
#: PUBs and replies of one connection that are under way at once.
INFLIGHT_MAX = 3
NODES = "AB"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules as they are proposed, each a switch, and the size of the world."""

    pipelined: int = 2
    second: bool = True
    disconnects: int = 2
    crashes: int = 1
    dbdrops: int = 1
    zombies: int = 1
    after: str = "exists"  # exists | last (compare-and-set on the sender's last stored id) | none
    link: str = "relink"  # relink: nearest earlier message not given up | literal: the previous PUB, even if refused
    order: str = "dedupe-first"  # dedupe-first | fence-first
    dedupe: bool = True
    ok_after_commit: bool = True
    resolve_locked: bool = True
    fence_locked: bool = True
    reseal_unknown: bool = False
    grace: str = "off"  # off | node-clock | db-clock
    quota: bool = False  # client 0 is refused by quota until room is made
    definite: tuple[str, ...] = (STALE, OUT_OF_ORDER, QUOTA, AWAY)  # answers that kill an attempt; proposed: STALE only
    ignore: tuple[str, ...] = ()  # property prefixes not to stop at (to look for a deeper one)
    giveup: str = "off"  # off | free (after any definite refusal) | resolved (only if no copy of it is unknown)


class Entry(NamedTuple):
    """One entry of the log. An id is ten times its sender's number plus its message's."""

    id: int
    epoch: int


class Pub(NamedTuple):
    """One PUB on its way; `after` is -1 for none."""

    id: int
    epoch: int
    after: int


class Reply(NamedTuple):
    """The answer to one PUB on its way."""

    id: int
    epoch: int
    answer: str


class Message(NamedTuple):
    """What a client knows of one of its messages; `unknown`: a copy is out whose answer will never come."""

    status: int = UNSENT
    epoch: int = -1
    unknown: int = 0


class Client(NamedTuple):
    """One client; `node` is -1 while it is not connected, `view` the epoch that it knows of."""

    node: int
    inbound: tuple[Pub, ...]
    outbound: tuple[Reply, ...]
    messages: tuple[Message, ...]
    view: int

    def cut(self) -> Client:
        """The client after it lost its connection: what was out is unknown."""
        messages = tuple(Message(UNSENT, m.epoch, 1) if m.status == SENT else m for m in self.messages)
        return Client(-1, (), (), messages, self.view)

    def with_message(self, index: int, message: Message) -> Client:
        """The client with one message in a new state."""
        messages = (*self.messages[:index], message, *self.messages[index + 1 :])
        return Client(self.node, self.inbound, self.outbound, messages, self.view)


class Zombie(NamedTuple):
    """PUBs that a node read from a connection which is gone; it may still decide them."""

    node: int
    queue: tuple[Pub, ...]


class Budget(NamedTuple):
    """Faults that may still happen."""

    disconnects: int
    crashes: int
    dbdrops: int


class State(NamedTuple):
    """The world. `orphan` is a transaction whose node is gone: it holds the row lock until the database ends it."""

    log: tuple[Entry, ...]
    epoch: int
    grace_over: tuple[int, int]
    orphan: Pub | None
    quota: int
    up: tuple[int, int]
    clients: tuple[Client, ...]
    zombies: tuple[Zombie, ...]
    refused: tuple[tuple[int, int], ...]  # attempts that were definitely refused (known to the checker alone)
    budget: Budget

    def with_client(self, number: int, client: Client) -> State:
        """The world with one client changed."""
        clients = (*self.clients[:number], client, *self.clients[number + 1 :])
        return State(*self[:6], clients, *self[7:])  # half the time of _replace, and this is where the time goes

    def stored(self, message_id: int) -> Entry | None:
        """The entry under an id, the newest if a broken rule stored two."""
        return next((entry for entry in reversed(self.log) if entry.id == message_id), None)


def pair(other: tuple[int, int], node: int, value: int) -> tuple[int, int]:
    """`other` with the value of one node replaced."""
    return (value, other[1]) if node == 0 else (other[0], value)

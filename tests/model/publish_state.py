"""The world of the publishing model as values: its rules, its size, and what can be where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

OK, STALE, OUT_OF_ORDER, QUOTA, CONFLICT, AWAY = "OK", "STALE", "OOO", "QUOTA", "CONFLICT", "504"
DENIED, SUPERSEDED = "DENIED", "SUPERSEDED"
APPENDED = "APPENDED"
UNSENT, SENT, STORED, GIVEN_UP = range(4)
COMMITTER = 2
#: The member whom the commit removes, where the rules have it remove one.
REMOVED = 0
#: Values of a client's `node` without a connection: it will connect, or it never will again.
AWAY_NOW, STOPPED = -1, -2
#: What is recorded of the login of a connection: it, nothing newer | a newer one of the device | not yet.
CURRENT, OLD, PENDING = range(3)
#: PUBs and replies of one connection that are under way at once.
INFLIGHT_MAX = 3
NODES = "AB"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules as they are proposed, each a switch, and the size of the world."""

    pipelined: int = 2
    second: bool = True
    committer: bool = True
    disconnects: int = 2
    crashes: int = 1
    dbdrops: int = 1
    zombies: int = 1
    after: str = "exists"  # exists | last (compare-and-set on the sender's last stored id) | none
    link: str = (
        "relink"  # nearest earlier message, relink: not given up | open: neither OK'd nor given up | literal: any
    )
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
    #: off | free (the first message, after any refusal) | resolved (only if no copy of it is unknown) | permanent (any
    #: message, after a permanent refusal, whatever is unknown)
    giveup: str = "off"
    supersede: str = (
        "off"  # off | transaction (a PUB of an older login is refused in the append) | memory (of each node)
    )
    login_order: str = (
        "arrival"  # newer is: recorded later (arrival) | of a higher number, given by the device (device)
    )
    late_logins: bool = False  # a CONNECT may be recorded after its client has gone
    pub_before_login: bool = False  # a client sends its first PUB right behind CONNECT
    superseded: str = "reconnect"  # what this answer makes a client do: reconnect | stop
    removal: str = "off"  # off | locked (access is judged in the append, after dedupe) | memory (of each node) | first


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
    """One client; `view` is the epoch that it knows of, `login` what is recorded of the login of its connection."""

    node: int
    inbound: tuple[Pub, ...]
    outbound: tuple[Reply, ...]
    messages: tuple[Message, ...]
    view: int
    login: int = CURRENT

    def cut(self) -> Client:
        """The client after it lost its connection: what was out is unknown."""
        messages = tuple(Message(UNSENT, m.epoch, 1) if m.status == SENT else m for m in self.messages)
        return Client(AWAY_NOW, (), (), messages, self.view)

    def with_message(self, index: int, message: Message) -> Client:
        """The client with one message in a new state."""
        messages = (*self.messages[:index], message, *self.messages[index + 1 :])
        return Client(self.node, self.inbound, self.outbound, messages, self.view, self.login)


class Zombie(NamedTuple):
    """PUBs that a node read from a connection which is gone; it may still decide them, and first record its login."""

    node: int
    queue: tuple[Pub, ...]
    client: int
    login: int = CURRENT


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
    told: tuple[int, int] = (0, 0)  # the nodes that have heard of the removal

    def with_client(self, number: int, client: Client) -> State:
        """The world with one client changed."""
        clients = (*self.clients[:number], client, *self.clients[number + 1 :])
        return State(*self[:6], clients, *self[7:])  # half the time of _replace, and this is where the time goes

    def with_login(self, number: int, node: int, rules: Rules, late: int = -1) -> State:
        """The world after a login of a client was recorded through `node`: what that supersedes is `OLD`.

        `late` is the place among the zombies of the connection that logs in, if its client has gone already.
        """
        if rules.supersede == "off" and late < 0:
            return self
        numbered, zombies = rules.login_order == "device", []
        for place, zombie in enumerate(self.zombies):
            if place == late:
                zombies += [zombie._replace(login=CURRENT)] if zombie.queue else []
            elif zombie.client != number or (numbered and 0 <= late < place):
                zombies.append(zombie)
            elif zombie.login == PENDING:
                zombies += [] if numbered else [zombie]  # a CONNECT with a lower number will be refused
            else:
                beaten = rules.supersede == "transaction" or (rules.supersede == "memory" and zombie.node == node)
                zombies.append(zombie._replace(login=OLD) if beaten else zombie)
        after, client = self._replace(zombies=tuple(zombies)), self.clients[number]
        beaten = rules.supersede == "transaction" or (rules.supersede == "memory" and client.node == node)
        if numbered or client.node < 0 or not beaten:
            return after
        return after.with_client(number, client._replace(login=OLD))

    def stored(self, message_id: int) -> Entry | None:
        """The entry under an id, the newest if a broken rule stored two."""
        return next((entry for entry in reversed(self.log) if entry.id == message_id), None)


def pair(other: tuple[int, int], node: int, value: int) -> tuple[int, int]:
    """`other` with the value of one node replaced."""
    return (value, other[1]) if node == 0 else (other[0], value)

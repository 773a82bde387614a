"""The world of the delivery model as values: its rules, its size, and what can be where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

NODES: Final = "AB"
#: Modes of a subscriber. COMPARED and CREATING exist only under the rules that the design does not have.
OFF, CATCHUP, LIVE, COMPARED, CREATING = range(5)
#: `lock` is the number of the node with a COMMIT on the wire, or ORPHAN + that number once the node has crashed.
LOCK_FREE: Final = -1
ORPHAN: Final = 2
HEAD_UNKNOWN: Final = -1
FILL_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules as they are proposed, each a switch, and the size of the world."""

    commits: int = 2
    subs: int = 1
    crashes: int = 1
    disconnects: int = 1
    ring: int = 1
    sock: int = 1
    hub_create: str = "register-first"  # register-first | read-first (SQL head read before the hub listens)
    heartbeat: str = "numbered"  # numbered (incarnation, sequence) | timeout (one lost goes unnoticed) | none
    restart_waits: bool = True  # a node starts only when its earlier incarnation's transactions are over
    attach: str = "atomic"  # atomic | await (a step between compare and attach)
    compare: str = "above-head"  # above-head: next > head | equal: next == head + 1
    contiguous: bool = True  # the hub's head is contiguous, else it jumps to what arrives
    next_check: bool = True  # a frame is sent only if offset == next
    fill_remembers: bool = True  # offsets heard of during a fill are remembered and filled next
    resume: str = "position"  # position | live (a reconnect joins at the hub's head)
    overflow: str = "catchup"  # catchup | drop (a frame that does not fit is dropped, next moves on)


class Hub(NamedTuple):
    """One topic on one node. `fill`: the head that a read from SQL under way will bring."""

    head: int
    ring: tuple[int, ...]
    heard: int
    fill: int


class Node(NamedTuple):
    """One node. `pending`: offsets committed and not yet announced; `beat`: newest commit not yet in a heartbeat."""

    up: int = 1
    pending: int = 0
    beat: int = 0
    missed: int = 0
    hub: Hub | None = None


DOWN: Final = Node(up=0)


class Sub(NamedTuple):
    """One subscriber: what the application has applied, and its subscription where it has one."""

    position: int = 0
    node: int = -1
    mode: int = OFF
    next: int = 0
    socket: tuple[int, ...] = ()
    extra: int = 0


class Budget(NamedTuple):
    """Faults that may still happen."""

    crashes: int
    disconnects: int


class State(NamedTuple):
    """The world. `flying`: announcements to node 0 and 1, heartbeats to node 0 and 1, as sets of offsets."""

    head: int
    lock: int
    left: int
    nodes: tuple[Node, Node]
    flying: tuple[int, ...]
    subs: tuple[Sub, ...]
    budget: Budget

    # The world is built anew rather than by `_replace`, which takes twice the time: this is where the time goes.

    def with_node(self, number: int, node: Node) -> State:
        """The world with one node changed."""
        nodes = (node, self.nodes[1]) if number == 0 else (self.nodes[0], node)
        return State(self.head, self.lock, self.left, nodes, self.flying, self.subs, self.budget)

    def with_flying(self, channel: int, offsets_: int) -> State:
        """The world with another set of messages in one channel."""
        flying = (*self.flying[:channel], offsets_, *self.flying[channel + 1 :])
        return State(self.head, self.lock, self.left, self.nodes, flying, self.subs, self.budget)

    def with_sub(self, at: int, sub: Sub) -> State:
        """The world with one subscriber changed."""
        subs = (*self.subs[:at], sub, *self.subs[at + 1 :])
        return State(self.head, self.lock, self.left, self.nodes, self.flying, subs, self.budget)


def bit(offset: int) -> int:
    """The set of one offset."""
    return 1 << (offset - 1)


def offsets(members: int) -> Iterator[int]:
    """The offsets in a set, from the lowest."""
    offset = 1
    while members:
        if members & 1:
            yield offset
        members >>= 1
        offset += 1

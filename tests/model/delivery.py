"""Delivery: commits appear in the SQL log through either node; what the entries say does not matter.

Two nodes, each with a hub (head, ring, highest offset heard of, fill in progress); announcements and heartbeats between
them as sets of messages in flight, lost, duplicated and reordered at will; subscribers with a bounded socket buffer;
disconnects; node crashes at any step (also with a COMMIT on the wire, which the database finishes or aborts later). The
application applies offset `position + 1` and drops lower ones; a higher one is a silent hole, which breaks P1.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.checker import Step
from tests.model.delivery_state import (
    CATCHUP,
    COMPARED,
    CREATING,
    DOWN,
    FILL_NONE,
    HEAD_UNKNOWN,
    LIVE,
    LOCK_FREE,
    NODES,
    ORPHAN,
    Budget,
    Hub,
    Node,
    Rules,
    State,
    Sub,
    bit,
    offsets,
)


class Delivery:
    """The model of delivery under `rules`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def initial(self) -> State:
        """Both nodes are up, nobody is subscribed, the log is empty."""
        rules = self.rules
        budget = Budget(rules.crashes, rules.disconnects)
        return State(0, LOCK_FREE, rules.commits, (Node(), Node()), (0, 0, 0, 0), (Sub(),) * rules.subs, budget)

    def drained(self, state: State) -> bool:
        """Every subscriber has applied the whole log, and no transaction hangs."""
        return state.lock < 0 and all(sub.position == state.head for sub in state.subs)

    def successors(self, state: State) -> Iterator[Step]:
        """Every step of the world: the database's, each node's, each subscriber's."""
        if state.lock >= ORPHAN:
            finished = state._replace(head=state.head + 1, lock=LOCK_FREE)
            yield Step(("database finishes the orphaned COMMIT of offset %d", state.head + 1), finished)
            yield Step(("database aborts the orphaned transaction",), state._replace(lock=LOCK_FREE))
        for number, node in enumerate(state.nodes):
            if not node.up:
                yield from self._restarts(state, number)
                continue
            yield from self._commits(state, number, node)
            yield from self._speaks(state, number, node)
            yield from self._hears(state, number, node)
            if self.rules.heartbeat != "none":
                yield from self._asks(state, number, node)
            if node.hub is not None:
                yield from self._hub(state, number, node, node.hub)
        for at, sub in enumerate(state.subs):
            if sub.node < 0:
                yield from self._subscribes(state, at, sub)
            else:
                yield from self._subscribed(state, at, sub)

    # -- the rules of a hub: pure

    def _fan_out(self, subs: tuple[Sub, ...], number: int, offset: int) -> tuple[Sub, ...]:
        """Hand `offset` to the live subscribers of node `number`; whoever cannot take it reads on at its own pace."""
        rules, out = self.rules, []
        for sub in subs:
            if sub.node == number and sub.mode == LIVE and not (rules.next_check and offset < sub.next):
                fits = len(sub.socket) < rules.sock
                if rules.next_check and offset > sub.next:
                    sub = sub._replace(mode=CATCHUP)
                elif fits:
                    sub = sub._replace(next=offset + 1, socket=(*sub.socket, offset))
                elif rules.overflow == "catchup":
                    sub = sub._replace(mode=CATCHUP)
                else:
                    sub = sub._replace(next=offset + 1)
            out.append(sub)
        return tuple(out)

    def _pushed(self, ring: tuple[int, ...], offset: int) -> tuple[int, ...]:
        return (*ring, offset)[-self.rules.ring :]

    def _offer(
        self, hub: Hub | None, subs: tuple[Sub, ...], number: int, offset: int
    ) -> tuple[Hub | None, tuple[Sub, ...]]:
        """The frame of `offset` reaches the hub of node `number`."""
        if hub is None:
            return hub, subs
        heard = max(hub.heard, offset)
        if hub.head < 0:
            return hub._replace(heard=heard), subs
        if self.rules.contiguous and (offset != hub.head + 1 or hub.fill >= 0):
            return self._hear(hub, offset), subs
        if offset <= hub.head:
            return Hub(hub.head, hub.ring, heard, FILL_NONE), subs
        subs = self._fan_out(subs, number, offset)
        return Hub(offset, self._pushed(hub.ring, offset), heard, FILL_NONE), subs

    def _hear(self, hub: Hub | None, offset: int) -> Hub | None:
        """The hub learns that `offset` exists, without its frame."""
        if hub is None or (hub.fill >= 0 and hub.head >= 0 and not self.rules.fill_remembers):
            return hub
        return hub._replace(heard=max(hub.heard, offset))

    # -- nodes

    def _restarts(self, state: State, number: int) -> Iterator[Step]:
        if self.rules.restart_waits and state.lock == ORPHAN + number:
            return
        fresh = state.with_node(number, Node())
        other = fresh.nodes[1 - number]
        if self.rules.heartbeat == "numbered":  # the other sees a new incarnation, if it is up itself
            fresh = fresh.with_node(1 - number, other._replace(missed=other.up))
        yield Step(("node %s restarts", NODES[number]), fresh)

    def _commits(self, state: State, number: int, node: Node) -> Iterator[Step]:
        name, offset, holds = NODES[number], state.head + 1, state.lock == number
        if state.budget.crashes:
            crashed = state.with_node(number, DOWN)._replace(
                subs=tuple(Sub(sub.position) if sub.node == number else sub for sub in state.subs),
                lock=ORPHAN + number if holds else state.lock,
                budget=state.budget._replace(crashes=state.budget.crashes - 1),
            )
            yield Step(("node %s crashes%s", name, " with a COMMIT on the wire" if holds else ""), crashed, fault=True)
        if state.lock < 0 and state.left:
            deciding = state._replace(lock=number, left=state.left - 1)
            yield Step(("node %s decides offset %d, COMMIT on the wire", name, offset), deciding, fault=True)
        if holds:
            told = node._replace(pending=node.pending | bit(offset), beat=offset)
            committed = state.with_node(number, told)._replace(head=offset, lock=LOCK_FREE)
            yield Step(("offset %d committed, node %s told", offset, name), committed)

    def _speaks(self, state: State, number: int, node: Node) -> Iterator[Step]:
        name = NODES[number]
        for offset in offsets(node.pending):
            hub, subs = self._offer(node.hub, state.subs, number, offset)
            spoken = state.with_node(number, node._replace(pending=node.pending & ~bit(offset), hub=hub))
            spoken = spoken._replace(subs=subs).with_flying(1 - number, state.flying[1 - number] | bit(offset))
            yield Step(("node %s OKs, fans out and announces %d", name, offset), spoken)
        if node.beat and self.rules.heartbeat != "none":
            beaten = state.with_node(number, node._replace(beat=0))
            beaten = beaten.with_flying(3 - number, state.flying[3 - number] | bit(node.beat))
            yield Step(("node %s sends heartbeat (head %d)", name, node.beat), beaten)

    def _hears(self, state: State, number: int, node: Node) -> Iterator[Step]:
        name, announcements, beats = NODES[number], state.flying[number], state.flying[2 + number]
        for offset in offsets(announcements):
            hub, subs = self._offer(node.hub, state.subs, number, offset)
            heard = state.with_node(number, node._replace(hub=hub))._replace(subs=subs)
            left = announcements & ~bit(offset)
            yield Step(("announcement %d reaches %s", offset, name), heard.with_flying(number, left))
            yield Step(("announcement %d reaches %s, a duplicate stays in flight", offset, name), heard, fault=True)
            lost = state.with_flying(number, left)
            yield Step(("announcement %d to %s lost", offset, name), lost, fault=True)
        for offset in offsets(beats):
            gone = state.with_flying(2 + number, beats & ~bit(offset))
            heard = gone.with_node(number, node._replace(hub=self._hear(node.hub, offset)))
            yield Step(("heartbeat (head %d) reaches %s", offset, name), heard)
            missed = 1 if self.rules.heartbeat == "numbered" else node.missed
            lost = gone.with_node(number, node._replace(missed=missed))
            yield Step(("heartbeat (head %d) to %s lost", offset, name), lost, fault=True)

    def _asks(self, state: State, number: int, node: Node) -> Iterator[Step]:
        name = NODES[number]
        if not state.nodes[1 - number].up and not node.missed:
            yield Step(("node %s notices silence", name), state.with_node(number, node._replace(missed=1)))
        if node.missed:
            told = node._replace(missed=0, hub=self._hear(node.hub, state.head))
            yield Step(("node %s asks SQL for heads: %d", name, state.head), state.with_node(number, told))

    # -- hubs

    def _hub(self, state: State, number: int, node: Node, hub: Hub) -> Iterator[Step]:
        def with_hub(new: Hub) -> State:
            return state.with_node(number, node._replace(hub=new))

        name = NODES[number]
        if hub.head < 0 and hub.fill < 0:
            yield Step(("hub %s reads head %d from SQL", name, state.head), with_hub(hub._replace(fill=state.head)))
        elif hub.head < 0:
            started = Hub(hub.fill, (), max(hub.heard, hub.fill), FILL_NONE)
            yield Step(("hub %s starts at head %d", name, hub.fill), with_hub(started))
        elif hub.fill >= 0:
            subs, filled = self._fill(state, number, hub)
            yield Step(("hub %s applies its fill up to %d", name, hub.fill), with_hub(filled)._replace(subs=subs))
        elif hub.heard > hub.head and self.rules.contiguous:
            label = ("hub %s reads %d..%d from SQL", name, hub.head + 1, state.head)
            yield Step(label, with_hub(hub._replace(fill=state.head)))
        elif hub.heard > hub.head:  # the mutation: a heartbeat only moves the head
            jumped = with_hub(hub._replace(head=hub.heard))
            subs = tuple(self._overtaken(sub, number, hub.heard) for sub in state.subs)
            yield Step(("hub %s head jumps to %d", name, hub.heard), jumped._replace(subs=subs))

    def _overtaken(self, sub: Sub, number: int, head: int) -> Sub:
        behind = sub.node == number and sub.mode == LIVE and sub.next <= head and self.rules.next_check
        return sub._replace(mode=CATCHUP) if behind else sub

    def _fill(self, state: State, number: int, hub: Hub) -> tuple[tuple[Sub, ...], Hub]:
        subs, head, ring = state.subs, hub.head, hub.ring
        for offset in range(hub.head + 1, hub.fill + 1):
            subs = self._fan_out(subs, number, offset)
            head, ring = offset, self._pushed(ring, offset)
        heard = max(hub.heard, head) if self.rules.fill_remembers else head
        return subs, Hub(head, ring, heard, FILL_NONE)

    # -- subscribers

    def _subscribes(self, state: State, at: int, sub: Sub) -> Iterator[Step]:
        wanted = sub.position + 1
        for number, node in enumerate(state.nodes):
            if not node.up:
                continue
            name, hub, start = NODES[number], node.hub, wanted
            if hub is None and self.rules.hub_create == "read-first":
                template = "sub %d SUBs %s from %d; the node reads head %d from SQL, no hub yet"
                creating = Sub(sub.position, number, CREATING, start, (), state.head)
                yield Step((template, at, name, start, state.head), state.with_sub(at, creating))
                continue
            if self.rules.resume == "live" and hub is not None and hub.head >= 0:
                start = hub.head + 1
            joined = state.with_sub(at, Sub(sub.position, number, CATCHUP, start))
            if hub is None:
                joined = joined.with_node(number, node._replace(hub=Hub(HEAD_UNKNOWN, (), 0, FILL_NONE)))
            yield Step(("sub %d SUBs %s from %d", at, name, start), joined)

    def _subscribed(self, state: State, at: int, sub: Sub) -> Iterator[Step]:
        name, node = NODES[sub.node], state.nodes[sub.node]
        if state.budget.disconnects:
            budget = state.budget._replace(disconnects=state.budget.disconnects - 1)
            gone = state.with_sub(at, Sub(sub.position))._replace(budget=budget)
            yield Step(("sub %d disconnects from %s", at, name), gone, fault=True)
        if sub.socket:
            offset = sub.socket[0]
            hole = offset > sub.position + 1
            broken = f"P1: silent hole: sub {at} applied {sub.position}, then got {offset}" if hole else None
            read = sub._replace(position=max(sub.position, offset), socket=sub.socket[1:])
            yield Step(("sub %d reads %d", at, offset), state.with_sub(at, read), broken)
        if sub.mode == CREATING:
            started = state.with_sub(at, sub._replace(mode=CATCHUP, extra=0))
            if node.hub is None:
                hub = Hub(sub.extra, (), sub.extra, FILL_NONE)
                started = started.with_node(sub.node, node._replace(hub=hub))
            yield Step(("hub %s starts at head %d", name, sub.extra), started)
        elif node.hub is not None and sub.mode == COMPARED:
            label = ("sub %d attaches to hub %s (next %d, head %d)", at, name, sub.next, node.hub.head)
            yield Step(label, state.with_sub(at, sub._replace(mode=LIVE)))
        elif node.hub is not None and sub.mode == CATCHUP and node.hub.head >= 0:
            yield from self._catches_up(state, at, sub, node.hub)

    def _catches_up(self, state: State, at: int, sub: Sub, hub: Hub) -> Iterator[Step]:
        name = NODES[sub.node]
        if sub.next == hub.head + 1 or (sub.next > hub.head and self.rules.compare == "above-head"):
            mode, said = (LIVE, "live") if self.rules.attach == "atomic" else (COMPARED, "compare says live")
            label = ("sub %d at %s: next %d, head %d: %s", at, name, sub.next, hub.head, said)
            yield Step(label, state.with_sub(at, sub._replace(mode=mode)))
            return
        if sub.next > state.head or len(sub.socket) >= self.rules.sock:
            return
        read = state.with_sub(at, sub._replace(next=sub.next + 1, socket=(*sub.socket, sub.next)))
        if not (hub.ring and sub.next >= hub.ring[0]):
            yield Step(("sub %d reads on %d from SQL at %s", at, sub.next, name), read)
        elif sub.next in hub.ring:
            yield Step(("sub %d reads on %d from ring %s", at, sub.next, name), read)

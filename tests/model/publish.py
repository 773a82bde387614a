"""Publishing: clients -> two nodes -> one SQL log (the row lock makes decide and append one step).

Clients: 0 sends `pipelined` messages, 1 sends one, 2 commits once (epoch 0 -> 1). Every client connects to any node
that is up, pipelines PUBs, loses the connection (what the old node had read already stays in its queue as a *zombie*
that may still be decided at any later time), retries the same id and bytes on any node, and re-seals only after a
definite refusal for a stale epoch.

Faults: a disconnect (any suffix of what was in flight is lost), a node's crash (before, after or *during* a COMMIT: the
database then finishes or aborts it later, holding the row lock), the database link lost at COMMIT with the node alive.

Logins: to connect is to be recorded, in one step, as the newest login of the device. A zombie belongs to an older one,
and with `supersede` its PUBs are refused in the append. With `late_logins` a client may also go before it is logged in,
and the node records that login at any later time, with the PUB that came behind CONNECT if the client does not wait.

Access: with `removal` the commit is the access entry that removes client 0 from the topic. What is not stored of it by
then is refused for good, also where it knows the new epoch: access must hold without the fence.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.checker import Step
from tests.model.publish_state import (
    APPENDED,
    AWAY,
    AWAY_NOW,
    COMMITTER,
    CONFLICT,
    CURRENT,
    DENIED,
    GIVEN_UP,
    INFLIGHT_MAX,
    NODES,
    OK,
    OLD,
    OUT_OF_ORDER,
    PENDING,
    QUOTA,
    REMOVED,
    SENT,
    STALE,
    STOPPED,
    STORED,
    SUPERSEDED,
    UNSENT,
    Budget,
    Client,
    Entry,
    Message,
    Pub,
    Reply,
    Rules,
    State,
    Zombie,
    pair,
)


class Publish:
    """The model of publishing under `rules`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def initial(self) -> State:
        """Nobody is connected, nothing is sent, the log is empty."""
        rules = self.rules
        counts = (rules.pipelined, int(rules.second), int(rules.committer))
        clients = tuple(Client(AWAY_NOW, (), (), (Message(),) * count, 0) for count in counts)
        budget = Budget(rules.disconnects, rules.crashes, rules.dbdrops)
        return State((), 0, (0, 0), None, int(rules.quota), (1, 1), clients, (), (), budget)

    def drained(self, state: State) -> bool:
        """Every message is stored or given up, and no transaction hangs."""
        return state.orphan is None and all(m.status >= STORED for client in state.clients for m in client.messages)

    def successors(self, state: State) -> Iterator[Step]:
        """Every step of the world: first the environment's, then the nodes', then the clients'."""
        yield from self._environment(state)
        yield from self._zombies(state)
        for number, client in enumerate(state.clients):
            if not client.messages or client.node == STOPPED:
                continue
            if client.node < 0:
                yield from self._connects(state, number, client)
                continue
            if client.view < state.epoch and number == 0:
                learned = state.with_client(number, client._replace(view=state.epoch))
                yield Step(("client %d learns epoch %d", number, state.epoch), learned)
            yield from self._sends(state, number, client)
            if state.budget.disconnects:
                yield from self._disconnects(state, number, client)
            if client.inbound and state.orphan is None:
                yield from self._decides(state, number, client)
            if client.outbound:
                yield from self._reads(state, number, client)

    # -- the rules of the relay: pure

    def decide(self, state: State, node: int, pub: Pub, login: int) -> str:
        """What a node answers to `pub` of a connection, with the log as it is under the row lock."""
        rules = self.rules
        if login == OLD:
            return SUPERSEDED
        if rules.removal == "first" and self._is_denied(state, node, pub):
            return DENIED
        stored = state.stored(pub.id) if rules.dedupe else None
        duplicate = None if stored is None else OK if stored.epoch == pub.epoch else CONFLICT
        fence = None if self._fresh(state, node, pub) else STALE
        if duplicate is None and rules.removal != "off" and self._is_denied(state, node, pub):
            return DENIED
        first, second = (duplicate, fence) if rules.order == "dedupe-first" else (fence, duplicate)
        if first or second:
            return first or second or ""
        if rules.after == "exists" and pub.after >= 0 and state.stored(pub.after) is None:
            return OUT_OF_ORDER
        if rules.after == "last":
            mine = [entry.id for entry in state.log if entry.id // 10 == pub.id // 10]
            if (mine[-1] if mine else -1) != pub.after:
                return OUT_OF_ORDER
        if state.quota and pub.id < 10:
            return QUOTA
        return APPENDED

    def _is_denied(self, state: State, node: int, pub: Pub) -> bool:
        removed = state.told[node] if self.rules.removal == "memory" else state.epoch
        return pub.id // 10 == REMOVED and bool(removed)

    def _fresh(self, state: State, node: int, pub: Pub) -> bool:
        if pub.epoch == state.epoch:
            return True
        in_grace = self.rules.grace != "off" and not state.grace_over[node]
        is_commit = pub.id // 10 == COMMITTER
        return not is_commit and pub.epoch == state.epoch - 1 and (in_grace or not self.rules.fence_locked)

    def _append(self, state: State, pub: Pub) -> tuple[State, str | None]:
        """The world with `pub` in its log, and the promise that this breaks, if any."""
        is_commit = pub.id // 10 == COMMITTER
        after = state._replace(log=(*state.log, Entry(pub.id, pub.epoch)))
        if is_commit:
            after = after._replace(epoch=state.epoch + 1, grace_over=(0, 0))
        return after, self._broken_by(state, pub)

    def _broken_by(self, state: State, pub: Pub) -> str | None:
        sender, index = divmod(pub.id, 10)
        ids = [entry.id for entry in state.log]
        if pub.id in ids:
            return f"P4: id {pub.id} stored twice"
        if any(other // 10 == sender and other > pub.id for other in ids):
            return f"P3: sender {sender}'s messages swapped: {pub.id} after {ids}"
        if (pub.id, pub.epoch) in state.refused:
            return f"P5: attempt (id {pub.id}, epoch {pub.epoch}) was definitely refused and is now stored"
        if sender == COMMITTER:
            return None
        if state.clients[sender].messages[index].status == GIVEN_UP:
            return f"P5: id {pub.id} was given up after a definite refusal and is now stored"
        if self.rules.removal != "off" and sender == REMOVED and state.epoch:
            offset = 1 + next(at for at, other in enumerate(ids) if other // 10 == COMMITTER)
            return f"access: id {pub.id} is stored after the removal of its sender at offset {offset}"
        if pub.epoch != state.epoch and self.rules.grace == "off":
            return f"fence: entry of epoch {pub.epoch} stored in epoch {state.epoch}"
        return None

    def _step(self, label: tuple[object, ...], state: State, violation: str | None, fault: bool = False) -> Step:
        if violation and violation[:2] in self.rules.ignore:
            violation = None
        return Step(label, state, violation, fault)

    # -- environment

    def _environment(self, state: State) -> Iterator[Step]:
        if state.orphan is not None:
            pub, free = state.orphan, state._replace(orphan=None)
            after, broken = self._append(free, pub)
            yield self._step(("database finishes the orphaned COMMIT of %d/e%d", pub.id, pub.epoch), after, broken)
            yield self._step(("database aborts the orphaned transaction of %d", pub.id), free, _lost_ok(state, pub))
        if state.quota:
            yield Step(("quota frees",), state._replace(quota=0))
        if self.rules.grace != "off" and state.epoch:
            yield from self._grace_ends(state)
        for node in (0, 1):
            if self.rules.removal == "memory" and state.epoch and not state.told[node]:
                told = state._replace(told=pair(state.told, node, 1))
                yield Step(("node %s hears of the removal", NODES[node]), told)
            if not state.up[node]:
                yield Step(("node %s restarts", NODES[node]), state._replace(up=pair(state.up, node, 1)))
            elif state.budget.crashes:
                yield Step(("node %s crashes", NODES[node]), _crash(state, node), fault=True)

    def _grace_ends(self, state: State) -> Iterator[Step]:
        for node in (0, 1):
            if state.grace_over[node]:
                continue
            if self.rules.grace == "db-clock":
                over = state._replace(grace_over=(1, 1))
                yield Step(("grace for the previous epoch ends on the database's clock",), over)
                return
            over = state._replace(grace_over=pair(state.grace_over, node, 1))
            yield Step(("grace for the previous epoch ends on node %s's clock", NODES[node]), over)

    def _zombies(self, state: State) -> Iterator[Step]:
        for at, (node, queue, client, login) in enumerate(state.zombies):
            if login == PENDING:
                after = state.with_login(client, node, self.rules, late=at)
                yield Step(("node %s records the late login of client %d", NODES[node], client), after)
                continue
            if state.orphan is not None:
                continue
            pub = queue[0]
            tail = (Zombie(node, queue[1:], client, login),) if len(queue) > 1 else ()
            rest = state._replace(zombies=(*state.zombies[:at], *tail, *state.zombies[at + 1 :]))
            answer = self.decide(state, node, pub, login)
            label = ("node %s decides zombie PUB %d/e%d: %s (reply lost)", NODES[node], pub.id, pub.epoch, answer)
            after, broken = self._append(rest, pub) if answer == APPENDED else (rest, None)
            yield self._step(label, after, broken)

    # -- clients

    def _connects(self, state: State, number: int, client: Client) -> Iterator[Step]:
        if all(message.status >= STORED for message in client.messages):
            return
        for node in (0, 1):
            if not state.up[node]:
                continue
            connected = client._replace(node=node, inbound=(), outbound=(), login=CURRENT)
            logged_in = state.with_login(number, node, self.rules).with_client(number, connected)
            yield Step(("client %d connects to %s", number, NODES[node]), logged_in)
            if self.rules.late_logins and state.budget.disconnects and len(state.zombies) < self.rules.zombies:
                yield self._gives_up_connecting(state, number, connected)

    def _gives_up_connecting(self, state: State, number: int, client: Client) -> Step:
        """The client sent CONNECT, hears nothing and goes; the node still has it, and the PUB that was behind it."""
        if self.rules.pub_before_login:
            for sent in self._sends(state, number, client):
                state = sent.state  # type: ignore[assignment]
        late = state.clients[number]
        zombie = Zombie(client.node, late.inbound, number, PENDING)
        budget = state.budget._replace(disconnects=state.budget.disconnects - 1)
        gone = state.with_client(number, late.cut())._replace(budget=budget, zombies=(*state.zombies, zombie))
        label = ("client %d sends CONNECT and %d PUB(s) to %s, which is slow, and goes", number, len(late.inbound))
        return Step((*label, NODES[client.node]), gone, fault=True)

    def _sends(self, state: State, number: int, client: Client) -> Iterator[Step]:
        """The lowest message that is not out on this connection."""
        index = next((at for at, message in enumerate(client.messages) if message.status == UNSENT), None)
        if index is None or len(client.inbound) + len(client.outbound) >= INFLIGHT_MAX:
            return
        _status, epoch, unknown = client.messages[index]
        if epoch < 0 or (self.rules.reseal_unknown and unknown and epoch != client.view):
            epoch = client.view
        pub = Pub(number * 10 + index, epoch, self._after(number, client, index))
        sender = client.with_message(index, Message(SENT, epoch, unknown))
        sender = sender._replace(inbound=(*client.inbound, pub))
        refused = tuple(attempt for attempt in state.refused if attempt != (pub.id, epoch))
        label = ("client %d sends PUB %d/e%d after %d to %s", number, *pub, NODES[client.node])
        yield Step(label, state.with_client(number, sender)._replace(refused=refused))

    def _after(self, number: int, client: Client, index: int) -> int:
        done = {"literal": (), "relink": (GIVEN_UP,), "open": (GIVEN_UP, STORED)}[self.rules.link]
        for earlier in range(index - 1, -1, -1):
            if client.messages[earlier].status not in done:
                return number * 10 + earlier
        return -1

    def _disconnects(self, state: State, number: int, client: Client) -> Iterator[Step]:
        budget = state.budget._replace(disconnects=state.budget.disconnects - 1)
        cut = state.with_client(number, client.cut())._replace(budget=budget)
        node = NODES[client.node]
        yield Step(("client %d disconnects from %s, unread PUBs lost", number, node), cut, fault=True)
        if len(state.zombies) >= self.rules.zombies:
            return
        for kept in range(1, len(client.inbound) + 1):
            zombie = Zombie(client.node, client.inbound[:kept], number, client.login)
            label = ("client %d disconnects from %s, which keeps %d PUB(s) undecided", number, node, kept)
            yield Step(label, cut._replace(zombies=(*state.zombies, zombie)), fault=True)

    def _decides(self, state: State, number: int, client: Client) -> Iterator[Step]:
        """The node takes the client's oldest PUB; no transaction is open, so the row lock is free."""
        pub, name = client.inbound[0], NODES[client.node]
        answer = self.decide(state, client.node, pub, client.login)
        if answer != APPENDED:
            broken = None
            if answer not in (OK, CONFLICT, SUPERSEDED) and state.stored(pub.id):
                broken = f"P5: id {pub.id} is stored and answered {answer}"
            answered = state.with_client(number, _answered(client, answer))
            yield self._step(("node %s decides %d/e%d: %s", name, pub.id, pub.epoch, answer), answered, broken)
            return
        told = state.with_client(number, _answered(client, OK))
        if self.rules.ok_after_commit:
            after, broken = self._append(state, pub)
            after = after._replace(clients=told.clients)
            label = ("node %s decides %d/e%d: %s and committed", name, pub.id, pub.epoch, answer)
            yield self._step(label, after, broken)
        else:
            label = ("node %s decides %d/e%d: %s, OK before COMMIT", name, pub.id, pub.epoch, answer)
            yield Step(label, told._replace(orphan=pub))
        yield from self._fails_at_commit(state, number, client)

    def _fails_at_commit(self, state: State, number: int, client: Client) -> Iterator[Step]:
        pub, name = client.inbound[0], NODES[client.node]
        if state.budget.crashes:
            crashed = _crash(state, client.node)._replace(orphan=pub)
            label: tuple[object, ...] = ("node %s crashes with the COMMIT of %d/e%d on the wire", name, *pub[:2])
            yield Step(label, crashed, fault=True)
        if not state.budget.dbdrops:
            return
        dropped = state._replace(orphan=pub, budget=state.budget._replace(dbdrops=state.budget.dbdrops - 1))
        label = ("node %s loses its database link during COMMIT of %d", name, pub.id)
        if not self.rules.resolve_locked:  # else it stays queued, and is decided again under the lock
            label = (f"{label[0]}, reads without lock: not there, 504", *label[1:])
            dropped = dropped.with_client(number, _answered(client, AWAY))
        yield Step(label, dropped, fault=True)

    def _reads(self, state: State, number: int, client: Client) -> Iterator[Step]:
        """The client takes the oldest reply; what it makes of it is the SDK's part of the rules."""
        message_id, epoch, answer = client.outbound[0]
        if answer == SUPERSEDED:
            stops = self.rules.superseded == "stop"
            gone = client.cut()._replace(node=STOPPED if stops else AWAY_NOW)
            label: tuple[object, ...] = ("client %d reads %s for %d/e%d and %s", number, answer, message_id, epoch)
            yield Step((*label, "stops" if stops else "drops the connection"), state.with_client(number, gone))
            return
        index = message_id % 10
        status, own_epoch, unknown = message = client.messages[index]
        refused, view, broken = state.refused, client.view, None
        if answer in (OK, CONFLICT):
            message = Message(STORED, epoch, 0)
            if answer == CONFLICT:
                broken = f"P5: client {number} is told that other bytes than its last are stored under id {message_id}"
        elif status == SENT and own_epoch == epoch:  # else an older copy's answer: a newer one is out
            if answer in self.rules.definite:
                refused = tuple(sorted({*refused, (message_id, epoch)}))
            if answer == STALE:
                view = max(view, state.epoch)
            message = Message(UNSENT, -1 if answer == STALE else epoch, unknown)
            if answer == DENIED:
                message = Message(GIVEN_UP, epoch, unknown)
                broken = self._given_up(state, message_id)
        reader = client._replace(outbound=client.outbound[1:], view=view)
        label = ("client %d reads %s for %d/e%d", number, answer, message_id, epoch)
        after = state._replace(refused=refused)
        yield self._step(label, after.with_client(number, reader.with_message(index, message)), broken)
        if self._may_give_up(message_id, answer, unknown) and message.status == UNSENT:
            given_up = reader.with_message(index, Message(GIVEN_UP, epoch, unknown))
            label = (f"{label[0]} and gives it up", *label[1:])
            broken = self._given_up(state, message_id)
            yield self._step(label, after.with_client(number, given_up), broken, fault=True)

    def _may_give_up(self, message_id: int, answer: str, unknown: int) -> bool:
        if self.rules.giveup == "permanent":
            return answer == QUOTA
        may = self.rules.giveup == "free" or (self.rules.giveup == "resolved" and not unknown)
        return may and message_id == 0 and answer in (QUOTA, STALE, OUT_OF_ORDER)

    def _given_up(self, state: State, message_id: int) -> str | None:
        # Without superseding, a copy that lands after it was given up says as much, and is what those rows look for.
        if self.rules.supersede == "off" or not state.stored(message_id):
            return None
        return f"P5: id {message_id} is given up and was stored before"


def _answered(client: Client, answer: str) -> Client:
    pub = client.inbound[0]
    reply = Reply(pub.id, pub.epoch, answer)
    return client._replace(inbound=client.inbound[1:], outbound=(*client.outbound, reply))


def _lost_ok(state: State, pub: Pub) -> str | None:
    sender, index = divmod(pub.id, 10)
    client = state.clients[sender]
    known = client.messages[index].status == STORED
    if known or any(reply.id == pub.id and reply.answer == OK for reply in client.outbound):
        return f"P1: id {pub.id} was OK'd and is not in the log"
    return None


def _crash(state: State, node: int) -> State:
    clients = tuple(client.cut() if client.node == node else client for client in state.clients)
    return state._replace(
        up=pair(state.up, node, 0),
        clients=clients,
        zombies=tuple(zombie for zombie in state.zombies if zombie.node != node),
        budget=state.budget._replace(crashes=state.budget.crashes - 1),
    )

"""A group of three to five as a Hypothesis state machine: members commit, race, send, fall behind and crash, messages
come late, twice or never; whoever is at the same epoch agrees on everything."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.mls import BadMessage, Group, Pending, StaleMessage, nodes
from tests.protocol.mls.people import NOW_S, Person, founded, joined
from tests.protocol.mls.vector_checks import deterministic

NAMES = ("ann", "bob", "cat", "dan", "eve")
LONG = os.environ.get("CHAPPE_LONG") == "1"


@dataclass
class Letter:
    """An application message on its way to one receiver."""

    message: bytes
    text: bytes
    sender: str
    epoch: int
    opened: bool = False


@dataclass
class Device:
    """A member: its state, how many commits of the log it has seen, and what is on its way to it."""

    group: Group
    seen: int
    mail: list[Letter] = field(default_factory=list)


class GroupMachine(RuleBasedStateMachine):
    """The log of commits is the truth; each device follows at its own pace."""

    picks = Bundle("picks")

    def __init__(self) -> None:
        super().__init__()
        self.people = {name: Person(name) for name in NAMES}
        self.devices: dict[str, Device] = {}
        self.log: list[bytes] = []
        self.entropy = deterministic("machine")
        self.agreed: dict[int, bytes] = {}

    def pick(self, number: int) -> str:
        """Some member."""
        names = sorted(self.devices)
        return names[number % len(names)]

    @initialize(size=st.integers(2, 4), suite=st.sampled_from([1, 3]))
    def start(self, size: int, suite: int) -> None:
        """A group of these."""
        self.suite = suite
        first = self.people["ann"]
        self.devices["ann"] = Device(founded(first, suite=suite), 0)
        self._commit("ann", add=list(NAMES[1:size]), remove=[])

    def _pending(self, name: str, add: list[str], remove: list[str]) -> tuple[Pending, list[tuple[str, object]]]:
        group = self.devices[name].group
        leaves = {member.identity.decode(): member.leaf for member in group.members}
        packages = [(other, self.people[other].key_package(self.suite)) for other in add]
        pending = group.commit(
            add=[package.key_package for _, package in packages],
            remove=[leaves[other] for other in remove],
            authenticated_data=b"commit",
            group_info_extensions=lambda tree: {nodes.GROUP_INFO_EXTENSION: tree[:4]},
            tree_in_welcome=False,
            entropy=self.entropy,
            now_s=NOW_S,
        )
        return pending, list(packages)

    def _commit(self, name: str, add: list[str], remove: list[str]) -> None:
        """The committer sees its commit accepted at once, and newcomers join at once."""
        pending, packages = self._pending(name, add, remove)
        self.log.append(pending.commit)
        device = self.devices[name]
        device.group, device.seen = pending.next, len(self.log)
        for other, package in packages:
            self.devices.pop(other, None)
            self.devices[other] = Device(joined(self.people[other], package, pending), len(self.log))  # type: ignore[arg-type]

    def _catch_up(self, name: str, steps: int | None = None) -> None:
        device = self.devices.get(name)
        while device is not None and device.seen < len(self.log) and steps != 0:
            done = device.group.apply(self.log[device.seen], authenticated_data=b"commit", now_s=NOW_S)
            if done.removed_self:
                del self.devices[name]
                return
            device.group, device.seen = done.next, device.seen + 1
            steps = None if steps is None else steps - 1

    @rule(number=st.integers(0, 9))
    def update(self, number: int) -> None:
        """An empty commit: new keys for one."""
        name = self.pick(number)
        self._catch_up(name)
        if name in self.devices:
            self._commit(name, add=[], remove=[])

    @rule(number=st.integers(0, 9), who=st.sets(st.sampled_from(NAMES), min_size=1, max_size=2))
    def add(self, number: int, who: set[str]) -> None:
        """Adds those who are out."""
        name = self.pick(number)
        self._catch_up(name)
        if name not in self.devices:
            return
        inside = {member.identity.decode() for member in self.devices[name].group.members}
        newcomers = sorted(who - inside)
        for other in newcomers:
            self.devices.pop(other, None)
        self._commit(name, add=newcomers, remove=[])

    @rule(number=st.integers(0, 9), who=st.sampled_from(NAMES), readmit=st.booleans())
    def remove(self, number: int, who: str, readmit: bool) -> None:
        """Removes one, or removes and adds it again in one commit."""
        name = self.pick(number)
        self._catch_up(name)
        if name not in self.devices or name == who:
            return
        inside = {member.identity.decode() for member in self.devices[name].group.members}
        if who in inside and len(inside) > 2:
            self._commit(name, add=[who] if readmit else [], remove=[who])

    @precondition(lambda self: len(self.devices) > 1)
    @rule(winner=st.integers(0, 9), loser=st.integers(0, 9))
    def race(self, winner: int, loser: int) -> None:
        """Two commit in the same epoch; the second one's is refused by the relay, and it follows the first's."""
        first, second = self.pick(winner), self.pick(loser)
        self._catch_up(first)
        self._catch_up(second)
        if first == second or first not in self.devices or second not in self.devices:
            return
        lost, _ = self._pending(second, [], [])
        self.devices[second].group = lost.current
        self._commit(first, [], [])
        self._catch_up(second)

    @rule(number=st.integers(0, 9), text=st.binary(max_size=40), padding=st.integers(0, 30))
    def send(self, number: int, text: bytes, padding: int) -> None:
        """A message to everybody who is a member in the sender's epoch."""
        name = self.pick(number)
        device = self.devices[name]
        epoch = device.group.epoch
        message, device.group = device.group.seal(
            text, authenticated_data=b"text", entropy=self.entropy, padding=padding
        )
        for other, receiver in self.devices.items():
            if other != name:
                receiver.mail.append(Letter(message, text, name, epoch))

    @rule(number=st.integers(0, 9), which=st.integers(0, 99), twice=st.booleans())
    def deliver(self, number: int, which: int, twice: bool) -> None:
        """Some message arrives, out of order, perhaps again."""
        device = self.devices[self.pick(number)]
        if not device.mail:
            return
        letter = device.mail[which % len(device.mail)]
        for _ in range(2 if twice else 1):
            self._receive(device, letter)

    def _receive(self, device: Device, letter: Letter) -> None:
        group = device.group
        readable = letter.epoch == group.epoch or (letter.epoch == group.epoch - 1 and group._past_keys is not None)
        try:
            opened, device.group = group.open(letter.message, authenticated_data=b"text")
        except StaleMessage:
            assert not readable
        except BadMessage:
            assert letter.opened
        else:
            assert readable
            assert not letter.opened
            assert (opened.plaintext, opened.sender.identity) == (letter.text, letter.sender.encode())
            assert opened.epoch == letter.epoch
            letter.opened = True

    @rule(number=st.integers(0, 9), which=st.integers(0, 99))
    def lose(self, number: int, which: int) -> None:
        """Some message never arrives."""
        mail = self.devices[self.pick(number)].mail
        if mail:
            del mail[which % len(mail)]

    @rule(number=st.integers(0, 9), steps=st.integers(1, 3))
    def follow(self, number: int, steps: int) -> None:
        """A device applies some of the commits that it has not seen."""
        self._catch_up(self.pick(number), steps)

    @rule(number=st.integers(0, 9))
    def crash(self, number: int) -> None:
        """A device starts again from what it stored."""
        device = self.devices[self.pick(number)]
        device.group = Group.from_parts(device.group.to_parts())

    @invariant()
    def members_of_an_epoch_agree(self) -> None:
        """One authenticator, one roster, one tree, one exported secret for each epoch."""
        for device in self.devices.values():
            group = device.group
            names = b",".join(member.identity for member in group.members)
            view = group.epoch_authenticator + names + group.export("x", b"", 16)
            assert self.agreed.setdefault(group.epoch, view) == view

    def teardown(self) -> None:
        """In the end all that are left agree, and everybody reads everybody."""
        for name in list(self.devices):
            self._catch_up(name)
        assert len({device.group.epoch_authenticator for device in self.devices.values()}) <= 1
        for name, device in self.devices.items():
            message, device.group = device.group.seal(b"end", authenticated_data=b"text", entropy=self.entropy)
            for other, receiver in self.devices.items():
                if other != name:
                    opened, receiver.group = receiver.group.open(message, authenticated_data=b"text")
                    assert opened.sender.identity == name.encode()


GroupMachine.TestCase.settings = settings(
    max_examples=300 if LONG else 80, stateful_step_count=60 if LONG else 30, deadline=None
)
TestGroupMachine = GroupMachine.TestCase

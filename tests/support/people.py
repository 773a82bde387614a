"""Accounts, devices and frames for tests of the relay: deterministic keys, real signatures, any bytes as bodies."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field

from nacl import bindings as sodium

from protocol import frames as F
from protocol import identity, ids
from protocol.codec import encode_struct
from protocol.identity import Device, DeviceList, SigningKey
from protocol.limits import DEVICE_LIST_LIFE_MS


def seed(*names: object) -> bytes:
    """32 bytes that follow from a name."""
    return hashlib.sha256(repr(names).encode()).digest()


@dataclass
class Person:
    """One account with one device (more through ``device``)."""

    name: str
    now_ms: int
    service: bool = False
    root: SigningKey = field(init=False)
    key: SigningKey = field(init=False)
    inbox_key: bytes = field(init=False)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1), init=False)

    def __post_init__(self) -> None:
        self.root = SigningKey(seed(self.name, "root"))
        self.key = SigningKey(seed(self.name, "device"))
        self.inbox_key = sodium.crypto_scalarmult_base(seed(self.name, "inbox"))

    @property
    def account(self) -> bytes:
        """The account's id."""
        return self.root.public

    @property
    def device(self) -> bytes:
        """The device's id."""
        return self.key.public

    def second(self) -> Person:
        """Another device of the same account."""
        other = Person(self.name, self.now_ms)
        other.key = SigningKey(seed(self.name, "second device"))
        return other

    def devices(self, version: int = 1, *others: bytes, without_own: bool = False, life_ms: int = DEVICE_LIST_LIFE_MS,
                created_ms: int | None = None) -> DeviceList:  # fmt: skip
        """A device list."""
        created = self.now_ms if created_ms is None else created_ms
        keys = [*([] if without_own else [self.device]), *others]
        entries = tuple(Device(key, self.inbox_key, created, key == self.device) for key in keys)
        return DeviceList(self.account, version, created, created + life_ms, entries, service=self.service)

    def signed(self, devices: DeviceList | None = None) -> bytes:
        """A device list signed by the root key."""
        return identity.sign_list(devices or self.devices(), self.root)

    def id(self, now_ms: int | None = None) -> bytes:
        """A new message id."""
        number = next(self._ids)
        when = self.now_ms if now_ms is None else now_ms
        return ids.new_id(
            when,
            lambda size: hashlib.sha256(self.device + bytes([number % 256]) + str(number).encode()).digest()[:size],
        )

    def connect(self, info: F.Info, rid: int = 1, **changes: object) -> F.Connect:
        """A CONNECT that proves the device to this relay."""
        nonce = seed(self.name, "nonce")
        message = identity.challenge(info.cluster, info.nonce, nonce, F.VERSION, self.account, self.device)
        values: dict[str, object] = {
            "rid": rid, "version": F.VERSION, "device": self.device, "nonce": nonce,
            "signature": identity.sign_challenge(self.key, message), "account": self.account, "list_version": 1,
            "agent": "test/1",
        }  # fmt: skip
        return F.Connect(**(values | changes))  # type: ignore[arg-type]


def group(founder: Person, *others: Person, nonce: bytes = b"a nonce of sixteen bytes"[:16], rid: int = 90) -> F.Pub:
    """The commit that founds a group; everybody else is a member."""
    change = F.AccessChange(added=tuple((other.account, F.Role.MEMBER) for other in others))
    bundle = F.Bundle(create=F.Create(ids.TopicKind.GROUP, nonce=nonce))
    return F.Pub(
        rid, ids.group_topic(founder.account, nonce), founder.id(), flags=F.Flag.COMMIT | F.Flag.ACCESS, epoch=(1, 0),
        header=encode_struct(change), body=b"commit", bundle=bundle,
    )  # fmt: skip


def message(
    sender: Person, topic: bytes, body: bytes = b"sealed", *, rid: int = 0, fence: int = 1, after: bytes | None = None
) -> F.Pub:
    """An application message of a conversation."""
    return F.Pub(rid, topic, sender.id(), after=after, epoch=(1, fence), body=body)


def commit(
    sender: Person, topic: bytes, *, added: tuple[Person, ...] = (), removed: tuple[Person, ...] = (), fence: int = 1,
    rid: int = 0, read_from: int = 0, welcomes: bool = False,
) -> F.Pub:  # fmt: skip
    """A commit with an access change."""
    change = F.AccessChange(
        tuple((person.account, F.Role.MEMBER) for person in added), tuple(person.account for person in removed)
    )
    letters = tuple(F.Welcome(person.account, b"welcome") for person in added) if welcomes else ()
    return F.Pub(
        rid, topic, sender.id(), flags=F.Flag.COMMIT | F.Flag.ACCESS, epoch=(1, fence), header=encode_struct(change),
        body=b"commit", bundle=F.Bundle(read_from=read_from, welcomes=letters),
    )  # fmt: skip

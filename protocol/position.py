"""Order made visible: positions, the chain hash over a log, and what binds a message to its place.

The relay computes the chain hash when it appends; every reader computes it again from what it was given. Members put
the ``seen`` of their own reading inside what they say, so that two readers who were given different logs notice.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol.frames import Key, UInt
from protocol.ids import tagged_hash
from protocol.limits import SEEN_WINDOW

_CHAIN: Final = b"chappe/v1/chain"


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last entry that a member had read when it spoke: (generation, offset, chain hash there)."""

    generation: UInt
    offset: UInt
    hash: Annotated[bytes, Meta(min_length=32, max_length=32)]


def chain_start(topic: bytes) -> bytes:
    """h(0): another one for each topic, so that no log can be passed off as another topic's. 32 bytes."""
    return tagged_hash("chain", (topic,))


def chain_hash(
    previous: bytes, generation: int, offset: int, account: bytes, device: bytes, message_id: bytes, fence: int,
    flags: int, header: bytes, body: bytes,
) -> bytes:  # fmt: skip
    """h(n) = H(h(n−1), generation, offset, flags, fence, account, device, id, H(header), H(body)); 32 bytes.

    Every field before the last two has a fixed length, so the concatenation is unambiguous. The kind of an entry is a
    function of its flags.
    """
    return hashlib.sha256(
        b"".join((
            _CHAIN, previous, generation.to_bytes(8, "big"), offset.to_bytes(8, "big"), flags.to_bytes(8, "big"),
            fence.to_bytes(8, "big"), account, device, message_id,
            hashlib.sha256(header).digest(), hashlib.sha256(body).digest(),
        ))
    ).digest()  # fmt: skip


def authenticated_data(
    topic: Key, message_id: bytes, flags: int, ttl: int, header: bytes, group: int, fence: int
) -> bytes:
    """What every MLS message of a topic authenticates: all that the relay could alter. 32 bytes.

    An access change is the header of the entry it belongs to, so it is covered.
    """
    numbers = b"".join(n.to_bytes(8, "big") for n in (flags, ttl, group, fence))
    return tagged_hash("bind", (topic, message_id, numbers, header))


def publish_digest(
    topic: bytes, flags: int, ttl: int, epoch: tuple[int, int] | None, header: bytes, body: bytes, bundle: bytes
) -> bytes:
    """What makes two PUBs of one id the same: authenticated fields, body, bundle; never generation or ``after``."""
    group, fence = epoch or (0, 0)
    numbers = b"".join(n.to_bytes(8, "big") for n in (flags, ttl, group, fence))
    return tagged_hash("publish", (topic, numbers, header, body, bundle))


class SeenWindow:
    """The last chain values of a log, to check what other members say they have seen.

    At most ``SEEN_WINDOW`` values are kept; older claims are neither confirmed nor denied.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def add(self, generation: int, offset: int, value: bytes) -> None:
        """Remember h at a position that was read."""
        self._values[generation, offset] = value
        if len(self._values) > SEEN_WINDOW:
            self._values.popitem(last=False)

    def check(self, seen: Seen) -> bool | None:
        """True: the other member read the same log. False: not the same. None: too old or not read yet."""
        mine = self._values.get((seen.generation, seen.offset))
        return None if mine is None else mine == seen.hash

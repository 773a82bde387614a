"""What the operations of a `Group` give back, apart from states."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.mls import framing
from protocol.mls.state import Member


@dataclass(frozen=True, slots=True)
class GroupParts:
    """A stored group. `epoch_part` is one and the same bytes object until a commit; `ratchet_part` changes with every
    message. Both are secret."""

    epoch_part: bytes
    ratchet_part: bytes

    def __repr__(self) -> str:
        return f"GroupParts({len(self.epoch_part)} + {len(self.ratchet_part)} bytes)"


@dataclass(frozen=True, slots=True)
class Peek:
    """The clear header of a message; nothing in it is verified."""

    epoch: int
    group_id: bytes
    content_type: int
    authenticated_data: bytes

    @property
    def is_commit(self) -> bool:
        """Whether it says that it is a commit."""
        return self.content_type == framing.CONTENT_COMMIT


@dataclass(frozen=True, slots=True)
class WelcomePreview:
    """What a Welcome says of its group before the ratchet tree is there; decrypted, but nothing verified."""

    group_id: bytes
    epoch: int
    group_info_extensions: dict[int, bytes]


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """An opened application message."""

    plaintext: bytes
    sender: Member
    generation: int
    epoch: int
    signature: bytes
    """The sender's signature (64 bytes): with `context` it proves to anybody who said this (see `evidence`)."""
    context: bytes
    """The encoded GroupContext of the message's epoch."""

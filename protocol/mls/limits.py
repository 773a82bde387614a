"""Every bound of the MLS core, each with its reason."""

from __future__ import annotations

from typing import Final

MAX_LEAVES: Final = 4_096
"""Leaves of a ratchet tree, blanks included: four times the group cap of 1,000 devices, so that a tree with many blanks
still fits; it bounds the work that one Welcome or commit can cause to a few hundred milliseconds."""

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""One handshake or application message: a commit whose path must encrypt to 4,096 leaves stays below 500 KiB, and a
commit that adds 1,000 members below 500 KiB; the rest is room for application extensions."""

MAX_WELCOME_BYTES: Final = 8 * 1024 * 1024
"""A Welcome with a 4,096-leaf tree inside (about 350 bytes a leaf and 80 a parent) and 4,096 encrypted secrets."""

MAX_TREE_BYTES: Final = 4 * 1024 * 1024
"""A ratchet tree handed over on its own, same sizes as above with room for larger credentials."""

MAX_KEY_PACKAGE_BYTES: Final = 16 * 1024
"""A key package is about 300 bytes; extensions and a long identity fit, a flood of capabilities does not."""

MAX_IDENTITY_BYTES: Final = 4 * 1024
"""A basic credential; ours hold an account and a device id, below 100 bytes."""

MAX_GROUP_ID_BYTES: Final = 255
"""A group id is a topic id with a group number; RFC 9420 section 11 recommends a hash-sized value."""

MAX_AUTHENTICATED_DATA_BYTES: Final = 64 * 1024
"""`authenticated_data` travels in the clear in every message; ours is one hash."""

MAX_PADDING_BYTES: Final = 1024 * 1024
"""Zero bytes after a content (RFC 9420 section 6.3.1); the largest bucket in use is 64 KiB."""

MAX_PROPOSALS: Final = 4_096
"""Proposals in one commit: no more than there are leaves to act upon."""

MAX_PENDING_PROPOSALS: Final = 256
"""Standalone proposals kept for one epoch; version 1 sends none, so this only bounds a hostile member."""

MAX_FORWARD_GENERATIONS: Final = 5_000
"""How far ahead of the last known generation a message of a sender may be: about 12 ms of hashing, and more than a
device sends between two commits. Farther ahead is refused, so a member cannot make others compute without end."""

MAX_SKIPPED_KEYS: Final = 1_000
"""Keys of skipped messages kept per sender ratchet (44 bytes each); the oldest go first, since a message that is this
late was dropped by the relay's contiguous log and will not come."""

MAX_SKIPPED_KEYS_TOTAL: Final = 20_000
"""Keys of skipped messages kept in a group's epoch (about 1 MiB), so that many senders together stay bounded too."""

MAX_HANDSHAKE_GENERATION: Final = 1_000
"""Highest generation of a handshake ratchet in one epoch. Absolute, not relative to what a member has seen, so that
every member judges a commit's generation alike."""

MAX_GENERATION: Final = 2**32 - 1
"""The generation is a uint32 (RFC 9420 section 6.3.2); a sender stops there, a commit starts new ratchets."""

MAX_EPOCH: Final = 2**64 - 1
"""The epoch is a uint64 (RFC 9420 section 6)."""

MAX_LIFETIME_S: Final = 190 * 24 * 3600
"""Longest lifetime of a key package (RFC 9420 section 7.2 asks for such a bound): half a year and a week for
last-resort packages of rarely used devices; one-time packages use much less."""

MAX_EXPORT_BYTES: Final = 255 * 32
"""Most that one HKDF-Expand with SHA-256 can give (RFC 5869 section 2.3)."""

"""Chance that nobody can bend: a committed seed, mixed with what the players add, and what is drawn from it.

1. The referee commits to 32 random bytes before it knows anybody's entropy: ``commitment(match, seed)``.
2. Every player adds 32 bytes of its own (in the offer, and in the acceptance).
3. The *secret* of the match is HKDF-SHA256 (RFC 5869) of the seed with the commitment as salt and the players' entropy
   in the order of seats as information. So neither the referee nor any player alone can choose it.
4. Everything that is drawn comes from ChaCha20 key streams (RFC 8439, counter 0, nonce 0) under keys that are derived
   from the secret for one purpose each: ``draw_key(secret, "deal")``. Integers below n are drawn without bias: four
   bytes, big endian, drawn again where they lie in the incomplete last block of n. ``shuffled`` is Fisher–Yates from
   the last place down.
5. Afterwards the referee reveals the seed, and whoever has the transcript draws everything again.

Moves at the same time are committed to by ``move_commitment`` first, and revealed when all have committed.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final, TypeVar

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol import limits as L
from protocol.ids import tagged_hash

T = TypeVar("T")
SEED_BYTES: Final = 32
_WORD: Final = 4
_BLOCK: Final = 256  # bytes of key stream at a time: a whole deck in one go


def commitment(match: bytes, seed: bytes) -> bytes:
    """What the referee publishes before it knows the players' entropy. 32 bytes."""
    return tagged_hash("game/seed", (match, seed))


def mix(match: bytes, seed: bytes, entropy: Sequence[bytes]) -> bytes:
    """The secret of a match: the seed and everybody's entropy, in the order of seats. 32 bytes."""
    info = tagged_hash("game/entropy", (match, *entropy))
    return HKDF(SHA256(), SEED_BYTES, salt=commitment(match, seed), info=info).derive(seed)


def is_seed(match: bytes, seed: bytes, committed: bytes) -> bool:
    """Whether a revealed seed is the one that was committed to."""
    return len(seed) == SEED_BYTES and hmac.compare_digest(commitment(match, seed), committed)


def draw_key(secret: bytes, purpose: str) -> bytes:
    """The key of one key stream."""
    return tagged_hash("game/draw", (secret, purpose.encode()))


class Stream:
    """Numbers from a ChaCha20 key stream: the same key gives the same numbers, in every language."""

    __slots__ = ("_buffer", "_cipher")

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(ChaCha20(key, bytes(16)), None).encryptor()
        self._buffer = b""

    def _word(self) -> int:
        if not self._buffer:
            self._buffer = self._cipher.update(bytes(_BLOCK))
        word, self._buffer = self._buffer[:_WORD], self._buffer[_WORD:]
        return int.from_bytes(word, "big")

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound`` − 1, each equally likely. Raises ``ValueError`` outside 1 to 2^32."""
        if not 1 <= bound <= 1 << 8 * _WORD:
            raise ValueError(f"no number below {bound} can be drawn")
        limit = (1 << 8 * _WORD) // bound * bound
        while (word := self._word()) >= limit:  # the incomplete block: taking it would favour small numbers
            pass
        return word % bound

    def shuffled(self, items: Sequence[T]) -> tuple[T, ...]:
        """The items in an order of which each is equally likely (Fisher–Yates)."""
        deck = list(items)
        for last in range(len(deck) - 1, 0, -1):
            other = self.below(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return tuple(deck)


def shuffled(secret: bytes, purpose: str, items: Sequence[T]) -> tuple[T, ...]:
    """A shuffle that anybody recomputes from the secret."""
    return Stream(draw_key(secret, purpose)).shuffled(items)


def dice(secret: bytes, number: int, count: int = 2, faces: int = 6) -> tuple[int, ...]:
    """The throw ``number`` of a match: ``count`` dice from 1 to ``faces``."""
    stream = Stream(draw_key(secret, f"dice {number}"))
    return tuple(1 + stream.below(faces) for _ in range(count))


def observation_digest(secret: bytes, seat: int, ply: int, observation: bytes) -> bytes:
    """What the referee signs of an observation. Keyed, or the other players would try all hands until one fits.

    ``secret`` is empty where nothing is hidden: then everybody checks it at once.
    """
    return salted_digest(observation_salt(secret, seat, ply) if secret else b"", observation)


def salted_digest(salt: bytes, observation: bytes) -> bytes:
    """The same for the seat itself, which was given its salt. 32 bytes."""
    return tagged_hash("game/observation", (salt, observation))


def observation_salt(secret: bytes, seat: int, ply: int) -> bytes:
    """What the seat itself is given to check its digest with. 32 bytes."""
    return draw_key(secret, f"observation {seat} {ply}")


# -- moves at the same time --------------------------------------------------------------------------------------------
def move_commitment(match: bytes, seat: int, move: int, action: str, salt: bytes) -> bytes:
    """What a player signs first in a simultaneous turn; ``move`` counts the moves of the match, so none is used twice.

    Raises ``ValueError`` for a salt of another length than GAME_SALT_BYTES.
    """
    if len(salt) != L.GAME_SALT_BYTES:
        raise ValueError(f"a salt has {L.GAME_SALT_BYTES} bytes, not {len(salt)}")
    return tagged_hash("game/commit", (match, bytes([seat]), move.to_bytes(4, "big"), action.encode(), salt))

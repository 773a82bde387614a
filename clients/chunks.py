"""How a file becomes sealed chunks, and back. Pure: bytes in, bytes out.

A file has a random id and key of its own. Chunk ``i`` of ``n`` is sealed with XChaCha20-Poly1305, bound to (id, i, n),
so that chunks cannot be swapped, cut off or taken from another file. Its nonce is a keyed hash of its content: sealing
the same content again gives the same bytes. So an upload that was broken off needs no memory of what is up (the hashes
tell), a download needs none of what is there, and a file that changes in between never meets a nonce twice.

The last chunk is filled up with zeros to a multiple of ``CHUNK_PAD_BYTES``: its size tells the relay little.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from protocol import limits as L
from protocol.codec import encode_struct
from protocol.errors import ChappeError
from protocol.messages.chat import Media

_CHUNK: Final = b"chappe/v1/chunk"
_NONCE: Final = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES


class FileDamaged(ChappeError):
    """Bytes that are not the file's; the text says which, and whose fault it must be."""


class FileTooLarge(ChappeError):
    """A file over the bound of the protocol."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is cut: its id, the key of its chunks, its size and that of its chunks in bytes."""

    id: bytes
    key: bytes = field(repr=False)
    size: int
    chunk: int

    @property
    def count(self) -> int:
        """How many chunks there are; none of an empty file."""
        return -(-self.size // self.chunk)

    def length(self, index: int) -> int:
        """Bytes of the file in one chunk."""
        return min(self.chunk, self.size - index * self.chunk)

    def padded(self, index: int) -> int:
        """Bytes that are sealed in one chunk."""
        return min(self.chunk, -(-self.length(index) // L.CHUNK_PAD_BYTES) * L.CHUNK_PAD_BYTES)

    def sealed(self, index: int) -> int:
        """Bytes of one sealed chunk."""
        return self.padded(index) + L.CHUNK_SEAL_BYTES


def chunk_size(size: int) -> int:
    """The size of the chunks of a file of ``size`` bytes. Raises ``FileTooLarge``."""
    if size > L.FILE_BYTES_MAX:
        raise FileTooLarge(f"a file has at most {L.FILE_BYTES_MAX >> 20} MiB, this one {size >> 20}; cut it into parts")
    if size <= L.CHUNK_BYTES * L.FILE_CHUNKS_MAX:
        return L.CHUNK_BYTES
    share = -(-size // L.FILE_CHUNKS_MAX)
    return -(-share // L.CHUNK_BYTES_MIN) * L.CHUNK_BYTES_MIN


def layout_of(media: Media) -> Layout:
    """The layout that a message states. Raises ``FileDamaged`` if its parts do not fit each other."""
    layout = Layout(media.id, media.key, media.size, media.chunk)
    if layout.count != len(media.chunks):
        text = f"the message names {len(media.chunks)} chunks for a file that has {layout.count}; ask for it again"
        raise FileDamaged(text)
    return layout


def _keys(layout: Layout) -> tuple[bytes, bytes]:
    """Of sealing, and of nonces."""
    seal, nonce = (
        hashlib.blake2b(layout.id, key=layout.key, digest_size=32, person=label).digest()
        for label in (b"chappe-chunkseal", b"chappe-chunknonc")
    )
    return seal, nonce


def _bound(layout: Layout, index: int) -> bytes:
    return encode_struct((_CHUNK, layout.id, index, layout.count))


def seal_chunk(layout: Layout, index: int, content: bytes) -> bytes:
    """One sealed chunk: nonce, then ciphertext. Raises ``ValueError`` if ``content`` has not the chunk's length."""
    if len(content) != layout.length(index):
        raise ValueError(f"chunk {index} has {layout.length(index)} bytes, not {len(content)}")
    seal_key, nonce_key = _keys(layout)
    padded, bound = content.ljust(layout.padded(index), b"\0"), _bound(layout, index)
    hashed = hashlib.blake2b(bound, key=nonce_key, digest_size=_NONCE)
    hashed.update(padded)
    nonce = hashed.digest()
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(padded, bound, nonce, seal_key)


def open_chunk(layout: Layout, index: int, sealed: bytes) -> bytes:
    """The content of a sealed chunk. Raises ``FileDamaged``."""
    seal_key, _ = _keys(layout)
    try:
        padded = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed[_NONCE:], _bound(layout, index), sealed[:_NONCE], seal_key
        )
    except (CryptoError, ValueError, TypeError):
        raise FileDamaged(f"chunk {index} of the file does not open; whoever sent it made a mistake") from None
    if len(padded) != layout.padded(index):
        raise FileDamaged(f"chunk {index} of the file has another size than it should; whoever sent it made a mistake")
    return padded[: layout.length(index)]

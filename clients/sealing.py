"""What is sealed or signed outside the MLS ratchet: boxes into inboxes, passing notices, trees of a group, leaves.

*Boxes* go from device to device: HPKE (RFC 9180) to the receiving device's inbox key; inside, the sender's device signs
over (recipient device, id, own account, content). *Ephemerals* are sealed under an exporter secret of the epoch, one
per sender's leaf, with a random nonce, so that a thousand of them never move a ratchet. *Trees* are sealed under a
random key that travels in a Welcome. A *leave* is no MLS message, since it must not wait for anybody: the device signs
its entry, so that the relay cannot put anybody out.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import Key, Signature
from protocol.identity import SigningKey, verify
from protocol.ids import Entropy
from protocol.mls import Group, MlsError, hpke
from protocol.mls.suite import DEFAULT_SUITE, suite_of
from protocol.padding import pad, unpad

_BOX: Final = b"chappe/v1/box\x00"
_EPHEMERAL: Final = "chappe/v1/ephemeral"
_TREE: Final = b"chappe/v1/tree"
_LEAVE: Final = b"chappe/v1/leave\x00"
_NONCE: Final = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES


class _Outer(msgspec.Struct, frozen=True, array_like=True):
    device: Key  # for whom
    kem: bytes
    sealed: bytes


class _Inner(msgspec.Struct, frozen=True, array_like=True):
    account: Key
    device: Key
    signature: Signature
    content: bytes


class Opened(msgspec.Struct, frozen=True):
    """A box that opened: its signature is good for ``device``; whether that device is ``account``'s is not judged."""

    account: bytes
    device: bytes
    content: bytes


def _signed(recipient: bytes, message_id: bytes, account: bytes, content: bytes) -> bytes:
    return encode_struct((recipient, message_id, account, content))


def seal_box(
    content: bytes,
    *,
    recipient: bytes,
    inbox_key: bytes,
    message_id: bytes,
    account: bytes,
    sender: SigningKey,
    entropy: Entropy,
) -> bytes:
    """Body of an inbox entry flagged SEALED, for the device ``recipient``."""
    signature = sender.sign(_BOX, _signed(recipient, message_id, account, content))
    inner = encode_struct(_Inner(account, sender.public, signature, content))
    kem, sealed = hpke.seal(suite_of(DEFAULT_SUITE), inbox_key, _BOX, message_id + recipient, pad(inner), entropy(32))
    return encode_struct(_Outer(recipient, kem, sealed))


def open_box(body: bytes, *, device: bytes, inbox_private: bytes, message_id: bytes) -> Opened | None:
    """Open a box; None if it is for another device. Raises ``RemoteProtocolError`` (not fatal) if it is not good."""
    outer = decode_struct(body, _Outer)
    if outer.device != device:
        return None
    try:
        padded = hpke.open_sealed(
            suite_of(DEFAULT_SUITE), outer.kem, inbox_private, _BOX, message_id + device, outer.sealed
        )
    except MlsError as error:
        raise RemoteProtocolError(f"a box that does not open: {error}", fatal=False) from None
    inner = decode_struct(unpad(padded), _Inner)
    signed = _signed(device, message_id, inner.account, inner.content)
    if not verify(inner.device, _BOX, signed, inner.signature):
        raise RemoteProtocolError("a box whose signature does not verify", fatal=False)
    return Opened(inner.account, inner.device, inner.content)


# -- ephemerals --------------------------------------------------------------------------------------------------------
def _bound(topic: bytes, message_id: bytes, flags: int, header: bytes, fence: int, leaf: int) -> bytes:
    return encode_struct((topic, message_id, flags, header, fence, leaf))


def seal_ephemeral(
    group: Group, content: bytes, *, topic: bytes, message_id: bytes, flags: int, header: bytes, fence: int,
    entropy: Entropy,
) -> bytes:  # fmt: skip
    """Seal a passing notice under our leaf's exporter secret of this epoch. Nothing of the group changes."""
    leaf = group.own_leaf
    key = group.export(_EPHEMERAL, leaf.to_bytes(4, "big"), 32)
    nonce = entropy(_NONCE)
    bound = _bound(topic, message_id, flags, header, fence, leaf)
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(pad(content), bound, nonce, key)


def open_ephemeral(
    group: Group, body: bytes, *, topic: bytes, message_id: bytes, flags: int, header: bytes, fence: int, leaf: int
) -> bytes:
    """Open a passing notice of the member at ``leaf``. Raises ``RemoteProtocolError`` (not fatal)."""
    key = group.export(_EPHEMERAL, leaf.to_bytes(4, "big"), 32)
    bound = _bound(topic, message_id, flags, header, fence, leaf)
    try:
        padded = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(body[_NONCE:], bound, body[:_NONCE], key)
    except (CryptoError, ValueError, TypeError):
        raise RemoteProtocolError("a passing notice that does not open", fatal=False) from None
    return unpad(padded)


# -- trees -------------------------------------------------------------------------------------------------------------
def seal_tree(tree: bytes, entropy: Entropy) -> tuple[bytes, bytes, bytes]:
    """(blob hash, blob, key) of a ratchet tree."""
    key, nonce = entropy(32), entropy(_NONCE)
    blob = nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(tree, _TREE, nonce, key)
    return hashlib.sha256(blob).digest(), blob, key


def open_tree(blob: bytes, blob_hash: bytes, key: bytes) -> bytes:
    """The tree in a blob. Raises ``RemoteProtocolError`` (not fatal) if it is another blob."""
    if hashlib.sha256(blob).digest() != blob_hash or len(blob) > L.BLOB_BYTES_MAX:
        raise RemoteProtocolError("the relay gave another blob than was asked for", fatal=False)
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(blob[_NONCE:], _TREE, blob[:_NONCE], key)
    except CryptoError:
        raise RemoteProtocolError("a tree that does not open", fatal=False) from None


# -- leaves ------------------------------------------------------------------------------------------------------------
def sign_leave(topic: bytes, message_id: bytes, header: bytes, sender: SigningKey) -> bytes:
    """Body of the entry by which an account leaves ``topic``."""
    return sender.sign(_LEAVE, encode_struct((topic, message_id, header)))


def is_own_leave(topic: bytes, message_id: bytes, header: bytes, device: bytes, body: bytes) -> bool:
    """Whether ``device`` itself signed the leave."""
    return verify(device, _LEAVE, encode_struct((topic, message_id, header)), body)

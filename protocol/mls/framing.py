"""Message framing (RFC 9420 section 6): contents, signatures, public and private messages.

The parts of an epoch that every message repeats are prepared once, in `Frame`; the encrypting and decrypting of a
private message lives here too, over a `SecretTree`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.mls import limits
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, u8, u16, u32, u64, vec
from protocol.mls.errors import DecodeError, Invalid
from protocol.mls.nodes import MLS10
from protocol.mls.proposals import Commit, Proposal, parse_commit, parse_proposal
from protocol.mls.secrets import APPLICATION, HANDSHAKE, SecretTree, sender_data_key_nonce
from protocol.mls.suite import Entropy, Suite

WIRE_PUBLIC: Final = 1
WIRE_PRIVATE: Final = 2
WIRE_WELCOME: Final = 3
WIRE_GROUP_INFO: Final = 4
WIRE_KEY_PACKAGE: Final = 5

CONTENT_APPLICATION: Final = 1
CONTENT_PROPOSAL: Final = 2
CONTENT_COMMIT: Final = 3

SENDER_MEMBER: Final = 1
SENDER_EXTERNAL: Final = 2
SENDER_NEW_MEMBER_PROPOSAL: Final = 3
SENDER_NEW_MEMBER_COMMIT: Final = 4

_GUARD_BYTES: Final = 4
_SENDER_DATA_BYTES: Final = 12

Body = bytes | Proposal | Commit


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a content: a member's leaf index, an external sender's index, or a newcomer (no index)."""

    kind: int
    index: int = 0

    def encode(self) -> bytes:
        """The Sender structure."""
        return u8(self.kind) + (u32(self.index) if self.kind in (SENDER_MEMBER, SENDER_EXTERNAL) else b"")


def parse_sender(reader: Reader) -> Sender:
    """A Sender."""
    kind = reader.u8()
    if kind in (SENDER_MEMBER, SENDER_EXTERNAL):
        return Sender(kind, reader.u32())
    if kind in (SENDER_NEW_MEMBER_PROPOSAL, SENDER_NEW_MEMBER_COMMIT):
        return Sender(kind)
    raise DecodeError("a sender of an unknown type")


def parse_body(reader: Reader, content_type: int) -> Body:
    """The content of this type."""
    if content_type == CONTENT_APPLICATION:
        return reader.vec()
    if content_type == CONTENT_PROPOSAL:
        return parse_proposal(reader)
    if content_type == CONTENT_COMMIT:
        return parse_commit(reader)
    raise DecodeError("a content of an unknown type")


def parse_auth(reader: Reader, content_type: int) -> tuple[bytes, bytes | None]:
    """A FramedContentAuthData: (signature, confirmation tag of a commit)."""
    return reader.vec(), reader.vec() if content_type == CONTENT_COMMIT else None


def encode_auth(signature: bytes, confirmation_tag: bytes | None) -> bytes:
    """A FramedContentAuthData."""
    return vec(signature) if confirmation_tag is None else vec(signature) + vec(confirmation_tag)


@dataclass(frozen=True, slots=True)
class AuthenticatedContent:
    """A content with its authentication (6). `content` is the encoded FramedContent, as it was signed."""

    wire_format: int
    group_id: bytes
    epoch: int
    sender: Sender
    authenticated_data: bytes
    content_type: int
    body: Body
    content: bytes
    signature: bytes
    confirmation_tag: bytes | None

    def encode(self) -> bytes:
        """The AuthenticatedContent structure."""
        return u16(self.wire_format) + self.content + encode_auth(self.signature, self.confirmation_tag)

    def tbs(self, context: bytes) -> bytes:
        """FramedContentTBS (6.1); `context` is the encoded GroupContext."""
        signs_context = self.sender.kind in (SENDER_MEMBER, SENDER_NEW_MEMBER_COMMIT)
        return u16(MLS10) + u16(self.wire_format) + self.content + (context if signs_context else b"")

    def verify(self, public: bytes, context: bytes) -> None:
        """Checks the signature (6.1)."""
        crypto.verify_with_label(public, "FramedContentTBS", self.tbs(context), self.signature)


def encode_content(
    group_id: bytes, epoch: int, sender: Sender, authenticated_data: bytes, content_type: int, body: bytes
) -> bytes:
    """A FramedContent around an encoded body."""
    return b"".join((vec(group_id), u64(epoch), sender.encode(), vec(authenticated_data), u8(content_type), body))


def parse_authenticated_content(reader: Reader, wire_format: int | None = None) -> AuthenticatedContent:
    """An AuthenticatedContent; with `wire_format` given, the FramedContent and auth data of a PublicMessage."""
    wire = reader.u16() if wire_format is None else wire_format
    start = reader.position
    group_id, epoch, sender = reader.vec(), reader.u64(), parse_sender(reader)
    authenticated_data, content_type = reader.vec(), reader.u8()
    body = parse_body(reader, content_type)
    content = reader.data[start : reader.position]
    signature, tag = parse_auth(reader, content_type)
    return AuthenticatedContent(
        wire, group_id, epoch, sender, authenticated_data, content_type, body, content, signature, tag
    )


# Public messages (6.2)


@dataclass(frozen=True, slots=True)
class PublicMessage:
    """A signed, not encrypted, message; members add a MAC."""

    authenticated: AuthenticatedContent
    membership_tag: bytes | None

    def encode(self) -> bytes:
        """The MLSMessage."""
        auth = encode_auth(self.authenticated.signature, self.authenticated.confirmation_tag)
        tag = b"" if self.membership_tag is None else vec(self.membership_tag)
        return u16(MLS10) + u16(WIRE_PUBLIC) + self.authenticated.content + auth + tag


def parse_public_message(reader: Reader) -> PublicMessage:
    """A PublicMessage (after the MLSMessage header)."""
    authenticated = parse_authenticated_content(reader, WIRE_PUBLIC)
    return PublicMessage(authenticated, reader.vec() if authenticated.sender.kind == SENDER_MEMBER else None)


def membership_tag(membership_key: bytes, authenticated: AuthenticatedContent, context: bytes) -> bytes:
    """The MAC of a member's PublicMessage (6.2)."""
    auth = encode_auth(authenticated.signature, authenticated.confirmation_tag)
    return crypto.mac(membership_key, authenticated.tbs(context) + auth)


def open_public(message: PublicMessage, membership_key: bytes, context: bytes) -> AuthenticatedContent:
    """Checks the membership tag (6.2); the signature is checked by whoever knows the sender's key."""
    authenticated = message.authenticated
    if authenticated.content_type == CONTENT_APPLICATION:
        raise Invalid("application data in a public message (6)")
    if message.membership_tag is not None:
        expected = membership_tag(membership_key, authenticated, context)
        if not crypto.same(expected, message.membership_tag):
            raise Invalid("the membership tag does not match (6.2)")
    return authenticated


# Private messages (6.3)


@dataclass(frozen=True, slots=True)
class PrivateMessage:
    """A signed and encrypted message."""

    group_id: bytes
    epoch: int
    content_type: int
    authenticated_data: bytes
    encrypted_sender_data: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        """The MLSMessage."""
        head = private_head(self.group_id, self.epoch)
        return b"".join(
            (
                head,
                u8(self.content_type),
                vec(self.authenticated_data),
                vec(self.encrypted_sender_data),
                vec(self.ciphertext),
            )
        )


def private_head(group_id: bytes, epoch: int) -> bytes:
    """The first bytes of every private message of an epoch."""
    return u16(MLS10) + u16(WIRE_PRIVATE) + vec(group_id) + u64(epoch)


def parse_private_message(reader: Reader) -> PrivateMessage:
    """A PrivateMessage (after the MLSMessage header)."""
    message = PrivateMessage(reader.vec(), reader.u64(), reader.u8(), reader.vec(), reader.vec(), reader.vec())
    if message.content_type not in (CONTENT_APPLICATION, CONTENT_PROPOSAL, CONTENT_COMMIT):
        raise DecodeError("a content of an unknown type")
    return message


def _guarded(nonce: bytes, guard: bytes) -> bytes:
    """The nonce with the reuse guard XORed into its first four bytes (6.3.1)."""
    mixed = int.from_bytes(nonce[:_GUARD_BYTES], "big") ^ int.from_bytes(guard, "big")
    return mixed.to_bytes(_GUARD_BYTES, "big") + nonce[_GUARD_BYTES:]


def _ratchet_kind(content_type: int) -> int:
    return APPLICATION if content_type == CONTENT_APPLICATION else HANDSHAKE


def protect(
    keys: SecretTree,
    sender_data_secret: bytes,
    head: bytes,
    leaf: int,
    content_type: int,
    authenticated_data: bytes,
    plaintext: bytes,
    entropy: Entropy,
) -> tuple[bytes, SecretTree]:
    """A private message of `plaintext` (body, auth data, padding) and the key state after it (6.3).

    `head` is `private_head` of the epoch.
    """
    suite = keys.suite
    generation, key, nonce, keys = keys.next_key(leaf, _ratchet_kind(content_type))
    guard = entropy(_GUARD_BYTES)
    sender_aad = head[4:] + u8(content_type)
    aad = sender_aad + vec(authenticated_data)
    ciphertext = suite.aead(key).encrypt(_guarded(nonce, guard), plaintext, aad)
    data_key, data_nonce = sender_data_key_nonce(suite, sender_data_secret, ciphertext)
    sender_data = u32(leaf) + u32(generation) + guard
    sealed_sender = suite.aead(data_key).encrypt(data_nonce, sender_data, sender_aad)
    return head[:4] + aad + vec(sealed_sender) + vec(ciphertext), keys


def open_sender_data(suite: Suite, sender_data_secret: bytes, message: PrivateMessage) -> tuple[int, int, bytes]:
    """(leaf index, generation, reuse guard) of a private message (6.3.2); `Invalid` if it does not open."""
    key, nonce = sender_data_key_nonce(suite, sender_data_secret, message.ciphertext)
    aad = vec(message.group_id) + u64(message.epoch) + u8(message.content_type)
    data = crypto.open_aead(suite, key, nonce, message.encrypted_sender_data, aad)
    if len(data) != _SENDER_DATA_BYTES:
        raise Invalid("sender data of a wrong size (6.3.2)")
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big"), data[8:]


def unprotect(
    keys: SecretTree, message: PrivateMessage, leaf: int, generation: int, guard: bytes
) -> tuple[bytes, SecretTree]:
    """The plaintext of a private message and the key state after it (6.3.1).

    `KeyConsumed`, `TooFarAhead`, or `Invalid` if it does not authenticate.
    """
    key, nonce, after = keys.take_key(leaf, _ratchet_kind(message.content_type), generation)
    aad = b"".join(
        (vec(message.group_id), u64(message.epoch), u8(message.content_type), vec(message.authenticated_data))
    )
    return crypto.open_aead(keys.suite, key, _guarded(nonce, guard), message.ciphertext, aad), after


def parse_private_content(message: PrivateMessage, leaf: int, plaintext: bytes) -> AuthenticatedContent:
    """The content of an opened private message; padding must be zeros (6.3.1)."""
    reader = Reader(plaintext)
    body = parse_body(reader, message.content_type)
    encoded = plaintext[: reader.position]
    signature, tag = parse_auth(reader, message.content_type)
    padding = reader.rest()
    if padding.strip(b"\x00"):
        raise DecodeError("padding that is not all zeros (6.3.1)")
    sender = Sender(SENDER_MEMBER, leaf)
    content = encode_content(
        message.group_id, message.epoch, sender, message.authenticated_data, message.content_type, encoded
    )
    return AuthenticatedContent(
        WIRE_PRIVATE,
        message.group_id,
        message.epoch,
        sender,
        message.authenticated_data,
        message.content_type,
        body,
        content,
        signature,
        tag,
    )


# MLSMessage (6)


def message_reader(data: bytes, limit: int) -> tuple[int, Reader]:
    """(wire format, reader after the header) of an MLSMessage of at most `limit` bytes."""
    if len(data) > limit:
        raise DecodeError(f"a message of more than {limit} bytes")
    reader = Reader(bytes(data))
    version = reader.u16()
    if version != MLS10:
        raise DecodeError(f"protocol version {version} is not supported")
    return reader.u16(), reader


def parse_handshake_or_application(data: bytes) -> PublicMessage | PrivateMessage:
    """An MLSMessage that is a public or a private message, whole."""
    wire_format, reader = message_reader(data, limits.MAX_MESSAGE_BYTES)
    message: PublicMessage | PrivateMessage
    if wire_format == WIRE_PUBLIC:
        message = parse_public_message(reader)
    elif wire_format == WIRE_PRIVATE:
        message = parse_private_message(reader)
    else:
        raise DecodeError("neither a public nor a private message")
    reader.done()
    return message

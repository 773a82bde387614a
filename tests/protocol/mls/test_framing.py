"""Message framing (RFC 9420 section 6)."""

from __future__ import annotations

import pytest

from protocol.mls import framing, limits
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, parse_exact, u8, u16, vec
from protocol.mls.errors import DecodeError, Invalid
from protocol.mls.framing import PrivateMessage, PublicMessage, Sender
from protocol.mls.secrets import SecretTree, sender_data_key_nonce
from tests.protocol.mls.vector_checks import deterministic
from tests.protocol.mls.vector_table import check_file

SUITE = crypto.SUITES[3]
SECRET = b"d" * 32
HEAD = framing.private_head(b"group", 5)


def keys() -> SecretTree:
    return SecretTree.create(SUITE, 2, b"e" * 32)


def private(plaintext: bytes, content_type: int = framing.CONTENT_APPLICATION) -> PrivateMessage:
    """A private message of leaf 1 with this plaintext."""
    data, _ = framing.protect(keys(), SECRET, HEAD, 1, content_type, b"ad", plaintext, deterministic("guard"))
    message = framing.parse_handshake_or_application(data)
    assert isinstance(message, PrivateMessage)
    assert message.encode() == data
    return message


def opened(message: PrivateMessage) -> framing.AuthenticatedContent:
    leaf, generation, guard = framing.open_sender_data(SUITE, SECRET, message)
    plaintext, _ = framing.unprotect(keys(), message, leaf, generation, guard)
    return framing.parse_private_content(message, leaf, plaintext)


@pytest.mark.parametrize(("name", "at_least"), [("message-protection.json", 2), ("messages.json", 100)])
def test_official_vectors(name: str, at_least: int) -> None:
    check_file(name, at_least)


def test_6_3_1_padding_is_zeros() -> None:
    content = opened(private(vec(b"hello") + vec(b"signature") + bytes(100)))
    assert (content.body, content.signature, content.sender) == (b"hello", b"signature", Sender(1, 1))
    for padding in (b"\x01", bytes(50) + b"x" + bytes(50)):
        with pytest.raises(DecodeError, match=r"6\.3\.1"):
            opened(private(vec(b"hello") + vec(b"signature") + padding))


def test_6_3_1_the_guard_makes_ciphertexts_of_one_key_differ() -> None:
    sealed = {framing.protect(keys(), SECRET, HEAD, 1, 1, b"", b"same", deterministic(seed))[0] for seed in ("a", "b")}
    assert len(sealed) == 2


def test_6_3_2_sender_data_has_one_size() -> None:
    message = private(b"x")
    key, nonce = sender_data_key_nonce(SUITE, SECRET, message.ciphertext)
    aad = vec(b"group") + (5).to_bytes(8, "big") + u8(1)
    short = SUITE.aead(key).encrypt(nonce, bytes(11), aad)
    with pytest.raises(Invalid, match=r"6\.3\.2"):
        framing.open_sender_data(SUITE, SECRET, PrivateMessage(b"group", 5, 1, b"ad", short, message.ciphertext))


@pytest.mark.parametrize("field", ["group_id", "epoch", "content_type", "authenticated_data"])
def test_6_3_headers_are_authenticated(field: str) -> None:
    message = private(vec(b"hello") + vec(b""))
    altered = {"group_id": b"grouq", "epoch": 6, "content_type": 2, "authenticated_data": b"ae"}
    values = {name: getattr(message, name) for name in PrivateMessage.__slots__}
    with pytest.raises(Invalid, match="authenticate"):
        opened(PrivateMessage(**(values | {field: altered[field]})))


def test_senders() -> None:
    for sender in (Sender(1, 7), Sender(2, 9), Sender(3), Sender(4)):
        assert parse_exact(sender.encode(), framing.parse_sender) == sender
    with pytest.raises(DecodeError, match="sender"):
        parse_exact(u8(5), framing.parse_sender)


def test_unknown_contents() -> None:
    with pytest.raises(DecodeError, match="content"):
        framing.parse_body(Reader(b""), 4)
    data = framing.PrivateMessage(b"g", 1, 4, b"", b"", b"").encode()
    with pytest.raises(DecodeError, match="content"):
        framing.parse_handshake_or_application(data)


def signed(wire_format: int, sender: Sender, content_type: int, body: bytes) -> framing.AuthenticatedContent:
    content = framing.encode_content(b"group", 5, sender, b"ad", content_type, body)
    tag = b"tag" if content_type == framing.CONTENT_COMMIT else None
    return parse_exact(
        u16(wire_format) + content + framing.encode_auth(b"sig", tag), framing.parse_authenticated_content
    )


REMOVE = u16(3) + bytes(4)


def test_6_2_membership_tags() -> None:
    content = signed(1, Sender(1, 0), framing.CONTENT_PROPOSAL, REMOVE)
    tag = framing.membership_tag(b"key", content, b"context")
    assert framing.open_public(PublicMessage(content, tag), b"key", b"context") == content
    for key, context, given in ((b"kez", b"context", tag), (b"key", b"contexu", tag), (b"key", b"context", b"")):
        with pytest.raises(Invalid, match=r"6\.2"):
            framing.open_public(PublicMessage(content, given), key, context)


def test_6_application_data_is_never_public() -> None:
    content = signed(1, Sender(1, 0), framing.CONTENT_APPLICATION, vec(b"hello"))
    tag = framing.membership_tag(b"key", content, b"context")
    with pytest.raises(Invalid, match="public message"):
        framing.open_public(PublicMessage(content, tag), b"key", b"context")


def test_6_2_messages_from_outside_carry_no_membership_tag() -> None:
    content = signed(1, Sender(framing.SENDER_EXTERNAL, 0), framing.CONTENT_PROPOSAL, REMOVE)
    data = PublicMessage(content, None).encode()
    message = framing.parse_handshake_or_application(data)
    assert isinstance(message, PublicMessage)
    assert message.membership_tag is None
    assert framing.open_public(message, b"key", b"context").sender.kind == framing.SENDER_EXTERNAL
    # 6.1: the signature of an outsider does not cover the group context.
    assert content.tbs(b"context") == content.tbs(b"other")
    assert signed(1, Sender(1, 0), 2, REMOVE).tbs(b"context") != signed(1, Sender(1, 0), 2, REMOVE).tbs(b"other")


def test_headers_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    data = private(b"x").encode()
    with pytest.raises(DecodeError, match="version 2"):
        framing.parse_handshake_or_application(b"\x00\x02" + data[2:])
    with pytest.raises(DecodeError, match="neither"):
        framing.parse_handshake_or_application(b"\x00\x01\x00\x03" + data[4:])
    with pytest.raises(DecodeError, match="left over"):
        framing.parse_handshake_or_application(data + b"\x00")
    monkeypatch.setattr(limits, "MAX_MESSAGE_BYTES", len(data) - 1)
    with pytest.raises(DecodeError, match="more than"):
        framing.parse_handshake_or_application(data)

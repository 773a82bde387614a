"""Proof of who said what, for people outside the group: a message's own signature (RFC 9420 section 6.1), revealed.

A member who opened a message can hand on its plaintext, the sender's signature and the GroupContext of its epoch. They
convince anybody that this member's device signed exactly these bytes, with this authenticated data, in this group and
epoch; they reveal no key and no other message. Whose device it is, is for the caller to judge.
"""

from __future__ import annotations

from protocol.mls import framing
from protocol.mls import suite as crypto
from protocol.mls.codec import u16, vec
from protocol.mls.errors import BadMessage, Invalid
from protocol.mls.framing import CONTENT_APPLICATION, SENDER_MEMBER, WIRE_PRIVATE, Sender
from protocol.mls.nodes import MLS10
from protocol.mls.schedule import decode_group_context


def check_evidence(
    *,
    plaintext: bytes,
    authenticated_data: bytes,
    sender_leaf: int,
    context: bytes,
    signature: bytes,
    signature_key: bytes,
) -> tuple[bytes, int]:
    """(group id, epoch) in which the holder of `signature_key` (32 bytes) said `plaintext`, as `Opened` gave it.

    Raises `BadMessage` if the signature is not over exactly these bytes, or the context is none.
    """
    try:
        group = decode_group_context(context)
        sender = Sender(SENDER_MEMBER, sender_leaf)
        content = framing.encode_content(
            group.group_id, group.epoch, sender, authenticated_data, CONTENT_APPLICATION, vec(plaintext)
        )
        tbs = u16(MLS10) + u16(WIRE_PRIVATE) + content + context
        crypto.verify_with_label(signature_key, "FramedContentTBS", tbs, signature)
    except Invalid as error:
        raise BadMessage(error.reason) from error
    return group.group_id, group.epoch

"""What makes order visible: every field counts, and what SPEC.md says is computed here a second time."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack
import pytest

from protocol import position
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.limits import INT_MAX, SEEN_WINDOW
from protocol.position import Seen, SeenWindow, chain_start
from tests.protocol.samples import filler

ENTRY: dict[str, Any] = {
    "previous": filler("previous", 32), "generation": 1, "offset": 42, "account": filler("account", 32),
    "device": filler("device", 32), "message_id": filler("id", 16), "fence": 5, "flags": 6, "header": b"header",
    "body": b"body",
}  # fmt: skip
BOUND: dict[str, Any] = {
    "topic": filler("topic", 32), "message_id": filler("id", 16), "flags": 6, "ttl": 1000, "header": b"header",
    "group": 3, "fence": 5,
}  # fmt: skip
PUBLISH: dict[str, Any] = {
    "topic": filler("topic", 32), "flags": 6, "ttl": 1000, "epoch": (3, 5), "header": b"header", "body": b"body",
    "bundle": b"bundle",
}  # fmt: skip


def other(value: Any) -> Any:
    """A value that differs from ``value`` in as little as possible."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, tuple):
        return (value[0], value[1] + 1)
    return value[:-1] + bytes([value[-1] ^ 1])


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


# -- the chain --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("field", ENTRY)
def test_every_field_changes_the_chain_hash(field: str) -> None:
    changed = {**ENTRY, field: other(ENTRY[field])}
    assert position.chain_hash(**changed) != position.chain_hash(**ENTRY)


def test_chain_hash_by_hand() -> None:
    ends = hashlib.sha256(b"header").digest() + hashlib.sha256(b"body").digest()
    wanted = hashlib.sha256(
        b"chappe/v1/chain" + filler("previous", 32) + u64(1) + u64(42) + u64(6) + u64(5) + filler("account", 32)
        + filler("device", 32) + filler("id", 16) + ends
    )  # fmt: skip
    assert position.chain_hash(**ENTRY) == wanted.digest()


def test_bytes_cannot_move_between_header_and_body() -> None:
    one = {**ENTRY, "header": b"ab", "body": b"c"}
    two = {**ENTRY, "header": b"a", "body": b"bc"}
    assert position.chain_hash(**one) != position.chain_hash(**two)


def chain(entries: list[bytes]) -> bytes:
    value = chain_start(bytes(32))
    for offset, body in enumerate(entries, start=1):
        value = position.chain_hash(**{**ENTRY, "previous": value, "offset": offset, "body": body})
    return value


def test_any_reordering_omission_or_addition_shows_at_the_end() -> None:
    logs = [[b"a", b"b", b"c"], [b"a", b"c", b"b"], [b"b", b"c"], [b"a", b"b"], [b"a", b"b", b"c", b"c"], []]
    assert len({chain(log) for log in logs}) == len(logs)


def test_the_largest_numbers_fit() -> None:
    assert len(position.chain_hash(**{**ENTRY, "generation": INT_MAX, "offset": INT_MAX, "fence": INT_MAX})) == 32


# -- what a message is bound to ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("field", BOUND)
def test_every_field_changes_the_authenticated_data(field: str) -> None:
    changed = {**BOUND, field: other(BOUND[field])}
    assert position.authenticated_data(**changed) != position.authenticated_data(**BOUND)


def hashed(label: str, *parts: bytes) -> bytes:
    text = b"".join(len(part).to_bytes(4, "big") + part for part in (b"chappe/v1/" + label.encode(), *parts))
    return hashlib.sha256(text).digest()


def test_authenticated_data_by_hand() -> None:
    numbers = u64(6) + u64(1000) + u64(3) + u64(5)
    assert position.authenticated_data(**BOUND) == hashed(
        "bind", BOUND["topic"], BOUND["message_id"], numbers, b"header"
    )


# -- what makes two PUBs the same -------------------------------------------------------------------------------------
@pytest.mark.parametrize("field", PUBLISH)
def test_every_field_changes_the_publish_digest(field: str) -> None:
    changed = {**PUBLISH, field: other(PUBLISH[field])}
    assert position.publish_digest(**changed) != position.publish_digest(**PUBLISH)


def test_publish_digest_by_hand() -> None:
    numbers = u64(6) + u64(1000) + u64(3) + u64(5)
    wanted = hashed("publish", PUBLISH["topic"], numbers, b"header", b"body", b"bundle")
    assert position.publish_digest(**PUBLISH) == wanted


def test_no_epoch_is_epoch_zero() -> None:
    one, two = {**PUBLISH, "epoch": None}, {**PUBLISH, "epoch": (0, 0)}
    assert position.publish_digest(**one) == position.publish_digest(**two)


def test_generation_and_after_play_no_part_in_the_digest() -> None:
    """A retry after a restore, or in another order, is still the same PUB: they cannot even be given."""
    for field in ("generation", "after", "expect", "token", "message_id"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{field}'"):
            position.publish_digest(**{**PUBLISH, field: 1})


# -- what others have seen --------------------------------------------------------------------------------------------
def digest(number: int) -> bytes:
    return filler(str(number), 32)


def test_claims_are_confirmed_denied_or_left_open() -> None:
    window = SeenWindow()
    assert window.check(Seen(1, 1, digest(1))) is None
    window.add(1, 1, digest(1))
    assert window.check(Seen(1, 1, digest(1))) is True
    assert window.check(Seen(1, 1, digest(2))) is False
    assert window.check(Seen(1, 2, digest(2))) is None  # further than this reader
    assert window.check(Seen(2, 1, digest(1))) is None  # after a restore


def test_the_window_keeps_the_last_values_and_no_more() -> None:
    window = SeenWindow()
    for offset in range(1, SEEN_WINDOW + 2):
        window.add(1, offset, digest(offset % 7))
    assert window.check(Seen(1, 1, digest(1))) is None
    assert window.check(Seen(1, 2, digest(2))) is True
    assert window.check(Seen(1, SEEN_WINDOW + 1, digest((SEEN_WINDOW + 1) % 7))) is True


def test_reading_the_same_entry_again_costs_no_place() -> None:
    window = SeenWindow()
    window.add(1, 1, digest(1))
    for _ in range(SEEN_WINDOW + 1):
        window.add(1, 2, digest(2))
    assert window.check(Seen(1, 1, digest(1))) is True


def test_seen_on_the_wire() -> None:
    seen = Seen(1, 42, digest(1))
    assert msgpack.unpackb(encode_struct(seen)) == [1, 42, digest(1)]
    assert decode_struct(encode_struct(seen), Seen) == seen


@pytest.mark.parametrize(
    "fields", [[1, 42], [1, 42, digest(1)[:31]], [1, 42, b""], [-1, 42, digest(1)], [1, 2**53, digest(1)]]
)
def test_malformed_seen(fields: list[Any]) -> None:
    with pytest.raises(RemoteProtocolError, match="not a Seen"):
        decode_struct(msgpack.packb(fields), Seen)

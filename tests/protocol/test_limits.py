"""The bounds fit each other: what one of them promises, another does not take away."""

from __future__ import annotations

import io
import tokenize
from itertools import pairwise
from pathlib import Path

import pytest

from protocol import identity, limits
from protocol.codec import encode_struct
from protocol.frames import AccessChange, Connect, Pub, Req, Sub, Subscription
from protocol.padding import pad
from protocol.requests import PutBlob, PutKeyPackages
from tests.protocol.samples import filler, raw

M = limits.INT_MAX
KEY = filler("key", 32)
NAMES = [name for name in vars(limits) if name.isupper()]


@pytest.mark.parametrize("name", NAMES)
def test_every_bound_is_a_positive_number_or_an_ascending_row_of_them(name: str) -> None:
    value = getattr(limits, name)
    row = value if isinstance(value, tuple) else (value,)
    assert all(type(number) is int and number > 0 for number in row)
    assert all(low < high for low, high in pairwise(row))


def test_every_bound_states_its_reason_on_its_line() -> None:
    source = Path(limits.__file__).read_text()
    commented = {
        token.line.split(":")[0]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and token.line[0].isupper()
    }
    assert commented == set(NAMES)


@pytest.mark.parametrize(
    ("what", "size", "bound"),
    [
        ("the longest CONNECT of ASCII", Connect(M, M, KEY, KEY, bytes(64), KEY, M, ("x" * 32,) * 16, "x" * 64), 1024),
        (
            "the longest CONNECT of anything",
            Connect(M, M, KEY, KEY, bytes(64), KEY, M, ("😀" * 32,) * 16, "😀" * 64),
            limits.LOGIN_BYTES_MAX,
        ),
        (
            "all subscriptions that may follow a CONNECT at once",
            [Sub(M, (Subscription(KEY, (M, M)),) * 256)] * 3,
            limits.LOGIN_BUFFER_BYTES_MAX,
        ),
        ("an access change of 100 accounts", AccessChange(((KEY, 4),) * 100), limits.HEADER_BYTES_MAX),
        ("the removal of 100 accounts", AccessChange(removed=(KEY,) * 100), limits.HEADER_BYTES_MAX),
        (
            "the longest PUB without a bundle",
            Pub(M, KEY, KEY[:16], KEY[:16], M, (M, M), M, limits.EXPIRY_MS_MAX, bytes(4096), bytes(72 * 1024)),
            limits.MESSAGE_BYTES_MAX,
        ),
        (
            "the largest blob in its request",
            Req(M, "blobs.put", raw(PutBlob(KEY, bytes(limits.BLOB_BYTES_MAX)))),
            limits.MESSAGE_BYTES_MAX,
        ),
        (
            "all key packages of a device in one request",
            Req(M, "x" * 32, raw(PutKeyPackages((bytes(2048),) * limits.KEY_PACKAGES_MAX, bytes(2048)))),
            limits.MESSAGE_BYTES_MAX,
        ),
    ],
)
def test_what_must_fit_does(what: str, size: object, bound: int) -> None:
    assert len(encode_struct(size)) <= bound, what


def test_the_longest_content_fits_the_last_bucket_and_that_the_body() -> None:
    padded = pad(bytes(limits.CONTENT_BYTES_MAX))
    assert len(padded) == limits.PADDING_BUCKETS[-1]
    assert len(padded) + 1024 <= limits.BODY_BYTES_MAX  # MLS framing: under 200 bytes and 32 of authenticated data


def test_a_full_device_list_fits_even_around_the_list_it_shortens() -> None:
    root = identity.SigningKey(filler("root", 32))
    devices = tuple(identity.Device(filler(str(i), 32), KEY, M, True) for i in range(limits.DEVICES_MAX))
    full = identity.DeviceList(root.public, M, M - 1, M, devices, KEY, True, True)
    signed = identity.sign_list(full, root)
    assert len(identity.sign_list(full, root, signed)) <= limits.DEVICE_LIST_BYTES_MAX


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("ID_AHEAD_MS_MAX", "ID_AGE_MS_MAX"),
        ("LOGIN_BYTES_MAX", "LOGIN_BUFFER_BYTES_MAX"),
        ("LOGIN_BUFFER_BYTES_MAX", "MESSAGE_BYTES_MAX"),
        ("WELCOME_BYTES_MAX", "MESSAGE_BYTES_MAX"),
        ("SUBSCRIBE_TOPICS_MAX", "SUBSCRIPTIONS_MAX"),
        ("PONG_TIMEOUT_MS", "PING_INTERVAL_MS"),
        ("PING_INTERVAL_MS", "STALLED_MS"),
        ("RECONNECT_MS_MIN", "RECONNECT_MS_MAX"),
        ("DEVICE_LIST_RENEW_MS", "DEVICE_LIST_LIFE_MS"),
        ("DEVICE_LIST_LIFE_MS", "DEVICE_UNSEEN_MS_MAX"),
        ("DEVICE_UNSEEN_MS_MAX", "ID_AGE_MS_MAX"),
        ("HANDLE_CHARS_MIN", "HANDLE_CHARS_MAX"),
        ("KEY_PACKAGES_LOW", "KEY_PACKAGES_TARGET"),
        ("KEY_PACKAGES_TARGET", "KEY_PACKAGES_MAX"),
        ("COMMIT_SPACING_MS", "GRACE_MS"),
        ("GRACE_MS", "RESERVE_MS"),
        ("RESERVE_MS", "RESERVE_EVERY_MS"),
        ("DELIVERED_MEMBERS_MAX", "GROUP_DEVICES_MAX"),
        ("CONTENT_BYTES_MAX", "BODY_BYTES_MAX"),
        ("BLOB_BYTES_MAX", "MESSAGE_BYTES_MAX"),
    ],
)
def test_order_of_bounds(smaller: str, larger: str) -> None:
    assert getattr(limits, smaller) < getattr(limits, larger)

"""Public keys that nobody may use: of small order, not canonical, or outside the main subgroup."""

from __future__ import annotations

from nacl import bindings as sodium

from tests.protocol.samples import DEVICE

GOOD = DEVICE.public
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",  # order 1
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # order 2
    "0000000000000000000000000000000000000000000000000000000000000000",  # order 4
    "0000000000000000000000000000000000000000000000000000000000000080",  # order 4
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # order 8
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",  # order 8
]
NOT_CANONICAL = [
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p + 1
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",  # the same, with the sign bit
    "f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p + 4
]


def mixed_order() -> bytes:
    """A point outside the main subgroup: a good key plus one of order 8."""
    return sodium.crypto_core_ed25519_add(GOOD, bytes.fromhex(SMALL_ORDER[4]))


BAD_KEYS = [*map(bytes.fromhex, SMALL_ORDER + NOT_CANONICAL), mixed_order(), b"", bytes(31), GOOD + b"\0"]
SMALL_X25519 = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]

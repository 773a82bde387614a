"""Making and reading key packages (RFC 9420 section 10)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.mls import BadKeyPackage, KeyPackageInfo, keypackages, limits, nodes, parse_key_package
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact, vec
from protocol.mls.nodes import KeyPackage, LeafNode
from tests.protocol.mls.people import DAY_S, NOW_S, Person

ALICE = Person("alice")
HEADER = b"\x00\x01\x00\x05"


@pytest.mark.parametrize("suite", [1, 3])
@pytest.mark.parametrize("last_resort", [False, True])
def test_what_is_made_is_valid(suite: int, last_resort: bool) -> None:
    pair = ALICE.key_package(suite, last_resort=last_resort)
    assert pair.key_package.startswith(HEADER)
    assert parse_key_package(pair.key_package, NOW_S) == KeyPackageInfo(
        b"alice",
        crypto.public_of(crypto.signing_key(ALICE.seed)),
        pair.ref,
        suite,
        NOW_S - DAY_S,
        NOW_S + DAY_S,
        last_resort,
    )
    package = keypackages.read_key_package(pair.key_package)
    init_private, leaf_private = keypackages.decode_private(pair.private)
    assert crypto.public_key(init_private) == package.init_key
    assert crypto.public_key(leaf_private) == package.leaf.encryption_key
    assert repr(pair.private) not in repr(pair)


def test_each_is_another() -> None:
    assert ALICE.key_package().ref != ALICE.key_package().ref


@pytest.mark.parametrize("now_s", [NOW_S - DAY_S - 1, NOW_S + DAY_S + 1])
def test_7_3_lifetime(now_s: int) -> None:
    data = ALICE.key_package().key_package
    with pytest.raises(BadKeyPackage, match=r"7\.3"):
        parse_key_package(data, now_s)


def rebuilt(change_leaf: dict[str, object] | None = None, **changes: object) -> bytes:
    """A key package of Alice with other fields, properly signed."""
    package = keypackages.read_key_package(ALICE.key_package().key_package)
    key = crypto.signing_key(ALICE.seed)
    leaf: LeafNode = replace(package.leaf, **(change_leaf or {}))  # type: ignore[arg-type]
    tbs = nodes.leaf_tbs(
        leaf.encryption_key,
        leaf.signature_key,
        leaf.credential,
        leaf.capabilities,
        leaf.source,
        leaf.extensions,
        leaf.lifetime,
        leaf.parent_hash,
    )
    signed = nodes.sign_leaf(tbs, key, b"")
    final: KeyPackage = replace(package, **changes)  # type: ignore[arg-type]
    outer = nodes.key_package_tbs(final.suite, final.init_key, signed, final.extensions)
    return HEADER + outer + vec(crypto.sign_with_label(key, "KeyPackageTBS", outer))


def bad(data: bytes, reason: str) -> None:
    with pytest.raises(BadKeyPackage, match=reason):
        parse_key_package(data, NOW_S)


def capabilities(**changes: tuple[int, ...]) -> nodes.Capabilities:
    return replace(nodes.own_capabilities(), **changes)


def test_rebuilding_is_honest() -> None:
    parse_key_package(rebuilt(), NOW_S)


def test_7_2_lifetime_span() -> None:
    bad(rebuilt({"lifetime": (NOW_S - 5, NOW_S + limits.MAX_LIFETIME_S)}), "7.2")
    bad(rebuilt({"lifetime": (NOW_S + 5, NOW_S - 5)}), "7.2")


def test_7_3_source_of_the_leaf() -> None:
    bad(rebuilt({"source": nodes.SOURCE_UPDATE, "lifetime": None}), "7.3")


def test_7_2_capabilities() -> None:
    bad(rebuilt({"capabilities": capabilities(versions=())}), "7.2")
    bad(rebuilt({"capabilities": capabilities(suites=(1,))}), "7.2")
    bad(rebuilt({"capabilities": capabilities(credentials=(2,))}), "7.2")


def test_7_3_extensions_of_the_leaf() -> None:
    bad(rebuilt({"extensions": ((0xF999, b""),)}), "7.3")
    parse_key_package(rebuilt({"extensions": ((nodes.EXTENSION_APPLICATION_ID, b"x"),)}), NOW_S)


def test_13_4_unknown_extensions_of_the_package_are_ignored() -> None:
    parse_key_package(rebuilt(extensions=((0x0A0A, b"grease"),)), NOW_S)


def test_5_3_x509_is_not_supported() -> None:
    chain = nodes.Credential(nodes.CREDENTIAL_X509, certificates=(b"der",))
    bad(rebuilt({"credential": chain, "capabilities": capabilities(credentials=(1, 2))}), "5.3")


def test_10_1_init_key() -> None:
    package = keypackages.read_key_package(rebuilt())
    same = package.leaf.encryption_key
    bad(rebuilt({"encryption_key": same}, init_key=same), "10.1")
    bad(rebuilt(init_key=bytes(32)), "small order")
    bad(rebuilt(init_key=bytes(31)), "32 bytes")


def test_keys_of_small_order() -> None:
    bad(rebuilt({"encryption_key": bytes(32)}), "small order")


def test_10_signatures() -> None:
    data = rebuilt()
    bad(data[:-1] + bytes([data[-1] ^ 1]), "KeyPackageTBS")
    package = keypackages.read_key_package(data)
    at = data.index(package.leaf.signature)
    key = crypto.signing_key(ALICE.seed)
    broken = data[4:at] + bytes(64) + data[at + 64 : -66]
    bad(HEADER + broken + vec(crypto.sign_with_label(key, "KeyPackageTBS", broken)), "LeafNodeTBS")


def test_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = rebuilt()
    for other, reason in (
        (b"", "truncated"),
        (data[:-1], "truncated"),
        (data + b"x", "left over"),
        (b"\x00\x01\x00\x03" + data[4:], "not a key package"),
        (b"\x00\x02" + data[2:], "version 2"),
    ):
        bad(other, reason)
    monkeypatch.setattr(limits, "MAX_KEY_PACKAGE_BYTES", 100)
    bad(data, "100 bytes")


def test_arguments_out_of_range() -> None:
    def make(**changes: object) -> None:
        given = {
            "identity": b"x",
            "signature_private": bytes(32),
            "not_before_s": 0,
            "not_after_s": 1,
            "entropy": ALICE.entropy,
        }
        keypackages.generate_key_package(**(given | changes))  # type: ignore[arg-type]

    make()
    for changes, reason in (
        ({"suite": 2}, "suite 2"),
        ({"not_after_s": limits.MAX_LIFETIME_S + 1}, "at most"),
        ({"not_after_s": -1}, "lifetime"),
        ({"identity": bytes(limits.MAX_IDENTITY_BYTES + 1)}, "identity"),
        ({"signature_private": bytes(31)}, "32 bytes"),
    ):
        with pytest.raises(ValueError, match=reason):
            make(**changes)


def test_private_parts() -> None:
    assert keypackages.decode_private(keypackages.encode_private(b"i", b"l")) == (b"i", b"l")
    with pytest.raises(ValueError, match="private part"):
        keypackages.decode_private(b"\xc1")
    assert parse_exact(rebuilt()[4:], nodes.parse_key_package).leaf.credential.identity == b"alice"

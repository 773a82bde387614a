"""Leaf nodes, parent nodes and key packages as structures (RFC 9420 sections 5.3, 7.1, 7.2, 10)."""

from __future__ import annotations

import pytest

from protocol.mls import limits, nodes
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact, u8, u16, u32, vec, vec_of
from protocol.mls.errors import DecodeError, Invalid
from protocol.mls.nodes import Capabilities, Credential, ParentNode

KEY = crypto.signing_key(bytes(range(32)))
BASIC = Credential(nodes.CREDENTIAL_BASIC, b"alice")


def leaf_of(
    *,
    source: int = nodes.SOURCE_UPDATE,
    encryption_key: bytes = b"e" * 32,
    credential: Credential = BASIC,
    extensions: nodes.Extensions = (),
    lifetime: tuple[int, int] | None = None,
    parent_hash: bytes | None = None,
    context: bytes = b"",
) -> nodes.LeafNode:
    tbs = nodes.leaf_tbs(
        encryption_key,
        crypto.public_of(KEY),
        credential,
        nodes.own_capabilities([0xF001]),
        source,
        extensions,
        lifetime,
        parent_hash,
    )
    return nodes.sign_leaf(tbs, KEY, context)


@pytest.mark.parametrize(
    ("source", "lifetime", "parent_hash"),
    [(nodes.SOURCE_KEY_PACKAGE, (1, 2), None), (nodes.SOURCE_UPDATE, None, None), (nodes.SOURCE_COMMIT, None, b"p")],
)
def test_leaves_round_trip(source: int, lifetime: tuple[int, int] | None, parent_hash: bytes | None) -> None:
    leaf = leaf_of(source=source, lifetime=lifetime, parent_hash=parent_hash, extensions=((0xF001, b"x"),))
    assert parse_exact(leaf.raw, nodes.parse_leaf) == leaf
    assert (leaf.source, leaf.lifetime, leaf.parent_hash) == (source, lifetime, parent_hash)
    assert leaf.raw == leaf.tbs + vec(leaf.signature)


def test_7_2_group_and_place_are_signed_unless_from_a_key_package() -> None:
    placed = leaf_of(context=vec(b"group") + u32(4))
    placed.verify(b"group", 4)
    for group_id, place in ((b"group", 5), (b"other", 4)):
        with pytest.raises(Invalid, match="LeafNodeTBS"):
            placed.verify(group_id, place)
    leaf_of(source=nodes.SOURCE_KEY_PACKAGE, lifetime=(0, 1)).verify(b"any", 9)


def test_7_2_unknown_sources() -> None:
    raw = leaf_of(source=nodes.SOURCE_UPDATE).raw
    at = raw.index(u8(nodes.SOURCE_UPDATE) + vec(b""), 80)
    with pytest.raises(DecodeError, match="source"):
        parse_exact(raw[:at] + u8(4) + raw[at + 1 :], nodes.parse_leaf)


def test_keys_of_other_suites() -> None:
    raw = leaf_of().raw
    with pytest.raises(DecodeError, match="another suite"):
        parse_exact(vec(b"e" * 65) + raw[33:], nodes.parse_leaf)
    with pytest.raises(DecodeError, match="another suite"):
        parse_exact(ParentNode(b"k" * 65, b"", ()).encode(), nodes.parse_parent)


def test_5_3_credentials() -> None:
    chain = Credential(nodes.CREDENTIAL_X509, certificates=(b"one", b"two"))
    for credential in (BASIC, chain):
        assert parse_exact(credential.encode(), nodes.parse_credential) == credential
    with pytest.raises(DecodeError, match="credential type 3"):
        parse_exact(u16(3) + vec(b""), nodes.parse_credential)
    with pytest.raises(DecodeError, match="identity"):
        parse_exact(u16(1) + vec(bytes(limits.MAX_IDENTITY_BYTES + 1)), nodes.parse_credential)


def test_13_4_no_extension_twice() -> None:
    with pytest.raises(DecodeError, match=r"13\.4"):
        leaf_of(extensions=((0xF001, b""), (0xF001, b"")))


def test_7_1_unmerged_leaves_are_sorted() -> None:
    node = ParentNode(b"k" * 32, b"hash", (1, 5, 9))
    assert parse_exact(node.encode(), nodes.parse_parent) == node
    for unmerged in ((5, 1), (1, 1)):
        with pytest.raises(DecodeError, match=r"7\.1"):
            parse_exact(ParentNode(b"k" * 32, b"", unmerged).encode(), nodes.parse_parent)


def test_capabilities() -> None:
    own = nodes.own_capabilities([0xF001, nodes.GROUP_CONTEXT_EXTENSION, nodes.EXTENSION_REQUIRED_CAPABILITIES])
    assert parse_exact(own.encode(), nodes.parse_capabilities) == own
    # Section 7.2: default types are never listed, and always supported.
    assert not set(own.extensions) & nodes.DEFAULT_EXTENSIONS
    assert own.has_extension(nodes.EXTENSION_APPLICATION_ID)
    assert own.has_extension(0xF001)
    assert not own.has_extension(0xF002)
    assert own.has_proposal(1)
    assert not own.has_proposal(99)
    assert Capabilities((1,), (3,), (), (99,), (1,)).has_proposal(99)
    assert own.extensions.count(nodes.GROUP_CONTEXT_EXTENSION) == 1


def test_required_capabilities() -> None:
    assert nodes.required_capabilities(()) is None
    data = vec_of([u16(0xF001)]) + vec_of([u16(99)]) + vec_of([u16(1)])
    found = nodes.required_capabilities(((nodes.EXTENSION_REQUIRED_CAPABILITIES, data),))
    assert found == nodes.RequiredCapabilities((0xF001,), (99,), (1,))
    with pytest.raises(DecodeError):
        nodes.required_capabilities(((nodes.EXTENSION_REQUIRED_CAPABILITIES, data + b"x"),))


def key_package_bytes(version: int = 1, suite: int = 3) -> bytes:
    leaf = leaf_of(source=nodes.SOURCE_KEY_PACKAGE, lifetime=(0, 1))
    tbs = nodes.key_package_tbs(suite, b"i" * 32, leaf, ((nodes.EXTENSION_LAST_RESORT, b""),))
    tbs = u16(version) + tbs[2:]
    return tbs + vec(crypto.sign_with_label(KEY, "KeyPackageTBS", tbs))


def test_key_packages() -> None:
    data = key_package_bytes()
    package = parse_exact(data, nodes.parse_key_package)
    package.verify()
    assert package.last_resort
    assert package.ref == crypto.key_package_ref(data)
    assert package.raw == data


@pytest.mark.parametrize(("version", "suite"), [(2, 3), (1, 2)])
def test_10_key_packages_of_other_versions_and_suites(version: int, suite: int) -> None:
    with pytest.raises(Invalid, match="not supported"):
        parse_exact(key_package_bytes(version, suite), nodes.parse_key_package)

"""Leaf nodes, parent nodes, key packages and their parts (RFC 9420 sections 5.3, 7.1, 7.2, 10).

A parsed structure keeps the bytes that it was parsed from (`raw`), and signatures and hashes are computed over those,
never over a re-encoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol.mls import limits
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, parse_exact, u8, u16, u32, u64, vec, vec_of
from protocol.mls.errors import DecodeError, Invalid

MLS10: Final = 1

SOURCE_KEY_PACKAGE: Final = 1
SOURCE_UPDATE: Final = 2
SOURCE_COMMIT: Final = 3

CREDENTIAL_BASIC: Final = 1
CREDENTIAL_X509: Final = 2

EXTENSION_APPLICATION_ID: Final = 1
EXTENSION_RATCHET_TREE: Final = 2
EXTENSION_REQUIRED_CAPABILITIES: Final = 3
EXTENSION_EXTERNAL_PUB: Final = 4
EXTENSION_EXTERNAL_SENDERS: Final = 5
EXTENSION_LAST_RESORT: Final = 0x000A
DEFAULT_EXTENSIONS: Final = frozenset(range(1, 6))
DEFAULT_PROPOSALS: Final = frozenset(range(1, 8))

GROUP_CONTEXT_EXTENSION: Final = 0xF0C4
"""Private-use number (RFC 9420 section 17.3) for what the application puts into the GroupContext."""
GROUP_INFO_EXTENSION: Final = 0xF0C5
"""Private-use number for what the application puts into the GroupInfo of a Welcome."""

Extensions = tuple[tuple[int, bytes], ...]


def encode_extensions(extensions: Iterable[tuple[int, bytes]]) -> bytes:
    """`Extension extensions<V>`."""
    return vec_of(u16(kind) + vec(data) for kind, data in extensions)


def parse_extensions(reader: Reader) -> Extensions:
    """`Extension extensions<V>`; no type twice (RFC 9420 section 13.4)."""
    extensions = reader.items(lambda r: (r.u16(), r.vec()))
    if len({kind for kind, _ in extensions}) != len(extensions):
        raise DecodeError("an extension type occurs twice (13.4)")
    return extensions


def extension(extensions: Extensions, kind: int) -> bytes | None:
    """The data of the extension of this type, if it is there."""
    for found, data in extensions:
        if found == kind:
            return data
    return None


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential (RFC 9420 section 5.3): a basic identity, or the DER certificates of an X.509 chain."""

    kind: int
    identity: bytes = b""
    certificates: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The Credential structure."""
        if self.kind == CREDENTIAL_BASIC:
            return u16(self.kind) + vec(self.identity)
        return u16(self.kind) + vec_of(vec(certificate) for certificate in self.certificates)


def parse_credential(reader: Reader) -> Credential:
    """A Credential; one of an unknown type cannot be parsed, so it is refused."""
    kind = reader.u16()
    if kind == CREDENTIAL_BASIC:
        identity = reader.vec()
        if len(identity) > limits.MAX_IDENTITY_BYTES:
            raise DecodeError(f"an identity of more than {limits.MAX_IDENTITY_BYTES} bytes")
        return Credential(kind, identity)
    if kind == CREDENTIAL_X509:
        return Credential(kind, certificates=reader.items(Reader.vec))
    raise DecodeError(f"credential type {kind} is not supported")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a client supports (RFC 9420 section 7.2)."""

    versions: tuple[int, ...]
    suites: tuple[int, ...]
    extensions: tuple[int, ...]
    proposals: tuple[int, ...]
    credentials: tuple[int, ...]

    def encode(self) -> bytes:
        """The Capabilities structure."""
        fields = (self.versions, self.suites, self.extensions, self.proposals, self.credentials)
        return b"".join(vec_of(u16(n) for n in field) for field in fields)

    def has_extension(self, kind: int) -> bool:
        """Whether this extension type is supported; the default types always are."""
        return kind in DEFAULT_EXTENSIONS or kind in self.extensions

    def has_proposal(self, kind: int) -> bool:
        """Whether this proposal type is supported; the default types always are."""
        return kind in DEFAULT_PROPOSALS or kind in self.proposals


def own_capabilities(extensions: Iterable[int] = ()) -> Capabilities:
    """What this implementation supports; `extensions` are further types that the application understands."""
    known = (EXTENSION_LAST_RESORT, GROUP_CONTEXT_EXTENSION, GROUP_INFO_EXTENSION)
    more = tuple(kind for kind in extensions if kind not in known and kind not in DEFAULT_EXTENSIONS)
    return Capabilities((MLS10,), tuple(crypto.SUITES), known + more, (), (CREDENTIAL_BASIC,))


def parse_capabilities(reader: Reader) -> Capabilities:
    """A Capabilities structure."""
    return Capabilities(reader.u16s(), reader.u16s(), reader.u16s(), reader.u16s(), reader.u16s())


@dataclass(frozen=True, slots=True)
class LeafNode:
    """A leaf node (RFC 9420 section 7.2). `lifetime` (Unix seconds) only from a key package, `parent_hash` only from a
    commit. `tbs` are the bytes before the signature, `raw` all of them."""

    encryption_key: bytes
    signature_key: bytes
    credential: Credential
    capabilities: Capabilities
    source: int
    lifetime: tuple[int, int] | None
    parent_hash: bytes | None
    extensions: Extensions
    signature: bytes
    tbs: bytes
    raw: bytes

    def verify(self, group_id: bytes, leaf_index: int) -> None:
        """Checks the signature (7.2); group id and leaf index count unless the leaf comes from a key package."""
        context = b"" if self.source == SOURCE_KEY_PACKAGE else vec(group_id) + u32(leaf_index)
        crypto.verify_with_label(self.signature_key, "LeafNodeTBS", self.tbs + context, self.signature)


def leaf_tbs(
    encryption_key: bytes,
    signature_key: bytes,
    credential: Credential,
    capabilities: Capabilities,
    source: int,
    extensions: Extensions,
    lifetime: tuple[int, int] | None = None,
    parent_hash: bytes | None = None,
) -> bytes:
    """The fields of a leaf node above its signature, encoded."""
    if lifetime is not None:
        origin = u64(lifetime[0]) + u64(lifetime[1])
    elif parent_hash is not None:
        origin = vec(parent_hash)
    else:
        origin = b""
    return b"".join(
        (
            vec(encryption_key),
            vec(signature_key),
            credential.encode(),
            capabilities.encode(),
            u8(source),
            origin,
            encode_extensions(extensions),
        )
    )


def parse_leaf(reader: Reader) -> LeafNode:
    """A LeafNode. Sizes of keys are checked here: the suites that we support all use 32 bytes."""
    start = reader.position
    encryption_key, signature_key = reader.vec(), reader.vec()
    if len(encryption_key) != crypto.KEY_BYTES or len(signature_key) != crypto.KEY_BYTES:
        raise DecodeError("a leaf node with keys of another suite")
    credential, capabilities = parse_credential(reader), parse_capabilities(reader)
    source = reader.u8()
    lifetime: tuple[int, int] | None = None
    parent_hash: bytes | None = None
    if source == SOURCE_KEY_PACKAGE:
        lifetime = (reader.u64(), reader.u64())
    elif source == SOURCE_COMMIT:
        parent_hash = reader.vec()
    elif source != SOURCE_UPDATE:
        raise DecodeError("a leaf node of unknown source")
    extensions = parse_extensions(reader)
    end = reader.position
    signature = reader.vec()
    return LeafNode(
        encryption_key,
        signature_key,
        credential,
        capabilities,
        source,
        lifetime,
        parent_hash,
        extensions,
        signature,
        reader.data[start:end],
        reader.data[start : reader.position],
    )


def sign_leaf(tbs: bytes, signing_key: bytes, context: bytes) -> LeafNode:
    """A leaf node of these fields. `context`: empty for a key package, else group id and leaf index, encoded."""
    return parse_exact(tbs + vec(crypto.sign_with_label(signing_key, "LeafNodeTBS", tbs + context)), parse_leaf)


@dataclass(frozen=True, slots=True)
class ParentNode:
    """A parent node (RFC 9420 section 7.1); `unmerged_leaves` are leaf indices in increasing order."""

    encryption_key: bytes
    parent_hash: bytes
    unmerged_leaves: tuple[int, ...]

    def encode(self) -> bytes:
        """The ParentNode structure."""
        unmerged = vec_of(u32(leaf) for leaf in self.unmerged_leaves)
        return vec(self.encryption_key) + vec(self.parent_hash) + unmerged


def parse_parent(reader: Reader) -> ParentNode:
    """A ParentNode; unmerged leaves must be sorted (7.1)."""
    node = ParentNode(reader.vec(), reader.vec(), reader.u32s())
    if len(node.encryption_key) != crypto.KEY_BYTES:
        raise DecodeError("a parent node with a key of another suite")
    leaves = node.unmerged_leaves
    if any(a >= b for a, b in pairwise(leaves)):
        raise DecodeError("unmerged leaves are not in increasing order (7.1)")
    return node


@dataclass(frozen=True, slots=True)
class KeyPackage:
    """A key package (RFC 9420 section 10)."""

    version: int
    suite: int
    init_key: bytes
    leaf: LeafNode
    extensions: Extensions
    signature: bytes
    tbs: bytes
    raw: bytes

    @property
    def ref(self) -> bytes:
        """KeyPackageRef (5.2)."""
        return crypto.key_package_ref(self.raw)

    @property
    def last_resort(self) -> bool:
        """Whether it carries the last_resort extension, that is, may be used more than once (16.8)."""
        return extension(self.extensions, EXTENSION_LAST_RESORT) is not None

    def verify(self) -> None:
        """Checks the outer signature (10)."""
        crypto.verify_with_label(self.leaf.signature_key, "KeyPackageTBS", self.tbs, self.signature)


def key_package_tbs(suite: int, init_key: bytes, leaf: LeafNode, extensions: Extensions) -> bytes:
    """The fields of a key package above its signature, encoded."""
    return u16(MLS10) + u16(suite) + vec(init_key) + leaf.raw + encode_extensions(extensions)


def parse_key_package(reader: Reader) -> KeyPackage:
    """A KeyPackage of one of our suites. Validity is judged in `validation`."""
    start = reader.position
    version = reader.u16()
    if version != MLS10:
        raise DecodeError(f"protocol version {version} is not supported")
    suite = reader.u16()
    if suite not in crypto.SUITES:
        raise Invalid(f"cipher suite {suite} is not supported")
    init_key = reader.vec()
    leaf, extensions = parse_leaf(reader), parse_extensions(reader)
    end = reader.position
    signature = reader.vec()
    data = reader.data
    return KeyPackage(
        version, suite, init_key, leaf, extensions, signature, data[start:end], data[start : reader.position]
    )


@dataclass(frozen=True, slots=True)
class RequiredCapabilities:
    """The required_capabilities extension of a GroupContext (RFC 9420 section 11.1)."""

    extensions: tuple[int, ...]
    proposals: tuple[int, ...]
    credentials: tuple[int, ...]


def required_capabilities(extensions: Extensions) -> RequiredCapabilities | None:
    """What the GroupContext demands of every member, if anything."""
    data = extension(extensions, EXTENSION_REQUIRED_CAPABILITIES)
    if data is None:
        return None
    return parse_exact(data, lambda r: RequiredCapabilities(r.u16s(), r.u16s(), r.u16s()))

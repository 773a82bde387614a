"""One check for each official vector file of MLS, as its `test-vectors.md` describes the verification.

A check takes one entry of the file and asserts; `CHECKS` maps file names to them. Entries of other cipher suites than
ours are left out by the callers (`entries`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocol.mls import framing, hpke, nodes, proposals, schedule, secrets, treekem, treemath, validation, welcome
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, parse_exact, u16, vec
from protocol.mls.errors import Invalid
from protocol.mls.schedule import GroupContext
from protocol.mls.secrets import SecretTree
from protocol.mls.tree import RatchetTree, parse_tree

Entry = dict[str, Any]
unhex = bytes.fromhex


def deterministic(seed: str) -> Callable[[int], bytes]:
    """A reproducible source of bytes for tests: SHAKE-256 of seed and call number."""
    calls = 0

    def draw(n: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(f"{seed}/{calls}".encode()).digest(n)

    return draw


def check_deserialization(entry: Entry) -> None:
    """Vector headers."""
    header = unhex(entry["vlbytes_header"])
    reader = Reader(header)
    assert reader.varint() == entry["length"]
    reader.done()


def _node_or_none(compute: Callable[[], int]) -> int | None:
    try:
        return compute()
    except ValueError:
        return None


def check_tree_math(entry: Entry) -> None:
    """Index arithmetic."""
    leaves = entry["n_leaves"]
    assert treemath.width(leaves) == entry["n_nodes"]
    assert treemath.root(leaves) == entry["root"]
    for node in range(entry["n_nodes"]):
        assert _node_or_none(lambda n=node: treemath.left(n)) == entry["left"][node]  # type: ignore[misc]
        assert _node_or_none(lambda n=node: treemath.right(n)) == entry["right"][node]  # type: ignore[misc]
        assert _node_or_none(lambda n=node: treemath.parent(n, leaves)) == entry["parent"][node]  # type: ignore[misc]
        assert _node_or_none(lambda n=node: treemath.sibling(n, leaves)) == entry["sibling"][node]  # type: ignore[misc]


def check_crypto_basics(entry: Entry) -> None:
    """Labelled functions of the suite layer."""
    suite = crypto.suite_of(entry["cipher_suite"])
    ref = entry["ref_hash"]
    assert crypto.ref_hash(ref["label"], unhex(ref["value"])).hex() == ref["out"]
    case = entry["expand_with_label"]
    out = crypto.expand_with_label(unhex(case["secret"]), case["label"], unhex(case["context"]), case["length"])
    assert out.hex() == case["out"]
    case = entry["derive_secret"]
    assert crypto.derive_secret(unhex(case["secret"]), case["label"]).hex() == case["out"]
    case = entry["derive_tree_secret"]
    out = crypto.derive_tree_secret(unhex(case["secret"]), case["label"], case["generation"], case["length"])
    assert out.hex() == case["out"]
    case = entry["sign_with_label"]
    public, content = unhex(case["pub"]), unhex(case["content"])
    crypto.verify_with_label(public, case["label"], content, unhex(case["signature"]))
    own = crypto.sign_with_label(crypto.signing_key(unhex(case["priv"])), case["label"], content)
    crypto.verify_with_label(public, case["label"], content, own)
    case = entry["encrypt_with_label"]
    private, label, context = unhex(case["priv"]), case["label"], unhex(case["context"])
    plaintext = unhex(case["plaintext"])
    sealed = unhex(case["kem_output"]), unhex(case["ciphertext"])
    assert hpke.decrypt_with_label(suite, private, label, context, *sealed) == plaintext
    again = hpke.encrypt_with_label(suite, unhex(case["pub"]), label, context, plaintext, bytes(range(32)))
    assert hpke.decrypt_with_label(suite, private, label, context, *again) == plaintext


def check_secret_tree(entry: Entry) -> None:
    """Sender data keys, and ratchet keys of the listed generations, each taken in order."""
    suite = crypto.suite_of(entry["cipher_suite"])
    data = entry["sender_data"]
    key, nonce = secrets.sender_data_key_nonce(suite, unhex(data["sender_data_secret"]), unhex(data["ciphertext"]))
    assert (key.hex(), nonce.hex()) == (data["key"], data["nonce"])
    tree = SecretTree.create(suite, len(entry["leaves"]), unhex(entry["encryption_secret"]))
    for leaf, generations in enumerate(entry["leaves"]):
        for case in generations:
            for kind, name in ((secrets.HANDSHAKE, "handshake"), (secrets.APPLICATION, "application")):
                key, nonce, tree = tree.take_key(leaf, kind, case["generation"])
                assert (key.hex(), nonce.hex()) == (case[f"{name}_key"], case[f"{name}_nonce"])


def _open_public(entry: Entry, data: bytes, context: bytes) -> framing.AuthenticatedContent:
    message = framing.parse_handshake_or_application(data)
    assert isinstance(message, framing.PublicMessage)
    assert message.encode() == data
    content = framing.open_public(message, unhex(entry["membership_key"]), context)
    content.verify(unhex(entry["signature_pub"]), context)
    return content


def _open_private(entry: Entry, data: bytes, context: bytes) -> framing.AuthenticatedContent:
    suite = crypto.suite_of(entry["cipher_suite"])
    message = framing.parse_handshake_or_application(data)
    assert isinstance(message, framing.PrivateMessage)
    assert message.encode() == data
    keys = SecretTree.create(suite, 2, unhex(entry["encryption_secret"]))
    leaf, generation, guard = framing.open_sender_data(suite, unhex(entry["sender_data_secret"]), message)
    assert leaf == 1
    plaintext, _ = framing.unprotect(keys, message, leaf, generation, guard)
    content = framing.parse_private_content(message, leaf, plaintext)
    content.verify(unhex(entry["signature_pub"]), context)
    return content


def _body(content: framing.AuthenticatedContent) -> bytes:
    body = content.body
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, proposals.Commit) else proposals.encode_proposal(body)


def check_message_protection(entry: Entry) -> None:
    """Opening given messages, and opening what we protect ourselves."""
    suite = crypto.suite_of(entry["cipher_suite"])
    hashes = unhex(entry["tree_hash"]), unhex(entry["confirmed_transcript_hash"])
    group_id, epoch = unhex(entry["group_id"]), entry["epoch"]
    context = GroupContext(suite.id, group_id, epoch, *hashes, ()).encode()
    signing_key = crypto.signing_key(unhex(entry["signature_priv"]))
    sender = framing.Sender(framing.SENDER_MEMBER, 1)
    for kind, name in ((1, "application"), (2, "proposal"), (3, "commit")):
        raw = unhex(entry[name])
        assert _body(_open_private(entry, unhex(entry[f"{name}_priv"]), context)) == raw
        if kind != 1:
            assert _body(_open_public(entry, unhex(entry[f"{name}_pub"]), context)) == raw
        encoded = vec(raw) if kind == 1 else raw
        tag = b"t" * 32 if kind == framing.CONTENT_COMMIT else None
        for wire in (framing.WIRE_PUBLIC, framing.WIRE_PRIVATE):
            content = framing.encode_content(group_id, epoch, sender, b"ad", kind, encoded)
            parsed = parse_exact(
                u16(wire) + content + framing.encode_auth(b"", tag), framing.parse_authenticated_content
            )
            signature = crypto.sign_with_label(signing_key, "FramedContentTBS", parsed.tbs(context))
            signed = replace(parsed, signature=signature)
            if wire == framing.WIRE_PUBLIC:
                mac = framing.membership_tag(unhex(entry["membership_key"]), signed, context)
                message = framing.PublicMessage(signed, mac).encode()
                if kind != framing.CONTENT_APPLICATION:
                    assert _body(_open_public(entry, message, context)) == raw
                else:
                    _must_refuse(lambda data=message: _open_public(entry, data, context))  # type: ignore[misc]
            else:
                keys = SecretTree.create(suite, 2, unhex(entry["encryption_secret"]))
                head = framing.private_head(group_id, epoch)
                plaintext = encoded + framing.encode_auth(signature, tag) + bytes(7)
                message, _ = framing.protect(
                    keys, unhex(entry["sender_data_secret"]), head, 1, kind, b"ad", plaintext, deterministic("guard")
                )
                assert _body(_open_private(entry, message, context)) == raw


def _must_refuse(action: Callable[[], object]) -> None:
    try:
        action()
    except Invalid:
        return
    raise AssertionError("accepted what must be refused")


def check_key_schedule(entry: Entry) -> None:
    """Epoch after epoch from the initial init secret."""
    init = unhex(entry["initial_init_secret"])
    for number, case in enumerate(entry["epochs"]):
        hashes = unhex(case["tree_hash"]), unhex(case["confirmed_transcript_hash"])
        group_id = unhex(entry["group_id"])
        context = GroupContext(entry["cipher_suite"], group_id, number, *hashes, ()).encode()
        assert context.hex() == case["group_context"]
        joiner = schedule.joiner_secret(init, unhex(case["commit_secret"]), context)
        psk = unhex(case["psk_secret"])
        keys = schedule.from_joiner_secret(joiner, psk, context)
        kept = keys.kept
        assert schedule.welcome_secret(joiner, psk) == keys.welcome_secret
        found = {
            "joiner_secret": joiner,
            "welcome_secret": keys.welcome_secret,
            "init_secret": kept.init,
            "sender_data_secret": kept.sender_data,
            "encryption_secret": keys.encryption_secret,
            "exporter_secret": kept.exporter,
            "epoch_authenticator": kept.authenticator,
            "external_secret": kept.external,
            "confirmation_key": keys.confirmation_key,
            "membership_key": kept.membership,
            "resumption_psk": kept.resumption,
            "external_pub": schedule.external_key_pair(kept.external)[1],
        }
        assert {name: value.hex() for name, value in found.items()} == {name: case[name] for name in found}
        out = case["exporter"]
        exported = schedule.exporter(kept.exporter, out["label"], unhex(out["context"]), out["length"])
        assert exported.hex() == out["secret"]
        init = kept.init


def check_psk_secret(entry: Entry) -> None:
    """Chained external pre-shared keys."""
    psks = [
        (schedule.PskId(schedule.PSK_EXTERNAL, unhex(psk["psk_nonce"]), unhex(psk["psk_id"])), unhex(psk["psk"]))
        for psk in entry["psks"]
    ]
    assert schedule.psk_secret(psks).hex() == entry["psk_secret"]


def check_transcript_hashes(entry: Entry) -> None:
    """Both transcript hashes and the confirmation tag of one commit."""
    content = parse_exact(unhex(entry["authenticated_content"]), framing.parse_authenticated_content)
    assert content.content_type == framing.CONTENT_COMMIT
    assert content.encode().hex() == entry["authenticated_content"]
    before = unhex(entry["interim_transcript_hash_before"])
    confirmed = schedule.confirmed_hash(before, content.wire_format, content.content, content.signature)
    assert confirmed.hex() == entry["confirmed_transcript_hash_after"]
    assert content.confirmation_tag == crypto.mac(unhex(entry["confirmation_key"]), confirmed)
    assert schedule.interim_hash(confirmed, content.confirmation_tag).hex() == entry["interim_transcript_hash_after"]


def check_welcome(entry: Entry) -> None:
    """Decrypting a Welcome, its GroupInfo's signature and confirmation tag."""
    suite = crypto.suite_of(entry["cipher_suite"])
    parsed = welcome.parse_welcome(unhex(entry["welcome"]))
    ref = crypto.key_package_ref(unhex(entry["key_package"])[4:])
    group_secrets = welcome.open_group_secrets(suite, parsed, ref, unhex(entry["init_priv"]))
    info = welcome.open_group_info(suite, parsed, group_secrets.joiner_secret, crypto.ZERO_SECRET)
    info.verify(unhex(entry["signer_pub"]))
    keys = schedule.from_joiner_secret(group_secrets.joiner_secret, crypto.ZERO_SECRET, info.context_raw)
    assert crypto.mac(keys.confirmation_key, info.context.confirmed_transcript_hash) == info.confirmation_tag


def check_tree_operations(entry: Entry) -> None:
    """Add, Update and Remove on a tree."""
    tree = parse_tree(unhex(entry["tree_before"]))
    assert tree.tree_hash().hex() == entry["tree_hash_before"]
    proposal = parse_exact(unhex(entry["proposal"]), proposals.parse_proposal)
    tree = tree.copy()
    if isinstance(proposal, proposals.Add):
        tree.add(proposal.key_package.leaf)
    elif isinstance(proposal, proposals.Update):
        tree.update(entry["proposal_sender"], proposal.leaf)
    else:
        assert isinstance(proposal, proposals.Remove)
        tree.remove(proposal.removed)
        tree.truncate()
    assert tree.encode().hex() == entry["tree_after"]
    assert tree.tree_hash().hex() == entry["tree_hash_after"]


def check_tree_validation(entry: Entry) -> None:
    """Tree hashes, resolutions, parent hashes and leaf signatures."""
    tree = parse_tree(unhex(entry["tree"]))
    assert tree.encode().hex() == entry["tree"]
    assert [tree.tree_hash(node).hex() for node in range(len(entry["tree_hashes"]))] == entry["tree_hashes"]
    assert [tree.resolution(node) for node in range(len(entry["resolutions"]))] == entry["resolutions"]
    validation.check_tree(tree, unhex(entry["group_id"]), entry["cipher_suite"], (), longest_s=0)


def _private_state(tree: RatchetTree, leaf: Entry) -> dict[int, bytes]:
    privates = {2 * leaf["index"]: unhex(leaf["encryption_priv"])}
    for item in leaf["path_secrets"]:
        privates[item["node"]] = treekem.node_key_pair(unhex(item["path_secret"]))[0]
    for node, private in privates.items():
        assert tree.encryption_key(node) == crypto.public_key(private)
    return privates


def check_treekem(entry: Entry) -> None:
    """Given update paths opened by every member, and our own paths opened by every member."""
    suite = crypto.suite_of(entry["cipher_suite"])
    tree = parse_tree(unhex(entry["ratchet_tree"]))
    group_id, epoch = unhex(entry["group_id"]), entry["epoch"]
    transcript = unhex(entry["confirmed_transcript_hash"])
    states = {leaf["index"]: _private_state(tree, leaf) for leaf in entry["leaves_private"]}
    signing = {leaf["index"]: crypto.signing_key(unhex(leaf["signature_priv"])) for leaf in entry["leaves_private"]}
    none: frozenset[int] = frozenset()

    def context_of(tree_hash: bytes) -> bytes:
        return GroupContext(suite.id, group_id, epoch, tree_hash, transcript, ()).encode()

    for case in entry["update_paths"]:
        sender = case["sender"]
        path = parse_exact(unhex(case["update_path"]), treekem.parse_update_path)
        assert path.encode().hex() == case["update_path"]
        merged = treekem.merge_path(tree, sender, path, group_id, none)
        assert merged.tree_hash().hex() == case["tree_hash_after"]
        context = context_of(merged.tree_hash())
        for leaf, privates in states.items():
            if leaf != sender:
                got = treekem.open_path(suite, tree, merged, sender, leaf, privates, path, none, context)
                assert got.path_secret.hex() == case["path_secrets"][leaf]
                assert got.commit_secret.hex() == case["commit_secret"]
        own = treekem.create_path(
            suite, tree, sender, group_id, signing[sender], none, context_of, deterministic(f"path {sender}")
        )
        merged = treekem.merge_path(tree, sender, own.path, group_id, none)
        assert merged.tree_hash() == own.tree.tree_hash()
        context = context_of(merged.tree_hash())
        for leaf, privates in states.items():
            if leaf != sender:
                got = treekem.open_path(suite, tree, merged, sender, leaf, privates, own.path, none, context)
                assert got.commit_secret == own.commit_secret


def _encode_leaf(leaf: nodes.LeafNode) -> bytes:
    """A leaf from its fields, not from the bytes that were kept."""
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
    return tbs + vec(leaf.signature)


def _encode_key_package(package: nodes.KeyPackage) -> bytes:
    rebuilt = replace(package.leaf, raw=_encode_leaf(package.leaf))
    tbs = nodes.key_package_tbs(package.suite, package.init_key, rebuilt, package.extensions)
    return tbs + vec(package.signature)


def _encode_proposal(proposal: proposals.Proposal) -> bytes:
    if isinstance(proposal, proposals.Add):
        return _encode_key_package(proposal.key_package)
    if isinstance(proposal, proposals.Update):
        return _encode_leaf(proposal.leaf)
    return proposal.body()


def _round_trip_message(data: bytes, content_type: int | None) -> None:
    message = framing.parse_handshake_or_application(data)
    assert message.encode() == data
    if isinstance(message, framing.PublicMessage):
        inner = message.authenticated
        assert inner.content_type == content_type
        body = vec(inner.body) if isinstance(inner.body, bytes) else _body(inner)
        content = framing.encode_content(
            inner.group_id, inner.epoch, inner.sender, inner.authenticated_data, inner.content_type, body
        )
        assert content == inner.content


class OtherSuite(Exception):
    """A structure of `messages.json` is of a suite whose keys have other sizes than ours."""


def check_messages(entry: Entry) -> None:
    """Every structure decodes, and encodes from its fields to the same bytes."""
    key_package = unhex(entry["mls_key_package"])
    if int.from_bytes(key_package[6:8], "big") not in crypto.SUITES:
        raise OtherSuite
    assert key_package[:4] + _encode_key_package(parse_exact(key_package[4:], nodes.parse_key_package)) == key_package
    assert welcome.parse_welcome(unhex(entry["mls_welcome"])).encode().hex() == entry["mls_welcome"]
    wire_format, reader = framing.message_reader(unhex(entry["mls_group_info"]), 1 << 20)
    info = welcome.parse_group_info(reader)
    reader.done()
    assert wire_format == framing.WIRE_GROUP_INFO
    tbs = info.context.encode() + nodes.encode_extensions(info.extensions) + vec(info.confirmation_tag)
    assert tbs + info.signer.to_bytes(4, "big") == info.tbs
    assert info.encode() == unhex(entry["mls_group_info"])[4:]
    assert parse_tree(unhex(entry["ratchet_tree"])).encode().hex() == entry["ratchet_tree"]
    group_secrets = parse_exact(unhex(entry["group_secrets"]), welcome.parse_group_secrets)
    assert group_secrets.encode().hex() == entry["group_secrets"]
    kinds = ("add", "update", "remove", "pre_shared_key", "re_init", "external_init", "group_context_extensions")
    for kind, name in enumerate(kinds, start=1):
        data = unhex(entry[f"{name}_proposal"])
        proposal = parse_exact(data, lambda r, k=kind: proposals.parse_proposal_body(r, k))  # type: ignore[misc]
        assert _encode_proposal(proposal) == data
    assert parse_exact(unhex(entry["commit"]), proposals.parse_commit).encode().hex() == entry["commit"]
    for name, content_type in (("application", 1), ("proposal", 2), ("commit", 3)):
        _round_trip_message(unhex(entry[f"public_message_{name}"]), content_type)
    _round_trip_message(unhex(entry["private_message"]), None)

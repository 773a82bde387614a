"""Starting groups and joining them (RFC 9420 sections 11, 12.4.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from protocol.mls import (
    BadWelcome,
    Group,
    KeyPackagePair,
    Pending,
    joining,
    keypackages,
    limits,
    nodes,
    schedule,
    welcome,
)
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact
from protocol.mls.schedule import PSK_EXTERNAL, PSK_RESUMPTION, USAGE_BRANCH, PskId
from protocol.mls.tree import parse_tree
from protocol.mls.welcome import GroupInfo, GroupSecrets
from tests.protocol.mls.people import AD, DAY_S, NOW_S, Person, founded, group_of, joined
from tests.protocol.mls.vector_checks import deterministic
from tests.protocol.mls.vector_table import check_file


@dataclass
class Invitation:
    """Cat was added by Ann to a group with Bob."""

    cat: Person
    package: KeyPackagePair
    pending: Pending

    def join(self, **changes: Any) -> Group:
        given: dict[str, Any] = {
            "welcome": self.pending.welcome,
            "key_package": self.package.key_package,
            "key_package_private": self.package.private,
            "signature_private": self.cat.seed,
            "ratchet_tree": self.pending.ratchet_tree,
            "now_s": NOW_S,
        }
        return Group.join(**(given | changes))

    def refused(self, reason: str, **changes: Any) -> None:
        with pytest.raises(BadWelcome, match=reason):
            self.join(**changes)


def invite(*others: str, tree_in_welcome: bool = False, suite: int = 3) -> Invitation:
    ann, _ = group_of("ann", "bob", suite=suite)
    cat = Person("cat")
    chosen = cat.key_package(suite)
    pending = ann.commit(
        add=[chosen.key_package, *(Person(other).key_package(suite).key_package for other in others)],
        authenticated_data=AD,
        tree_in_welcome=tree_in_welcome,
        group_info_extensions={nodes.GROUP_INFO_EXTENSION: b"anchor"},
        entropy=deterministic("invite"),
        now_s=NOW_S,
    )
    return Invitation(cat, chosen, pending)


@pytest.mark.parametrize(("name", "at_least"), [("passive-client-welcome.json", 16), ("welcome.json", 2)])
def test_official_vectors(name: str, at_least: int) -> None:
    check_file(name, at_least)


@pytest.mark.parametrize("suite", [1, 3])
def test_the_tree_may_come_either_way(suite: int) -> None:
    apart, within = invite(suite=suite), invite(tree_in_welcome=True, suite=suite)
    assert apart.join().epoch_authenticator == apart.pending.next.epoch_authenticator
    state = within.join(ratchet_tree=None)
    assert state.epoch_authenticator == within.pending.next.epoch_authenticator
    assert state.group_info_extensions == {nodes.GROUP_INFO_EXTENSION: b"anchor"}
    assert [member.identity for member in state.members] == [b"ann", b"bob", b"cat"]
    apart.refused("12.4.3.3", ratchet_tree=None)


def test_preview_needs_no_tree() -> None:
    made = invite()
    assert made.pending.welcome is not None
    seen = Group.preview(
        welcome=made.pending.welcome, key_package=made.package.key_package, key_package_private=made.package.private
    )
    assert (seen.group_id, seen.epoch) == (b"group", 2)
    assert seen.group_info_extensions == {nodes.GROUP_INFO_EXTENSION: b"anchor"}
    with pytest.raises(BadWelcome, match="truncated"):
        Group.preview(welcome=b"", key_package=made.package.key_package, key_package_private=made.package.private)


def test_12_4_3_1_key_packages() -> None:
    made = invite()
    other = made.cat.key_package()
    made.refused("another key package", key_package_private=other.private)
    made.refused("12.4.3.1", key_package=other.key_package, key_package_private=other.private)
    made.refused("another key package", signature_private=Person("dan").seed)
    made.refused("another cipher suite than the key package", welcome=invite(suite=1).pending.welcome)
    made.refused("not a Welcome", welcome=made.package.key_package)


def test_7_3_an_expired_key_package() -> None:
    invite().refused("7.3", now_s=NOW_S + DAY_S + 1)


def test_12_4_3_1_hash_of_the_tree() -> None:
    made = invite()
    made.refused("12.4.3.1", ratchet_tree=invite().pending.next.ratchet_tree[:-1] + b"\x00")
    tree = parse_tree(made.pending.ratchet_tree)
    tree.remove(1)
    made.refused("12.4.3.1", ratchet_tree=tree.encode())


Change = Callable[[GroupSecrets, GroupInfo], tuple[GroupSecrets, GroupInfo]]


@contextmanager
def opening(change: Change) -> Iterator[None]:
    """What a Welcome decrypts to is changed, as a rogue inviter could have written it."""
    honest = joining.open_welcome

    def changed(*args: Any) -> joining.OpenedWelcome:
        opened = honest(*args)
        secrets, info = change(opened.secrets, opened.info)
        return replace(opened, secrets=secrets, info=info)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "open_welcome", changed)
        yield


def signed_info(info: GroupInfo, signer: int = 0, seed: bytes | None = None, **context: Any) -> GroupInfo:
    """The GroupInfo with another context, signed by its signer."""
    key = crypto.signing_key(Person("ann").seed if seed is None else seed)
    encoded = replace(info.context, **context).encode()
    data = welcome.sign_group_info(encoded, info.extensions, info.confirmation_tag, signer, key)
    return parse_exact(data, welcome.parse_group_info)


def refused_after(change: Change, reason: str) -> None:
    made = invite()
    with opening(change):
        made.refused(reason)


def test_12_4_3_1_signature_of_the_group_info() -> None:
    refused_after(lambda s, i: (s, replace(i, signature=bytes(64))), "GroupInfoTBS")
    refused_after(lambda s, i: (s, signed_info(i, seed=Person("eve").seed)), "GroupInfoTBS")
    refused_after(lambda s, i: (s, signed_info(i, signer=3)), "12.4.3.1")


def test_12_4_3_1_nobody_welcomes_themselves() -> None:
    refused_after(lambda s, i: (s, signed_info(i, signer=2, seed=Person("cat").seed)), "own leaf")


def test_12_4_3_1_confirmation_tag() -> None:
    refused_after(lambda s, i: (s, signed_info(i, epoch=9)), "confirmation tag")
    refused_after(lambda s, i: (replace(s, joiner_secret=bytes(32)), i), "confirmation tag")


def test_12_4_3_1_path_secret() -> None:
    refused_after(lambda s, i: (replace(s, path_secret=bytes(32)), i), "7.5")
    refused_after(lambda s, i: (replace(s, path_secret=bytes(5)), i), "wrong size")
    # Dan comes with Cat, and the node above both is blank: a path secret for it cannot be right.
    made = invite("dan")
    with opening(lambda s, i: (s, signed_info(i, signer=3, seed=Person("dan").seed))):
        made.refused("12.4.3.1")


def test_13_4_extensions_of_the_group() -> None:
    refused_after(lambda s, i: (s, signed_info(i, extensions=((0xF777, b""),))), "13.4")


def test_7_9_2_the_tree_is_checked() -> None:
    refused_after(lambda s, i: (s, signed_info(i, group_id=b"other")), "LeafNodeTBS")


def test_12_4_3_1_the_own_leaf_is_in_the_tree() -> None:
    made = invite()
    ann, _ = group_of("ann", "bob")
    pending = ann.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("other"), now_s=NOW_S)
    tree = parse_tree(pending.ratchet_tree)
    with opening(lambda s, i: (s, signed_info(i, tree_hash=tree.tree_hash()))):
        made.refused("without this key package's leaf", ratchet_tree=tree.encode())


def test_the_private_key_fits_the_leaf() -> None:
    made = invite()
    init, _ = keypackages.decode_private(made.package.private)
    made.refused("another key package", key_package_private=keypackages.encode_private(init, b"x" * 32))


def test_7_2_lifetimes_are_bounded_for_joiners_too() -> None:
    made = invite()
    made.refused("7.2", longest_lifetime_s=DAY_S)
    assert made.join(longest_lifetime_s=0).epoch == 2


@pytest.mark.parametrize(
    ("psk", "reason"),
    [
        (PskId(PSK_EXTERNAL, b"n" * 32, b"id"), "8.4"),
        (PskId(PSK_RESUMPTION, b"n" * 32, usage=USAGE_BRANCH, group_id=b"g", epoch=1), "12.4.3.1"),
    ],
)
def test_8_4_keys_that_the_joiner_lacks(psk: PskId, reason: str) -> None:
    made = invite()
    package = keypackages.read_key_package(made.package.key_package)
    secret = schedule.welcome_secret(b"j" * 32, b"p" * 32)
    data = welcome.seal_welcome(
        crypto.SUITES[3], b"info", secret, b"j" * 32, [(package, None)], (psk,), deterministic("seal")
    )
    made.refused(reason, welcome=data)


def test_12_4_3_1_suite_of_the_group_info() -> None:
    made = invite()
    package = keypackages.read_key_package(made.package.key_package)
    context = replace(made.pending.next._epoch.group_context, suite=1)
    info = welcome.sign_group_info(context.encode(), (), b"tag", 0, crypto.signing_key(Person("ann").seed))
    secret = schedule.welcome_secret(b"j" * 32, crypto.ZERO_SECRET)
    data = welcome.seal_welcome(crypto.SUITES[3], info, secret, b"j" * 32, [(package, None)], (), deterministic("seal"))
    made.refused("another cipher suite", welcome=data)


def test_without_a_path_secret_the_joiner_has_only_its_leaf() -> None:
    """Others may commit an Add without a path (12.4); the official vectors do, and this states what follows."""
    made = invite()
    with opening(lambda s, i: (replace(s, path_secret=None), i)):
        assert list(made.join()._epoch.record.privates) == [4]


def test_groups_of_one() -> None:
    ann = founded(Person("ann"), extensions=((nodes.GROUP_CONTEXT_EXTENSION, b"x"), (0xF001, b"y")))
    assert (ann.epoch, ann.own_leaf, ann.me.identity) == (0, 0, b"ann")
    assert ann.group_context_extensions == {nodes.GROUP_CONTEXT_EXTENSION: b"x", 0xF001: b"y"}
    assert ann.members == (ann.me,)
    following = ann.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("one"), now_s=NOW_S).next
    assert (following.epoch, len(following.members)) == (1, 1)


def test_arguments_out_of_range() -> None:
    def create(**changes: Any) -> Group:
        given: dict[str, Any] = {
            "group_id": b"g",
            "identity": b"ann",
            "signature_private": bytes(32),
            "lifetime": (0, 1),
            "entropy": deterministic("create"),
        }
        return Group.create(**(given | changes))

    assert create().suite == 3
    for changes, reason in (
        ({"suite": 2}, "suite 2"),
        ({"group_id": bytes(limits.MAX_GROUP_ID_BYTES + 1)}, "group id"),
        ({"extensions": ((1, b""), (1, b""))}, "twice"),
        ({"lifetime": (5, 4)}, "lifetime"),
    ):
        with pytest.raises(ValueError, match=reason):
            create(**changes)


def test_joined_states_go_on() -> None:
    made = invite()
    cat = joined(made.cat, made.package, made.pending)
    message, cat = cat.seal(b"hello", authenticated_data=AD, entropy=deterministic("hi"))
    opened, _ = made.pending.next.open(message, authenticated_data=AD)
    assert (opened.plaintext, opened.sender.identity) == (b"hello", b"cat")

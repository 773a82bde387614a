"""One broken rule at a time, named by its section of RFC 9420: commits that are void for every honest member, and trees
that no joiner may accept. The rules of key packages are in `test_keypackages`, those of paths in `test_treekem`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.mls import Group, limits, nodes, validation
from protocol.mls import suite as crypto
from protocol.mls.codec import u16, u32, vec, vec_of
from protocol.mls.errors import Invalid
from protocol.mls.keypackages import read_key_package
from protocol.mls.nodes import LeafNode, RequiredCapabilities
from protocol.mls.proposals import (
    Add,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from protocol.mls.schedule import PSK_EXTERNAL, PSK_RESUMPTION, USAGE_BRANCH, USAGE_REINIT, PskId
from protocol.mls.state import PendingProposal
from protocol.mls.treekem import NewPath
from tests.protocol.mls.people import AD, DAY_S, NOW_S, Person, group_of
from tests.protocol.mls.rogue import apply, assert_void, commit_of, with_path, without
from tests.protocol.mls.test_keypackages import rebuilt
from tests.protocol.mls.vector_table import check_file


@pytest.fixture(scope="module")
def trio_of_members() -> list[Group]:
    """Ann, Bob and Cat at epoch 1."""
    return group_of("ann", "bob", "cat")


def test_official_vectors() -> None:
    check_file("tree-validation.json", at_least=28)


def test_rogue_commits_are_otherwise_in_order(trio_of_members: list[Group]) -> None:
    ann, bob, _ = trio_of_members
    fine = commit_of(ann, "ann", add=[Person("dan").key_package().key_package], remove=[2])
    done = apply(bob, fine)
    assert [member.identity for member in done.next.members] == [b"ann", b"bob", b"dan"]


# Proposal lists


def void(members: list[Group], section: str, *proposals: Proposal, remove: tuple[int, ...] = ()) -> None:
    ann, bob, _ = members
    assert_void(bob, commit_of(ann, "ann", proposals=proposals, remove=remove), section)


def test_12_1_3_remove_of_a_blank_leaf(trio_of_members: list[Group]) -> None:
    ann, bob, _ = trio_of_members
    for leaf in (3, 70_000):
        proposals: tuple[Proposal, ...] = (Remove(leaf),)
        with pytest.raises(Invalid, match=r"12\.1\.3"):
            validation.check_proposals(ann._epoch.tree, b"group", 3, 0, [(proposals[0], 0)], 0)
    with pytest.raises(ValueError, match=r"12\.1\.3"):
        ann.commit(remove=[3], authenticated_data=AD, tree_in_welcome=False, entropy=Person("ann").entropy, now_s=NOW_S)
    assert bob.epoch == 1


def test_12_2_commit_that_removes_its_committer(trio_of_members: list[Group]) -> None:
    ann, _, _ = trio_of_members
    with pytest.raises(Invalid, match=r"12\.2"):
        validation.check_proposals(ann._epoch.tree, b"group", 3, 0, [(Remove(0), 0)], 0)


def test_12_2_two_proposals_for_a_leaf(trio_of_members: list[Group]) -> None:
    void(trio_of_members, "12.2", Remove(2), Remove(2))


def test_12_2_members_occur_once(trio_of_members: list[Group]) -> None:
    ann, bob, _ = trio_of_members
    dan = Person("dan")
    twice = [dan.key_package().key_package, dan.key_package().key_package]
    assert_void(bob, commit_of(ann, "ann", add=twice), "7.3")
    again = Person("cat").key_package().key_package
    assert_void(bob, commit_of(ann, "ann", add=[again]), "7.3")
    done = apply(bob, commit_of(ann, "ann", add=[again], remove=[2]))
    assert [member.identity for member in done.added] == [member.identity for member in done.removed] == [b"cat"]


def test_12_2_no_pre_shared_key_twice(trio_of_members: list[Group]) -> None:
    ann, _, _ = trio_of_members
    psk = PreSharedKey(PskId(PSK_EXTERNAL, b"n" * 32, b"id"))
    with pytest.raises(Invalid, match=r"12\.2"):
        validation.check_proposals(ann._epoch.tree, b"group", 3, 0, [(psk, 0), (psk, 0)], 0)


@pytest.mark.parametrize("usage", [USAGE_REINIT, USAGE_BRANCH])
def test_12_1_4_resumption_keys_of_other_uses(trio_of_members: list[Group], usage: int) -> None:
    ann, _, _ = trio_of_members
    psk = PreSharedKey(PskId(PSK_RESUMPTION, b"n" * 32, usage=usage, group_id=b"g", epoch=1))
    with pytest.raises(Invalid, match=r"12\.1\.4"):
        validation.check_proposals(ann._epoch.tree, b"group", 3, 0, [(psk, 0)], 0)


def test_12_1_4_size_of_a_nonce(trio_of_members: list[Group]) -> None:
    ann, _, _ = trio_of_members
    psk = PreSharedKey(PskId(PSK_EXTERNAL, b"n" * 31, b"id"))
    with pytest.raises(Invalid, match=r"12\.1\.4"):
        validation.check_proposals(ann._epoch.tree, b"group", 3, 0, [(psk, 0)], 0)


def test_12_2_one_change_of_extensions(trio_of_members: list[Group]) -> None:
    void(trio_of_members, "12.2", GroupContextExtensions(()), GroupContextExtensions(()))


def test_12_2_no_external_init_by_a_member(trio_of_members: list[Group]) -> None:
    void(trio_of_members, "12.2", ExternalInit(b"kem"))


def test_12_1_5_reinit_is_not_supported(trio_of_members: list[Group]) -> None:
    void(trio_of_members, "12.1.5", ReInit(b"next", 1, 3, ()))


def test_12_1_7_extensions_that_a_member_lacks(trio_of_members: list[Group]) -> None:
    void(trio_of_members, "13.4", GroupContextExtensions(((0xF777, b""),)))
    required = vec_of([u16(0xF777)]) + vec(b"") + vec(b"")
    void(trio_of_members, "11.1", GroupContextExtensions(((nodes.EXTENSION_REQUIRED_CAPABILITIES, required),)))


@pytest.mark.parametrize(
    "required",
    [
        RequiredCapabilities((0xF777,), (), ()),
        RequiredCapabilities((), (99,), ()),
        RequiredCapabilities((), (), (nodes.CREDENTIAL_X509,)),
    ],
)
def test_11_1_required_capabilities(trio_of_members: list[Group], required: RequiredCapabilities) -> None:
    data = b"".join(
        vec_of(u16(n) for n in field) for field in (required.extensions, required.proposals, required.credentials)
    )
    leaves = [leaf for _, leaf in trio_of_members[0]._epoch.tree.leaves()]
    validation.check_members(leaves, ())
    with pytest.raises(Invalid, match=r"11\.1"):
        validation.check_members(leaves, ((nodes.EXTENSION_REQUIRED_CAPABILITIES, data),))


def test_12_1_7_extensions_apply_to_members_added_with_them(trio_of_members: list[Group]) -> None:
    ann, bob, cat = trio_of_members
    change = GroupContextExtensions(((nodes.GROUP_CONTEXT_EXTENSION, b"new"),))
    lacking = rebuilt({"capabilities": replace(nodes.own_capabilities(), extensions=())})
    assert_void(bob, commit_of(ann, "ann", add=[lacking], proposals=[change]), "13.4")
    done = apply(cat, commit_of(ann, "ann", proposals=[change]))
    assert done.next.group_context_extensions == {nodes.GROUP_CONTEXT_EXTENSION: b"new"}


# Key packages in a commit


@pytest.mark.parametrize(
    ("key_package", "section"),
    [
        (lambda: Person("dan").key_package(1).key_package, "10.1"),
        (lambda: rebuilt({"lifetime": (NOW_S - DAY_S, NOW_S + limits.MAX_LIFETIME_S)}), "7.2"),
        (lambda: rebuilt({"capabilities": replace(nodes.own_capabilities(), suites=(1,))}), "7.2"),
        (lambda: rebuilt({"extensions": ((0xF777, b""),)}), "7.3"),
        (lambda: rebuilt({"source": nodes.SOURCE_UPDATE, "lifetime": None}), "7.3"),
        (lambda: rebuilt({"encryption_key": bytes(32)}), "small order"),
    ],
)
def test_12_1_1_adds_of_invalid_key_packages(trio_of_members: list[Group], key_package: object, section: str) -> None:
    ann, bob, _ = trio_of_members
    assert callable(key_package)
    with without("check_key_package", "check_lifetime_now"):
        commit = commit_of(ann, "ann", add=[key_package()])
    assert_void(bob, commit, section)


def test_7_3_an_expired_key_package_voids_no_commit(trio_of_members: list[Group]) -> None:
    ann, bob, _ = trio_of_members
    old = Person("dan").key_package(lifetime=(NOW_S - 2 * DAY_S, NOW_S - DAY_S)).key_package
    with without("check_lifetime_now"):
        done = apply(bob, commit_of(ann, "ann", add=[old]))
    assert [member.identity for member in done.out_of_time] == [b"dan"]


def test_7_3_a_key_of_another_node(trio_of_members: list[Group]) -> None:
    ann, bob, _ = trio_of_members
    taken = ann._epoch.tree.encryption_key(2)
    assert_void(bob, commit_of(ann, "ann", add=[rebuilt({"encryption_key": taken})]), "7.3")


# Update proposals


def updated(
    members: list[Group], *, sender: int = 2, key: bytes | None = None, context: bytes | None = None, **changes: object
) -> tuple[Group, bytes]:
    """(Bob with an Update of Cat's kept, Ann's commit that refers to it)."""
    ann, bob, _ = members
    old = ann._epoch.tree.leaf(sender)
    assert old is not None
    fields: dict[str, object] = {"encryption_key": crypto.public_key(b"u" * 32), "source": nodes.SOURCE_UPDATE}
    leaf: LeafNode = replace(old, **(fields | {"lifetime": None, "parent_hash": None} | changes))  # type: ignore[arg-type]
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
    signer = crypto.signing_key(Person("cat").seed) if key is None else key
    signed = nodes.sign_leaf(tbs, signer, vec(b"group") + u32(sender) if context is None else context)
    pending = PendingProposal(b"r" * 32, sender, u16(2) + signed.raw)
    knowing = [Group(group._epoch.with_proposals([pending]), group._keys) for group in (ann, bob)]
    return knowing[1], commit_of(knowing[0], "ann")


def test_12_1_2_updates(trio_of_members: list[Group]) -> None:
    bob, commit = updated(trio_of_members)
    done = apply(bob, commit)
    leaf = done.next._epoch.tree.leaf(2)
    assert leaf is not None
    assert leaf.source == nodes.SOURCE_UPDATE


def test_7_3_source_of_an_update(trio_of_members: list[Group]) -> None:
    bob, commit = updated(trio_of_members, source=nodes.SOURCE_COMMIT, parent_hash=b"")
    assert_void(bob, commit, "7.3")


def test_7_3_an_update_has_a_new_key(trio_of_members: list[Group]) -> None:
    bob, commit = updated(trio_of_members, encryption_key=trio_of_members[0]._epoch.tree.encryption_key(4))
    assert_void(bob, commit, "7.3")


def test_5_3_1_an_update_keeps_the_credential(trio_of_members: list[Group]) -> None:
    bob, commit = updated(trio_of_members, credential=nodes.Credential(nodes.CREDENTIAL_BASIC, b"eve"))
    assert_void(bob, commit, "5.3.1")
    other = crypto.signing_key(b"o" * 32)
    bob, commit = updated(trio_of_members, signature_key=crypto.public_of(other), key=other)
    assert_void(bob, commit, "5.3.1")


def test_7_2_signature_of_an_update(trio_of_members: list[Group]) -> None:
    bob, commit = updated(trio_of_members, context=vec(b"other") + u32(2))
    assert_void(bob, commit, "LeafNodeTBS")


def test_7_2_capabilities_of_an_update(trio_of_members: list[Group]) -> None:
    bob, commit = updated(trio_of_members, capabilities=replace(nodes.own_capabilities(), versions=()))
    assert_void(bob, commit, "7.2")


def test_12_2_update_by_the_committer_or_by_nobody(trio_of_members: list[Group]) -> None:
    tree = trio_of_members[0]._epoch.tree
    leaf = tree.leaf(2)
    assert leaf is not None
    with pytest.raises(Invalid, match=r"12\.2"):
        validation.check_proposals(tree, b"group", 3, 0, [(Update(leaf), 0)], 0)
    with pytest.raises(Invalid, match=r"12\.1\.2"):
        validation.check_proposals(tree, b"group", 3, 0, [(Update(leaf), 3)], 0)


# Paths


def test_12_4_commits_that_need_a_path() -> None:
    add = Add(read_key_package(Person("dan").key_package().key_package))
    validation.check_path_presence(Commit((add,), None), [(add, 0)])
    psk = PreSharedKey(PskId(PSK_EXTERNAL, b"n" * 32, b"id"))
    validation.check_path_presence(Commit((add, psk), None), [(add, 0), (psk, 0)])
    lists: list[list[Proposal]] = [[], [Remove(1)], [add, Remove(1)], [GroupContextExtensions(())]]
    for listed in lists:
        with pytest.raises(Invalid, match=r"12\.4"):
            validation.check_path_presence(Commit(tuple(listed), None), [(proposal, 0) for proposal in listed])


def path_leaf(members: list[Group], section: str, key: bytes | None = None, **changes: object) -> None:
    """A commit of Ann's whose path has a leaf with these changes, signed by her."""
    ann, bob, _ = members

    def change(made: NewPath) -> NewPath:
        leaf: LeafNode = replace(made.path.leaf, **changes)  # type: ignore[arg-type]
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
        signed = nodes.sign_leaf(tbs, key or crypto.signing_key(Person("ann").seed), vec(b"group") + u32(0))
        return replace(made, path=replace(made.path, leaf=signed))

    with with_path(change):
        commit = commit_of(ann, "ann")
    assert_void(bob, commit, section)


def test_12_4_2_leaf_of_a_path(trio_of_members: list[Group]) -> None:
    path_leaf(trio_of_members, "12.4.2", source=nodes.SOURCE_UPDATE, parent_hash=None)
    path_leaf(trio_of_members, "5.3.1", credential=nodes.Credential(nodes.CREDENTIAL_BASIC, b"eve"))
    other = crypto.signing_key(b"o" * 32)
    path_leaf(trio_of_members, "5.3.1", signature_key=crypto.public_of(other), key=other)
    path_leaf(trio_of_members, "7.3", encryption_key=trio_of_members[0]._epoch.tree.encryption_key(0))
    path_leaf(trio_of_members, "7.2", capabilities=replace(nodes.own_capabilities(), credentials=()))
    path_leaf(trio_of_members, "7.9.2", parent_hash=bytes(32))


def test_13_4_leaf_of_a_path_supports_the_groups_extensions() -> None:
    groups = group_of("ann", "bob", "cat", extensions=((nodes.GROUP_CONTEXT_EXTENSION, b"x"),))
    path_leaf(groups, "13.4", capabilities=replace(nodes.own_capabilities(), extensions=()))


def test_7_3_credentials_in_use_are_supported_by_all(trio_of_members: list[Group]) -> None:
    leaves = [leaf for _, leaf in trio_of_members[0]._epoch.tree.leaves()]
    odd = replace(leaves[0], capabilities=replace(leaves[0].capabilities, credentials=(2,)))
    with pytest.raises(Invalid, match="credential type in use"):
        validation.check_members([odd, *leaves[1:]], ())


def test_13_4_all_members_support_the_groups_extensions() -> None:
    ann, bob = group_of("ann", "bob", extensions=((nodes.GROUP_CONTEXT_EXTENSION, b"x"),))
    lacking = rebuilt({"capabilities": replace(nodes.own_capabilities(), extensions=())})
    assert_void(bob, commit_of(ann, "ann", add=[lacking]), "13.4")

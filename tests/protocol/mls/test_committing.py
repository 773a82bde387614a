"""Making commits and Welcomes (RFC 9420 sections 12.4.1, 12.4.3.1)."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.mls import BadKeyPackage, Group, Pending, framing, nodes
from protocol.mls.proposals import Commit, GroupContextExtensions, PreSharedKey, Remove
from protocol.mls.schedule import PSK_EXTERNAL, PskId
from tests.protocol.mls.people import AD, NOW_S, Person, group_of, joined
from tests.protocol.mls.rogue import apply
from tests.protocol.mls.vector_checks import deterministic

PSK = PskId(PSK_EXTERNAL, b"n" * 32, b"id")


def commit(group: Group, **plan: Any) -> Pending:
    given: dict[str, Any] = {
        "authenticated_data": AD,
        "tree_in_welcome": False,
        "entropy": deterministic("commit"),
        "now_s": NOW_S,
    }
    return group.commit(**(given | plan))


@pytest.mark.parametrize("wire_format", [framing.WIRE_PRIVATE, framing.WIRE_PUBLIC])
@pytest.mark.parametrize("suite", [1, 3])
def test_commits_open(wire_format: int, suite: int) -> None:
    ann, bob = group_of("ann", "bob", suite=suite)
    made = commit(ann, wire_format=wire_format)
    peeked = Group.peek(made.commit)
    assert (peeked.epoch, peeked.group_id, peeked.is_commit, peeked.authenticated_data) == (1, b"group", True, AD)
    done = apply(bob, made.commit)
    assert done.next.epoch_authenticator == made.next.epoch_authenticator
    assert (done.committer.identity, done.added, done.removed, done.removed_self) == (b"ann", (), (), False)
    assert made.welcome is None


def test_padding_hides_the_size() -> None:
    ann, bob = group_of("ann", "bob")
    plain, padded = commit(ann), commit(ann, padding=1000)
    assert len(padded.commit) - len(plain.commit) == 1000
    assert apply(bob, padded.commit).next.epoch == 2


def test_entropy_decides_everything() -> None:
    ann, _ = group_of("ann", "bob")
    assert commit(ann).commit == commit(ann).commit
    assert commit(ann).commit != commit(ann, entropy=deterministic("other")).commit


def test_the_next_generation_is_in_current() -> None:
    ann, bob = group_of("ann", "bob")
    lost = commit(ann)
    again = commit(lost.current)
    assert lost.current.epoch_authenticator == ann.epoch_authenticator
    # The second attempt does not use the first one's key; a receiver skips over that.
    assert apply(bob, again.commit).next.epoch_authenticator == again.next.epoch_authenticator
    assert [g for g, _ in (_sender_data(bob, made) for made in (lost, again))] == [0, 1]


def _sender_data(group: Group, made: Pending) -> tuple[int, bytes]:
    message = framing.parse_handshake_or_application(made.commit)
    assert isinstance(message, framing.PrivateMessage)
    record = group._epoch.record
    _, generation, guard = framing.open_sender_data(group._epoch.suite, record.secrets.sender_data, message)
    return generation, guard


def test_group_info_extensions_may_depend_on_the_tree() -> None:
    ann, _ = group_of("ann", "bob")
    cat = Person("cat")
    package = cat.key_package()
    seen: list[bytes] = []

    def anchor(tree: bytes) -> dict[int, bytes]:
        seen.append(tree)
        return {nodes.GROUP_INFO_EXTENSION: tree[:8]}

    made = commit(ann, add=[package.key_package], group_info_extensions=anchor)
    assert seen == [made.ratchet_tree]
    state = joined(cat, package, made)
    assert state.group_info_extensions == {nodes.GROUP_INFO_EXTENSION: made.ratchet_tree[:8]}
    assert state.ratchet_tree == made.ratchet_tree
    with pytest.raises(ValueError, match="tree_in_welcome"):
        commit(ann, add=[package.key_package], group_info_extensions={nodes.EXTENSION_RATCHET_TREE: b""})


def test_bad_key_packages_are_named_as_such() -> None:
    ann, _ = group_of("ann", "bob")
    dan = Person("dan").key_package().key_package
    for add, reason in (
        ([Person("bob").key_package().key_package], "7.3"),
        ([dan, dan[:50]], "truncated"),
        ([Person("dan").key_package(1).key_package], "10.1"),
        ([Person("dan").key_package(lifetime=(NOW_S - 100, NOW_S - 1)).key_package], "lifetime"),
    ):
        with pytest.raises(BadKeyPackage, match=reason):
            commit(ann, add=add)
    # Where the fault lies elsewhere, it is not laid on the key package.
    with pytest.raises(ValueError, match=r"12\.1\.3"):
        commit(ann, add=[dan], remove=[5])


def test_plans_that_break_a_rule() -> None:
    ann, bob = group_of("ann", "bob")
    for plan, reason in (
        ({"remove": [0]}, "12.2"),
        ({"remove": [7]}, "12.1.3"),
        ({"proposals": [Remove(1), Remove(1)]}, "12.2"),
        ({"proposals": [GroupContextExtensions(((0xF777, b""),))]}, "13.4"),
        ({"proposals": [PreSharedKey(PSK)]}, "8.4"),
        ({"padding": -1}, "padding"),
        ({"authenticated_data": bytes(70_000)}, "authenticated_data"),
    ):
        with pytest.raises(ValueError, match=reason):
            commit(ann, **plan)
    assert bob.epoch == 1


def test_8_4_pre_shared_keys() -> None:
    ann, bob = group_of("ann", "bob")
    cat = Person("cat")
    package = cat.key_package()
    known = {b"id": b"secret"}
    made = commit(ann, add=[package.key_package], proposals=[PreSharedKey(PSK)], psks=lambda psk: known.get(psk.psk_id))
    done = bob.apply(made.commit, authenticated_data=AD, now_s=NOW_S, psks=lambda psk: known.get(psk.psk_id))
    assert done.next.epoch_authenticator == made.next.epoch_authenticator
    assert made.welcome is not None
    state = Group.join(
        welcome=made.welcome,
        key_package=package.key_package,
        key_package_private=package.private,
        signature_private=cat.seed,
        ratchet_tree=made.ratchet_tree,
        now_s=NOW_S,
        psks=lambda psk: known.get(psk.psk_id),
    )
    assert state.epoch_authenticator == made.next.epoch_authenticator


def test_everybody_in_one_welcome() -> None:
    ann = group_of("ann")[0]
    people = [Person(f"p{i}") for i in range(9)]
    packages = [person.key_package() for person in people]
    made = commit(ann, add=[package.key_package for package in packages])
    states = [joined(person, package, made) for person, package in zip(people, packages, strict=True)]
    assert {state.epoch_authenticator for state in states} == {made.next.epoch_authenticator}
    assert [state.own_leaf for state in states] == list(range(1, 10))
    # All have the private keys to go on: each commits, and all others follow.
    second = commit(states[4], entropy=deterministic("second"))
    following = [apply(state, second.commit).next for n, state in enumerate([made.next, *states]) if n != 5]
    assert {state.epoch_authenticator for state in following} == {second.next.epoch_authenticator}


def test_commits_have_a_path_and_list_removes_before_adds() -> None:
    ann, bob = group_of("ann", "bob")
    made = commit(ann, add=[Person("bob").key_package().key_package], remove=[1], wire_format=framing.WIRE_PUBLIC)
    message = framing.parse_handshake_or_application(made.commit)
    assert isinstance(message, framing.PublicMessage)
    body = message.authenticated.body
    assert isinstance(body, Commit)
    assert body.path is not None
    assert [proposal.kind for proposal in body.proposals if not isinstance(proposal, bytes)] == [3, 1]
    assert apply(bob, made.commit).removed_self


def test_secrets_do_not_show_in_reprs() -> None:
    made = commit(group_of("ann", "bob")[0])
    assert repr(made.next.epoch_authenticator) not in repr(made)
    assert repr(made.next) == "Group(67726f7570, epoch=2, leaf=0)"

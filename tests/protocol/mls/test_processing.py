"""Processing commits and proposals (RFC 9420 section 12.4.2): which failure is whose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.mls import (
    BadMessage,
    CannotOpen,
    Group,
    StaleMessage,
    VoidCommit,
    changes,
    committing,
    framing,
    limits,
    processing,
)
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact, u16, vec
from protocol.mls.errors import Invalid
from protocol.mls.framing import CONTENT_PROPOSAL, PublicMessage, Sender
from protocol.mls.proposals import Commit, PreSharedKey, Remove, encode_proposal
from protocol.mls.schedule import PSK_EXTERNAL, PskId
from protocol.mls.state import PendingProposal
from protocol.mls.treekem import NewPath
from tests.protocol.mls.people import AD, NOW_S, Person, group_of
from tests.protocol.mls.rogue import apply, assert_void, commit_of, with_path
from tests.protocol.mls.vector_checks import deterministic
from tests.protocol.mls.vector_table import check_file


@pytest.fixture
def three() -> list[Group]:
    """Ann, Bob and Cat at epoch 1."""
    return group_of("ann", "bob", "cat")


@pytest.mark.parametrize(
    ("name", "at_least"), [("passive-client-handling-commit.json", 26), ("passive-client-random.json", 1)]
)
def test_official_vectors(name: str, at_least: int) -> None:
    check_file(name, at_least)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_every_altered_byte_of_a_private_commit_voids_it(three: list[Group]) -> None:
    ann, bob, _ = three
    commit = commit_of(ann, "ann")
    for at in range(0, len(commit), 7):
        with pytest.raises((VoidCommit, StaleMessage)):
            apply(bob, flipped(commit, at))


def test_6_1_signature(three: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob, _ = three
    honest = crypto.sign_with_label

    def forging(key: bytes, label: str, content: bytes) -> bytes:
        return bytes(64) if label == "FramedContentTBS" else honest(key, label, content)

    with monkeypatch.context() as patch:
        patch.setattr(crypto, "sign_with_label", forging)
        commit = commit_of(ann, "ann")
    assert_void(bob, commit, "FramedContentTBS")


def test_6_1_confirmation_tag(three: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob, cat = three
    honest = changes.advance

    def wrong(*args: Any) -> Any:
        return replace(honest(*args), confirmation_tag=bytes(32))

    with monkeypatch.context() as patch:
        patch.setattr(committing, "advance", wrong)
        commit = commit_of(ann, "ann")
    for group in (bob, cat):
        assert_void(group, commit, "6.1")


def test_6_2_membership_tag(three: list[Group]) -> None:
    ann, bob, _ = three
    commit = commit_of(ann, "ann", wire_format=framing.WIRE_PUBLIC)
    assert apply(bob, commit).next.epoch == 2
    assert_void(bob, flipped(commit, len(commit) - 1), "6.2")


def test_6_groups_epochs_and_kinds(three: list[Group]) -> None:
    ann, bob, _ = three
    with pytest.raises(StaleMessage, match="epoch 1 in epoch 2"):
        apply(apply(bob, commit_of(ann, "ann")).next, commit_of(ann, "ann"))
    commit = commit_of(ann, "ann")
    assert_void(bob, commit.replace(vec(b"group"), vec(b"grouq"), 1), "another group")
    sealed, _ = ann.seal(b"hello", authenticated_data=AD, entropy=deterministic("seal"))
    assert_void(bob, sealed, "not a commit")
    assert_void(bob, b"", "truncated")


def test_6_3_1_authenticated_data(three: list[Group]) -> None:
    ann, bob, _ = three
    with pytest.raises(VoidCommit, match=r"6\.3\.1"):
        bob.apply(commit_of(ann, "ann"), authenticated_data=b"other", now_s=NOW_S)


@pytest.mark.parametrize("wire_format", [framing.WIRE_PUBLIC, framing.WIRE_PRIVATE])
def test_an_own_commit_whose_state_is_lost_is_mine_alone(three: list[Group], wire_format: int) -> None:
    ann, bob, _ = three
    commit = commit_of(ann, "ann", wire_format=wire_format)
    assert apply(bob, commit).next.epoch == 2
    with pytest.raises(CannotOpen, match="own"):
        apply(ann, commit)
    assert_void(ann, commit_of(ann, "ann", wire_format=wire_format, remove=[1, 1]), "12.2")


def public(group: Group, sender: Sender, body: bytes, kind: int, seed: bytes, context: bool = True) -> bytes:
    """A signed PublicMessage with this body, in the group's epoch."""
    record = group._epoch.record
    content = framing.encode_content(record.group_id, record.number, sender, AD, kind, body)
    tag = b"tag" if kind == framing.CONTENT_COMMIT else None
    unsigned = parse_exact(u16(1) + content + framing.encode_auth(b"", tag), framing.parse_authenticated_content)
    own = group._epoch.context if context else b""
    signature = crypto.sign_with_label(crypto.signing_key(seed), "FramedContentTBS", unsigned.tbs(own))
    signed = replace(unsigned, signature=signature)
    member = framing.membership_tag(record.secrets.membership, signed, group._epoch.context)
    return PublicMessage(signed, member if sender.kind == framing.SENDER_MEMBER else None).encode()


@pytest.mark.parametrize("kind", [framing.SENDER_EXTERNAL, framing.SENDER_NEW_MEMBER_COMMIT])
def test_12_4_3_2_senders_from_outside(three: list[Group], kind: int) -> None:
    ann, bob, _ = three
    body = Commit((Remove(2),), None).encode()
    assert_void(bob, public(ann, Sender(kind), body, framing.CONTENT_COMMIT, Person("ann").seed), "12.4.3.2")


def test_6_3_2_senders_that_are_blank(three: list[Group]) -> None:
    ann, bob, _ = three
    body = Commit((Remove(2),), None).encode()
    for leaf in (3, 9):
        message = public(ann, Sender(1, leaf), body, framing.CONTENT_COMMIT, Person("ann").seed)
        assert_void(bob, message, "6.3.2")


def test_12_4_references_that_are_not_known(three: list[Group]) -> None:
    ann, bob, _ = three
    pending = PendingProposal(b"r" * 32, 1, encode_proposal(Remove(2)))
    knowing = Group(ann._epoch.with_proposals([pending]), ann._keys)
    commit = commit_of(knowing, "ann")
    assert_void(bob, commit, "12.4")
    bob = Group(bob._epoch.with_proposals([pending]), bob._keys)
    assert [member.leaf for member in apply(bob, commit).removed] == [2]
    twice = Commit((b"r" * 32, b"r" * 32), None)
    with pytest.raises(Invalid, match=r"12\.4"):
        processing._resolve(bob._epoch, twice, 0)


def test_12_4_a_remove_without_a_path(three: list[Group]) -> None:
    ann, bob, _ = three
    body = Commit((Remove(2),), None).encode()
    assert_void(bob, public(ann, Sender(1, 0), body, framing.CONTENT_COMMIT, Person("ann").seed), "12.4")


def lying_to(leaf_position: int) -> Any:
    """Breaks the ciphertext for one recipient of the top path node."""

    def change(made: NewPath) -> NewPath:
        top = made.path.nodes[-1]
        secrets = list(top.secrets)
        secrets[leaf_position] = (secrets[leaf_position][0], bytes(48))
        nodes = (*made.path.nodes[:-1], replace(top, secrets=tuple(secrets)))
        return replace(made, path=replace(made.path, nodes=nodes))

    return change


def test_only_the_one_who_was_lied_to_cannot_open() -> None:
    ann, bob, cat, dan = group_of("ann", "bob", "cat", "dan")
    with with_path(lying_to(0)):
        pending = ann.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("lie"), now_s=NOW_S)
    with pytest.raises(CannotOpen, match="authenticate"):
        apply(cat, pending.commit)
    for group in (bob, dan):
        assert apply(group, pending.commit).next.epoch_authenticator == pending.next.epoch_authenticator
    # Re-admission: removed and added in one commit by somebody who could.
    person = Person("cat")
    package = person.key_package()
    helped = apply(dan, pending.commit).next.commit(
        remove=[2],
        add=[package.key_package],
        authenticated_data=AD,
        tree_in_welcome=True,
        entropy=deterministic("help"),
        now_s=NOW_S,
    )
    assert helped.welcome is not None
    back = Group.join(
        welcome=helped.welcome,
        key_package=package.key_package,
        key_package_private=package.private,
        signature_private=person.seed,
        now_s=NOW_S,
    )
    assert apply(pending.next, helped.commit).next.epoch_authenticator == back.epoch_authenticator


def test_8_4_a_missing_pre_shared_key_is_mine_alone(three: list[Group]) -> None:
    ann, bob, _ = three
    psk = PreSharedKey(PskId(PSK_EXTERNAL, b"n" * 32, b"id"))
    commit = commit_of(ann, "ann", proposals=[psk], psks=lambda _: b"secret")
    with pytest.raises(CannotOpen, match=r"8\.4"):
        apply(bob, commit)


def test_a_key_that_was_used_is_mine_alone(three: list[Group]) -> None:
    ann, bob, _ = three
    commit = commit_of(ann, "ann")
    _, keys = processing.open_handshake(bob._epoch, bob._keys, commit, AD)
    with pytest.raises(CannotOpen, match="used already"):
        apply(Group(bob._epoch, keys), commit)


def test_generations_beyond_an_epochs_are_void_for_all(three: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob, _ = three
    for _ in range(3):
        ann = ann.commit(
            authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("again"), now_s=NOW_S
        ).current
    commit = commit_of(ann, "ann")
    monkeypatch.setattr(limits, "MAX_HANDSHAKE_GENERATION", 2)
    assert_void(bob, commit, "handshake generation")


def test_commits_without_a_path(three: list[Group]) -> None:
    """Ours always have one, others' need not: the vectors hold such commits, this one is broken on purpose."""
    ann, bob, _ = three
    psk = PreSharedKey(PskId(PSK_EXTERNAL, b"n" * 32, b"id"))
    body = Commit((psk,), None).encode()
    message = public(ann, Sender(1, 0), body, framing.CONTENT_COMMIT, Person("ann").seed)
    with pytest.raises(VoidCommit, match=r"6\.1"):
        bob.apply(message, authenticated_data=AD, now_s=NOW_S, psks=lambda _: b"secret")


def test_a_removed_member_learns_it(three: list[Group]) -> None:
    ann, _, cat = three
    done = apply(cat, commit_of(ann, "ann", remove=[2]))
    assert done.removed_self
    assert done.next is cat
    assert [member.identity for member in done.removed] == [b"cat"]


def test_proposals_are_kept_and_committed_by_reference(three: list[Group]) -> None:
    ann, bob, cat = three
    message = public(cat, Sender(1, 2), encode_proposal(Remove(0)), CONTENT_PROPOSAL, Person("cat").seed)
    ann, bob = ann.receive_proposal(message), bob.receive_proposal(message)
    with pytest.raises(ValueError, match=r"12\.2"):
        ann.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("p"), now_s=NOW_S)
    pending = bob.commit(authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("p"), now_s=NOW_S)
    assert apply(ann, pending.commit).removed_self
    with pytest.raises(VoidCommit, match="not known"):
        apply(cat, pending.commit)
    dropped = ann.drop_proposals()
    assert (
        apply(
            bob,
            dropped.commit(
                authenticated_data=AD, tree_in_welcome=False, entropy=deterministic("q"), now_s=NOW_S
            ).commit,
        ).removed
        == ()
    )


def test_proposals_that_do_not_count(three: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    _, bob, cat = three
    body, seed = encode_proposal(Remove(0)), Person("cat").seed
    good = public(cat, Sender(1, 2), body, CONTENT_PROPOSAL, seed)
    knowing = bob.receive_proposal(good)
    with pytest.raises(BadMessage, match="known already"):
        knowing.receive_proposal(good)
    with pytest.raises(BadMessage, match="FramedContentTBS"):
        bob.receive_proposal(public(cat, Sender(1, 0), body, CONTENT_PROPOSAL, seed))
    with pytest.raises(BadMessage, match="not a proposal"):
        bob.receive_proposal(commit_of(cat, "cat"))
    monkeypatch.setattr(limits, "MAX_PENDING_PROPOSALS", 1)
    with pytest.raises(BadMessage, match="more than 1"):
        knowing.receive_proposal(public(cat, Sender(1, 2), encode_proposal(Remove(1)), CONTENT_PROPOSAL, seed))
    with pytest.raises(StaleMessage):
        apply(bob, commit_of(cat, "cat")).next.receive_proposal(good)

"""Malformed input raises only the documented errors, in every function that takes bytes from others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.mls import (
    BadKeyPackage,
    BadMessage,
    BadWelcome,
    CannotOpen,
    Group,
    StaleMessage,
    VoidCommit,
    framing,
    nodes,
    parse_key_package,
    validation,
    welcome,
)
from protocol.mls.codec import parse_exact, vec
from protocol.mls.errors import Invalid
from protocol.mls.framing import Sender
from protocol.mls.keypackages import KeyPackagePair
from protocol.mls.proposals import Commit, parse_commit
from protocol.mls.tree import parse_tree
from tests.protocol.mls.people import AD, NOW_S, Person, group_of
from tests.protocol.mls.test_processing import public
from tests.protocol.mls.vector_checks import deterministic


class Sample:
    """One valid thing of each kind, made once."""

    def __init__(self) -> None:
        self.ann, self.bob, self.cat = group_of("ann", "bob", "cat")
        self.package: KeyPackagePair = Person("dan").key_package()
        self.pending = self.ann.commit(
            add=[self.package.key_package],
            remove=[2],
            authenticated_data=AD,
            tree_in_welcome=True,
            entropy=deterministic("fuzz"),
            now_s=NOW_S,
        )
        self.public = self.ann.commit(
            add=[self.package.key_package],
            authenticated_data=AD,
            tree_in_welcome=True,
            entropy=deterministic("fuzz"),
            now_s=NOW_S,
            wire_format=framing.WIRE_PUBLIC,
        ).commit
        self.message, _ = self.ann.seal(b"hello", authenticated_data=AD, entropy=deterministic("fuzz"))
        parsed = framing.parse_handshake_or_application(self.public)
        assert isinstance(parsed, framing.PublicMessage)
        assert isinstance(parsed.authenticated.body, Commit)
        self.body = parsed.authenticated.body.encode()


@cache
def sample() -> Sample:
    return Sample()


Edit = tuple[int, int, bytes]


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """The data with pieces replaced: (place, how many bytes go, what comes instead)."""
    for place, gone, new in edits:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + gone :]
    return data


EDITS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=3)
ANY = st.binary(max_size=200)


def only(errors: tuple[type[Exception], ...], action: Callable[[], Any]) -> None:
    """The action succeeds or raises one of these."""
    with suppress(*errors):
        action()


def receive(data: bytes) -> None:
    bob = sample().bob
    only((VoidCommit, CannotOpen, StaleMessage), lambda: bob.apply(data, authenticated_data=AD, now_s=NOW_S))
    only((BadMessage, StaleMessage), lambda: bob.open(data, authenticated_data=AD))
    only((BadMessage, StaleMessage), lambda: bob.receive_proposal(data))
    only((BadMessage,), lambda: Group.peek(data))
    only((BadKeyPackage,), lambda: parse_key_package(data, NOW_S))
    join(data, None)


def join(data: bytes, tree: bytes | None) -> None:
    package = sample().package
    only(
        (BadWelcome,),
        lambda: Group.join(
            welcome=data,
            key_package=package.key_package,
            key_package_private=package.private,
            signature_private=Person("dan").seed,
            ratchet_tree=tree,
            now_s=NOW_S,
        ),
    )


@given(ANY, st.sampled_from([b"", *(b"\x00\x01\x00" + bytes([n]) for n in range(1, 6))]))
def test_random_bytes(data: bytes, header: bytes) -> None:
    receive(header + data)


@given(EDITS, st.sampled_from(["commit", "public", "message", "key_package", "welcome"]))
def test_edited_messages(edits: list[Edit], which: str) -> None:
    made = sample()
    data = {
        "commit": made.pending.commit,
        "public": made.public,
        "message": made.message,
        "key_package": made.package.key_package,
        "welcome": made.pending.welcome or b"",
    }[which]
    receive(edited(data, edits))


@given(EDITS)
@example([(0, 4, b"\x00")])
def test_edited_commits_that_are_signed_and_tagged(edits: list[Edit]) -> None:
    made = sample()
    body = edited(made.body, edits)
    only((Invalid,), lambda: parse_exact(body, parse_commit))
    try:
        message = public(made.ann, Sender(1, 0), body, framing.CONTENT_COMMIT, Person("ann").seed)
    except Invalid:
        return
    only((VoidCommit, CannotOpen), lambda: made.bob.apply(message, authenticated_data=AD, now_s=NOW_S))


@given(ANY, st.integers(1, 4), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_contents_that_are_encrypted_in_order(plaintext: bytes, kind: int, leaf: int, generation: int) -> None:
    ann = sample().ann
    keys = ann._keys
    if leaf >= 4:
        plaintext = vec(plaintext) + vec(bytes(64)) + bytes(generation % 9)
    message, _ = framing.protect(
        keys, ann._epoch.record.secrets.sender_data, ann._epoch.head, leaf % 4, kind, AD, plaintext, lambda n: bytes(n)
    )
    receive(message)


@given(EDITS)
def test_edited_trees(edits: list[Edit]) -> None:
    made = sample()
    data = edited(made.pending.ratchet_tree, edits)
    join(made.pending.welcome or b"", data)
    try:
        tree = parse_tree(data)
    except Invalid:
        return
    assert parse_tree(tree.encode()).tree_hash() == tree.tree_hash()
    only((Invalid,), lambda: validation.check_tree(tree, b"group", 3, (), 0))


@pytest.mark.parametrize("parse", [welcome.parse_group_info, welcome.parse_group_secrets, nodes.parse_key_package])
@given(data=ANY)
def test_parsers(parse: Callable[[Any], Any], data: bytes) -> None:
    only((Invalid,), lambda: parse_exact(data, parse))

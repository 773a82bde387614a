"""A member who breaks rules, with everything else about its commits in order.

The honest code refuses to make a void commit; `without(...)` switches off the named checks while a commit is being
made, so that only the rule in question is broken and signatures, hashes and tags still hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from protocol.mls import Applied, Group, VoidCommit, committing, treekem, validation
from protocol.mls.treekem import NewPath
from tests.protocol.mls.people import AD, NOW_S, Person


@contextmanager
def without(*checks: str) -> Iterator[None]:
    """Switches off functions of `validation`."""
    with pytest.MonkeyPatch.context() as patch:
        for name in checks:
            patch.setattr(validation, name, lambda *_: None)
        yield


@contextmanager
def with_path(change: Callable[[NewPath], NewPath]) -> Iterator[None]:
    """Changes the path of a commit before it is signed."""
    honest = treekem.create_path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "create_path", lambda *args: change(honest(*args)))
        yield


LIST = ("check_proposals", "check_members", "check_keys_unique")


def commit_of(group: Group, name: str, **plan: Any) -> bytes:
    """A commit by this person with the plan given, and no check of its proposals."""
    with without(*LIST):
        return group.commit(
            authenticated_data=AD, tree_in_welcome=False, entropy=Person(name).entropy, now_s=NOW_S, **plan
        ).commit


def apply(group: Group, commit: bytes) -> Applied:
    """Applies a commit honestly."""
    return group.apply(commit, authenticated_data=AD, now_s=NOW_S)


def assert_void(group: Group, commit: bytes, section: str) -> None:
    """The commit is void for this member, because of a rule of this section."""
    with pytest.raises(VoidCommit) as caught:
        apply(group, commit)
    assert section in caught.value.reason

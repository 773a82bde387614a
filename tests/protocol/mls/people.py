"""People for tests: deterministic keys, key packages, and groups of them."""

from __future__ import annotations

from protocol.mls import Group, KeyPackagePair, Pending, generate_key_package
from tests.protocol.mls.vector_checks import deterministic

NOW_S = 1_700_000_000
DAY_S = 86_400
AD = b"authenticated data"


class Person:
    """Somebody with a name and an Ed25519 seed that follows from it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.identity = name.encode()
        self.entropy = deterministic(name)
        self.seed = deterministic(f"seed {name}")(32)

    def key_package(
        self, suite: int = 3, *, last_resort: bool = False, lifetime: tuple[int, int] = (NOW_S - DAY_S, NOW_S + DAY_S)
    ) -> KeyPackagePair:
        """A fresh key package, valid at `NOW_S` unless told otherwise."""
        return generate_key_package(
            identity=self.identity,
            signature_private=self.seed,
            suite=suite,
            not_before_s=lifetime[0],
            not_after_s=lifetime[1],
            last_resort=last_resort,
            entropy=self.entropy,
        )


def founded(person: Person, *, suite: int = 3, extensions: tuple[tuple[int, bytes], ...] = ()) -> Group:
    """A new group of one."""
    return Group.create(
        group_id=b"group",
        identity=person.identity,
        signature_private=person.seed,
        suite=suite,
        lifetime=(NOW_S - DAY_S, NOW_S + DAY_S),
        extensions=extensions,
        entropy=person.entropy,
    )


def joined(person: Person, package: KeyPackagePair, pending: Pending) -> Group:
    """The state of a person who was added with this key package by this commit."""
    assert pending.welcome is not None
    return Group.join(
        welcome=pending.welcome,
        key_package=package.key_package,
        key_package_private=package.private,
        signature_private=person.seed,
        ratchet_tree=pending.ratchet_tree,
        now_s=NOW_S,
    )


def group_of(*names: str, suite: int = 3, extensions: tuple[tuple[int, bytes], ...] = ()) -> list[Group]:
    """The states of a group of these people, all at epoch 1, in the order of their names (and leaves)."""
    people = [Person(name) for name in names]
    group = founded(people[0], suite=suite, extensions=extensions)
    packages = [person.key_package(suite) for person in people[1:]]
    pending = group.commit(
        add=[package.key_package for package in packages],
        authenticated_data=AD,
        tree_in_welcome=False,
        entropy=people[0].entropy,
        now_s=NOW_S,
    )
    others = [joined(person, package, pending) for person, package in zip(people[1:], packages, strict=True)]
    return [pending.next, *others]

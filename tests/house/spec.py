"""More tables of protocol/SPEC.md: what frames carry, and the bounds of numbers that are narrower than all others.

`python -m tests.house.spec` says which generated parts of SPEC.md (these, and those of `documents`) are not current;
`--write` brings them up to date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import msgspec
from msgspec import inspect as types

from protocol import content, feeds, frames, identity, ids, position, reports, requests
from protocol.limits import INT_MAX
from protocol.messages import REGISTRY
from tests.house.documents import BLOCKS, SPEC, Block, enum_block, fields_text, first_line, table
from tests.house.tree import ROOT

#: Inside frames, requests and results, in the order in which SPEC.md speaks of them.
CARRIED: tuple[type[msgspec.Struct], ...] = (
    frames.Subscription, frames.SubResult, frames.PubResult, frames.ErrDetail, frames.Bundle, frames.Create,
    frames.Welcome, frames.AccessChange, frames.WelcomeHeader, requests.LoginResult, requests.ClaimedPackage,
    requests.PresenceOf, requests.FeedEntry, requests.FeedPage, feeds.FeedHeader, feeds.SignedEntry, feeds.Pointer,
    identity.DeviceList, identity.Device, position.Seen, content.Reference, reports.Report,
    reports.Item,
)  # fmt: skip


def structures_block() -> str:
    """Positional structures that have no number of their own."""
    rows = ((f"`{struct.__name__}`", fields_text(struct), first_line(struct)) for struct in CARRIED)
    return table(("name", "fields", "what"), rows)


def envelope_block() -> str:
    """The keys of a content."""
    said = dict(_comments(content.Content))
    info = types.type_info(content.Content)
    assert isinstance(info, types.StructType)
    names = {field.encode_name: fields_text_of(content.Content, field.encode_name) for field in info.fields}
    return table(("key", "type", "what"), ((f"`{name}`", kind, said[name]) for name, kind in names.items()))


def fields_text_of(struct: type[msgspec.Struct], name: str) -> str:
    """The type of one field, as `fields_text` writes it."""
    parts = dict(part.split(": ", 1) for part in fields_text(struct).split("; "))
    return parts.get(f"`{name}`", parts.get(f"`{name}`?", ""))


def _comments(struct: type) -> Iterator[tuple[str, str]]:
    for line in inspect.getsource(struct).splitlines():
        name, _, rest = line.strip().partition(": ")
        if name.isidentifier() and "  # " in rest:
            yield name, rest.rpartition("  # ")[2]


def roles_block() -> str:
    """Roles of an access list."""
    roles = {name: value for name, value in vars(frames.Role).items() if name.isupper()}
    return table(("value", "name"), ((value, name) for name, value in roles.items()))


def narrow(info: types.Type, path: str) -> Iterator[tuple[str, str]]:
    """(path, bounds) of every number in a type that does not simply lie within 0 and 2^53−1."""
    match info:
        case types.IntType() if (info.ge, info.le) != (0, INT_MAX):
            low = "−(2^53−1)" if info.ge == -INT_MAX else info.ge
            yield path, f"{low}–{'2^53−1' if info.le == INT_MAX else info.le}"
        case types.VarTupleType():
            yield from narrow(info.item_type, path)
        case types.TupleType():
            for item in info.item_types:
                yield from narrow(item, path)
        case types.UnionType():
            for item in info.types:
                yield from narrow(item, path)
        case types.StructType():
            for field in info.fields:
                if not isinstance(field.type, types.StructType):
                    yield from narrow(field.type, f"{path}.{field.encode_name}")


def integers_block() -> str:
    """Narrower bounds of numbers, wherever one occurs."""
    named: dict[str, type[msgspec.Struct]] = {}
    named |= {frame.__name__.upper(): frame for frame in frames.REGISTRY.values()}
    named |= {struct.__name__: struct for struct in CARRIED} | {"Content": content.Content}
    named |= {**requests.METHODS, **requests.EVENTS}
    named |= {name: body for (name, _version), body in REGISTRY.items()}
    found = {path: bounds for name, struct in named.items() for path, bounds in narrow(types.type_info(struct), name)}
    return table(("number", "bounds"), ((f"`{path}`", bounds) for path, bounds in found.items()))


EXTRA = (
    Block("structures", SPEC, structures_block),
    Block("envelope", SPEC, envelope_block),
    Block("roles", SPEC, roles_block),
    Block("topic kinds", SPEC, lambda: enum_block(ids.TopicKind)),
    Block("integers", SPEC, integers_block),
)
ALL = (*(block for block in BLOCKS if block.document == SPEC), *EXTRA)


def main(arguments: list[str]) -> int:
    """Compare or (`--write`) write; the exit code is 1 where something is left to do."""
    path, write = ROOT / SPEC, "--write" in arguments
    text = before = path.read_text(encoding="utf-8")
    code = 0
    for block in ALL:
        found = block.between(text)
        if found is None:
            print(f"{SPEC}: write two lines where it belongs: {'  '.join(block.marks)}", file=sys.stderr)
            code = 1
        elif found != block.write():
            text = block.replaced(text)
            print(f"{SPEC}: {block.name} {'written' if write else 'is not current'}")
            code = code if write else 1
    if write and text != before:
        path.write_text(text, encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

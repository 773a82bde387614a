"""The tables of the documents, written from the registries: `python3 dev.py docs` brings them up to date.

A document holds, for each block that belongs in it, the two lines `<!-- generated: NAME -->` and `<!-- end: NAME -->`;
what stands between them is replaced. Everything else in the document is prose, and is left alone.
"""

from __future__ import annotations

import ast
import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import inspect as types

from protocol import errors, frames, requests, transitions
from protocol import messages as all_messages
from relay import config
from tests.house.tree import ROOT

SPEC = Path("protocol/SPEC.md")
OPERATING = Path("relay/OPERATING.md")


def first_line(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split()).replace("``", "`")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles)]
    lines += [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- types and fields, as somebody who writes a client in another language needs them


def bounds(low: int | None, high: int | None) -> str:
    """`[32]`, ` ≤ 512`, or nothing."""
    if low is not None and low == high:
        return f"[{low}]"
    return f" ≤ {high}" if high is not None else ""


def type_text(kind: types.Type) -> str:
    """A type without Python's names."""
    match kind:
        case types.BytesType() | types.StrType():
            name = "bytes" if isinstance(kind, types.BytesType) else "str"
            return name + bounds(kind.min_length, kind.max_length)
        case types.VarTupleType() | types.ListType():
            return f"array of ({type_text(kind.item_type)}){bounds(kind.min_length, kind.max_length)}"
        case types.TupleType():
            return f"({', '.join(type_text(item) for item in kind.item_types)})"
        case types.UnionType():
            return " | ".join(type_text(item) for item in kind.types)
        case types.StructType():
            return f"{kind.cls.__name__} ({', '.join(field.encode_name for field in kind.fields)})"
        case types.IntType():
            return "int" if kind.ge is None or kind.ge < 0 else "uint"
        case types.NoneType():
            return "nil"
        case types.RawType() | types.AnyType():
            return "any"
        case types.Metadata():
            return type_text(kind.type)
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def fields_text(struct: type[msgspec.Struct]) -> str:
    """The fields of a struct in order; what may be left out carries a question mark."""
    info = types.type_info(struct)
    assert isinstance(info, types.StructType)
    parts = [f"`{item.encode_name}`{'' if item.required else '?'}: {type_text(item.type)}" for item in info.fields]
    return "; ".join(parts) or "none"


# --- the blocks


def frames_block() -> str:
    def sender(number: int) -> str:
        both = number in frames.CLIENT_FRAMES and number in frames.RELAY_FRAMES
        return "both" if both else "client" if number in frames.CLIENT_FRAMES else "relay"

    rows = (
        (number, frame.__name__.upper(), sender(number), fields_text(frame), first_line(frame))
        for number, frame in sorted(frames.REGISTRY.items())
    )
    return table(("t", "frame", "from", "fields", "what"), rows)


def comments(member: type) -> dict[str, str]:
    """The comment that ends the line of each assignment in a class."""
    return dict(re.findall(r"(?m)^    (\w+)(?:: \w+)? = .*?  # (.*)$", inspect.getsource(member)))


def enum_block(members: type[enum.IntEnum] | type[enum.IntFlag]) -> str:
    said = comments(members)
    return table(("value", "name", "what"), ((int(item), item.name, said.get(item.name or "", "")) for item in members))


def codes_block() -> str:
    rows = (
        (int(code), code.name, info.text, info.action, "yes" if info.temporary else "no")
        for code, info in sorted(errors.CODES.items())
    )
    return table(("code", "name", "what happened", "what to do", "temporary"), rows)


def closes_block() -> str:
    rows = (
        (int(close), close.name, text, "yes" if errors.may_reconnect(close) else "no")
        for close, text in sorted(errors.CLOSES.items())
    )
    return table(("code", "name", "what happened and what to do", "reconnect"), rows)


def states_block() -> str:
    return f"```mermaid\n{transitions.mermaid()}\n```"


def params_block(registry: dict[str, type[requests.Params]]) -> str:
    def what(name: str, params: type[requests.Params]) -> str:
        return re.sub(rf"^(?:EVT )?`{re.escape(name)}`: ", "", first_line(params))

    rows = ((f"`{name}`", fields_text(params), what(name, params)) for name, params in sorted(registry.items()))
    return table(("name", "fields", "what"), rows)


def messages_block() -> str:
    rows = (
        (f"`{name}`", version, fields_text(body), first_line(body))
        for (name, version), body in sorted(all_messages.REGISTRY.items())
    )
    return table(("type", "version", "body", "what"), rows)


def limits(path: Path) -> Iterator[tuple[str, str, str]]:
    """(name, expression, reason) of each bound in a file of bounds; the reason is empty where none is given.

    A reason is the comment that ends the line, or the docstring below it.
    """
    source = (ROOT / path).read_text(encoding="utf-8")
    lines, body = source.splitlines(), ast.parse(source).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value and node.end_lineno:
            reason = lines[node.end_lineno - 1].partition("  # ")[2]
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                reason = " ".join(str(following.value.value).split())
            yield node.target.id, ast.get_source_segment(source, node.value) or "", reason


def limits_block() -> str:
    rows = ((f"`{name}`", f"`{value}`", reason) for name, value, reason in limits(Path("protocol/limits.py")))
    return table(("bound", "value", "why"), rows)


def settings_block() -> str:
    def row(name: str) -> tuple[str, str, str]:
        item = config.FIELDS[name]
        low, high = item.metadata["low"], item.metadata["high"]
        span = "" if low is None else f" ({low}–{high})" if high is not None else f" ({low} or more)"
        return f"`{name}`", f"`{item.default!r}`{span}", item.metadata["doc"]

    return table(("setting", "default (and bounds)", "what"), (row(name) for name in config.FIELDS))


@dataclass(frozen=True, slots=True)
class Block:
    """One generated part of a document."""

    name: str
    document: Path
    write: Callable[[], str]

    @property
    def marks(self) -> tuple[str, str]:
        """The lines around it."""
        return f"<!-- generated: {self.name} -->", f"<!-- end: {self.name} -->"

    def between(self, text: str) -> str | None:
        """What stands between its marks in `text`; None where they are missing."""
        first, last = self.marks
        _before, found, rest = text.partition(first + "\n")
        return rest.partition(last)[0].strip("\n") if found and last in rest else None

    def replaced(self, text: str) -> str:
        """`text` with the block as it must be now."""
        first, last = self.marks
        before, _first, rest = text.partition(first + "\n")
        return f"{before}{first}\n\n{self.write()}\n\n{last}{rest.partition(last)[2]}"


BLOCKS = (
    Block("frames", SPEC, frames_block),
    Block("flags", SPEC, lambda: enum_block(frames.Flag)),
    Block("gap reasons", SPEC, lambda: enum_block(frames.GapReason)),
    Block("states", SPEC, states_block),
    Block("methods", SPEC, lambda: params_block(requests.METHODS)),
    Block("events", SPEC, lambda: params_block(requests.EVENTS)),
    Block("codes", SPEC, codes_block),
    Block("reasons", SPEC, lambda: enum_block(errors.Reason)),
    Block("closes", SPEC, closes_block),
    Block("messages", SPEC, messages_block),
    Block("limits", SPEC, limits_block),
    Block("settings", OPERATING, settings_block),
)


def main() -> int:
    """Write every block into its document; the exit code is 1 where a document or a pair of marks is missing."""
    code = 0
    for document in dict.fromkeys(block.document for block in BLOCKS):
        path = ROOT / document
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for block in (block for block in BLOCKS if block.document == document):
            if block.between(text) is None:
                code = 1
                print(f"{document}: write two lines where it belongs: {'  '.join(block.marks)}", file=sys.stderr)
            else:
                text = block.replaced(text)
        if path.is_file() and text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            print(f"{document}: brought up to date")
    return code


if __name__ == "__main__":
    sys.exit(main())

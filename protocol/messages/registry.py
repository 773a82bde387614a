"""Which body belongs to which type and version, and what happens to those that are not known here.

Rule 1.  An unknown ``chat`` type shows its fallback text.
Rule 2.  An unknown type or version of ``pay``, ``game``, ``group`` or ``ext`` is never acted on and never rendered as
         chat; it is answered once with ``sys.unsupported``.
Rule 3.  Unknown fields of a known body are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, TypeVar

import msgspec

from protocol.codec import decode_struct, encode_struct
from protocol.content import Content, Reference, decode_content, encode_content
from protocol.position import Seen

NEVER_GUESS: Final = frozenset({"pay", "game", "group", "ext"})  # families of rule 2


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all bodies: a map with short names."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]


B = TypeVar("B", bound=Body)
REGISTRY: Final[dict[tuple[str, int], type[Body]]] = {}


def register(type_name: str, version: int = 1) -> Callable[[type[B]], type[B]]:
    """Class decorator: this body is what (``type_name``, ``version``) means. A second claim raises ``ValueError``."""

    def claim(body: type[B]) -> type[B]:
        if (type_name, version) in REGISTRY:
            raise ValueError(f"{type_name} version {version} is registered already")
        REGISTRY[type_name, version] = body
        _parse.cache_clear()
        body.TYPE, body.VERSION = type_name, version
        return body

    return claim


@dataclass(frozen=True, slots=True)
class Unknown:
    """A body that this version does not know, kept byte-exact."""

    type: str
    version: int
    raw: bytes

    @property
    def must_answer(self) -> bool:
        """Whether rule 2 asks for a ``sys.unsupported``."""
        return self.type.partition(".")[0] in NEVER_GUESS


@dataclass(frozen=True, slots=True)
class Message:
    """A parsed content: the envelope and its body."""

    content: Content
    body: Body | Unknown

    @property
    def fallback(self) -> str | None:
        """Text to show for a type that is not known here (rule 1); None where nothing may be shown (rule 2).

        Of other families only what the sender wrote for this case is shown: an unknown receipt is no news to a person.
        """
        if not isinstance(self.body, Unknown) or self.body.must_answer:
            return None
        if is_chat(self.body.type):
            return self.content.fb or f"[{self.body.type}: this version cannot show it]"
        return self.content.fb


def is_chat(type_name: str) -> bool:
    """Whether a type is part of what people read as the conversation."""
    return type_name.startswith("chat.")


def parse(data: bytes) -> Message:
    """Decode a content and its body. Raises ``RemoteProtocolError`` (not fatal) if either is malformed."""
    return _parse(data)


@lru_cache(maxsize=8)  # each layer that a message passes parses it: the receiver, who wants it, who keeps it
def _parse(data: bytes) -> Message:
    content = decode_content(data)
    body = REGISTRY.get((content.t, content.v))
    if body is None:
        return Message(content, Unknown(content.t, content.v, bytes(content.b)))
    return Message(content, decode_struct(content.b, body))


def compose(
    body: Body, *, re: Reference | None = None, th: bytes | None = None, rp: bytes | None = None,
    ex: int | None = None, fb: str | None = None, seen: Seen | None = None,
) -> bytes:  # fmt: skip
    """The bytes of a content that carries ``body``. Raises ``ValueError`` if it is too large."""
    return encode_content(
        Content(
            t=body.TYPE, v=body.VERSION, b=msgspec.Raw(encode_struct(body)),
            re=re, th=th, rp=rp, ex=ex, fb=fb, seen=seen,
        )
    )  # fmt: skip

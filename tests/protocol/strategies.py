"""Hypothesis strategies for any type of the wire, derived from its annotations: bounds included."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from protocol.frames import REGISTRY, AnyFrame

T = TypeVar("T")
_LENGTH = 24  # enough to be different; a field's own bound is tested by name, not by chance


def of_type(type_: type[T]) -> st.SearchStrategy[T]:
    """Values of a Struct that its decoder accepts."""
    return _strategy(inspect.type_info(type_))


def frames() -> st.SearchStrategy[AnyFrame]:
    """Any frame of either side."""
    return st.one_of(*(of_type(type_) for type_ in REGISTRY.values()))


def _sizes(info: Any, fallback: int = _LENGTH) -> tuple[int, int]:
    low = info.min_length or 0
    return low, max(low, min(fallback, fallback if info.max_length is None else info.max_length))


def _strategy(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata():
            return _strategy(info.type)
        case inspect.IntType():
            return st.integers(info.ge, info.le)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.BytesType():
            low, high = _sizes(info)
            return st.binary(min_size=low, max_size=high)
        case inspect.StrType():
            low, high = _sizes(info)
            if info.pattern:
                return st.from_regex(info.pattern).filter(lambda text: low <= len(text) <= high)
            return st.text(min_size=low, max_size=high)
        case inspect.RawType():
            return st.sampled_from([b"\xc0", b"\x90", b"\x01", b"\x92\x01\x02"]).map(msgspec.Raw)
        case inspect.TupleType():
            return st.tuples(*(_strategy(item) for item in info.item_types))
        case inspect.VarTupleType():
            low, high = _sizes(info, 3)
            return st.lists(_strategy(info.item_type), min_size=low, max_size=high).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_strategy(info.key_type), _strategy(info.value_type), max_size=3)
        case inspect.UnionType():
            return st.one_of(*(_strategy(item) for item in info.types))
        case inspect.StructType():
            return st.builds(info.cls, **{field.name: _strategy(field.type) for field in info.fields})
    raise TypeError(f"no strategy for {info}")

"""The values and patterns of `tests/vectors/conformance.json`, as `protocol/CONFORMANCE.md` describes them.

Nothing of `protocol` is used, so that the kit checks the page and not the code against itself.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any, Final

import msgpack
from nacl import bindings as sodium

DEFAULTS: Final[tuple[Any, ...]] = (None, 0, False, "", b"", [])
PERSON: Final = ("account", "device", "inbox", "root_seed", "device_seed")


class Mismatch(Exception):
    """Something is not as the script says; the text says what."""


class Raw(bytes):
    """MessagePack that goes into a value as it is."""


def pack(value: Any) -> bytes:
    """Shortest MessagePack; ``Raw`` is copied."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, list):
        header: bytes = msgpack.Packer().pack_array_header(len(value))
        return header + b"".join(pack(item) for item in value)
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack(data: bytes) -> Any:
    """One MessagePack value. Raises ``Mismatch`` on anything else."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, max_ext_len=0)
    except (ValueError, msgpack.UnpackException) as error:
        raise Mismatch(f"not MessagePack ({error}): {data[:64].hex()}") from None


def show(value: Any) -> str:
    """A value as the script would have it, for messages; long ones are cut."""
    if isinstance(value, bytes):
        return f"hex:{value.hex()[:80]}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(show(item) for item in value)}]"
    return repr(value)[:200]


def _tagged(label: str, *parts: bytes) -> bytes:
    """SPEC.md 8.2."""
    whole = [b"chappe/v1/" + label.encode(), *parts]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in whole)).digest()


def _public(seed: bytes) -> bytes:
    return sodium.crypto_sign_seed_keypair(seed)[0]


def _sign(seed: bytes, message: bytes) -> bytes:
    return sodium.crypto_sign(message, sodium.crypto_sign_seed_keypair(seed)[1])[:64]


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _cat(*parts: bytes | str) -> bytes:
    return b"".join(_bytes(part) for part in parts)


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "cat": _cat,
    "H": lambda data: hashlib.sha256(_bytes(data)).digest(),
    "T": _tagged,
    "u64": lambda number: number.to_bytes(8, "big"),
    "pack": lambda value: pack(value),
    "raw": Raw,
    "sign": _sign,
    "public": _public,
    "random": os.urandom,
    "zeros": bytes,
    "add": lambda *numbers: sum(numbers),
    "lower": min,
    "higher": max,
    "times": lambda count, value: [value] * count,
}


class Scope:
    """The variables of one case. Every run has people, ids and nonces of its own."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"run": os.urandom(16), "now": time.time_ns() // 1_000_000}

    def value(self, source: Any) -> Any:
        """What a value of the script means here. Raises ``KeyError`` where the script is wrong."""
        if isinstance(source, list):
            return [self.value(item) for item in source]
        if isinstance(source, dict):
            ((name, argument),) = source.items()
            return self._call(name, self.value(argument))
        if isinstance(source, str) and source.startswith("hex:"):
            return bytes.fromhex(source[4:])
        if isinstance(source, str) and source.startswith("$"):
            return self._variable(source[1:])
        return source

    def _call(self, name: str, argument: Any) -> Any:
        if name == "id":
            label, shift = argument if isinstance(argument, list) else (argument, 0)
            when: int = self.names["now"] + shift
            return when.to_bytes(6, "big") + hashlib.sha256(_cat(self.names["run"], f"id/{label}")).digest()[:10]
        if name == "handle":
            return f"{argument}-{self.names['run'].hex()[:16]}"
        if name in ("pack", "H", "u64", "raw", "public", "random", "zeros"):
            return FUNCTIONS[name](argument)
        return FUNCTIONS[name](*argument)

    def _variable(self, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        person, _, part = name.partition(".")
        if part not in PERSON:
            raise KeyError(name)
        label = {"account": "root", "root_seed": "root", "inbox": "inbox"}.get(part, "device")
        seed = hashlib.sha256(_cat(self.names["run"], person, "/", label)).digest()
        if part.endswith("seed"):
            return seed
        return sodium.crypto_scalarmult_base(seed) if part == "inbox" else _public(seed)

    def match(self, pattern: Any, value: Any, where: str = "frame") -> None:
        """Compare and capture. Raises ``Mismatch``."""
        if isinstance(pattern, list):
            if not isinstance(value, list):
                raise Mismatch(f"{where} is {show(value)}, not an array")
            for number, item in enumerate(pattern):
                self.match(item, value[number] if number < len(value) else None, f"{where}[{number}]")
        elif isinstance(pattern, dict) and (rule := RULES.get(next(iter(pattern)))) is not None:
            rule(self, pattern, value, where)
        elif pattern != "*":
            wanted = self.value(pattern)
            if type(value) is not type(wanted) or value != wanted:
                raise Mismatch(f"{where} is {show(value)}, not {show(wanted)}")


Rule = Callable[[Scope, dict[str, Any], Any, str], None]


def _demand(fits: bool, where: str, value: Any, wanted: str) -> None:
    if not fits:
        raise Mismatch(f"{where} is {show(value)}, not {wanted}")


def _let(scope: Scope, pattern: dict[str, Any], value: Any, where: str) -> None:
    scope.match(pattern.get("is", "*"), value, where)
    scope.names[pattern["let"]] = value


def _exactly(scope: Scope, pattern: dict[str, Any], value: Any, where: str) -> None:
    wanted = pattern["exactly"]
    _demand(isinstance(value, list) and len(value) == len(wanted), where, value, f"an array of {len(wanted)}")
    scope.match(wanted, value, where)


def _default(scope: Scope, pattern: dict[str, Any], value: Any, where: str) -> None:
    _demand(value in DEFAULTS, where, value, "left out or empty")


def _bytes_of(scope: Scope, pattern: dict[str, Any], value: Any, where: str) -> None:
    _demand(isinstance(value, bytes) and len(value) == pattern["bytes"], where, value, f"{pattern['bytes']} bytes")


def _at_least(scope: Scope, pattern: dict[str, Any], value: Any, where: str) -> None:
    least = scope.value(pattern["at_least"])
    _demand(type(value) is int and value >= least, where, value, f"an integer from {least} up")


def _has(scope: Scope, pattern: dict[str, Any], value: Any, where: str) -> None:
    wanted = scope.value(pattern["has"])
    _demand(isinstance(value, list) and wanted in value, where, value, f"an array with {show(wanted)}")


def _unpacked(scope: Scope, pattern: dict[str, Any], value: Any, where: str) -> None:
    _demand(isinstance(value, bytes), where, value, "bytes")
    scope.match(pattern["unpacked"], unpack(value), f"{where} unpacked")


RULES: Final[dict[str, Rule]] = {
    "let": _let,
    "exactly": _exactly,
    "default": _default,
    "bytes": _bytes_of,
    "at_least": _at_least,
    "has": _has,
    "unpacked": _unpacked,
}

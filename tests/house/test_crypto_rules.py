"""The encryption is composition only: no arithmetic of our own, no weak randomness, no clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import imported, parsed, python_files

MLS = tuple(path for path in python_files("protocol") if path.parts[1:2] == ("mls",))
#: Lengths and counters of the protocol fit 64 bits; a larger number would be a field prime or a group order.
NUMBER_MAX = 2**64
BANNED_IMPORTS = {"random", "secrets", "time", "datetime", "numpy", "math"}


def own_arithmetic(tree: ast.AST) -> Iterator[str]:
    """Whatever looks like number theory: modular powers, and numbers beyond any length or counter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pow" and len(node.args) + len(node.keywords) > 2:
            yield f"line {node.lineno}: a modular power"
        if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) > NUMBER_MAX:
            yield f"line {node.lineno}: a number over 64 bits"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.LShift):
            exponent = node.right
            if isinstance(exponent, ast.Constant) and isinstance(exponent.value, int) and exponent.value > 64:
                yield f"line {node.lineno}: a number over 64 bits"


@pytest.mark.parametrize("path", MLS, ids=str)
def test_no_arithmetic_of_our_own(path: Path) -> None:
    assert not list(own_arithmetic(parsed(path)))


@pytest.mark.parametrize("path", MLS, ids=str)
def test_no_randomness_and_no_clock_but_the_arguments(path: Path) -> None:
    assert not BANNED_IMPORTS & {name.partition(".")[0] for name in imported(path)}


def test_there_is_something_to_look_at() -> None:
    assert len(MLS) > 5


@pytest.mark.parametrize("bad", ["pow(2, x, p)", "x % (2**255 - 19)", "q = 1 << 252", f"p = {2**255 - 19}"])
def test_what_is_found(bad: str) -> None:
    assert list(own_arithmetic(ast.parse(bad)))


@pytest.mark.parametrize("fine", ["pow(2, 3)", "x % 256", "1 << 64", "2**x", "(1 << depth) - 1", "2**53 - 1"])
def test_what_is_fine(fine: str) -> None:
    assert not list(own_arithmetic(ast.parse(fine)))

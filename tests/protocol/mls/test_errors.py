"""The errors of the MLS core."""

from __future__ import annotations

import pytest

from protocol import mls
from protocol.mls import errors

PUBLIC = ("VoidCommit", "CannotOpen", "StaleMessage", "BadMessage", "BadWelcome", "BadKeyPackage")


@pytest.mark.parametrize("name", PUBLIC)
def test_each_has_a_reason_and_one_base(name: str) -> None:
    kind = getattr(mls, name)
    error = kind("because (12.2)")
    assert (error.reason, str(error)) == ("because (12.2)",) * 2
    assert isinstance(error, mls.MlsError)
    assert not isinstance(error, errors.Invalid)
    assert not any(issubclass(kind, getattr(mls, other)) for other in PUBLIC if other != name)

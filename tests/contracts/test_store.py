"""The contract of a store, on every backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.accounts import *  # noqa: F403
from tests.contracts.admission import *  # noqa: F403
from tests.contracts.conversations import *  # noqa: F403
from tests.contracts.entries import *  # noqa: F403
from tests.contracts.feeds import *  # noqa: F403
from tests.contracts.keeping import *  # noqa: F403
from tests.contracts.kit import BACKENDS, Clock, Kit, opened
from tests.contracts.reports import *  # noqa: F403
from tests.contracts.rights import *  # noqa: F403
from tests.contracts.slots import *  # noqa: F403


@pytest.fixture(params=BACKENDS)
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    clock = Clock()
    async with opened(request.param, tmp_path, clock) as store:
        yield Kit(store, clock)

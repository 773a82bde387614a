"""What the author of a worker may say, and what is an error at once."""

from __future__ import annotations

from typing import Any

import pytest

from extensions.errors import WorkerError
from extensions.jobs import Batch, Job
from extensions.worker import Worker
from protocol.messages.chat import Text
from protocol.messages.ext import Reply, Request


async def handler(job: Job[Any]) -> None:
    """Nothing."""


async def take(batch: Batch) -> None:
    """Nothing."""


def make(**options: Any) -> Worker:
    return Worker("dice", **{"consumes": ("ext.request",), "produces": ("ext.reply",), **options})


def test_what_it_consumes() -> None:
    worker = make(keeps="nothing")
    assert worker.on(Request)(handler) is handler
    assert worker.consumed(Request(method="x"))
    assert not worker.consumed(Reply())
    assert not worker.consumed(None)
    assert (worker.handle, repr(worker), worker.manifest.keeps) == ("dice", "Worker('dice')", "nothing")


def test_a_taker_takes_everything() -> None:
    worker = make()
    assert worker.taker(take) is take
    assert worker.consumed(Request(method="x"))
    assert not worker.consumed(Text(text="x"))
    with pytest.raises(WorkerError, match="takes everything"):
        worker.taker(take)
    with pytest.raises(WorkerError, match="no handlers beside"):
        worker.on(Request)(handler)


@pytest.mark.parametrize("options", [{"attempts": 0}, {"parallel": 0}, {"batch_items": 0}, {"back_off_s": ()}])
def test_bounds(options: dict[str, Any]) -> None:
    with pytest.raises(WorkerError):
        make(**options)


def test_types() -> None:
    with pytest.raises(WorkerError, match=r"ext\.nonsense"):
        make(consumes=("ext.nonsense",))
    with pytest.raises(WorkerError, match="add it to consumes"):
        make().on(Text)(handler)
    worker = make()
    worker.on(Request)(handler)
    with pytest.raises(WorkerError, match="one type"):
        worker.on(Request)(handler)
    with pytest.raises(WorkerError, match="already"):
        worker.taker(take)

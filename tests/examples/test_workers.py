"""The worker among the examples, as real processes against a real relay; and the promises about workers (B8, B9)."""

from __future__ import annotations

from tests.support import workers_proof as proof


def test_the_example_is_short() -> None:
    assert proof.DICE.stem == "dice"
    assert len([line for line in proof.DICE.read_text().splitlines() if line.strip()]) < 40


async def test_a_process_dies_in_the_middle_of_a_job_and_another_finishes_it() -> None:
    figures = await proof.b8_worker_dies(1, jobs=3)
    assert figures["results"] == figures["requests"] == figures["books"] == 7


async def test_a_worker_that_was_not_added_gets_nothing() -> None:
    assert (await proof.b9_not_added(1))["entries heard"] == 0

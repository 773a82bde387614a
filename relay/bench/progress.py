"""A bar for each measurement while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from relay.bench.run import Report


@contextmanager
def bars(loads: tuple[str, ...], console: Console | None = None) -> Iterator[Report]:
    """Bars on ``console`` (stderr); they disappear when all is done, since the figures say more."""
    columns = (TextColumn("{task.description:>14}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(stderr=True), transient=True) as progress:
        tasks = {name: progress.add_task(name, total=1.0, start=False) for name in loads}

        def report(name: str, share: float) -> None:
            if share == 0.0:
                progress.start_task(tasks[name])
            progress.update(tasks[name], completed=share)

        yield report

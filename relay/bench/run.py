"""The measurements in turn, against a given relay or a private one that lives as long as they do."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from relay import bounds as B
from relay.bench.crew import Options, open_crew
from relay.bench.figures import Figures
from relay.bench.loads import LOADS
from relay.bench.wire import BenchFailed, Where
from relay.demo.processes import DemoFailed, RelayProcess

#: A private relay is to show what the machine can do, not what its bounds for strangers allow.
_UNBOUNDED: Final = """
publishes_per_s = 10000000
ephemerals_per_s = 10000000
requests_per_s = 10000000
bytes_per_s = 10000000000
account_share = 100000
address_share = 100000
connects_per_s = 1000000
connections_max = 100000
connections_per_address_max = 100000
topics_per_day = 1000000
log_level = "warning"
"""
#: Told the measurement's name and how much of it is done.
Report = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator asked for, within the bounds of ``chappe bench``."""

    loads: tuple[str, ...]
    connections: int = 50
    seconds: float = 5.0
    window: int = 16
    body_bytes: int = 300
    stored: int = 2000
    invite: bytes | None = None
    insecure: bool = False

    def check(self) -> None:
        """Raises ``BenchFailed`` with a sentence to act on."""
        unknown = [name for name in self.loads if name not in LOADS]
        if unknown:
            raise BenchFailed(f"there is no measurement '{unknown[0]}'; there are {', '.join(LOADS)}")
        for name, value, low, high in (
            ("--connections", self.connections, 2, B.BENCH_CONNECTIONS_MAX),
            ("--seconds", self.seconds, 0.1, B.BENCH_SECONDS_MAX),
            ("--window", self.window, 1, B.BENCH_WINDOW_MAX),
            ("--bytes", self.body_bytes, B.BENCH_BODY_BYTES_MIN, B.BENCH_BODY_BYTES_MAX),
            ("--stored", self.stored, 1, B.BENCH_STORED_MAX),
        ):
            if not low <= value <= high:
                raise BenchFailed(f"{name} is between {low} and {high}, not {value}")

    def options(self, url: str) -> Options:
        """For the measurements of the relay at ``url``."""
        context = None
        if self.insecure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        where = Where.of(url)
        return Options(
            where, self.connections, self.seconds, self.window, self.body_bytes, self.stored, self.invite, context
        )


@asynccontextmanager
async def private_relay(folder: Path) -> AsyncIterator[str]:
    """The address of a relay in a process of its own, without bounds. Raises ``BenchFailed``."""
    config = folder / "relay.toml"
    config.write_text(_UNBOUNDED, encoding="ascii")
    relay = RelayProcess(folder / "data", folder / "relay.log")
    async with trio.open_nursery() as nursery:
        try:
            await relay.start(nursery, "--config", str(config))
            yield relay.url
        except DemoFailed:
            said = (folder / "relay.log").read_text(encoding="utf-8").strip().splitlines()
            raise BenchFailed(f"the private relay did not start: {said[-1] if said else 'it said nothing'}") from None
        finally:
            await relay.stop()


async def measure(options: Options, loads: Iterable[str], report: Report, done: Callable[[Figures], None]) -> None:
    """Run measurements; each has people of its own, and all their connections end with it. Raises ``BenchFailed``."""
    for name in loads:
        async with open_crew(options) as crew:
            report(name, 0.0)
            figures = await LOADS[name](crew, partial(report, name))
        done(figures)


async def bench(
    wanted: Wanted, url: str | None, report: Report, done: Callable[[Figures], None], folder: Path | None = None
) -> None:
    """All that is wanted, of the relay at ``url`` or a private one (in ``folder``, or in a directory that goes away).

    Raises ``BenchFailed``, possibly inside an exception group.
    """
    if url is not None:
        await measure(wanted.options(url), wanted.loads, report, done)
    elif folder is not None:
        async with private_relay(folder) as own:
            await measure(wanted.options(own), wanted.loads, report, done)
    else:
        with TemporaryDirectory(prefix="chappe-bench-") as temporary:
            await bench(wanted, None, report, done, Path(temporary))


def first(group: BaseException) -> BaseException:
    """The first single exception of a group of groups."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group

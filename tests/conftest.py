"""Settings of the whole suite: what `long` means, Hypothesis profiles, and the servers that tests may ask for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.servers import RedisServer, redis_binary
from tests.support.vectors import missing

LONG = os.environ.get("CHAPPE_LONG") == "1"

# The default run is the same on every machine and every day; the long one looks further, with new seeds.
hypothesis.settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    max_examples=40,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("long", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("long" if LONG else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `long` unless it was asked for."""
    if LONG:
        return
    skip = pytest.mark.skip(reason="long: CHAPPE_LONG=1 runs it")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis that all tests of the run share: use your own key names, never FLUSHALL."""
    given = os.environ.get("CHAPPE_TEST_REDIS")
    if given:
        yield given
        return
    server = RedisServer(_redis_binary(), tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for this test alone, running: kill it, stop it, start it again."""
    server = RedisServer(_redis_binary(), tmp_path)
    server.start()
    yield server
    server.kill()


def _redis_binary() -> Path:
    binary = redis_binary()
    if binary is None:
        missing("redis-server", "install it, or set CHAPPE_TEST_REDIS to the URL of one that tests may use")
    return binary


def _our_loggers() -> list[logging.Logger]:
    """The loggers of this project that exist by now."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "chappe"]
    return [logging.getLogger(name) for name in ["chappe", *names]]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Programs set logging up, and libraries switch it off: neither may outlive the test."""
    before = {logger: (list(logger.handlers), logger.level, logger.propagate) for logger in _our_loggers()}
    yield
    for logger in _our_loggers():
        handlers, level, propagate = before.get(logger, ([], logging.NOTSET, True))
        logger.handlers[:], logger.propagate, logger.disabled = handlers, propagate, False
        logger.setLevel(level)

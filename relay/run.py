"""A whole relay from its settings: directory, store, broker, node, ops; and the life of its process."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from relay import log
from relay.admin import Admin
from relay.admin_token import admin_token
from relay.broker.base import Broker, Hear, Missed
from relay.broker.memory import Bus
from relay.config import ConfigError, Settings
from relay.node import Node, open_node, prepare_process, settle_process
from relay.ops import serve_request
from relay.ops_client import OPS_FILE
from relay.sockets import location_of, open_listeners
from relay.workers import Workers
from storage.sqlite import open_store

CLUSTER_FILE: Final = "cluster.id"
_CLUSTER_BYTES: Final = 16
_PAGE_BYTES: Final = 4096  # of SQLite


@dataclass(frozen=True, slots=True)
class Running:
    """A relay that accepts connections."""

    node: Node
    url: str
    ops_url: str
    data: Path
    workers: Workers


def cluster_id(data: Path) -> bytes:
    """The id that logins are bound to, made at the first start. Raises ``ConfigError`` where the file is damaged."""
    file = data / CLUSTER_FILE
    try:
        text = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        fresh = os.urandom(_CLUSTER_BYTES)
        data.mkdir(parents=True, exist_ok=True)
        partial_file = file.with_suffix(".new")
        with partial_file.open("w", encoding="ascii") as out:
            out.write(fresh.hex() + "\n")
            out.flush()
            os.fsync(out.fileno())
        partial_file.replace(file)
        return fresh
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    if len(text) != 2 * _CLUSTER_BYTES or not set(text) <= set("0123456789abcdef"):
        raise ConfigError(f"{file} holds no id of {2 * _CLUSTER_BYTES} hex digits; put it back from a backup")
    return bytes.fromhex(text)


def make_directory(settings: Settings) -> Path:
    """The data directory. Raises ``ConfigError`` where it cannot be made."""
    data = Path(settings.data)
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the data directory {data} cannot be made: {error.strerror}") from None
    return data


@asynccontextmanager
async def open_running(settings: Settings, beside: Sequence[str] = ()) -> AsyncIterator[Running]:
    """Everything of one relay, accepting connections; all of it ends with the block. ``beside``: names of workers.

    Raises ``ConfigError`` or ``storage.base.StoreUnusable`` (possibly inside an exception group).
    """
    data = make_directory(settings)
    pages = max(1, settings.database_bytes_max // _PAGE_BYTES) if settings.database_bytes_max else None
    async with (
        open_store(data, page_count_max=pages) as store,
        _open_broker(settings) as broker,
        open_node(settings, store, broker, cluster_id(data)) as node,
        trio.open_nursery() as nursery,
    ):
        admin = Admin(node, admin_token(data))
        await node.listen()
        ops = await open_listeners(settings.ops_host, settings.ops_port, "ops_port")
        await nursery.start(partial(trio.serve_listeners, partial(serve_request, node, admin=admin), ops))
        ops_url = f"http://{location_of(ops[0].socket)}"
        (data / OPS_FILE).write_text(ops_url + "\n", encoding="ascii")  # where `chappe admin` finds us
        workers = Workers(beside, node.url, data)
        node.workers = workers.states
        nursery.start_soon(workers.run)
        yield Running(node, node.url, ops_url, data, workers)
        nursery.cancel_scope.cancel()


def _open_broker(settings: Settings) -> AbstractAsyncContextManager[Broker]:
    if not settings.redis_url:
        return Bus().open(_hear, _missed)
    from relay.broker.redis import open_redis  # a single relay needs no Redis

    return open_redis(settings.redis_url, _hear, _missed)


_hear: Final[Hear] = lambda channel, data: None  # noqa: E731 - relays of a cluster hear each other in a later version
_missed: Final[Missed] = lambda: None  # noqa: E731 - likewise


async def run_until_signal(
    settings: Settings, ready: Callable[[Running], None], beside: Sequence[str] = ()
) -> None:  # fmt: skip
    """Run a relay; ``ready`` is called when it accepts. SIGTERM or SIGINT drains, the second ends at once.

    SIGHUP reads certificate and key anew; where there are none its terminal is gone, and it ends as by SIGTERM.
    ``beside``: names of workers to run beside it.
    """
    prepare_process()
    log.to_stderr(settings.log_level)
    caught = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` wants it to go on
        caught.append(signal.SIGHUP)
    with trio.open_signal_receiver(*caught) as signals:
        async with open_running(settings, beside) as running, trio.open_nursery() as nursery:
            settle_process()
            ready(running)
            await _until_end(running.node, signals, bool(settings.tls_certificate))
            nursery.start_soon(_end_after, running, nursery.cancel_scope)
            await _until_end(running.node, signals, bool(settings.tls_certificate))
            log.warning("ended-at-once", why="a second signal")
            nursery.cancel_scope.cancel()


async def _until_end(node: Node, signals: AsyncIterator[int], has_tls: bool) -> None:
    """Wait for a signal that ends; those that are about certificates are dealt with."""
    async for number in signals:
        if number != signal.SIGHUP or not has_tls:
            return
        node.reload_tls()


async def _end_after(running: Running, scope: trio.CancelScope) -> None:
    await running.workers.stop()
    await running.node.drain()
    scope.cancel()

"""Sending the model to devices that rank by themselves: made when it is asked for, uploaded once for all who ask."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

from clients.blobs import BlobTransport, FileRefused
from clients.connection import Link
from clients.feed.media import as_file
from clients.files import Files
from extensions.host import Process
from extensions.ranking.shipping import Places, model_of
from extensions.ranking.shop import Shop
from protocol.identity import SigningKey
from protocol.messages import Body
from protocol.messages import rank as K
from protocol.messages.feed import File
from protocol.scoring.local import Model, sign_model

FRESH_MS: Final = 600_000  # a model serves everybody who asks within this time; the relay keeps a file for an hour
WAITING_MAX: Final = 1_000  # who waits for a model; others are not answered, and ask again
STILL_S: Final = 0.05  # until everything learned is written


def signed_model(shop: Shop, key: SigningKey, now_ms: int) -> tuple[Model, bytes]:
    """The model as it is now, with where its posts lie; and as a signed file."""
    places = Places(shop.places, shop.edits)
    model = model_of(shop.ranker.learner, shop.ranker.weights, now_ms, places)
    return model, sign_model(model, key)


class Shipments:
    """Who waits for a model, and the one that is up."""

    def __init__(self) -> None:
        self._waiting: list[tuple[bytes, bytes]] = []  # topic, id of the question
        self._wanted = trio.Event()
        self._up: K.Model | None = None
        self._made_ms = 0

    def want(self, topic: bytes, message_id: bytes) -> None:
        """Somebody asks."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append((topic, message_id))
            self._wanted.set()

    async def run(
        self, process: Process, still: Callable[[], Shop | None], key: SigningKey,
        wait_connected: Callable[[], Awaitable[Link]],
    ) -> None:  # fmt: skip
        """Answer for ever. ``still``: the shop, where memory is what is written; else None."""
        engine = process.engine
        transport = BlobTransport(process.url, wait_connected, engine.shelf.clock_ms)
        files = Files(engine, transport, trio.lowlevel.checkpoint, lambda topic: None)
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            answer = await self._answer(process, still, key, files)
            waiting, self._waiting = self._waiting, []
            for topic, message_id in waiting:
                effects = process.effects()
                effects.say(topic, answer, message_id)
                effects.commit(())
            await engine.shelf.journal.flushed()

    async def _answer(
        self, process: Process, still: Callable[[], Shop | None], key: SigningKey, files: Files
    ) -> Body:  # fmt: skip
        now_ms = process.engine.shelf.clock_ms()
        if self._up is not None and now_ms - self._made_ms < FRESH_MS:
            return self._up
        while (shop := still()) is None:  # noqa: ASYNC110 - no bell rings for it
            await trio.sleep(STILL_S)
        _, signed = signed_model(shop, key, now_ms)
        await process.engine.shelf.journal.flushed()
        try:
            self._up, self._made_ms = K.Model(file=await _uploaded(files, signed)), now_ms
        except FileRefused as error:
            return K.Refused(text=f"the relay does not take the model: {error}"[:500])
        return self._up


async def _uploaded(files: Files, signed: bytes) -> File:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.chappe"
        await trio.to_thread.run_sync(path.write_bytes, signed)
        return as_file(await files.put(path))

"""Requests of one connection: bounded, in order, and forgotten with it."""

from __future__ import annotations

import pytest

from protocol import frames as F
from protocol import requests as R
from protocol.errors import Code
from relay import requests as module
from relay.testing import small
from tests.support.lab import open_lab, req, settle


async def test_requests_are_bounded_by_rate_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab(small(requests_per_s=4, requests_inflight_max=3)) as lab:
        client = await lab.register(lab.person("alice"))
        client.send(*(req("handles.get", R.GetHandle("bob"), rid=rid) for rid in range(1, 10)))
        rates = [err for err in client.got(F.Err) if err.code == Code.RATE]
        assert len(rates) >= 4
        assert all(err.retry_ms for err in rates)
        await settle()
    async with open_lab() as lab:
        monkeypatch.setattr(module, "REQUEST_BYTES_MAX", 1000)
        client = await lab.register(lab.person("alice"))
        blob = R.PutBlob(b"h" * 32, bytes(800))
        client.send(req("blobs.put", blob, rid=1), req("blobs.put", blob, rid=2))
        assert [err.rid for err in client.got(F.Err)] == [2]
        await settle()


async def test_answers_come_in_the_order_of_the_requests() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        first, last = (req("handles.get", R.GetHandle(name), rid=rid) for name, rid in (("bob", 101), ("eve", 103)))
        client.send(first, F.Sub(102, (F.Subscription(bytes(32)),)), last)
        await settle()
        answers = [
            frame.rid for frame in client.peer.frames if isinstance(frame, (F.Ok, F.Err)) and 100 < frame.rid < 110
        ]
        assert answers == [101, 102, 103]
        assert client.connection.statistics().requests == 0


async def test_what_waits_is_forgotten_with_the_connection() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        client.send(*(req("handles.get", R.GetHandle("bob"), rid=rid) for rid in range(1, 5)))
        client.close()
        await settle()
        assert [frame for frame in client.got(F.Err) if frame.rid in range(1, 5)] == []

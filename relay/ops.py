"""Health and metrics over HTTP, for machines that watch: loopback by default, no login, GET only. And the admin verbs.

``/healthz``: the event loop turns. ``/readyz``: 200 where clients are served, else 503, with the reasons, the state of
the store and the insecure settings as JSON. ``/metrics``: see ``relay.metrics``. ``POST /admin/VERB`` needs the token
of DATA/admin.token with every request: see ``relay.admin``. The public listener knows none of these paths.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

import h11
import trio

from relay import bounds as B
from relay.admin import Admin
from relay.node import Node

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
ADMIN_PATH: Final = b"/admin/"
Answer = tuple[int, str, bytes]  # status, content type, body


def answer(node: Node, method: bytes, target: bytes) -> Answer:
    """The answer to one request. Pure but for reading the node's state."""
    if method not in (b"GET", b"HEAD"):
        return 405, "text/plain", b"only GET here\n"
    path = target.partition(b"?")[0]
    if path == b"/healthz":
        return 200, "text/plain", b"ok\n"
    if path == b"/readyz":
        state = readiness(node)
        return (200 if state["ready"] else 503), _JSON, json.dumps(state, indent=2).encode() + b"\n"
    if path == b"/metrics":
        from relay.metrics import exposition  # only who scrapes needs prometheus_client

        return 200, _TEXT, exposition(node)
    return 404, "text/plain", b"/healthz, /readyz or /metrics\n"


def readiness(node: Node) -> dict[str, object]:
    """What ``/readyz`` says."""
    now = node.statistics()
    reasons = []
    if now.is_draining:
        reasons.append("draining: the relay is about to end")
    if not now.broker.connected:
        reasons.append("the link to the other relays is away; entries of other relays come late")
    workers = node.workers()
    reasons += [f"the worker {worker.name} is down: {worker.down}" for worker in workers if worker.down]
    return {
        "ready": not now.is_draining,
        "reasons": reasons,
        "insecure": list(node.insecure),
        "address": node.address,
        "connections": now.connections,
        "inflight": now.inflight,
        "backlog": now.backlog,
        "workers": [
            {"name": worker.name, "pid": worker.pid, "restarts": worker.restarts, "down": worker.down}
            for worker in workers
        ],
        "store": {
            "queued": now.store.queued,
            "commits": now.store.commits,
            "commit_ms_p99": round(now.store.commit_ms_p99, 3),
            "bytes": now.store.bytes,
        },
    }


async def serve_request(node: Node, stream: trio.abc.Stream, admin: Admin | None = None) -> None:
    """One request, one answer, closed: monitoring needs no more, and nothing stays open."""
    with trio.move_on_after(B.OPS_MS / 1000) as limit:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            try:
                await _serve_request(node, stream, admin, limit)
            finally:
                await trio.aclose_forcefully(stream)


async def _serve_request(node: Node, stream: trio.abc.Stream, admin: Admin | None, limit: trio.CancelScope) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=B.OPS_REQUEST_BYTES_MAX)
    request: h11.Request | None = None
    try:
        request = await _request(connection, stream)
        if request is None:
            return
        if admin is not None and request.target.startswith(ADMIN_PATH):
            asked = await _body(connection, stream)
            limit.deadline = trio.current_time() + B.ADMIN_MS / 1000  # retention may have much to do
            verb = request.target[len(ADMIN_PATH) :].decode("ascii", "replace")
            status, reply = await admin.answer(request.method, verb, _token_of(request), asked)
            kind, body = _JSON, reply
        else:
            status, kind, body = answer(node, request.method, request.target)
    except h11.RemoteProtocolError as error:
        status, kind, body = error.error_status_hint, "text/plain", b"not a request that this port understands\n"
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close")]
    out = connection.send(h11.Response(status_code=status, headers=headers)) or b""
    if request is None or request.method != b"HEAD":
        out += connection.send(h11.Data(data=body)) or b""
    await stream.send_all(out)


async def _request(connection: h11.Connection, stream: trio.abc.Stream) -> h11.Request | None:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(bytes(await stream.receive_some(B.OPS_REQUEST_BYTES_MAX)))


async def _body(connection: h11.Connection, stream: trio.abc.Stream) -> bytes:
    """The body of a request. Raises ``h11.RemoteProtocolError`` where it is over the bound."""
    body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            body += bytes(event.data)
            if len(body) > B.OPS_REQUEST_BYTES_MAX:
                raise h11.RemoteProtocolError("too large", error_status_hint=413)
        elif event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(B.OPS_REQUEST_BYTES_MAX)))
        else:
            return body


def _token_of(request: h11.Request) -> str:
    for name, value in request.headers:
        if name == b"authorization" and value.startswith(b"Bearer "):
            return value[7:].decode("ascii", "replace")
    return ""

"""Finding the ops port of a relay and talking to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from relay.ops_client import OPS_FILE, Ops, OpsUnreachable, find

ANSWERS = {
    "/admin/who": (200, b'{"count": 0}'),
    "/admin/kick": (400, b'{"error": "nobody"}'),
    "/admin/bans": (200, b"<"),
}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = ANSWERS[self.path] if self.headers["Authorization"] == "Bearer t" else (401, b'{"error": "no"}')
        self._say(status, body)

    def do_GET(self) -> None:
        self._say(200, json.dumps(self.headers.get("Authorization")).encode())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_verbs_and_their_refusals(url: str) -> None:
    ops = Ops(url, "t")
    assert ops.admin("who", {}) == {"count": 0}
    assert ops.get("/readyz") == (200, b'"Bearer t"')
    assert Ops(url, "").get("/readyz") == (200, b"null")
    with pytest.raises(OpsUnreachable, match="nobody"):
        ops.admin("kick", {})
    with pytest.raises(OpsUnreachable, match="no relay of this version"):
        ops.admin("bans", {})
    with pytest.raises(OpsUnreachable, match="no"):
        Ops(url, "other").admin("who", {})


def test_nobody_there() -> None:
    with pytest.raises(OpsUnreachable, match="is it running"):
        Ops("http://127.0.0.1:1", "t").get("/readyz")


def test_finding(tmp_path: Path) -> None:
    with pytest.raises(OpsUnreachable, match="--data"):
        find(tmp_path)
    (tmp_path / "admin.token").write_text("t\n")
    assert find(tmp_path, "http://127.0.0.1:5") == Ops("http://127.0.0.1:5", "t")
    (tmp_path / OPS_FILE).write_text("http://127.0.0.1:6\n")
    assert find(tmp_path) == Ops("http://127.0.0.1:6", "t")
    (tmp_path / OPS_FILE).write_bytes(b"\xff")
    with pytest.raises(OpsUnreachable):
        find(tmp_path)

"""Talks to the ops port of a running relay from another process: health, metrics and the admin verbs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from relay.admin_token import TOKEN_FILE

OPS_FILE: Final = "ops.url"
_TIMEOUT_S: Final = 660  # retention over a large store


class OpsUnreachable(Exception):
    """There is no relay to talk to, or it does not want to; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Ops:
    """Where the ops port of a relay is, and its token ("" where it could not be read)."""

    url: str
    token: str

    def get(self, path: str, timeout_s: float = 10) -> tuple[int, bytes]:
        """A GET. Raises ``OpsUnreachable``."""
        return self._ask("GET", path, b"", timeout_s)

    def admin(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a verb. Raises ``OpsUnreachable`` where it is not carried out."""
        status, body = self._ask("POST", f"/admin/{verb}", json.dumps(arguments).encode(), _TIMEOUT_S)
        try:
            answer = json.loads(body)
        except ValueError:
            raise OpsUnreachable(f"what answers at {self.url} is no relay of this version") from None
        if status != 200:
            raise OpsUnreachable(str(answer.get("error", status)))
        return dict(answer)

    def _ask(self, method: str, path: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=timeout_s)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"} if self.token else {})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise OpsUnreachable(f"no relay answers at {self.url} ({error}); is it running?") from None
        finally:
            connection.close()


def find(data: Path, url: str | None = None) -> Ops:
    """The relay that runs on a data directory. Raises ``OpsUnreachable`` where there never was one."""
    try:
        token = (data / TOKEN_FILE).read_text(encoding="ascii").strip()
        found = url or (data / OPS_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise OpsUnreachable(
            f"{data} is not the data directory of a relay that ran here, or not yours to read ({said}); name it with "
            "--data, as for `chappe up`"
        ) from None
    return Ops(found, token)

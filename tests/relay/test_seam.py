"""Who stands on either side of the seam has its methods, with the same parameters."""

from __future__ import annotations

import inspect

import pytest

from relay.connection import Connection
from relay.seam import Handler, Peer
from relay.socket_peer import SocketPeer
from tests.support.lab import FakePeer


@pytest.mark.parametrize(
    ("seam", "implementation"),
    [(Peer, SocketPeer), (Peer, FakePeer), (Handler, Connection)],
    ids=lambda item: item.__name__,
)
def test_implementations_fit(seam: type, implementation: type) -> None:
    names = [name for name, item in vars(seam).items() if callable(item) and not name.startswith("_")]
    assert len(names) >= 4
    for name in names:
        wanted = list(inspect.signature(getattr(seam, name)).parameters.values())
        given = list(inspect.signature(getattr(implementation, name)).parameters.values())[: len(wanted)]
        assert [(p.name, p.default) for p in given] == [(p.name, p.default) for p in wanted]
        assert not inspect.iscoroutinefunction(getattr(implementation, name))

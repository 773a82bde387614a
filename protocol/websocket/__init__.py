"""RFC 6455, sans-IO, both roles: bytes in, whole messages out. See `DESIGN.md` beside this file.

`Opening` (server) or `Connecting` (client) reads the handshake; `Server` or `Client` everything after it; `frame` makes
what a server sends, once for all receivers.
"""

from __future__ import annotations

from protocol.websocket.codes import CloseCode, Opcode, State
from protocol.websocket.connecting import Connecting, Established, NotEstablished
from protocol.websocket.encoder import close_frame, frame, frame_header, masked_frame, ping_frame, text_frame
from protocol.websocket.endpoint import Client, Endpoint, Failure, Server, Text
from protocol.websocket.head import Refused, Request
from protocol.websocket.upgrade import Accepted, Opening, Policy, upgrade_required

__all__ = [
    "Accepted",
    "Client",
    "CloseCode",
    "Connecting",
    "Endpoint",
    "Established",
    "Failure",
    "NotEstablished",
    "Opcode",
    "Opening",
    "Policy",
    "Refused",
    "Request",
    "Server",
    "State",
    "Text",
    "close_frame",
    "frame",
    "frame_header",
    "masked_frame",
    "ping_frame",
    "text_frame",
    "upgrade_required",
]

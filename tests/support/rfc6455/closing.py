"""Group 7: the close handshake."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.rfc6455.case import CLOSE, CONTINUATION, PING, TEXT, Case, client_frame, close

VALID = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
BEYOND = (5000, 65535)
HELLO = b"Hello World!"
_HELLO = client_frame(TEXT, HELLO)
_ECHO = ((TEXT, HELLO),)


def after_close() -> Iterator[Case]:
    """7.1: whatever follows a close frame is not looked at."""
    yield Case("7.1.1", "a text, then close", (_HELLO, close()), _ECHO)
    yield Case("7.1.2", "two close frames", (close(), close()))
    yield Case("7.1.3", "a ping after close", (close(), client_frame(PING)))
    yield Case("7.1.4", "a text after close", (close(), _HELLO))
    first, last = client_frame(TEXT, b"fragment1", fin=False), client_frame(CONTINUATION, b"fragment2")
    yield Case("7.1.5", "close between two fragments", (first, close(), last))
    large = b"BAsd7&jh23" * 26214
    sent = (client_frame(TEXT, large), _HELLO, close(), client_frame(PING))
    yield Case("7.1.6", "256 KiB, a text, close, a ping", sent, ((TEXT, large), *_ECHO))


def payloads() -> Iterator[Case]:
    """7.3 and 7.5: what a close frame holds."""
    yield Case("7.3.1", "no code", (close(None),), closes=(None, 1000))
    yield Case("7.3.2", "half a code", (client_frame(CLOSE, b"\x03"),), closes=(1002,))
    yield Case("7.3.3", "a code", (close(),))
    yield Case("7.3.4", "a code and a reason", (close(1000, b"Hello World!"),))
    yield Case("7.3.5", "the longest reason", (close(1000, b"*" * 123),))
    yield Case("7.3.6", "a reason too long by one", (close(1000, b"*" * 124),), closes=(1002,))
    reason = "κόσμε".encode() + b"\xed\xa0\x80edited"
    yield Case("7.5.1", "a reason that is not UTF-8", (close(1000, reason),), closes=(1007,))


def codes() -> Iterator[Case]:
    """7.7 the codes that may be sent are echoed; 7.9 those that may not, and 7.13 those out of range, are 1002."""
    for number, code in enumerate(VALID, 1):
        yield Case(f"7.7.{number}", f"code {code}", (close(code),), closes=(code, 1000))
    for number, code in enumerate(INVALID, 1):
        yield Case(f"7.9.{number}", f"code {code}, which may not be sent", (close(code),), closes=(1002,))
    for number, code in enumerate(BEYOND, 1):
        yield Case(f"7.13.{number}", f"code {code}, out of range", (close(code),), closes=(1002,))


CASES = (*after_close(), *payloads(), *codes())

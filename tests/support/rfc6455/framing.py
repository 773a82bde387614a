"""Groups 1 to 5: framing, pings and pongs, reserved bits, opcodes, fragmentation."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.rfc6455.case import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Case,
    chopped,
    client_frame,
    close,
    fragments,
)

SIZES = (0, 125, 126, 127, 128, 65535, 65536)
HELLO = b"Hello, world!"
_HELLO = client_frame(TEXT, HELLO)
_PING = client_frame(PING)


def sizes() -> Iterator[Case]:
    """1.1 texts, 1.2 binary messages: each length at which the header changes, and one in odd writes."""
    sent: tuple[bytes, ...]
    for group, opcode, letter in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        kind = "text" if opcode == TEXT else "binary"
        for number, size in enumerate(SIZES, 1):
            payload = letter * size
            sent = (client_frame(opcode, payload), close())
            yield Case(f"1.{group}.{number}", f"{kind} of {size} octets", sent, ((opcode, payload),))
        sent = (*chopped(client_frame(opcode, payload), 997), close())
        yield Case(f"1.{group}.8", f"{kind} of 65536 octets in writes of 997", sent, ((opcode, payload),))


def pings() -> Iterator[Case]:
    """Group 2."""
    odd = bytes((0, 255, 254, 253, 252, 251, 0, 255))
    full = b"\xfe" * 125
    for number, what, payload in (
        (1, "ping without payload", b""),
        (2, "ping with text", HELLO),
        (3, "ping with binary", odd),
        (4, "ping of 125", full),
    ):
        yield Case(f"2.{number}", what, (client_frame(PING, payload), close()), pongs=(payload,))
    yield Case("2.5", "ping of 126", (client_frame(PING, full + b"\xfe"), close()), closes=(1002,))
    octets = (*chopped(client_frame(PING, full), 1), close())
    yield Case("2.6", "ping of 125, octet by octet", octets, pongs=(full,))
    yield Case("2.7", "unsolicited pong without payload", (client_frame(PONG), close()))
    yield Case("2.8", "unsolicited pong with payload", (client_frame(PONG, b"unasked"), close()))
    both = (client_frame(PONG, b"unasked"), client_frame(PING, b"asked"), close())
    yield Case("2.9", "unsolicited pong, then a ping", both, pongs=(b"asked",))
    payloads = tuple(b"payload-%d" % number for number in range(10))
    ten = b"".join(client_frame(PING, payload) for payload in payloads)
    yield Case("2.10", "ten pings", (ten, close()), pongs=payloads)
    yield Case("2.11", "ten pings, octet by octet", (*chopped(ten, 1), close()), pongs=payloads)


def reserved_bits() -> Iterator[Case]:
    """Group 3: no extension is negotiated, so a reserved bit is an error; what came before it is served."""
    bad = client_frame(TEXT, HELLO, reserved=1)
    yield Case("3.1", "text with RSV 1", (bad, close()), closes=(1002,))
    for number, reserved in ((2, 2), (3, 3), (4, 4)):
        frames = (_HELLO, client_frame(TEXT, HELLO, reserved=reserved), _PING)
        joined = b"".join(frames)
        sent = {2: (joined,), 3: frames, 4: chopped(joined, 1)}[number]
        what = f"text, text with RSV {reserved}, ping, in {len(sent)} writes"
        yield Case(f"3.{number}", what, sent, ((TEXT, HELLO),), closes=(1002,))
    for number, opcode, payload in ((5, BINARY, bytes(24)), (6, PING, HELLO), (7, 8, b"\x03\xe8")):
        frame = client_frame(opcode, payload, reserved=number)
        yield Case(f"3.{number}", f"opcode {opcode} with RSV {number}", (frame,), closes=(1002,))


def opcodes() -> Iterator[Case]:
    """Group 4: reserved opcodes, of data (3–7) and of control (11–15)."""
    for group, first in ((1, 3), (2, 11)):
        for number in range(1, 6):
            opcode = first + number - 1
            bad = client_frame(opcode, b"" if number in (1, 3) else HELLO)
            if number < 3:
                yield Case(f"4.{group}.{number}", f"opcode {opcode}", (bad,), closes=(1002,))
                continue
            joined = _HELLO + bad + _PING
            sent = chopped(joined, 1) if number == 5 else (joined,)
            yield Case(f"4.{group}.{number}", f"text, opcode {opcode}, ping", sent, ((TEXT, HELLO),), closes=(1002,))


def _cuts(frames: tuple[bytes, ...]) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    joined = b"".join(frames)
    yield "in one write", (joined,)
    yield "a write a frame", frames
    yield "octet by octet", chopped(joined, 1)


def fragmentation() -> Iterator[Case]:
    """Group 5."""
    sent: tuple[bytes, ...]
    for number, opcode in ((1, PING), (2, PONG)):
        sent = (client_frame(opcode, b"frag", fin=False), client_frame(CONTINUATION, b"ment"), close())
        yield Case(f"5.{number}", f"opcode {opcode} in two fragments", sent, closes=(1002,))
    first, last = client_frame(TEXT, b"fragment1", fin=False), client_frame(CONTINUATION, b"fragment2")
    ping = client_frame(PING, b"ping payload")
    echo = ((TEXT, b"fragment1fragment2"),)
    for number, (how, sent) in enumerate(_cuts((first, last)), 3):
        yield Case(f"5.{number}", f"text in two fragments, {how}", (*sent, close()), echo)
    for number, (how, sent) in enumerate(_cuts((first, ping, last)), 6):
        what = f"text in two fragments around a ping, {how}"
        yield Case(f"5.{number}", what, (*sent, close()), echo, pongs=(b"ping payload",))
    for number, fin in ((9, True), (12, False)):
        lost = client_frame(CONTINUATION, b"non-continuation payload", fin=fin)
        for further, (how, sent) in enumerate(_cuts((lost, _HELLO))):
            what = f"a continuation of nothing (FIN {fin:d}), then a text, {how}"
            yield Case(f"5.{number + further}", what, sent, closes=(1002,))
    lost = client_frame(CONTINUATION, b"fragment3", fin=False)
    sent = (first, last, lost, client_frame(TEXT, b"fragment4"))
    yield Case("5.15", "text in two fragments, a continuation of nothing, a text", sent, echo, closes=(1002,))
    for number, fin in ((16, False), (17, True)):
        turn = (client_frame(CONTINUATION, b"fragment1", fin=fin), first, last)
        what = f"twice: a continuation of nothing (FIN {fin:d}), a text in two fragments"
        yield Case(f"5.{number}", what, turn * 2, closes=(1002,))
    sent = (first, client_frame(TEXT, b"fragment2"))
    yield Case("5.18", "text in two fragments, the second no continuation", sent, closes=(1002,))
    five = fragments(TEXT, b"fragment1fragment2fragment3fragment4fragment5", 9)
    pings = client_frame(PING, b"pongme 1!"), client_frame(PING, b"pongme 2!")
    frames = (five[0], five[1], pings[0], five[2], five[3], pings[1], five[4])
    whole = ((TEXT, b"fragment1fragment2fragment3fragment4fragment5"),)
    pongs = (b"pongme 1!", b"pongme 2!")
    yield Case("5.19", "text in five fragments with pings between", (*frames, close()), whole, pongs)
    yield Case("5.20", "the same in one write", (b"".join(frames), close()), whole, pongs)


CASES = (*sizes(), *pings(), *reserved_bits(), *opcodes(), *fragmentation())

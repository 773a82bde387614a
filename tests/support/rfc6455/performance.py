"""Groups 9 and 10: large messages, many fragments, odd writes, many messages.

The testsuite sends up to 16 MiB; here every size of group 9 is a 64th (9.7 and 9.8: a 20th of the number of messages),
so that a run takes a second. The number of fragments is the testsuite's own, 4 MiB in pieces of 64 bytes and up, since
that is what an endpoint's bound is about: 9.3.1–3 and 9.4.1–3 may be refused with 1009.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.rfc6455.case import BINARY, TEXT, Case, chopped, client_frame, close, fragments

SCALE = 64
LARGE = tuple(mib_16ths * 65536 // SCALE for mib_16ths in (1, 4, 16, 64, 128, 256))
WHOLE = 4 * 2**20 // SCALE
PIECES = tuple(size // SCALE for size in (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304))
WRITES = (128, 256, 512, 1024, 2048, 4096)
SIZES = (0, 16, 64, 256, 1024, 4096)
MESSAGES = 50
REFUSABLE = 2048  # an endpoint may refuse more fragments than this


def _kinds(group: int) -> Iterator[tuple[int, int, bytes]]:
    yield group, TEXT, b"*"
    yield group + 1, BINARY, b"\xfe"


def large() -> Iterator[Case]:
    """9.1 and 9.2 in one frame, 9.3 and 9.4 in fragments, 9.5 and 9.6 in small writes."""
    sent: tuple[bytes, ...]
    for group, opcode, letter in _kinds(1):
        for number, size in enumerate(LARGE, 1):
            payload = letter * size
            sent = (client_frame(opcode, payload), close())
            yield Case(f"9.{group}.{number}", f"opcode {opcode}, {size} octets", sent, ((opcode, payload),))
    for group, opcode, letter in _kinds(3):
        payload = letter * WHOLE
        for number, size in enumerate(PIECES, 1):
            pieces = fragments(opcode, payload, size)
            what = f"opcode {opcode} in {len(pieces)} fragments"
            if len(pieces) > REFUSABLE:
                yield Case(f"9.{group}.{number}", f"{what}: refused", (b"".join(pieces),), closes=(1009,))
            else:
                yield Case(f"9.{group}.{number}", what, (b"".join(pieces), close()), ((opcode, payload),))
    for group, opcode, letter in _kinds(5):
        payload = letter * (2**20 // SCALE)
        for number, size in enumerate(WRITES, 1):
            sent = (*chopped(client_frame(opcode, payload), size), close())
            yield Case(f"9.{group}.{number}", f"opcode {opcode} in writes of {size}", sent, ((opcode, payload),))


def many() -> Iterator[Case]:
    """9.7 and 9.8: many messages in a row; 10.1.1: a message in fragments of a network's packets."""
    sent: tuple[bytes, ...]
    for group, opcode, letter in _kinds(7):
        for number, size in enumerate(SIZES, 1):
            payload = letter * size
            sent = (client_frame(opcode, payload) * MESSAGES, close())
            what = f"{MESSAGES} messages of {size} octets, opcode {opcode}"
            yield Case(f"9.{group}.{number}", what, sent, ((opcode, payload),) * MESSAGES)
    payload = b"*" * 65536
    sent = (*fragments(TEXT, payload, 1300), close())
    yield Case("10.1.1", "a text of 64 KiB in fragments of 1300", sent, ((TEXT, payload),))


CASES = (*large(), *many())

"""Group 6: UTF-8. The octet sequences are those of Markus Kuhn's decoder test, which the testsuite follows too."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.rfc6455.case import CONTINUATION, TEXT, Case, chopped, client_frame, close, fragments

KOSME = "κόσμε".encode()
UMLAUTS = "Hello-µ@ßöäüàá-UTF-8!!".encode()
#: Well begun, then a surrogate, then more that would be fine.
BROKEN = KOSME + b"\xed\xa0\x80" + b"edited"
LONG = "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"edited"  # beyond U+10FFFF


def _case(id: str, what: str, payload: bytes, valid: bool) -> Case:
    sent = (client_frame(TEXT, payload), close())
    return Case(id, what, sent, ((TEXT, payload),)) if valid else Case(id, what, sent, closes=(1007,))


def fragmented() -> Iterator[Case]:
    """6.1 to 6.4: empty texts, characters cut by fragments, and failing at the first wrong octet."""
    yield _case("6.1.1", "empty text", b"", True)
    empty = (client_frame(TEXT, fin=False), client_frame(CONTINUATION, fin=False), client_frame(CONTINUATION))
    yield Case("6.1.2", "three empty fragments", (*empty, close()), ((TEXT, b""),))
    middle = (empty[0], client_frame(CONTINUATION, b"middle frame payload", fin=False), empty[2], close())
    yield Case("6.1.3", "three fragments, the middle one not empty", middle, ((TEXT, b"middle frame payload"),))
    yield _case("6.2.1", "UTF-8 in one frame", UMLAUTS, True)
    yield Case("6.2.2", "cut between characters", (*fragments(TEXT, UMLAUTS, 12), close()), ((TEXT, UMLAUTS),))
    yield Case("6.2.3", "a fragment an octet", (*fragments(TEXT, UMLAUTS, 1), close()), ((TEXT, UMLAUTS),))
    yield Case("6.2.4", "a fragment an octet", (*fragments(TEXT, KOSME, 1), close()), ((TEXT, KOSME),))
    yield _case("6.3.1", "a surrogate in one frame", BROKEN, False)
    yield Case("6.3.2", "a surrogate, a fragment an octet", tuple(fragments(TEXT, BROKEN, 1)), closes=(1007,))
    # The wrong octets come and nothing after them: who answers has not waited for the end of the message.
    first = client_frame(TEXT, KOSME, fin=False)
    beyond = client_frame(CONTINUATION, b"\xf4\x90\x80\x80", fin=False)
    yield Case("6.4.1", "fails after the wrong fragment", (first, beyond), closes=(1007,))
    halves = (client_frame(TEXT, KOSME + b"\xf4", fin=False), client_frame(CONTINUATION, b"\x90", fin=False))
    yield Case("6.4.2", "fails at the octet that cannot follow, a fragment on", halves, closes=(1007,))
    frame = client_frame(TEXT, LONG)
    upto = len(frame) - len(LONG) + len(KOSME)
    yield Case(
        "6.4.3", "fails within a frame, after the character", (frame[:upto], frame[upto : upto + 4]), closes=(1007,)
    )
    octets = chopped(frame[: upto + 2], 1)
    yield Case("6.4.4", "fails within a frame, at the octet", octets, closes=(1007,))


#: (group, what, valid, octets of each case)
_TABLE: tuple[tuple[int, str, bool, tuple[str, ...]], ...] = (
    (5, "valid", True, (KOSME.hex(), "f0a08080", "e6b0b4f09f98803f", "c3a4c3b6c3bc", "48656c6c6f")),
    (7, "first of its length", True, ("00", "c280", "e0a080", "f0908080")),
    (8, "first of five and six octets", False, ("f888808080", "fc8480808080")),
    (9, "last of its length", True, ("7f", "dfbf", "efbfbf", "f48fbfbf")),
    (10, "last of four, five, six octets", False, ("f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf")),
    (11, "at a boundary", True, ("ed9fbf", "ee8080", "efbfbd", "f48fbfbf")),
    (
        12,
        "continuation octets alone",
        False,
        ("80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf", bytes(range(0x80, 0xC0)).hex()),
    ),
    (
        13,
        "first octets alone",
        False,
        tuple(
            b"".join(bytes((octet, 0x20)) for octet in octets).hex()
            for octets in map(range, (0xC0, 0xE0, 0xF0, 0xF8, 0xFC), (0xE0, 0xF0, 0xF8, 0xFC, 0xFE))
        ),
    ),
    (
        14,
        "the last octet missing",
        False,
        ("c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"),
    ),
    (15, "all these together", False, ("c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf",)),
    (16, "octets that never occur", False, ("fe", "ff", "fefeffff")),
    (17, "overlong slash", False, ("c0af", "e080af", "f08080af", "f8808080af", "fc80808080af")),
    (18, "the largest overlong", False, ("c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf")),
    (19, "overlong NUL", False, ("c080", "e08080", "f0808080", "f880808080", "fc8080808080")),
    (20, "a surrogate", False, ("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf")),
    (
        21,
        "a pair of surrogates",
        False,
        (
            "eda080edb080", "eda080edbfbf", "edadbfedb080", "edadbfedbfbf",
            "edae80edb080", "edae80edbfbf", "edafbfedb080", "edafbfedbfbf",
        ),
    ),
    (
        22,
        "a non-character",
        True,
        tuple(chr(plane << 16 | low).encode().hex() for plane in range(17) for low in (0xFFFE, 0xFFFF)),
    ),
    (23, "a special", True, tuple(chr(0xFFF9 + number).encode().hex() for number in range(7))),
)  # fmt: skip


def sequences() -> Iterator[Case]:
    """6.5 to 6.23: one sequence a case."""
    for group, what, valid, rows in _TABLE:
        for number, row in enumerate(rows, 1):
            yield _case(f"6.{group}.{number}", f"{what}: {row[:24]}", bytes.fromhex(row), valid)
    yield _case("6.11.5", "at a boundary, beyond the last: f4908080", b"\xf4\x90\x80\x80", False)
    for size in range(1, len(KOSME) + 1):
        whole = KOSME[:size].decode(errors="ignore").encode() == KOSME[:size]
        yield _case(f"6.6.{size}", f"the first {size} octets of a word", KOSME[:size], whole)


CASES = (*fragmented(), *sequences())

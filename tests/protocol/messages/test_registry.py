"""Which body belongs to which type, and that nobody guesses about money, games, groups and workers."""

from __future__ import annotations

import msgspec
import pytest

from protocol.codec import encode_struct
from protocol.content import Reference
from protocol.errors import RemoteProtocolError
from protocol.messages import REGISTRY, Body, Message, Unknown, compose, is_chat, parse, register, registry
from protocol.messages.chat import Delete, Edit, Text
from protocol.messages.sys import Unsupported
from protocol.position import Seen
from tests.protocol.messages.family import content
from tests.protocol.samples import ID, filler


def test_a_message_comes_back_with_its_envelope() -> None:
    seen, reference = Seen(1, 41, filler("chain", 32)), Reference(ID, filler("hash", 32))
    data = compose(Text(text="Salut"), re=reference, th=ID, ex=1_733_000_000_000, fb="Salut", seen=seen)
    message = parse(data)
    assert message.body == Text(text="Salut")
    assert (message.content.re, message.content.th, message.content.seen) == (reference, ID, seen)
    assert (message.content.ex, message.content.fb, message.content.rp) == (1_733_000_000_000, "Salut", None)
    assert message.fallback is None
    assert parse(compose(Edit(text="Bonjour"), rp=ID)).content.rp == ID


def test_a_message_that_does_not_fit_is_not_made() -> None:
    with pytest.raises(ValueError, match="at most"):
        compose(Text(text="x" * 16_384), fb="😀" * 16_384)


@pytest.mark.parametrize("key", REGISTRY, ids=lambda key: f"{key[0]}-{key[1]}")
def test_the_registry_names_what_it_holds(key: tuple[str, int]) -> None:
    body = REGISTRY[key]
    assert key == (body.TYPE, body.VERSION)
    assert parse(content(*(key[0], {}))) if not msgspec.structs.fields(body) else body.__doc__


def test_a_second_claim_is_refused_and_another_version_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REGISTRY", dict(REGISTRY))
    with pytest.raises(ValueError, match=r"chat\.text version 1 is registered already"):
        register("chat.text")(Delete)

    @register("chat.text", 2)
    class Richer(Body, frozen=True):
        """A text of tomorrow."""

        runs: tuple[str, ...] = ()

    assert registry.REGISTRY["chat.text", 2] is Richer
    assert (Richer.TYPE, Richer.VERSION) == ("chat.text", 2)
    assert registry.parse(compose(Richer(runs=("a",)))).body == Richer(runs=("a",))


RAW = {"amount": 5, "to": b"x"}


@pytest.mark.parametrize(
    ("type_name", "version", "must_answer", "with_fallback", "without"),
    [
        ("chat.hologram", 1, False, "see here", "[chat.hologram: this version cannot show it]"),
        ("chat.text", 9, False, "see here", "[chat.text: this version cannot show it]"),
        ("org.example", 1, False, "see here", None),
        ("rcpt.smelled", 1, False, "see here", None),
        ("eph.cursor", 1, False, "see here", None),
        ("pay.loan", 1, True, None, None),
        ("game.duel", 1, True, None, None),
        ("group.title", 2, True, None, None),
        ("group.colour", 1, True, None, None),
        ("ext.request", 2, True, None, None),
        ("sys.unsupported", 2, False, "see here", None),  # or two clients would answer each other for ever
    ],
)
def test_what_is_not_known_here(
    type_name: str, version: int, must_answer: bool, with_fallback: str | None, without: str | None
) -> None:
    for text, wanted in (("see here", with_fallback), (None, without)):
        message = parse(content(type_name, RAW, v=version, **({"fb": text} if text else {})))
        assert message.body == Unknown(type_name, version, encode_struct(RAW))
        assert message.body.must_answer is must_answer
        assert message.fallback == wanted


def test_an_unknown_body_is_kept_byte_exact() -> None:
    odd = b"\xde\x00\x01\xd9\x01a\xcd\x00\x01"
    message = parse(b"\x82\xa1t\xa8pay.loan\xa1b" + odd)
    assert isinstance(message.body, Unknown)
    assert message.body.raw == odd


def test_a_malformed_body_of_a_known_type_is_no_unknown_one() -> None:
    with pytest.raises(RemoteProtocolError, match="not a Text"):
        parse(content("chat.text", {"text": 5}))


@pytest.mark.parametrize("type_name", ["chat.text", "chat.anything"])
def test_chat(type_name: str) -> None:
    assert is_chat(type_name)


@pytest.mark.parametrize("type_name", ["pay.request", "chatter.text", "rcpt.read"])
def test_not_chat(type_name: str) -> None:
    assert not is_chat(type_name)


def test_the_answer_to_what_is_not_understood() -> None:
    unknown = parse(content("pay.loan", RAW, v=3)).body
    assert isinstance(unknown, Unknown)
    answer = parse(compose(Unsupported(t=unknown.type, v=unknown.version), re=Reference(ID)))
    assert answer == Message(answer.content, Unsupported(t="pay.loan", v=3))

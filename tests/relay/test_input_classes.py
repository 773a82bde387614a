"""One test by name for every class of input that applies to what exists now; ``test_input_table`` lists them all.

Compression is never negotiated, so a compression bomb is refused by its first bit.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from clients.cli.room import clean
from clients.filenames import safe_name
from protocol import frames as F
from protocol import identity
from protocol import requests as R
from protocol.errors import Close, Code, Reason
from protocol.limits import CLOCK_SKEW_MS_MAX
from relay import auth, log
from relay.admin import Admin
from relay.listener import refuse_request
from relay.metrics import exposition
from relay.testing import TestRelay, open_relay, small
from storage.base import Account, StoreAway
from tests.support import bad_peers
from tests.support.bad_peers import CLASSES
from tests.support.lab import open_lab
from tests.support.lab import req as request
from tests.support.people import Person, group, message, seed
from tests.support.wire import open_wire, req


@pytest.fixture
async def relay() -> AsyncIterator[TestRelay]:
    async with open_relay(small(frame_ms=200, handshake_ms=300, requests_per_s=10_000)) as opened:
        yield opened
        assert opened.node.counters.failures == 0


async def _shown(relay: TestRelay, *names: str) -> None:
    for name in names:
        attack, expected, _ = CLASSES[name]
        assert await attack(relay.url) in expected, name


async def test_handshake_smuggling_and_oversized_headers(relay: TestRelay) -> None:
    names = ("handshake smuggled behind another", "oversized headers", "endless headers", "a malformed key")
    await _shown(relay, *names, "another origin", "no subprotocol", "a handshake that stops")
    twice = [(b"Host", b"a"), (b"host", b"b")]
    assert refuse_request("/ws", twice, [F.SUBPROTOCOL], ()) is not None


async def test_frames_with_lying_lengths(relay: TestRelay) -> None:
    await _shown(relay, "a length that lies", "a frame that stops", "a login that is too large")


async def test_endless_fragments(relay: TestRelay) -> None:
    await _shown(relay, "endless fragments")


async def test_bad_utf8(relay: TestRelay) -> None:
    await _shown(relay, "text", "text that is no UTF-8")


async def test_control_frame_abuse(relay: TestRelay) -> None:
    await _shown(relay, "a long ping", "a fragmented ping", "a close with half a code", "a reserved opcode")
    await _shown(relay, "a frame without a mask")


async def test_compression_bombs(relay: TestRelay) -> None:
    await _shown(relay, "a compressed frame")


async def test_msgpack_bombs_wrong_types_duplicate_keys_nan_and_64_bit_edges(relay: TestRelay) -> None:
    await _shown(relay, "deep MessagePack", "a MessagePack bomb", "wrong types", "NaN", "an integer of 64 bits")
    await _shown(relay, "duplicate keys", "an unknown frame", "a message before the login")


async def test_slow_writers_are_ended(relay: TestRelay) -> None:
    await _shown(relay, "a frame that stops")
    assert relay.node.counters.refusals["partial"] == 1
    assert relay.node.counters.closes[Close.PARTIAL] == 1


async def test_reconnect_storms() -> None:
    async with open_relay(small(connects_per_s=2)) as relay:
        answers = [await bad_peers.http(bad_peers.head)(relay.url) if n > 3 else await _opens(relay) for n in range(6)]
        assert answers == ["opened"] * 4 + ["HTTP 503"] * 2
        assert relay.node.counters.refusals["address_connects"] == 2


async def _opens(relay: TestRelay) -> str:
    async with open_wire(relay.url) as wire:
        await wire.expect(F.Info)
    return "opened"


async def test_auth_replay(relay: TestRelay) -> None:
    await _shown(relay, "a login replayed")


async def test_cross_protocol_signatures(relay: TestRelay) -> None:
    await _shown(relay, "a signature of something else")


async def test_small_order_points(relay: TestRelay) -> None:
    await _shown(relay, "a key of small order")


async def test_nonce_reuse() -> None:
    async with open_lab() as lab:
        nonces = {lab.open().got(F.Info)[0].nonce for _ in range(100)}
        assert len(nonces) == 100


@pytest.mark.parametrize("skew_ms", [-CLOCK_SKEW_MS_MAX + 60_000, CLOCK_SKEW_MS_MAX - 60_000])
async def test_clock_skew_of_a_day(skew_ms: int) -> None:
    async with open_lab() as lab:
        person = Person("skewed", lab.now_ms + skew_ms)
        client = await lab.register(person)
        founding = group(person)
        assert (await client.ok(founding, F.PubResult)).offset == 1


async def test_clock_skew_beyond_a_day() -> None:
    async with open_lab() as lab:
        person = Person("skewed", lab.now_ms + 2 * CLOCK_SKEW_MS_MAX)
        client = await lab.login(person)
        answer = await client.err(request("devices.publish", R.PublishList(person.signed())))
        assert "clock" in answer.text


async def test_id_collisions_across_users_and_conversations() -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        first, second = group(alice, bob), group(alice, bob, nonce=b"2" * 16)
        await a.ok(first, F.PubResult)
        await a.ok(second, F.PubResult)
        said = message(alice, first.topic)
        assert (await a.ok(said, F.PubResult)).offset == 2
        stolen = F.Pub(0, first.topic, said.id, epoch=(1, 1), body=b"bob's")
        assert (await b.ok(stolen, F.PubResult)).offset == 3  # another device's id is another id
        assert (await a.ok(F.Pub(0, second.topic, said.id, epoch=(1, 1), body=b"x"), F.PubResult)).offset == 2
        conflict = await a.err(F.Pub(0, first.topic, said.id, epoch=(1, 1), body=b"other bytes"))
        assert conflict.detail is not None
        assert (conflict.code, conflict.detail.reason) == (Code.CONFLICT, Reason.ID_CONFLICT)


async def test_enumeration_of_users_and_topics() -> None:
    """Unknown and not-yours get the same words; so do logins of known and unknown accounts without the key."""
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        founding = group(alice)
        await a.ok(founding, F.PubResult)
        for method in ("topics.members", "topics.reserve"):
            params = {"topics.members": R.GetMembers, "topics.reserve": R.Reserve}[method]
            hidden = await b.err(request(method, params(founding.topic)))
            unknown = await b.err(request(method, params(seed("no topic"))))
            assert (hidden.code, hidden.text) == (unknown.code, unknown.text)
        hidden, unknown = [await b.err(message(bob, topic)) for topic in (founding.topic, seed("no topic"))]
        assert (hidden.code, hidden.text) == (unknown.code, unknown.text)
        known, stranger = [await lab.login(who, signature=bytes(64)) for who in (alice, lab.person("nobody"))]
        assert known.got(F.Err) == stranger.got(F.Err)
        assert known.bye == stranger.bye


async def test_timing_of_unknown_and_known_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is the same: the account is looked up and the signature checked in either case."""
    steps: list[str] = []

    def counted(message: bytes, *rest: bytes) -> bool:
        steps.append("verify")
        return identity.verify_challenge(message, *rest)

    monkeypatch.setattr(auth, "verify_challenge", counted)
    async with open_lab() as lab:
        await lab.register(lab.person("alice"))
        get = lab.relay.store.accounts.get

        async def looked_up(accounts: Sequence[bytes]) -> list[Account | None]:
            steps.append("look up")
            return await get(accounts)

        monkeypatch.setattr(lab.relay.store.accounts, "get", looked_up)
        for name in ("alice", "nobody"):
            steps.clear()
            await lab.login(lab.person(name), signature=bytes(64))
            assert steps == ["verify", "look up"], name


NASTY = ["'; DROP TABLE accounts;--", "../../etc/passwd", "a\r\nadmin ok", "\x1b[31mred", 'x"} 1\nchappe_x{a="']


@pytest.mark.parametrize("text", NASTY)
async def test_sql_log_path_and_label_injection(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "chappe.relay"):
        async with open_lab() as lab:
            alice = lab.person("alice")
            client = await lab.login(alice, agent=text[:64])
            await client.request("devices.publish", R.PublishList(alice.signed()), int)
            answer = await client.ask(F.Req(0, text[:32], request("x", R.GetHandle("ab")).params))
            assert isinstance(answer, F.Err)
            assert answer.code == Code.UNKNOWN_METHOD
            assert text not in answer.text
            log.info("said", by=text)
    for record in caplog.records:
        line = record.getMessage()
        assert re.fullmatch(r"[ -~]*", line), line


def test_unicode_in_names_and_logs() -> None:
    """Handles are plain ASCII, so nothing can be confused; whatever else is text is escaped where it is shown."""
    texts = ["ａlice", "аlice", "alice\u200b", "\u202eecila", "é", "e\u0301", "😀", "\U000e0001", "Alice", "a"]
    for text in texts:
        with pytest.raises(Exception, match=r"Expected|Invalid|validation|`str`"):
            _decode_handle(text)
        assert log.render(text).isascii()
    assert _decode_handle("alice.b-c_1") == "alice.b-c_1"


@pytest.mark.parametrize("text", NASTY)
async def test_injection_through_what_an_operator_copies(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A subject, a reason or a bound that somebody else has chosen is a value wherever it goes."""
    with caplog.at_level(logging.DEBUG, "chappe.relay"):
        async with open_relay(small()) as relay:
            admin = Admin(relay.node, "token")

            async def said(verb: str, **arguments: object) -> tuple[int, str]:
                status, body = await admin.answer(b"POST", verb, "token", json.dumps(arguments).encode())
                return status, body.decode()

            for verb in ("who", "kick", "ban", "unban", "quota"):
                assert (await said(verb, subject=text))[0] == 400
            assert (await said(text))[0] == 404
            assert (await said("quota", subject="account:" + "00" * 32, name=text, value=1))[0] == 400
            assert (await said("ban", subject="address:192.0.2.7", reason=text))[0] == 200
            status, listed = await said("bans")
            assert (status, json.loads(listed)["bans"][0]["reason"]) == (200, text)
            assert listed.count("\n") == 1
            assert "192.0.2.7" not in exposition(relay.node).decode()
    for record in caplog.records:
        assert re.fullmatch(r"[ -~]*", record.getMessage()), record.getMessage()


HIDDEN = "\u202e\u2066\u200b\u200e\ufeff\x1b\x07\r\u2028\U000e0001\U0003fffd\ud800\x85"


def test_unicode_in_what_is_shown() -> None:
    """Direction, zero width, controls, surrogates and what no standard has assigned yet never reach a terminal."""
    shown = clean("a" + HIDDEN + "b")
    assert shown == "a" + "\ufffd" * len(HIDDEN) + "b"
    for kept in ("é", "e\u0301", "Ａ", "аlice", "😀", "שלום", "👩\u200d🚀"):  # language is nobody's business
        assert clean(kept) == kept
    name = safe_name("re\u202egpj" + HIDDEN.replace("\ud800", "") + ".exe")
    assert name == "regpj.exe"
    assert safe_name("e\u0301") == "é"


def _decode_handle(text: str) -> str:
    return msgspec.msgpack.decode(msgspec.msgpack.encode([text]), type=R.ClaimHandle).handle


async def test_metrics_labels_come_from_closed_sets(relay: TestRelay) -> None:
    before = _series(exposition(relay.node))
    await _shown(relay, "a name with CR, LF and ANSI", "a flood", "oversized headers")
    assert _series(exposition(relay.node)) == before


def _series(text: bytes) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.decode().splitlines() if not line.startswith("#")}


async def test_admin_endpoints_from_the_public_listener(relay: TestRelay) -> None:
    for path in ("/admin/who", "/admin/ban", "/metrics", "/readyz", "/ws/../admin/who"):
        attack = bad_peers.http(lambda host, path=path: f"POST {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())  # type: ignore[misc]
        assert await attack(relay.url) in ("HTTP 400", "HTTP 404", "HTTP 405", "HTTP 426", "eof")


async def test_secrets_never_reach_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Tokens, invitations, signatures and bodies are fed through every path; none comes out."""
    secret = b"hunter2-hunter2!"
    with caplog.at_level(logging.DEBUG, "chappe.relay"):
        async with open_relay(small(registration="invite")) as relay:
            alice = Person("alice", relay.clock_ms())
            async with open_wire(relay.url) as wire:
                await wire.login(alice)
                await wire.ask(req("devices.publish", R.PublishList(alice.signed(), secret)))
                await wire.ask(req("blobs.put", R.PutBlob(bytes(32), secret)))
                await wire.ask(F.Pub(0, bytes(32), alice.id(), epoch=(1, 1), header=secret, body=secret, token=secret))
                await wire.send_raw(secret)
                await wire.end()
            with relay.node.relay.boundary("a bug"):
                raise StoreAway("the store is away")
    assert caplog.records
    for record in caplog.records:
        for form in (secret.decode(), secret.hex(), repr(secret)):
            assert form not in record.getMessage()
    assert identity.SigningKey(seed("x")).seed.hex() not in repr(identity.SigningKey(seed("x")))

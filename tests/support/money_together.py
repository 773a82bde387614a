"""Acts with several people and money, that tests and the proof share."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from clients.client import Client
from clients.directory import CannotAdd
from clients.wallet import Payment
from clients.wallet.pots import Packet
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.messages import packet as K
from protocol.messages.pay import State
from protocol.packets import SEED_BYTES, Terms, commitment_of, pot_of, terms_hash
from protocol.payments import PayCode
from tests.support.money import ask, fields, sign
from tests.support.proof import check
from tests.support.settlement import Bank
from tests.support.workers import WAIT_S, until

DAY_MS = 86_400_000


async def group_of(bank: Bank, *people: Client) -> bytes:
    """A group that everybody is in."""
    first, *others = people
    for other in others:
        await bank.meet(first, other)
    while True:
        with suppress(CannotAdd):
            talk = await first.group([one.account for one in others], "friends")
            break
    for one in people:
        await until(partial(_is_in, one, talk.topic, len(people)), "the group")
    return talk.topic


def _is_in(client: Client, topic: bytes, count: int) -> bool:
    return topic in client.conversations and len(client.conversation(topic).in_group()) == count


async def shown(client: Client, hash_: bytes) -> Packet:
    """Wait until somebody sees a packet."""
    await until(lambda: hash_ in client.wallet.book.pots.packets, "the packet")
    return client.wallet.packet(hash_)


async def give(giver: Client, topic: bytes, takers: list[Client], amount: int, shares: int, **other: bool) -> Packet:
    """A packet that the giver has funded."""
    members = [one.account for one in takers]
    paid = await giver.wallet.give(topic, members, amount, "EUR", shares, timeout_s=WAIT_S, **other)  # type: ignore[arg-type]
    check(paid.state == State.HELD, f"a packet is held: {paid} {paid.text}")
    return giver.wallet.packet(paid.request)


async def take(client: Client, packet: Packet) -> Payment:
    """Claim it."""
    await shown(client, packet.hash)
    return await client.wallet.claim(packet.hash, timeout_s=WAIT_S)


async def five_claim(giver: Client, takers: list[Client], topic: bytes, amount: int) -> Packet:
    """A random packet, all of it claimed, and everybody has recomputed the shares."""
    packet = await give(giver, topic, takers, amount, len(takers))
    got = [await take(one, packet) for one in takers]
    check(all(one.state == State.SETTLED for one in got), f"claims: {got}")
    check(sum(one.amount for one in got) == amount, f"shares {[one.amount for one in got]} of {amount}")
    for one in (giver, *takers):
        await until(partial(_is_over, one, packet.hash), "the end")
        check(one.wallet.packet(packet.hash).verdict == "fair", one.wallet.packet(packet.hash).verdict)
    return giver.wallet.packet(packet.hash)


def _is_over(client: Client, hash_: bytes) -> bool:
    return client.wallet.packet(hash_).over


# -- bad input ---------------------------------------------------------------------------------------------------------
def funding(
    giver: Client, members: list[bytes], seed: bytes = b"s" * SEED_BYTES, **changed: object
) -> K.Fund:  # fmt: skip
    """The message of a packet with some of its terms changed; ``signed_amount`` and ``seed`` may differ from them."""
    signed_amount = changed.pop("signed_amount", changed.get("amount", 100))
    shelf, now_ms = giver.engine.shelf, giver.engine.shelf.clock_ms()
    values = {
        "worker": giver.wallet.home.worker, "payer": giver.account, "ledger": "EUR", "exponent": 2, "amount": 100,
        "shares": 5, "expires_ms": now_ms + DAY_MS, "commitment": commitment_of(b"s" * SEED_BYTES),
        "nonce": shelf.new_id(), "members": tuple(members), **changed,
    }  # fmt: skip
    raw = encode_struct(Terms(**values))  # type: ignore[arg-type]
    hash_ = terms_hash(raw)
    signed = fields(giver, pot_of(hash_), signed_amount, request=hash_, ledger=values["ledger"])
    return K.Fund(signed=sign(signed, shelf.device), terms=raw, seed=seed)


async def bad_fundings(giver: Client, members: list[bytes]) -> dict[str, tuple[State, int]]:
    """Every packet that is refused, with its one code. Raises ``Unproved``."""
    now_ms = giver.engine.shelf.clock_ms()
    wanted: dict[str, tuple[dict[str, object], int]] = {
        "no shares": ({"shares": 0}, PayCode.SHARES_INVALID),
        "101 shares": ({"shares": 101, "amount": 1000}, PayCode.SHARES_INVALID),
        "more shares than minor units": ({"amount": 4}, PayCode.SHARES_TOO_MANY),
        "a wrong seed": ({"seed": b"t" * SEED_BYTES}, PayCode.SEED_WRONG),
        "a seed that is too short": ({"seed": b"s"}, PayCode.SEED_WRONG),
        "no seed for a random one": ({"seed": b""}, PayCode.SEED_WRONG),
        "another amount than signed": ({"signed_amount": 99}, PayCode.PACKET_MISMATCH),
        "nobody": ({"members": ()}, PayCode.PACKET_MISMATCH),
        "somebody twice": ({"members": (members[0],) * 2}, PayCode.PACKET_MISMATCH),
        "over already": ({"expires_ms": now_ms - 1}, PayCode.PACKET_LIFE_INVALID),
        "for two days": ({"expires_ms": now_ms + 2 * DAY_MS}, PayCode.PACKET_LIFE_INVALID),
        "more than there is": ({"amount": 10**9}, 1060),
    }
    found = {}
    for name, (changed, code) in wanted.items():
        seed = changed.pop("seed", b"s" * SEED_BYTES)
        assert isinstance(seed, bytes)
        listed = changed.pop("members", tuple(members))
        found[name] = await ask(giver, funding(giver, list(listed), seed, **changed))  # type: ignore[call-overload]
        check(found[name] == (State.FAILED, int(code)), f"{name}: {found[name]}, wanted {int(code)}")
    stranger = SigningKey(b"x" * 32)
    message = funding(giver, members)
    unreadable = K.Fund(signed=message.signed, terms=b"rubbish", seed=message.seed)
    found["unreadable terms"] = await ask(giver, unreadable)
    check(found["unreadable terms"] == (State.FAILED, PayCode.PACKET_MISMATCH), str(found))
    foreign = K.Fund(signed=sign(fields(giver, b"p" * 32), stranger), terms=message.terms, seed=message.seed)
    found["a foreign device"] = await ask(giver, foreign)
    check(found["a foreign device"] == (State.FAILED, PayCode.DEVICE_UNKNOWN), str(found))
    rubbish = await ask(giver, K.Fund(signed=b"rubbish", terms=b"x"))
    check(rubbish == (State.FAILED, PayCode.MALFORMED), str(rubbish))
    return found


async def bad_claims(giver: Client, taker: Client, third: Client, topic: bytes) -> dict[str, int]:
    """Claims that are refused: twice, by somebody else, of what is empty, of what nobody knows."""
    packet = await give(giver, topic, [taker, giver], 10, 2, random=False)
    found = {}

    async def claim(who: Client, operation: bytes = packet.operation, id_: bytes = b"") -> tuple[State, int]:
        return await ask(who, K.Claim(operation=operation, id=id_ or who.engine.shelf.new_id()))

    async def wants(name: str, who: Client, code: int, operation: bytes = packet.operation) -> None:
        _, found[name] = await claim(who, operation)
        check(found[name] == code, f"{name}: {found[name]}, wanted {code}")

    await wants("by somebody else", third, PayCode.PACKET_NOT_YOURS)
    mine = taker.engine.shelf.new_id()
    first = await claim(taker, id_=mine)
    check(first == (State.SETTLED, 0), f"a claim: {first}")
    check(await claim(taker, id_=mine) == first, "the same claim again got another answer")
    await wants("twice", taker, PayCode.PACKET_CLAIMED)
    await wants("of nothing", taker, PayCode.PACKET_NOT_FOUND, b"n" * 48)
    check(await claim(giver) == (State.SETTLED, 0), "the giver is a member too")
    await wants("twice, when it is over", taker, PayCode.PACKET_CLAIMED)
    empty = await give(giver, topic, [taker, third], 1, 1)
    check((await take(taker, empty)).amount == 1, "all of it")
    await wants("when it is empty", third, PayCode.PACKET_EMPTY, empty.operation)
    return found

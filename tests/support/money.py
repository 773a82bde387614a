"""Authorizations as an attacker or a broken client makes them, and what the worker answered."""

from __future__ import annotations

from typing import Any

import msgspec

from clients.client import Client
from clients.events import Received, decode_event
from protocol import limits as L
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.messages import Body, parse
from protocol.messages import pay as P
from protocol.payments import _DOMAIN, Authorization, Signed
from tests.support.workers import until


def fields(client: Client, payee: bytes, amount: Any = 100, **other: Any) -> list[Any]:
    """The fields of a good authorization, some of them changed."""
    now_ms = client.engine.shelf.clock_ms()
    good = Authorization(
        client.wallet.home.worker, client.account, payee, "EUR", 2, 1, client.engine.shelf.new_id(), now_ms,
        now_ms + L.PAY_WINDOW_MS,
    )  # fmt: skip
    values = {name: getattr(good, name) for name in good.__struct_fields__} | {"amount": amount} | other
    return list(values.values())


def sign(values: list[Any], device: SigningKey) -> bytes:
    """Signed whatever it holds."""
    body = msgspec.msgpack.encode(values)
    return encode_struct(Signed(body, device.public, device.sign(_DOMAIN, body)))


def answers(client: Client) -> list[Body]:
    """What the worker has said so far."""
    topic = client.wallet.home.topic
    events = [decode_event(value, seq) for seq, value in client.engine.shelf.vault.events(0, 10_000, topic)]
    bodies = [parse(e.content).body for e in events if isinstance(e, Received) and e.account != client.account]
    return [body for body in bodies if isinstance(body, Body)]


def outcomes(client: Client) -> list[tuple[P.State, int]]:
    """State and code of statuses and receipts, in order."""
    found = []
    for body in answers(client):
        if isinstance(body, P.Status):
            found.append((P.State(body.state), body.code))
        elif isinstance(body, P.ReceiptOf):
            found.append((P.State(body.state), 0))
    return found


def _answer(client: Client, asked: bytes) -> list[tuple[P.State, int]]:
    """What the worker has said to one message; what it tells of its own accord may come in between."""
    topic, found = client.wallet.home.topic, []
    for seq, value in client.engine.shelf.vault.events(0, 10_000, topic):
        event = decode_event(value, seq)
        if not isinstance(event, Received) or event.account == client.account:
            continue
        message = parse(event.content)
        if message.content.re is not None and message.content.re.id == asked:
            if isinstance(message.body, P.Status):
                found.append((P.State(message.body.state), message.body.code))
            elif isinstance(message.body, P.ReceiptOf):
                found.append((P.State(message.body.state), 0))
    return found


async def ask(client: Client, body: Body) -> tuple[P.State, int]:
    """Say something to the worker, and its answer."""
    asked = await client.conversation(client.wallet.home.topic).send(body)
    await until(lambda: _answer(client, asked), "an answer")
    return _answer(client, asked)[-1]


async def order_to_pay(client: Client, payee: bytes, amount: Any = 100, **other: Any) -> tuple[P.State, int]:
    """Send an authorization with some fields changed; what came of it."""
    signed = sign(fields(client, payee, amount, **other), client.engine.shelf.device)
    return await ask(client, P.Authorize(signed=signed))

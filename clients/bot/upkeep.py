"""Beside the handlers: the handle, and what is said about the connection and about waiting for the relay."""

from __future__ import annotations

import logging

import trio

from clients.bot import bounds as B
from clients.bot.errors import BotError
from clients.client import Client
from clients.connection import LinkDown, Refusal
from clients.events import AnyNotice, Connected, Disconnected
from protocol.errors import RemoteProtocolError


async def take_handle(client: Client, handle: str) -> None:
    """Take the handle at the first start. Raises ``BotError`` if somebody else has it."""
    while client.engine.shelf.identity.handle != handle:
        try:
            await client.claim_handle(handle)
        except Refusal as error:
            if error.retry_ms is None:
                raise BotError(
                    f"the handle {handle!r} cannot be taken at this relay ({error.text}); choose another: --handle NAME"
                ) from None
            await trio.sleep(error.retry_ms / 1000)
        except (LinkDown, RemoteProtocolError):
            await trio.sleep(B.HANDLE_RETRY_S)


async def watch_connection(client: Client, log: logging.Logger) -> None:
    """One line when the connection comes and goes. Raises ``BotError`` if the relay will never let us in."""
    if client.connected:
        log.info("connected to %s", client.url)
    async with client.notices() as notices:
        async for notice in notices:
            _note(notice, log)


def _note(notice: AnyNotice, log: logging.Logger) -> None:
    if isinstance(notice, Connected):
        log.info("connected to %s", notice.url)
    elif isinstance(notice, Disconnected):
        if notice.retry_ms is None:
            raise BotError(f"the relay does not let this bot in: {notice.reason}")
        log.warning("not connected (%s); trying again in %d ms", notice.reason, notice.retry_ms)


def note_waiting(client: Client, log: logging.Logger) -> None:
    """Have the outbox's waits for the relay said: one line, however many messages wait, and not again for a minute."""
    outbox, clock_ms = client.engine.outbox, client.engine.shelf.clock_ms
    set_alarm = outbox.alarm
    quiet_until = -1.0

    def alarm(topic: bytes, at_ms: int) -> None:
        nonlocal quiet_until
        if trio.current_time() >= quiet_until:
            quiet_until = trio.current_time() + B.RATE_NOTE_S
            waiting = outbox.statistics()
            log.warning(
                "the relay asks to wait %d ms (a rate limit, or it is busy): %d messages wait in the vault and go out "
                "in order; nothing is lost, and nothing is said twice",
                max(at_ms - clock_ms(), 0), waiting.waiting + waiting.flying,
            )  # fmt: skip
        set_alarm(topic, at_ms)

    outbox.alarm = alarm

"""The operator's scenarios O2, O7, O8 and O9, and floods: shown on relay processes, with figures."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from protocol import frames as F
from protocol import requests as R
from protocol.errors import Close, Code
from protocol.limits import OUTBOUND_BYTES_MAX
from relay.demo.processes import RelayProcess, chappe
from tests.support import admission_load as load
from tests.support.backup_proof import backup_and_restore
from tests.support.bad_peers import CLASSES, REFUSALS, counters
from tests.support.people import Person, group, message
from tests.support.proof import check
from tests.support.spine.talks import open_relay_process
from tests.support.wire import open_wire

SLACK_BYTES = 64 << 20  # of Python and SQLite beside what is configured
RATIO_MAX = 2.0
SLICE, SLICES = 300, 3  # each long enough that a checkpoint of the database does not decide its p99
NOISE_MS = 1.0  # of a machine that others share: two runs of the same thing differ by this
RATES = "publishes_per_s = 100000\nrequests_per_s = 100000\nconnects_per_s = 10000\n"


async def _command(*arguments: str) -> tuple[int, str, str]:
    done = await trio.run_process(chappe(*arguments), capture_stdout=True, capture_stderr=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def o2_check_config(seed: int) -> dict[str, Any]:
    """`check-config` names file, line and key, and the key or value that was probably meant."""
    mistakes = {
        "\nconection_max = 5\n": "relay.toml:2: unknown setting 'conection_max'; did you mean 'connections_max'?",
        "registration = 'invites'\n": "relay.toml:1: 'registration' is open, invite, proof-of-work or closed",
        "port = 'many'\n": "relay.toml:1: 'port' is a whole number",
        "proof_bits = 60\n": "relay.toml:1: 'proof_bits' must be between 1 and 26, not 60",
    }
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        file = Path(temporary) / "relay.toml"
        for text, expected in mistakes.items():
            file.write_text(text)
            code, _, said = await _command("check-config", str(file))
            check(code == 2, f"exit code {code} for {text!r}")
            check(expected in said and said.count("\n") == 1, f"for {text!r} it said {said!r}")
            code, _, said = await _command("up", "--config", str(file), "--data", temporary + "/data")
            check(code == 2 and expected in said, f"`up` with {text!r}: {code} {said!r}")
        file.write_text("registration = 'invite'\n")
        code, printed, _ = await _command("check-config", str(file), "--json")
        check(code == 0 and json.loads(printed)["settings"]["registration"] == "invite", "a right file is refused")
    return {"mistakes named": len(mistakes), "exit code": 2}


async def o7_sockets_that_never_read(seed: int, count: int = 100) -> dict[str, Any]:
    """``count`` sockets never read: memory stays bounded, and the p99 of a healthy pair at most doubles."""
    async with _measured() as (relay, stack):
        pair = await load.open_pair(stack, relay.url)
        wire, speaker, topic, members = await load.open_audience(stack, relay.url, count)
        async with trio.open_nursery() as nursery, AsyncExitStack() as inner:
            nursery.start_soon(load.speak, wire, speaker, topic, 32_768, 0.02)
            calm = await _slices(pair)
            before_bytes = load.rss_bytes(relay.pid)
            await load.never_read(inner, relay.url, members, topic)
            await trio.sleep(2)  # real time: kernel buffers fill first
            during = await _slices(pair)
            grown = load.rss_bytes(relay.pid) - before_bytes
            backlog = (await counters(relay))["chappe_catchup_backlog"]
            await inner.aclose()
            calm += await _slices(pair)
            nursery.cancel_scope.cancel()
        check(backlog > 0, "nobody fell behind, so this run shows nothing")
        return _judge(calm, during, grown, count) | {"sockets": count, "behind": int(backlog)}


async def _slices(pair: load.Pair) -> list[float]:
    """p99 of a pair in several slices: a single one tells more of the machine's other work than of ours."""
    return [await pair.measure(SLICE) for _ in range(SLICES)]


async def flood(seed: int, readers: int = 100, floods: int = 20, seconds: float = 20) -> dict[str, Any]:
    """Twice ``readers`` receivers that never read, and ``floods`` that go on whatever they are told."""
    # Floods and people share one address here, so the rates of devices have to tell them apart.
    rates = "publishes_per_s = 200\nrequests_per_s = 2000\nconnects_per_s = 10000\naddress_share = 10000\n"
    async with _measured(rates) as (relay, stack):
        pair = await load.open_pair(stack, relay.url)
        wire, speaker, topic, members = await load.open_audience(stack, relay.url, readers)
        async with trio.open_nursery() as nursery, AsyncExitStack() as inner:
            nursery.start_soon(load.speak, wire, speaker, topic, 16_384, 0.05)
            calm = await _slices(pair)
            before_bytes = load.rss_bytes(relay.pid)
            await load.never_read(inner, relay.url, members, topic)
            seconds_other = [person.second() for person in members]
            await _second_devices(inner, relay.url, members, seconds_other, topic)
            command = [sys.executable, "-m", "tests.support.admission_load", relay.url, str(floods), str(seconds)]
            told: list[bytes] = []
            ended = trio.Event()
            nursery.start_soon(_run, command, told, ended)
            await trio.sleep(2)
            during = await _slices(pair)
            peak = load.rss_bytes(relay.pid) - before_bytes
            with trio.fail_after(seconds + 60):
                await ended.wait()
            await inner.aclose()
            calm += await _slices(pair)
            nursery.cancel_scope.cancel()
        sent, _, _ = (int(part) for part in told[0].split())
        after = await counters(relay)
        cut_off = int(after[REFUSALS % "flood"])
        check(cut_off >= floods // 2, f"{cut_off} times a flood was cut off, of {floods} floods")
        check(after["chappe_failures_total"] == 0, "the relay met a bug")
        figures = _judge(calm, during, peak, 2 * readers + floods)
        return figures | {"flood messages": sent, "cut off": cut_off}


async def _second_devices(
    stack: AsyncExitStack, url: str, members: list[Person], others: list[Person], topic: bytes
) -> None:
    """Every member's second device connects and never reads either."""
    for member, other in zip(members, others, strict=True):
        async with open_wire(url) as wire:
            await wire.login(other, list_version=2)
            signed = member.signed(member.devices(2, other.device))
            await wire.request("devices.publish", R.PublishList(signed), int)
    await load.never_read(stack, url, others, topic)


async def _run(command: list[str], told: list[bytes], ended: trio.Event) -> None:
    done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.DEVNULL, check=False)
    told.append(done.stdout)
    ended.set()


def _judge(calm: list[float], during: list[float], grown: int, connections: int) -> dict[str, Any]:
    calm_ms, during_ms = statistics.median(calm), statistics.median(during)
    bound = connections * 2 * OUTBOUND_BYTES_MAX + SLACK_BYTES
    check(grown < bound, f"memory grew by {grown >> 20} MiB; at most {bound >> 20}")
    told = f"p99 of {SLICE} messages, calm {_told(calm)}, during {_told(during)}"
    check(during_ms <= RATIO_MAX * calm_ms + NOISE_MS, told)
    return {
        "p99 calm ms": round(calm_ms, 2), "p99 during ms": round(during_ms, 2), "memory grown MiB": grown >> 20,
        "bound MiB": bound >> 20,
    }  # fmt: skip


def _told(slices: list[float]) -> str:
    return " ".join(f"{value:.1f}" for value in slices)


@asynccontextmanager
async def _measured(settings: str = RATES) -> AsyncIterator[tuple[RelayProcess, AsyncExitStack]]:
    """A relay process with generous rates, and a stack for what is opened at it."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        config = Path(temporary) / "relay.toml"
        config.write_text(settings)
        async with open_relay_process(Path(temporary), "--config", str(config)) as relay, AsyncExitStack() as stack:
            yield relay, stack


async def o8_bad_input(seed: int) -> dict[str, Any]:
    """Each class of bad input gets its documented answer; counters move; the process lives and serves."""
    shown: dict[str, Any] = {}
    async with _measured("frame_ms = 1000\nhandshake_ms = 1000\n" + RATES) as (relay, stack):
        pair = await load.open_pair(stack, relay.url)
        for name, (attack, expected, counter) in CLASSES.items():
            before = await counters(relay)
            got = await attack(relay.url)
            check(got in expected, f"{name}: answered {got}, documented {expected}")
            check(counter is None or await _moved(relay, counter, before[counter]), f"{name}: {counter} did not move")
            shown[name] = got
        await pair.measure(10)
        check((await counters(relay))["chappe_failures_total"] == 0, "the relay met a bug")
        check(relay.process is not None and relay.process.returncode is None, "the process is gone")
    return shown


async def _moved(relay: RelayProcess, counter: str, before: float) -> bool:
    """Whether a counter grows; some are counted when the connection has ended, a moment later."""
    for _ in range(50):
        if (await counters(relay))[counter] > before:
            return True
        await trio.sleep(0.1)
    return False


async def o9_ban_quota_retention(seed: int) -> dict[str, Any]:
    """Ban, quota, retention (files included), backup and restore on a running relay."""
    async with _measured() as (relay, stack):
        data, url = str(relay.data), relay.url
        alice, eve = Person("alice", load.now_ms()), Person("eve", load.now_ms())
        a, e = [await stack.enter_async_context(open_wire(url)) for _ in range(2)]
        await a.register(alice)
        await e.register(eve)
        await e.request("handles.claim", R.ClaimHandle("eve"), type(None))
        code, said, _ = await _command("admin", "ban", "eve", "--reason", "spam", "--data", data)
        check(code == 0 and "1 connections ended" in said, f"ban: {code} {said}")
        bye, closed = await e.end()
        check(bye is not None and bye.code == Close.BANNED == closed, f"the banned heard {bye}, {closed}")
        async with open_wire(url) as again:
            await again.send(eve.connect(await again.expect(F.Info)))
            bye, _ = await again.end()
            check(bye is not None and bye.code == Close.BANNED, f"the banned came back: {bye}")
        code, _, _ = await _command("admin", "unban", "eve", "--data", data)
        async with open_wire(url) as again:
            check(code == 0 and (await again.login(eve)).registered, "the unbanned cannot come back")
        await _quota(a, alice, data)
        freed = await _retention(a, alice, data)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        restored = await backup_and_restore(Path(temporary))
    shown = {"ban": "4504 at once and again", "quota": "429 beyond it, then lifted", "retention freed bytes": freed}
    return shown | restored


async def _quota(wire: Any, alice: Person, data: str) -> None:
    subject = f"account:{alice.account.hex()}"
    code, _, said = await _command("admin", "quota", subject, "topics_per_day", "2", "--data", data)
    check(code == 0, f"quota: {said}")
    answers = [await wire.ask(group(alice, nonce=bytes([n]) * 16)) for n in range(1, 4)]
    codes = [answer.code if isinstance(answer, F.Err) else 0 for answer in answers]
    check(codes == [0, 0, Code.RATE], f"three conversations with a bound of two: {codes}")
    await _command("admin", "quota", subject, "topics_per_day", "default", "--data", data)
    check(isinstance(await wire.ask(group(alice, nonce=bytes([9]) * 16)), F.Ok), "the quota was not lifted")


async def _retention(wire: Any, alice: Person, data: str, count: int = 50, size: int = 4096) -> int:
    founding = group(alice, nonce=bytes([8]) * 16)
    await wire.ok(founding, F.PubResult)
    for _ in range(count):
        await wire.ok(message(alice, founding.topic, bytes(size)), F.PubResult)
    code, printed, said = await _command("admin", "retention", "--days", "0", "--data", data, "--json")
    check(code == 0, f"retention: {said}")
    freed = json.loads(printed)
    check(freed["entries"] >= count and freed["bytes"] >= count * size, f"retention freed {freed}")
    return int(freed["bytes_freed"])

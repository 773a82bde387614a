"""``chappe chat --json``: commands as JSON lines on standard input, events as JSON lines on standard output.

A command is ``{"do": verb, ...}``; ``"tag"`` comes back in its reply. Every durable event carries its ``seq``: start
with ``{"do": "events", "after": seq}`` to get each exactly once.

Verbs with their arguments: events after · handle name · account · add handle · verify name · pair name · group title
names · send topic text · typing topic times · add-to topic names · remove topic names · rotate topic · leave topic ·
list · history topic limit · read topic offset · mute topic for · unmute topic · send-file topic path caption · download
topic id path · report topic offset reason text attach (offsets) · statistics · quit; and those of ``personal`` with
``words``, answered with ``lines``.

Files take their time: other commands go on meanwhile, and ``progress`` notices carry the tag of the command. An upload
that an earlier run began goes on by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from clients.cli.personal import Personal
from clients.cli.reporting import ground_of
from clients.cli.room import Follower, Room
from clients.cli.spans import span_ms
from clients.client import Client
from clients.conversations import Conversation
from clients.events import CaughtUp, Connected, Disconnected, Ephemeral
from clients.files import OnProgress, Progress
from protocol.errors import ChappeError

LINE_BYTES_MAX = 256 * 1024
SLOW = frozenset({"send-file", "download", "resume-files"})  # other commands do not wait for these


class _BadCommand(ChappeError):
    """A command that cannot be understood."""


def write(record: dict[str, Any]) -> None:
    """One JSON line, at once."""
    sys.stdout.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")
    sys.stdout.flush()


class Script:
    """Runs commands against a client."""

    def __init__(self, client: Client, nursery: trio.Nursery) -> None:
        self._room = Room(client)
        self._client = client
        self._nursery = nursery
        self._follower: Follower | None = None
        self._personal = Personal(self._room, lambda text: write({"notice": "progress", "text": text}))
        self._verbs: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "events": self._events, "handle": self._handle, "account": self._account, "add": self._add,
            "verify": self._verify, "pair": self._pair, "group": self._group, "send": self._send,
            "typing": self._typing, "add-to": self._add_to, "remove": self._remove, "rotate": self._rotate,
            "leave": self._leave, "list": self._list, "history": self._history, "statistics": self._statistics,
            "send-file": self._send_file, "download": self._download, "resume-files": self._resume_files,
            "report": self._report,
            "mute": self._mute, "unmute": self._unmute, "read": self._read,
        }  # fmt: skip

    async def take_handle(self, handle: str) -> None:
        """Take a handle as soon as there is a connection."""
        await self._one("handle", {"name": handle})

    async def run(self) -> None:
        """Until ``quit`` or the end of the input."""
        self._nursery.start_soon(self._notices)
        self._nursery.start_soon(self._one, "resume-files", {})
        while True:
            line = await trio.to_thread.run_sync(sys.stdin.buffer.readline, LINE_BYTES_MAX, abandon_on_cancel=True)
            if not line:
                return
            if not line.strip():
                continue
            try:
                command = json.loads(line)
                verb = command["do"]
            except (ValueError, KeyError, TypeError):
                write({"error": 'a command is a JSON object like {"do": "list"}'})
                continue
            if verb == "quit":
                return
            if verb in SLOW:
                self._nursery.start_soon(self._one, verb, command)
            else:
                await self._one(verb, command)

    async def _one(self, verb: str, command: dict[str, Any]) -> None:
        tag = command.get("tag")
        action = self._verbs.get(verb)
        try:
            if verb in self._personal.verbs:
                words = [str(word) for word in command.get("words", ())]
                write({"reply": tag, "do": verb, "lines": await self._personal.verbs[verb](words)})
                return
            if action is None:
                raise _BadCommand(f"no verb {verb!r}; there are {', '.join(sorted(self._verbs))} and quit")
            result = await action(command)
            if verb != "resume-files" or result["ids"]:
                write({"reply": tag, "do": verb, **result})
        except ChappeError as error:
            write({"reply": tag, "do": verb, "error": str(error)})
        except (LookupError, ValueError, TypeError) as error:
            write({"reply": tag, "do": verb, "error": f"missing or wrong argument: {error}"})

    # -- what goes out by itself ---------------------------------------------------------------------------------------
    async def _notices(self) -> None:
        async with self._client.notices() as notices:
            if self._client.connected:
                write({"notice": "connected", "url": self._client.url})
            async for notice in notices:
                if isinstance(notice, Connected):
                    write({"notice": "connected", "url": notice.url})
                elif isinstance(notice, Disconnected):
                    write({"notice": "disconnected", "reason": notice.reason, "retry_ms": notice.retry_ms})
                elif isinstance(notice, CaughtUp):
                    if self._follower is not None:
                        await self._follower.reached(notice.seq)
                    write({"notice": "caughtup", "topic": notice.topic.hex(), "offset": notice.offset})
                elif isinstance(notice, Ephemeral):
                    name = self._room.name_of(notice.account)
                    write({"notice": "ephemeral", "topic": notice.topic.hex(), "from": name})

    async def _follow(self, after: int, follower: Follower) -> None:
        follower.passed(after)
        async for event in self._client.events(after):
            write(self._room.as_json(event))
            follower.passed(event.seq)

    # -- verbs ---------------------------------------------------------------------------------------------------------
    def _talk(self, command: dict[str, Any]) -> Conversation:
        return self._client.conversation(bytes.fromhex(command["topic"]))

    def _accounts(self, names: list[str]) -> list[bytes]:
        return [self._room.account_of(name) for name in names]

    async def _events(self, command: dict[str, Any]) -> dict[str, Any]:
        self._follower = Follower()
        self._nursery.start_soon(self._follow, int(command.get("after", 0)), self._follower)
        return {}

    async def _handle(self, command: dict[str, Any]) -> dict[str, Any]:
        await self._client.claim_handle(command["name"])
        return {"handle": command["name"]}

    async def _account(self, command: dict[str, Any]) -> dict[str, Any]:
        identity = self._client.engine.shelf.identity
        return {"account": self._client.account.hex(), "handle": identity.handle}

    async def _add(self, command: dict[str, Any]) -> dict[str, Any]:
        account, number = await self._room.add(command["handle"])
        return {"account": account.hex(), "safety_number": number}

    async def _verify(self, command: dict[str, Any]) -> dict[str, Any]:
        await self._room.verify(command["name"])
        return {}

    async def _pair(self, command: dict[str, Any]) -> dict[str, Any]:
        talk = await self._client.pair(self._room.account_of(command["name"]))
        return self._room.summary(talk)

    async def _group(self, command: dict[str, Any]) -> dict[str, Any]:
        return self._room.summary(await self._room.group(command["title"], command["names"]))

    async def _send(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"id": (await self._talk(command).send(str(command["text"]))).hex()}

    async def _typing(self, command: dict[str, Any]) -> dict[str, Any]:
        for _ in range(int(command.get("times", 1))):
            self._talk(command).typing()
            await trio.lowlevel.checkpoint()
        return {}

    async def _add_to(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"id": (await self._talk(command).add(self._accounts(command["names"]))).hex()}

    async def _remove(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"id": (await self._talk(command).remove(self._accounts(command["names"]))).hex()}

    async def _rotate(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"id": (await self._talk(command).rotate()).hex()}

    async def _leave(self, command: dict[str, Any]) -> dict[str, Any]:
        await self._talk(command).leave()
        return {}

    async def _list(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"conversations": [
            {**self._room.summary(talk), "unread": await talk.unread(), "muted_until_ms": talk.muted_until_ms}
            for talk in self._client.conversations.values()
        ]}  # fmt: skip

    async def _mute(self, command: dict[str, Any]) -> dict[str, Any]:
        talk, span = self._talk(command), command.get("for")
        await talk.mute(None if span is None else span_ms(str(span)))
        return {"muted_until_ms": talk.muted_until_ms}

    async def _unmute(self, command: dict[str, Any]) -> dict[str, Any]:
        await self._talk(command).unmute()
        return {}

    async def _read(self, command: dict[str, Any]) -> dict[str, Any]:
        talk, offset = self._talk(command), command.get("offset")
        await talk.mark_read(None if offset is None else int(offset))
        return {"read_to": talk.read_to, "unread": await talk.unread()}

    async def _history(self, command: dict[str, Any]) -> dict[str, Any]:
        events = await self._talk(command).history(int(command.get("limit", 100)))
        return {"events": [self._room.as_json(event) for event in events]}

    async def _report(self, command: dict[str, Any]) -> dict[str, Any]:
        number = await self._client.report(
            bytes.fromhex(command["topic"]), int(command["offset"]), ground_of(str(command.get("reason", "other"))),
            str(command.get("text", "")), attach=[int(offset) for offset in command.get("attach", ())],
        )  # fmt: skip
        return {"number": number}

    # -- files ---------------------------------------------------------------------------------------------------------
    def _progress(self, verb: str, tag: object) -> OnProgress:
        def tell(now: Progress) -> None:
            write({
                "notice": "progress", "do": verb, "tag": tag, "name": now.name, "done": now.done_bytes,
                "total": now.total_bytes, "chunks": now.chunks, "sent": now.sent, "reused": now.reused,
                "again": now.again,
            })  # fmt: skip

        return tell

    async def _send_file(self, command: dict[str, Any]) -> dict[str, Any]:
        progress, path = self._progress("send-file", command.get("tag")), Path(command["path"])
        caption = str(command.get("caption", ""))
        return {"id": (await self._talk(command).send_file(path, caption=caption, progress=progress)).hex()}

    async def _resume_files(self, command: dict[str, Any]) -> dict[str, Any]:
        ids = await self._client.files.resume(self._progress("resume-files", None))
        return {"ids": [message_id.hex() for message_id in ids]}

    async def _download(self, command: dict[str, Any]) -> dict[str, Any]:
        media = await self._talk(command).find_file(bytes.fromhex(command["id"]))
        progress = self._progress("download", command.get("tag"))
        return {"path": str(await self._client.download(media, Path(command["path"]), progress=progress))}

    async def _statistics(self, command: dict[str, Any]) -> dict[str, Any]:
        statistics = self._client.statistics()
        return {
            "outgoing": statistics.outbox.waiting + statistics.outbox.flying, "events": statistics.journal.events,
            "commits": statistics.journal.commits,
        }  # fmt: skip

"""One connection of a worker's process, from login to its end: it asks for slots and follows what it is granted.

Without a connection a process holds nothing, so nothing runs: whatever it had goes to another process, or comes back
to this one under higher tokens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import msgspec
import trio

from clients.connection import Link, LinkDown, Refusal
from clients.events import AnyNotice
from clients.keeper import PENDING_WRITES_MAX, Keeper
from clients.tasks import open_tasks
from extensions.engine import WorkerEngine
from extensions.errors import Fenced, WorkerError
from protocol.codec import decode_struct, encode_struct
from protocol.errors import Reason, RemoteProtocolError
from protocol.frames import GROUP_SHARED, SLOTS_FEATURE, AnyFrame, Err, Evt, Ok, Pub, Req, Sub
from protocol.requests import ClaimHandle, LoginResult, ReleaseSlots, SlotsChanged, TopicNews


class WorkerKeeper(Keeper):
    """See the module. ``granted`` and ``parting`` hear of slots that come and go."""

    engine: WorkerEngine

    def __init__(
        self, url: str, engine: WorkerEngine, notify: Callable[[AnyNotice], None], *, policy: str = GROUP_SHARED,
        handle: str = "",
    ) -> None:  # fmt: skip
        super().__init__(url, engine, notify)
        self.features = (SLOTS_FEATURE,)
        self.granted: Callable[[Collection[int]], None] = lambda slots: None
        self.parting: Callable[[Collection[int]], None] = lambda slots: None
        self.room: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint  # waited for before reading on
        self.handle_taken: Callable[[str], None] = lambda text: None
        self._policy = policy
        self._handle = handle
        self._failure: Fenced | WorkerError | None = None
        engine.receiver.receipt_due = lambda topic: None

    async def run(self) -> None:
        """One connection; always ends with ``LinkDown``, ``Fenced`` or ``WorkerError``, perhaps in a group."""
        try:
            async with open_tasks((LinkDown,)) as nursery:
                self._nursery = nursery
                nursery.start_soon(self.engine.shelf.journal.run)
                await self._connection()
        except LinkDown:
            if self._failure is not None:
                raise self._failure from None
            raise

    def _fail(self, failure: Fenced | WorkerError) -> None:
        self._failure = self._failure or failure
        self.engine.restart()

    def _start_tasks(self, nursery: trio.Nursery, link: Link, login: LoginResult) -> None:
        nursery.start_soon(self._show_up, link, login.key_packages)
        nursery.start_soon(self._work_inbox, link)
        self._ask_slots(link)

    async def _show_up(self, link: Link, packages: int) -> None:
        """Be found only when there are key packages to be added with."""
        await self._upkeep(link, packages)
        await self._take_handle(link)

    async def _take_handle(self, link: Link) -> None:
        identity = self.engine.shelf.identity
        if not self._handle or identity.handle == self._handle:
            return
        try:
            await link.ask("handles.claim", ClaimHandle(self._handle), type(None))
        except Refusal as error:
            if error.retry_ms is None:
                self.handle_taken(error.text)
        except (LinkDown, RemoteProtocolError):
            return  # asked again at the next login
        else:
            identity.handle = self._handle
            self.engine.shelf.save_identity()

    # -- slots ---------------------------------------------------------------------------------------------------------
    def _ask_slots(self, link: Link) -> None:
        def on_reply(reply: Ok | Err | None) -> None:
            if isinstance(reply, Err):
                if reply.retry_ms is None:
                    self._fail(WorkerError(f"the relay gives this process no slots: {reply.text}"))
                else:
                    self._later(reply.retry_ms, lambda: self._ask_slots(link) if link is self.engine.link else None)

        link.request(Sub(0, None, self._policy), on_reply)

    async def _frames(self, frames: list[AnyFrame]) -> None:
        for frame in frames:
            if isinstance(frame, Evt) and frame.name == "slots":
                await self._slots(decode_struct(frame.payload, SlotsChanged))
            elif isinstance(frame, Evt) and frame.name == "topic":
                self.engine.topic_news(decode_struct(frame.payload, TopicNews))
            else:
                self.engine.frame(frame)
        if self.engine.shelf.journal.statistics().waiting > PENDING_WRITES_MAX:
            await self.engine.shelf.journal.flushed()
        await self.room()

    async def _slots(self, changed: SlotsChanged) -> None:
        shelf = self.engine.shelf
        if changed.granted:
            tokens = dict(changed.granted)
            shelf.begin_block(await trio.to_thread.run_sync(shelf.vault.claim, tokens))
            self.engine.load(tokens)
            self.granted(tokens)
        if changed.revoked:
            self.parting(changed.revoked)
            self.engine.part(changed.revoked)
            await shelf.journal.flushed()
            shelf.vault.let_go(changed.revoked)
            shelf.forget_slots(changed.revoked)
            link = self.engine.link
            if link is not None:
                params = msgspec.Raw(encode_struct(ReleaseSlots(changed.revoked)))
                link.request(Req(0, "slots.release", params), lambda reply: None)

    def _outgoing(self, pub: Pub, reply: Callable[..., None]) -> tuple[Pub, Callable[..., None]]:
        def judged(answer: Ok | Err | None) -> None:
            detail = answer.detail if isinstance(answer, Err) else None
            if detail is not None and detail.reason == Reason.FENCED:
                self._fail(Fenced("the relay says that another process holds the slot"))
            else:
                reply(answer)

        return self.engine.signed_out(pub), judged

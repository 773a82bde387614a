"""Files in conversations: sealed chunk by chunk, few of them in memory at once, resumed wherever they broke off.

Rule 1.  What is up is what the relay says: sealing a file again gives the same chunks (``chunks``), so an upload that
         was broken off reads the file once more, asks, and sends what is missing. The vault keeps its id and key.
Rule 2.  The message is queued when every chunk is up, in the transaction that forgets the upload.
Rule 3.  A download lies in ``NAME.ID.part`` until its last byte is verified; then it gets its name, at once and whole.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from clients import records as R
from clients.blobs import BlobLane, BlobTransport, FileRefused
from clients.chunks import FileDamaged, FileTooLarge, Layout, chunk_size, layout_of, open_chunk, seal_chunk
from clients.engine import Engine
from clients.filenames import free_path, safe_name
from clients.records import Status
from clients.tasks import open_tasks
from protocol import limits as L
from protocol.errors import ChappeError
from protocol.messages import compose
from protocol.messages.chat import Media

LANES: Final = 4  # chunks on their way at once: enough to fill the time that a relay takes to make one durable
WINDOW: Final = 8  # chunks sealed and asked for at once
MIME_UNKNOWN: Final = "application/octet-stream"


class FileError(ChappeError):
    """A file on this machine cannot be read, written or found; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer has come. ``sent``: chunks moved by this run; ``reused``: chunks that were there before.

    ``again``: chunks that were sent more than once, since an attempt broke.
    """

    name: str
    done_bytes: int
    total_bytes: int
    chunks: int
    sent: int
    reused: int
    again: int = 0


#: What goes wrong with files in the eyes of a person.
FILE_ERRORS: Final = (FileError, FileRefused, FileDamaged, FileTooLarge)
#: How a transfer may end early; several of its tasks may notice at once.
WRONG: Final = (FileError, FileRefused, FileDamaged, OSError)
OnProgress = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """For whoever wants no progress."""


@dataclass(slots=True)
class _Count:
    """Counts towards ``Progress``."""

    name: str
    layout: Layout
    tell: OnProgress
    done_bytes: int = 0
    sent: int = 0
    reused: int = 0
    again: int = 0

    def moved(self, index: int, times: int = 1) -> None:
        self.sent += 1
        self.again += times > 1
        self._done(index)

    def found(self, index: int) -> None:
        self.reused += 1
        self._done(index)

    def _done(self, index: int) -> None:
        self.done_bytes += self.layout.length(index)
        size, count = self.layout.size, self.layout.count
        self.tell(Progress(self.name, self.done_bytes, size, count, self.sent, self.reused, self.again))


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A chunk on its way up."""

    index: int
    hash: bytes
    data: bytes


class Files:
    """The transfers of one client. Everything here waits while the relay is away, and goes on when it is back."""

    def __init__(
        self, engine: Engine, transport: BlobTransport, room: Callable[[], Awaitable[None]],
        check: Callable[[bytes], None],
    ) -> None:  # fmt: skip
        """``room`` waits until the outbox has some; ``check`` raises if nothing may be said in a conversation now."""
        self._engine = engine
        self._shelf = engine.shelf
        self._transport = transport
        self._room = room
        self._check = check
        self._running: set[object] = set()

    @contextmanager
    def _alone(self, key: object) -> Iterator[None]:
        if key in self._running:
            raise FileError("this file is on its way already")
        self._running.add(key)
        try:
            yield
        finally:
            self._running.discard(key)

    # -- up ------------------------------------------------------------------------------------------------------------
    async def send(
        self, topic: bytes, path: Path, *, name: str = "", mime: str = "", caption: str = "", thumbnail: bytes = b"",
        blurhash: str = "", progress: OnProgress = ignore,
    ) -> bytes:  # fmt: skip
        """Upload a file and queue its message; the message's id. An upload of the same file that broke off goes on.

        Raises ``FileError``, ``FileTooLarge``, ``FileRefused`` (code 507: no room), ``ValueError`` (caption too large).
        """
        path, size, mtime_ns = await trio.to_thread.run_sync(_look, path)
        same, found = (topic, str(path), size, mtime_ns), await trio.to_thread.run_sync(self._shelf.uploads)
        upload = next((u for u in found if (u.topic, u.path, u.size, u.mtime_ns) == same), None)
        if upload is None:
            entropy = self._shelf.entropy
            upload = R.Upload(
                entropy(L.ID_BYTES), entropy(L.KEY_BYTES), topic, str(path), size, mtime_ns, chunk_size(size),
                safe_name(name or path.name), mime or mimetypes.guess_type(path.name)[0] or MIME_UNKNOWN, caption,
                thumbnail, blurhash,
            )  # fmt: skip
            compose(_media(upload, bytes(L.KEY_BYTES), [bytes(L.KEY_BYTES)] * _layout(upload).count))  # does it fit?
            self._shelf.journal.put(R.UPLOADS, upload.id, upload)
            await self._shelf.journal.flushed()
            return await self._upload(upload, ask=False, progress=progress)
        return await self._upload(upload, ask=True, progress=progress)

    async def resume(self, progress: OnProgress = ignore) -> list[bytes]:
        """Go on with the uploads that an earlier run of this client began; the ids of their messages.

        One whose file has changed or gone is forgotten. Raises what
        refused one, ``FileRefused`` or ``NotActive``, when all others are through.
        """
        ids = list[bytes]()
        refusal: ChappeError | None = None
        for upload in await trio.to_thread.run_sync(self._shelf.uploads):
            if upload.id not in self._running:
                try:
                    ids.append(await self._upload(upload, ask=True, progress=progress))
                except FileError:
                    await self.forget(upload.id)
                except ChappeError as error:  # the file may still go another time
                    refusal = error
        if refusal is not None:
            raise refusal
        return ids

    async def forget(self, upload_id: bytes) -> None:
        """Give an upload up; the relay drops within the hour what is up of it."""
        self._shelf.journal.put(R.UPLOADS, upload_id, None)
        await self._shelf.journal.flushed()

    async def put(self, path: Path, *, name: str = "", mime: str = "") -> Media:
        """Upload a file that goes with no conversation, such as one of a public post; how others find and open it.

        It is not taken up again after a restart, and kept for an hour if nothing names its chunks. Raises as ``send``.
        """
        path, size, mtime_ns = await trio.to_thread.run_sync(_look, path)
        entropy, guessed = self._shelf.entropy, mimetypes.guess_type(path.name)[0]
        upload = R.Upload(
            entropy(L.ID_BYTES), entropy(L.KEY_BYTES), b"", str(path), size, mtime_ns, chunk_size(size),
            safe_name(name or path.name), mime or guessed or MIME_UNKNOWN,
        )  # fmt: skip
        hashes, whole = await self._chunks_up(upload, _Count(upload.name, _layout(upload), ignore), ask=False)
        return _media(upload, whole, hashes)

    async def _upload(self, upload: R.Upload, *, ask: bool, progress: OnProgress) -> bytes:
        with self._alone(upload.id):
            self._check(upload.topic)
            count = _Count(upload.name, _layout(upload), progress)
            hashes, whole = await self._chunks_up(upload, count, ask=ask)
            while not all(await self._transport.renew(hashes)):  # some were up for longer than the relay keeps them
                hashes, whole = await self._chunks_up(upload, _Count(upload.name, _layout(upload), ignore), ask=True)
            await self._room()
            talk = self._shelf.conversations[upload.topic]
            if talk.status in (Status.REMOVED, Status.LEFT):
                await self.forget(upload.id)
                raise FileError("you are not in this conversation any more; the file was not sent")
            self._check(upload.topic)  # keys may have changed while it was uploaded
            content = compose(_media(upload, whole, hashes), seen=self._engine.seen(talk))
            message_id = self._engine.say(talk, content, blobs=tuple(dict.fromkeys(hashes)))
            self._shelf.journal.put(R.UPLOADS, upload.id, None)
            await self._shelf.journal.flushed()
            return message_id

    async def _chunks_up(self, upload: R.Upload, count: _Count, *, ask: bool) -> tuple[list[bytes], bytes]:
        """Seal the whole file once, and send what is not up (``ask``: the relay may have some); hashes, SHA-256."""
        layout, whole, hashes = count.layout, hashlib.sha256(), list[bytes]()
        send, receive = trio.open_memory_channel[_Sealed](0)
        renewed_ms = self._shelf.clock_ms()
        async with open_tasks(WRONG) as nursery, send:
            for _ in range(min(LANES, layout.count)):
                nursery.start_soon(self._lane_up, receive.clone(), count)
            receive.close()
            for start in range(0, layout.count, WINDOW):
                window = await trio.to_thread.run_sync(_seal_window, upload, layout, start, whole)
                known = await self._transport.renew([chunk.hash for chunk in window]) if ask else [False] * len(window)
                for chunk, is_up in zip(window, known, strict=True):
                    hashes.append(chunk.hash)
                    if is_up:
                        count.found(chunk.index)
                    else:
                        await send.send(chunk)
                if self._shelf.clock_ms() - renewed_ms > L.BLOB_RENEW_MS:
                    renewed_ms = self._shelf.clock_ms()
                    await self._transport.renew(hashes)
            send.close()
        return hashes, whole.digest()

    async def _lane_up(self, chunks: trio.MemoryReceiveChannel[_Sealed], count: _Count) -> None:
        lane = BlobLane(self._transport)
        try:
            async with chunks:
                async for chunk in chunks:
                    times = await lane.put(chunk.hash, chunk.data)
                    count.moved(chunk.index, times)
        finally:
            with trio.CancelScope(shield=True):
                await lane.aclose()

    # -- down ----------------------------------------------------------------------------------------------------------
    async def download(self, media: Media, to: Path, progress: OnProgress = ignore) -> Path:
        """Fetch a file and verify it; where it lies then. ``to``: a directory (the sender's name, made harmless; with a
        number if there is one already), or the path itself, which is replaced.

        Raises ``FileRefused`` (code 404: the relay does not keep it any more), ``FileDamaged``, ``FileError``.
        """
        layout = layout_of(media)
        place, target = await trio.to_thread.run_sync(_place, media.name, to)
        part = place.with_name(f"{place.name}.{media.id.hex()[:16]}.part")
        with self._alone(part), _disk(part):
            descriptor = await trio.to_thread.run_sync(_open_part, part, layout.size)
            try:
                await self._chunks_down(media, layout, descriptor, _Count(place.name, layout, progress))
                whole = await trio.to_thread.run_sync(_whole, descriptor, layout)
            finally:
                os.close(descriptor)
            if whole != media.hash:
                part.unlink(missing_ok=True)
                raise FileDamaged("the file is not the one that its message describes; whoever sent it made a mistake")
            return await trio.to_thread.run_sync(_finish, part, target)

    async def _chunks_down(self, media: Media, layout: Layout, descriptor: int, count: _Count) -> None:
        """Fetch what is not in the part file yet."""
        send, receive = trio.open_memory_channel[int](0)
        async with open_tasks(WRONG) as nursery, send:
            for _ in range(min(LANES, layout.count)):
                nursery.start_soon(self._lane_down, receive.clone(), media, layout, descriptor, count)
            receive.close()
            for index, digest in enumerate(media.chunks):
                if await trio.to_thread.run_sync(_is_there, descriptor, layout, index, digest):
                    count.found(index)
                else:
                    await send.send(index)
            send.close()

    async def _lane_down(
        self, indices: trio.MemoryReceiveChannel[int], media: Media, layout: Layout, descriptor: int, count: _Count
    ) -> None:
        lane = BlobLane(self._transport)
        try:
            async with indices:
                async for index in indices:
                    sealed = await lane.get(media.chunks[index], layout.sealed(index))
                    await trio.to_thread.run_sync(_write_chunk, descriptor, layout, index, sealed)
                    count.moved(index)
        finally:
            with trio.CancelScope(shield=True):
                await lane.aclose()


# -- what blocks on the disk, in threads -------------------------------------------------------------------------------
def _look(path: Path) -> tuple[Path, int, int]:
    """Full path, size and time of change of a file to send."""
    with _disk(path):
        found = path.stat()
    if not path.is_file():
        raise FileError(f"{path} is no file")
    return path.absolute(), found.st_size, found.st_mtime_ns


def _place(name: str, to: Path) -> tuple[Path, Callable[[], Path]]:
    """Where a download grows, but for the ending of its name, and what says where it goes when it is whole."""
    to = to.absolute()
    if not to.is_dir():
        return to, lambda: to
    return to / safe_name(name), lambda: free_path(to, safe_name(name))


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """``OSError`` as a sentence about ``path``."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from error


def _layout(upload: R.Upload) -> Layout:
    return Layout(upload.id, upload.key, upload.size, upload.chunk)


def _media(upload: R.Upload, whole: bytes, hashes: list[bytes]) -> Media:
    return Media(
        id=upload.id, name=upload.name, mime=upload.mime, size=upload.size, hash=whole, key=upload.key,
        chunk=upload.chunk, chunks=tuple(hashes), caption=upload.caption, thumbnail=upload.thumbnail,
        blurhash=upload.blurhash,
    )  # fmt: skip


def _seal_window(upload: R.Upload, layout: Layout, start: int, whole: hashlib._Hash) -> list[_Sealed]:
    """Read and seal the chunks from ``start`` on, and go on with the hash of the whole file."""
    path, window = Path(upload.path), []
    if _look(path)[1:] != (upload.size, upload.mtime_ns):
        raise FileError(f"{path} has changed while it was sent; send it again")
    with _disk(path), path.open("rb") as file:
        file.seek(start * layout.chunk)
        for index in range(start, min(start + WINDOW, layout.count)):
            content = file.read(layout.length(index))
            if len(content) != layout.length(index):
                raise FileError(f"{path} has changed while it was sent; send it again")
            whole.update(content)
            sealed = seal_chunk(layout, index, content)
            window.append(_Sealed(index, hashlib.sha256(sealed).digest(), sealed))
    return window


def _open_part(part: Path, size: int) -> int:
    """The file that a download grows in: ours alone to read, and no link to somewhere else."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.fstat(descriptor).st_size > size:
        os.ftruncate(descriptor, size)
    return descriptor


def _is_there(descriptor: int, layout: Layout, index: int, digest: bytes) -> bool:
    """Whether a chunk lies in the part file already: sealed again, it has the hash that the message names."""
    content = os.pread(descriptor, layout.length(index), index * layout.chunk)
    if len(content) != layout.length(index):
        return False
    return hashlib.sha256(seal_chunk(layout, index, content)).digest() == digest


def _write_chunk(descriptor: int, layout: Layout, index: int, sealed: bytes) -> None:
    view, place = memoryview(open_chunk(layout, index, sealed)), index * layout.chunk
    while view:
        written = os.pwrite(descriptor, view, place)
        view, place = view[written:], place + written


def _whole(descriptor: int, layout: Layout) -> bytes:
    """SHA-256 of the file, which is durable then."""
    whole = hashlib.sha256()
    for index in range(layout.count):
        whole.update(os.pread(descriptor, layout.length(index), index * layout.chunk))
    os.fsync(descriptor)
    return whole.digest()


def _finish(part: Path, target: Callable[[], Path]) -> Path:
    path = target()
    part.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path

"""Files from one client to another, and what becomes of those that break off, change or lie."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import pytest
import trio

from clients import files as module
from clients import records as R
from clients.blobs import BlobLane, FileRefused
from clients.chunks import FileDamaged
from clients.conversations import NotActive
from clients.files import FileError, Progress
from protocol import limits as L
from protocol.messages.chat import Media
from relay.testing import small
from tests.support.posting import Post, open_post


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough chunks in a file of a megabyte."""
    monkeypatch.setattr(L, "CHUNK_BYTES", L.CHUNK_BYTES_MIN)


def a_file(folder: Path, size: int, name: str = "photo.jpg") -> tuple[Path, bytes]:
    """A file whose chunks differ."""
    path = folder / name
    data = b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(-(-size // 64)))[:size]
    path.write_bytes(data)
    return path, data


async def test_a_file_from_one_to_the_other(tmp_path: Path) -> None:
    path, data = a_file(tmp_path, 1_000_000)
    up: list[Progress] = []
    down: list[Progress] = []
    async with open_post(tmp_path) as post:
        message_id = await post.talk.send_file(path, caption="look", progress=up.append)
        media = await post.arrived()
        assert (media.name, media.mime, media.size, media.caption) == ("photo.jpg", "image/jpeg", len(data), "look")
        assert (await post.bob.conversation(post.talk.topic).find_file(message_id)) == media
        (tmp_path / "in").mkdir()
        saved = await post.bob.download(media, tmp_path / "in", progress=down.append)
        again = await post.bob.download(media, tmp_path / "in")
        exact = await post.bob.download(media, tmp_path / "in" / "mine.jpg")
        assert [saved.name, again.name, exact.name] == ["photo.jpg", "photo (2).jpg", "mine.jpg"]
        assert saved.read_bytes() == again.read_bytes() == data
        assert sorted(os.listdir(tmp_path / "in")) == ["mine.jpg", "photo (2).jpg", "photo.jpg"]
        with pytest.raises(FileError, match="no file in this conversation"):
            await post.talk.find_file(bytes(16))
    for told in (up[-1], down[-1]):
        assert (told.done_bytes, told.total_bytes) == (len(data), len(data))
        assert (told.chunks, told.sent, told.reused, told.again) == (16, 16, 0, 0)


async def test_an_empty_file(tmp_path: Path) -> None:
    path, _ = a_file(tmp_path, 0, "empty")
    async with open_post(tmp_path) as post:
        await post.talk.send_file(path)
        media = await post.arrived()
        assert (media.chunks, media.mime) == ((), "application/octet-stream")
        assert (await post.bob.download(media, tmp_path / "copy")).read_bytes() == b""


async def _broken_upload(post: Post, path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Begin to send a file; the client is stopped after some chunks."""
    put, count = BlobLane.put, 0

    async def counted(self: BlobLane, digest: bytes, sealed: bytes) -> int:
        nonlocal count
        count += 1
        if count > after:
            await trio.sleep_forever()
        return await put(self, digest, sealed)

    with monkeypatch.context() as patch, trio.CancelScope() as scope:
        patch.setattr(BlobLane, "put", counted)
        await post.talk.send_file(path, progress=lambda now: scope.cancel() if now.sent == after else None)


async def test_an_upload_that_broke_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = a_file(tmp_path, 1_000_000)
    told: list[Progress] = []
    async with open_post(tmp_path) as post:
        await _broken_upload(post, path, monkeypatch, 10)
        await post.talk.send_file(path, progress=told.append)
        assert (told[-1].sent, told[-1].reused) == (6, 10)
        assert await post.ann.files.resume() == []
        assert (await post.bob.download(await post.arrived(), tmp_path / "copy")).read_bytes() == data


async def test_the_next_run_of_a_client_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = a_file(tmp_path, 500_000)
    gone, _ = a_file(tmp_path, 200_000, "gone")
    told: list[Progress] = []
    async with open_post(tmp_path) as post:
        await _broken_upload(post, gone, monkeypatch, 1)
        await _broken_upload(post, path, monkeypatch, 3)
        gone.unlink()
        assert len(await post.ann.files.resume(told.append)) == 1
        assert (told[-1].sent, told[-1].reused) == (5, 3)
        media = await post.arrived()
        assert (await post.bob.download(media, tmp_path / "copy")).read_bytes() == data
        assert await post.ann.files.resume() == []


async def test_a_file_that_changes_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = a_file(tmp_path, 200_000)
    async with open_post(tmp_path) as post:
        await _broken_upload(post, path, monkeypatch, 1)
        (upload,) = post.ann.engine.shelf.uploads()
        size, changed = path.stat().st_size, upload.mtime_ns + 1_000_000
        os.utime(path, ns=(changed, changed))
        with pytest.raises(FileError, match="has changed"):
            await post.ann.files._upload(upload, ask=True, progress=module.ignore)
        short = msgspec.structs.replace(upload, mtime_ns=changed)
        monkeypatch.setattr(module, "_look", lambda there: (there, size, changed))
        path.write_bytes(b"short")
        with pytest.raises(FileError, match="has changed"):
            await post.ann.files._upload(short, ask=True, progress=module.ignore)
        with pytest.raises(FileError, match="on its way already"), post.ann.files._alone(upload.id):
            await post.ann.files._upload(upload, ask=True, progress=module.ignore)


async def test_what_cannot_be_sent(tmp_path: Path) -> None:
    path, _ = a_file(tmp_path, 400_000)
    async with open_post(tmp_path, small(blob_quota_bytes=300_000)) as post:
        with pytest.raises(FileError, match="No such file"):
            await post.talk.send_file(tmp_path / "none")
        with pytest.raises(FileError, match="is no file"):
            await post.talk.send_file(tmp_path)
        with pytest.raises(ValueError, match="content"):
            await post.talk.send_file(path, caption="€" * 16_384, thumbnail=bytes(L.THUMBNAIL_BYTES_MAX))
        with pytest.raises(FileRefused, match="files are in use") as refusal:
            await post.talk.send_file(path)
        assert refusal.value.code == 507
        with pytest.raises(FileRefused, match="files are in use"):
            await post.ann.files.resume()
        (upload,) = post.ann.engine.shelf.uploads()
        post.talk.record.status = R.Status.REMOVED
        with pytest.raises(NotActive):
            await post.talk.send_file(path)
        await post.ann.files.forget(upload.id)
        empty, _ = a_file(tmp_path, 0, "empty")
        with pytest.raises(FileError, match="not in this conversation"):
            await post.ann.files.send(post.talk.topic, empty)


async def test_chunks_that_went_meanwhile_are_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = a_file(tmp_path, 300_000)
    monkeypatch.setattr(L, "BLOB_RENEW_MS", -1)  # renew after every window
    async with open_post(tmp_path) as post:
        lost: list[bytes] = []
        renew = post.ann.files._transport.renew

        async def losing(hashes: list[bytes]) -> list[bool]:
            if not lost:
                lost.append(hashes[0])
                engine = post.relay.store.blobs._engine  # type: ignore[attr-defined]
                await engine.write(lambda db, _: db.exec_driver_sql("DELETE FROM blobs WHERE hash = ?", (hashes[0],)))
            return await renew(hashes)

        monkeypatch.setattr(post.ann.files._transport, "renew", losing)
        await post.talk.send_file(path)
        assert (await post.bob.download(await post.arrived(), tmp_path / "copy")).read_bytes() == data


async def test_a_download_goes_on_from_its_part_file(tmp_path: Path) -> None:
    path, data = a_file(tmp_path, 500_000)
    async with open_post(tmp_path) as post:
        await post.talk.send_file(path)
        media = await post.arrived()
        part = tmp_path / f"copy.{media.id.hex()[:16]}.part"
        part.write_bytes(data[: 3 * media.chunk] + b"\0" * media.chunk + data[4 * media.chunk : 5 * media.chunk] + b"x")
        told: list[Progress] = []
        target = await post.bob.download(media, tmp_path / "copy", progress=told.append)
        assert (told[-1].sent, told[-1].reused) == (4, 4)
        assert target.read_bytes() == data
        assert not part.exists()
        part.write_bytes(data + b"longer than it may be")
        assert (await post.bob.download(media, tmp_path / "copy")).read_bytes() == data


async def test_what_is_not_the_file_is_not_kept(tmp_path: Path) -> None:
    path, _ = a_file(tmp_path, 200_000)
    async with open_post(tmp_path) as post:
        await post.talk.send_file(path)
        media = await post.arrived()

        async def fails(error: type[Exception], text: str, **changes: object) -> None:
            wrong: Media = msgspec.structs.replace(media, **changes)
            with pytest.raises(error, match=text):
                await post.bob.download(wrong, tmp_path / "copy")

        await fails(FileDamaged, "not the one that its message describes", hash=bytes(32))
        assert not (tmp_path / f"copy.{media.id.hex()[:16]}.part").exists()
        await fails(FileDamaged, "does not open", key=bytes(32))
        await fails(FileDamaged, "names 4 chunks", size=media.size * 2)
        await fails(FileRefused, "no such blob", chunks=(bytes(32), *media.chunks[1:]))
        with pytest.raises(FileError, match="No such file"):
            await post.bob.download(media, tmp_path / "none" / "copy")
        link = tmp_path / f"linked.{media.id.hex()[:16]}.part"
        link.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FileError, match="symbolic"):
            await post.bob.download(media, tmp_path / "linked")
        assert not (tmp_path / "elsewhere").exists()

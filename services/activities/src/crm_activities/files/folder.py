"""Files in a folder of this machine, or of a volume that all processes of the service share."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from crm_activities.files.storage import PIECE, Missing

_KEY: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}")


class Folder:
    """A folder of files. A file is written beside its place, made durable, and then renamed."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream."""
        path = self._path(key)
        part = _part(path)
        file = await asyncio.to_thread(_begin, part)
        try:
            held, size = [], 0
            async for chunk in chunks:
                held.append(chunk)
                size += len(chunk)
                if size >= PIECE:
                    await asyncio.to_thread(file.writelines, held)
                    held, size = [], 0
            await asyncio.to_thread(_finish, file, held, part, path)
        except BaseException:
            file.close()
            with suppress(OSError):
                part.unlink()
            raise

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Return some of the bytes."""
        try:
            file = await asyncio.to_thread(self._path(key).open, "rb")
        except FileNotFoundError:
            raise Missing(key) from None
        try:
            await asyncio.to_thread(file.seek, start)
            while start < end:
                piece = await asyncio.to_thread(file.read, min(PIECE, end - start))
                if not piece:
                    raise Missing(key)
                start += len(piece)
                yield piece
        finally:
            file.close()

    async def delete(self, key: str) -> None:
        """Delete a file and what an interrupted write left of it."""
        await asyncio.to_thread(_remove, self._path(key))

    async def exists(self, key: str) -> bool:
        """Whether the file is there."""
        return await asyncio.to_thread(self._path(key).is_file)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("this is no key of a file")
        return self._root / key


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


def _begin(part: Path) -> IO[bytes]:
    part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return open(part, "wb", opener=_for_us_alone)


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _finish(file: IO[bytes], held: list[bytes], part: Path, path: Path) -> None:
    file.writelines(held)
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.replace(path)
    # The names, too, are durable only after this.
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    for one in (path, _part(path)):
        one.unlink(missing_ok=True)

"""A backup as a directory, a tar file, or a stream of a tar file."""

import os
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from crm_local.backup.manifest import BROKER, NAME, SETTINGS, SUM, BadBackup, Manifest, described

STREAM = "-"
_DUMPS = "databases/"
_OURS = re.compile(
    rf"{_DUMPS}[a-z][a-z0-9_]*\.dump|files/[0-9a-f]{{2}}/[0-9a-f]{{32}}|"
    + "|".join(map(re.escape, (NAME, SUM, SETTINGS, BROKER)))
)


@contextmanager
def making(target: str, scratch: Path, stream: BinaryIO) -> Iterator[Path]:
    """Yield a directory for the files. If the block succeeds they become the backup, otherwise nothing is left.

    A target that ends in `.tar` becomes a file, `-` is written to ``stream``, and any other becomes a directory. Raises
    BadBackup if the target exists.
    """
    if target == STREAM:
        place = scratch / f".crm-backup-{os.getpid()}"
        final: Path | None = None
    else:
        final = Path(target).absolute()
        if final.exists():
            raise BadBackup(f"{final} already exists: choose another name")
        if not final.parent.is_dir():
            raise BadBackup(f"{final.parent} is not a directory: create it first")
        place = final.with_name(f".{final.name}.making-{os.getpid()}")
    place.mkdir(mode=0o700)
    try:
        (place / _DUMPS).mkdir(mode=0o700)
        yield place
        if final is None:
            _pack(place, stream)
        elif final.suffix == ".tar":
            _pack_into(place, final)
        else:
            _sync_directory(place)
            place.rename(final)
        if final is not None:
            _sync(final.parent)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def private(path: Path) -> BinaryIO:
    """Open a new file for writing that only its owner can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _pack_into(place: Path, final: Path) -> None:
    packing = place / "packing.tar"
    with private(packing) as file:
        _pack(place, file)
        file.flush()
        os.fsync(file.fileno())
    packing.rename(final)


def _pack(place: Path, into: BinaryIO) -> None:
    """Pack the manifest first, so that a stream can be checked while it arrives.

    Each file is deleted after it is packed.
    """
    manifest = Manifest.read(place)
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name in [NAME, SUM, *manifest.files]:
            tar.add(place / name, arcname=name, filter=_anonymous)
            (place / name).unlink()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _sync_directory(place: Path) -> None:
    for path in (*place.rglob("*"), place):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def opened(source: str, scratch: Path) -> Iterator[Path]:
    """Yield the backup as a directory. Unpacked files are in ``scratch`` until the block ends. Raises BadBackup."""
    path = Path(source).absolute()
    if source != STREAM and path.is_dir():
        yield path
        return
    if source != STREAM and not path.is_file():
        raise BadBackup(f"{path} does not exist")
    place = scratch / f".crm-restore-{os.getpid()}"
    place.mkdir(mode=0o700)
    try:
        if source == STREAM:
            _unpack(sys.stdin.buffer, place)
        else:
            with path.open("rb") as file:
                _unpack(file, place)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _unpack(file: BinaryIO, place: Path) -> None:
    (place / _DUMPS).mkdir(mode=0o700)
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                with _content(tar, member) as content:
                    (place / member.name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    with private(place / member.name) as into:
                        shutil.copyfileobj(content, into, 1024 * 1024)
    except tarfile.TarError as error:
        raise _partial(error) from None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    # Only our own names are accepted: a prepared file must not write elsewhere.
    content = tar.extractfile(member) if member.isfile() and _OURS.fullmatch(member.name) else None
    if content is None:
        raise BadBackup(f"this is not a backup: it contains {member.name!r}")
    return content


def verified(source: str) -> Manifest:
    """Compare the content of a backup with its manifest without unpacking it. Raises BadBackup."""
    path = Path(source).absolute()
    if source == STREAM:
        return _verified_stream(sys.stdin.buffer)
    if path.is_dir():
        manifest = Manifest.read(path)
        manifest.check(path)
        return manifest
    if not path.is_file():
        raise BadBackup(f"{path} does not exist")
    with path.open("rb") as file:
        return _verified_stream(file)


def _verified_stream(file: BinaryIO) -> Manifest:
    head: dict[str, bytes] = {}
    found: dict[str, dict[str, object]] = {}
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                with _content(tar, member) as content:
                    if member.name in (NAME, SUM):
                        head[member.name] = content.read()
                    else:
                        found[member.name] = described(content)
    except tarfile.TarError as error:
        raise _partial(error) from None
    manifest = Manifest.parse(head.get(NAME), head.get(SUM))
    manifest.compare(found)
    return manifest


def _partial(error: tarfile.TarError) -> BadBackup:
    return BadBackup(f"this is not a backup, or only a part of one: {error}")

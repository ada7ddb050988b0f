"""Files without records: names, ranges, types, forms, and where the bytes are. No database."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from crm_activities.files.folder import Folder
from crm_activities.files.form import FileForm
from crm_activities.files.names import MOST_BYTES, disposition, safe_name
from crm_activities.files.opening import open_storage
from crm_activities.files.ranges import Span, Unsatisfiable, span_of
from crm_activities.files.sniffing import media_type_of
from crm_activities.files.storage import Missing, Storage, key_of
from crm_activities.settings import ActivitiesSettings
from crm_kit.errors import DomainError
from crm_kit.store.record import new_id

MIB = 1024**2


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.exe", "evil.exe"),
        ("C:\\Users\\ada\\offer.pdf", "offer.pdf"),
        ("a\0.exe", "a.exe"),
        ("CON.txt", "_CON.txt"),
        ("com1", "_com1"),
        ("context.txt", "context.txt"),
        ('quarterly".pdf', "quarterly_.pdf"),
        ("a;b.txt", "a;b.txt"),
        ("a\r\nSet-Cookie: x.txt", "aSet-Cookie_ x.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("half \ud83d.txt", "half .txt"),
        (" report. ", "report"),
        ("e\u0301t\u00e9.txt", "\u00e9t\u00e9.txt"),
        ("見積書.pdf", "見積書.pdf"),
        (".bashrc", ".bashrc"),
        ("..", "file"),
        ("", "file"),
        (None, "file"),
        ("folder/", "folder"),
    ],
)
def test_a_name_is_made_harmless(raw: str | None, name: str) -> None:
    assert safe_name(raw) == name


@pytest.mark.parametrize("stem", ["あ", "a", "😀"])
def test_a_long_name_is_cut_between_characters_and_keeps_its_extension(stem: str) -> None:
    name = safe_name(stem * 400 + ".txt")
    assert MOST_BYTES - 4 < len(name.encode()) <= MOST_BYTES
    assert name.endswith(f"{stem}.txt")
    assert len(safe_name(f"a.{stem * 400}").encode()) <= MOST_BYTES


@given(st.text() | st.text('./\\ \0:;"%あ\ud800CON', max_size=600))
def test_any_name_becomes_one_component_that_a_header_can_carry(raw: str) -> None:
    name = safe_name(raw)
    assert 0 < len(name.encode()) <= MOST_BYTES
    assert name == safe_name(name) or len(name.encode()) > MOST_BYTES - 8
    assert name not in (".", "..")
    assert not set(name) & set('/\\\0"<>:|?*\r\n')
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["content-disposition"] = header
    assert message.get_content_disposition() == "attachment"
    assert unquote(header.rpartition("UTF-8''")[2]) == name


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-5", Span(2, 6)),
        ("bytes=2-", Span(2, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-30", Span(0, 10)),
        ("bytes=2-99", Span(2, 10)),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=-", None),
    ],
)
def test_one_range_is_understood(header: str | None, span: Span | None) -> None:
    assert span_of(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=11-12", "bytes=-0"])
def test_a_range_after_the_end_is_refused(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        span_of(header, 10)


@pytest.mark.parametrize(
    ("head", "name", "media_type"),
    [
        (b"%PDF-1.7\n%abc", "offer.txt", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "logo", "image/png"),
        ("お見積り\n".encode(), "memo", "text/plain"),
        (b"\xe3\x81", "cut", "text/plain"),
        (b"\0\1\2\3", "data", "application/octet-stream"),
        (b"\x80\x81\xfd", "data", "application/octet-stream"),
        (b"", "nothing", "application/octet-stream"),
    ],
)
def test_the_content_tells_the_type(head: bytes, name: str, media_type: str) -> None:
    assert media_type_of(head, name, whole=name != "cut") == media_type


class Arriving:
    """A request whose body arrives in pieces."""

    def __init__(self, body: bytes, boundary: str = "b", size: int = 7) -> None:
        self.headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def stream(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def form_of(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(b"--b\r\n%s\r\n\r\n%s\r\n" % (head.encode(), data) for head, data in parts) + b"--b--\r\n"


FIELD = ('Content-Disposition: form-data; name="comment"', b"a comment")
PART = (
    'Content-Disposition: form-data; name="file"; filename="見積 1.pdf"\r\nContent-Type: text/html',
    b"--\r\nab\r\n-",
)


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_the_file_of_a_form_is_passed_on(size: int) -> None:
    form = FileForm(Arriving(form_of(FIELD, PART, FIELD), size=size))  # type: ignore[arg-type]  # it has what is used
    content = await form.open()
    assert (form.name, b"".join([piece async for piece in content])) == ("見積 1.pdf", PART[1])


@pytest.mark.parametrize(
    "body", [b"", b"no form", form_of(FIELD), form_of(PART)[:-12], form_of(("X: " + "x" * 20_000, b""))]
)
async def test_a_broken_form_is_refused(body: bytes) -> None:
    async def read() -> None:
        form = FileForm(Arriving(body))  # type: ignore[arg-type]  # it has what is used
        async for _ in await form.open():
            pass

    with pytest.raises(DomainError, match="invalid-request"):
        await read()


async def test_a_sender_that_hangs_up_is_told_so() -> None:
    class HungUp(Arriving):
        async def stream(self) -> AsyncIterator[bytes]:
            async for piece in super().stream():
                yield piece
            raise ClientDisconnect

    content = await FileForm(HungUp(form_of(PART)[:-12])).open()  # type: ignore[arg-type]  # it has what is used
    with pytest.raises(DomainError, match="broke off"):
        async for _ in content:
            pass


@pytest.mark.parametrize("url", ["ftp://x/y", "file://host/x", "file:x", "s3:///prefix", "/var/files"])
def test_a_wrong_place_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="CRM_FILES_URL"):
        ActivitiesSettings.model_validate({"CRM_FILES_URL": url})


async def _make_bucket(endpoint: str) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{endpoint}/files") as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a real server that speaks S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    asyncio.run(_make_bucket(told["AWS_ENDPOINT_URL"]))
    yield "s3://files/liaison"
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def storage(request: Any, tmp_path: Path) -> Storage:
    """Each of the places in which files may be."""
    if request.param == "bucket":
        return open_storage(request.getfixturevalue("bucket"))
    return open_storage(f"file://{tmp_path}/with%20space")


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def read_all(storage: Storage, key: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in storage.get(key, start, end)])


async def test_what_is_stored_can_be_read_in_parts_and_deleted(storage: Storage) -> None:
    key = key_of(new_id())
    assert not await storage.exists(key)
    await storage.put(key, pieces_of(b"ab", b"", b"cdef"))
    assert await storage.exists(key)
    assert await read_all(storage, key, 0, 6) == b"abcdef"
    assert await read_all(storage, key, 2, 4) == b"cd"
    for _ in range(2):
        await storage.delete(key)
    assert not await storage.exists(key)
    with pytest.raises(Missing):
        await read_all(storage, key, 0, 6)


async def test_an_empty_file_is_a_file(storage: Storage) -> None:
    key = key_of(new_id())
    await storage.put(key, pieces_of())
    assert (await storage.exists(key), await read_all(storage, key, 0, 0)) == (True, b"")


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_stream_that_breaks_off_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a" * MIB
        raise ConnectionError("gone")

    key = key_of(new_id())
    with pytest.raises(Exception, match="gone"):
        await storage.put(key, broken())
    assert not await storage.exists(key)
    assert not files_below(tmp_path)


async def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    key = key_of(new_id())
    part = (tmp_path / key).with_suffix(".part")
    part.parent.mkdir()
    part.write_bytes(b"half of it")
    await Folder(tmp_path).delete(key)
    assert not part.exists()


@pytest.mark.parametrize("key", ["../../etc/passwd", "aa/../x", "/etc/passwd", "aa", ""])
async def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        await Folder(tmp_path).exists(key)


async def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    size, piece = 64, b"x" * MIB

    async def large() -> AsyncIterator[bytes]:
        for _ in range(size):
            await asyncio.sleep(0)
            yield piece

    folder, key = Folder(tmp_path), key_of(new_id())
    tracemalloc.start()
    try:
        await folder.put(key, large())
        read = 0
        async for part in folder.get(key, 0, size * MIB):
            read += len(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == size * MIB
    assert peak < 8 * MIB

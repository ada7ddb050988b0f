"""Backups on disk, and incomplete backups."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from crm_local.backup import container, files
from crm_local.backup.manifest import BadBackup, KeptDatabase, Manifest, described
from crm_local.backup.tools import Failed, Tools, _hidden, _only_unknown_settings
from crm_local.state import Home

DUMP = "databases/sales.dump"
KEY = f"ab/{'0' * 30}ab"


def fill(place: Path) -> None:
    """Write a small backup."""
    (place / DUMP).write_bytes(b"rows" * 1000)
    (place / "settings.json").write_text("{}")
    files = {}
    for name in (DUMP, "settings.json"):
        with (place / name).open("rb") as file:
            files[name] = described(file)
    sales = KeptDatabase("sales", DUMP, "0001", "0001", last_seq=7, pending=1, inbox={"/crm/identity": 3})
    Manifest("2026-11-30T10:00:00+00:00", "0.1.0", "here", "liaison", 15, 15, 12, [sales], files).write(place)


@pytest.fixture(params=["backup", "backup.tar"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A backup as a directory, and as a file."""
    target: Path = tmp_path / request.param
    with container.making(str(target), tmp_path, io.BytesIO()) as place:
        fill(place)
    assert sorted(path.name for path in tmp_path.iterdir()) == [target.name]
    return target


def harm(made: Path, old: bytes, new: bytes) -> None:
    path = made / DUMP if made.is_dir() else made
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_it_is_whole_and_opens_as_it_was_made(made: Path, tmp_path: Path) -> None:
    assert container.verified(str(made)).databases[0].last_seq == 7
    with container.opened(str(made), tmp_path) as place:
        manifest = Manifest.read(place)
        manifest.check(place)
        assert (place / DUMP).read_bytes() == b"rows" * 1000
    assert [path.name for path in tmp_path.iterdir()] == [made.name]


def test_a_changed_byte_is_seen(made: Path) -> None:
    harm(made, b"rowsrows", b"rowzrows")
    with pytest.raises(BadBackup, match=r"sales\.dump is not what it was"):
        container.verified(str(made))


def test_a_file_for_nobody_else(made: Path) -> None:
    paths = [made] if made.is_file() else [path for path in (made, *made.rglob("*")) if path.is_dir()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)


def test_half_of_it_is_seen(tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    with container.making(str(target), tmp_path, io.BytesIO()) as place:
        fill(place)
    os.truncate(target, 5000)
    with pytest.raises(BadBackup):
        container.verified(str(target))
    with pytest.raises(BadBackup), container.opened(str(target), tmp_path) as place:
        Manifest.read(place).check(place)
    assert [path.name for path in tmp_path.iterdir()] == ["backup.tar"]


def test_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(name: str) -> None:
        with container.making(str(tmp_path / name), tmp_path, io.BytesIO()) as place:
            fill(place)
            raise OSError("the disk is full")

    for name in ("backup", "backup.tar"):
        with pytest.raises(OSError, match="full"):
            fail(name)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with container.making("-", tmp_path, stream) as place:
        fill(place)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stream.getvalue())))
    with container.opened("-", tmp_path) as place:
        Manifest.read(place).check(place)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "backup.tar").write_text("another")
    with (
        pytest.raises(BadBackup, match="already exists"),
        container.making(str(tmp_path / "backup.tar"), tmp_path, io.BytesIO()),
    ):
        pass
    assert (tmp_path / "backup.tar").read_text() == "another"


@pytest.mark.parametrize("name", ["../outside", "databases/../../outside", "/outside", "databases/x/y.dump"])
def test_a_prepared_file_writes_nowhere_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / "prepared.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"harm"))
    with pytest.raises(BadBackup, match="not a backup"), container.opened(str(path), tmp_path):
        pass
    assert [found.name for found in tmp_path.iterdir()] == ["prepared.tar"]


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("postgresql://sales:p%40ss@host:5432/db?sslmode=require", "postgresql://sales@host:5432/db?sslmode=require"),
        (
            "postgresql://sales@a:1,b:2/db?password=p%40ss&options=-c%20x",
            "postgresql://sales@a:1,b:2/db?options=-c%20x",
        ),
    ],
)
def test_a_password_is_no_argument(url: str, plain: str) -> None:
    with _hidden(url) as told:
        assert told == (plain, {"PGPASSWORD": "p@ss"})


async def test_the_password_of_a_key_is_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\nstat -c %a "$PGSERVICEFILE" >&2\ncat "$PGSERVICEFILE" >&2\necho "$@" >&2\nexit 1\n')
    program.chmod(0o700)
    url = "postgresql://sales@host/db?sslmode=require&sslkey=/k&sslpassword=p%40ss"
    tools = Tools(15, directory=tmp_path)
    with pytest.raises(Failed) as told, (tmp_path / "dump").open("wb") as into:
        await tools.dump(url, "snapshot", into)
    assert "600 [crm] sslpassword=p@ss --dbname=" in str(told.value)
    assert "postgresql://sales@host/db?sslmode=require&sslkey=%2Fk&service=crm " in str(told.value)
    monkeypatch.setenv("PGSERVICE", "mine")
    with pytest.raises(Failed, match="file of the service"), _hidden(url):
        pass


def test_a_newer_pg_restore_may_set_what_an_older_server_does_not_know() -> None:
    unknown = (
        'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"'
    )
    assert _only_unknown_settings(f"{unknown}\npg_restore: warning: errors ignored on restore: 1")
    assert not _only_unknown_settings(f"{unknown}\npg_restore: error: could not execute query: ERROR:  relation exists")


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_files_of_records_are_kept_and_put_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_FILES_URL", raising=False)
    before, after, target = Home(tmp_path / "before"), Home(tmp_path / "after"), tmp_path / name
    stored = before.path / "files" / KEY
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"a file")
    stored.with_suffix(".part").write_bytes(b"half of one")
    with container.making(str(target), tmp_path, io.BytesIO()) as place:
        assert files.keep(place, before) == []
        fill(place)
        manifest = Manifest.read(place)
        with (place / "files" / KEY).open("rb") as file:
            manifest.files[f"files/{KEY}"] = described(file)
        manifest.write(place)
    container.verified(str(target))
    with container.opened(str(target), tmp_path) as place:
        for _ in range(2):
            assert files.put_back(place, after) == "restored  1 files"
    assert [path.read_bytes() for path in after.path.rglob("*") if path.is_file()] == [b"a file"]


def test_files_in_a_bucket_are_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_FILES_URL", "s3://files")
    [missing] = files.keep(tmp_path, Home(tmp_path))
    assert "bucket" in missing

"""The manifest of a backup."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

FORMAT = 1
NAME, SUM = "manifest.json", "manifest.sha256"
SETTINGS, BROKER = "settings.json", "broker.json"
_PIECE = 1024 * 1024


class BadBackup(Exception):
    """The file is not a backup, is incomplete, or was changed. The text says which."""


@dataclass(frozen=True)
class KeptDatabase:
    """The database of one service at the cut."""

    service: str
    file: str
    revision: str
    compatible_from: str
    last_seq: int
    """The newest event in its outbox."""
    pending: int
    """The number of events that were not sent to the broker yet."""
    inbox: dict[str, int]
    """The number of events that its handler groups have stored, by source."""


@dataclass(frozen=True)
class Manifest:
    """The contents of a backup, with the size and the SHA-256 of each file."""

    made_at: str
    release: str
    host: str
    instance: str
    postgres: int
    """Major version of the server."""
    tools: int
    """Major version of pg_dump. The dumps can be read by this version and newer ones."""
    locked_ms: int
    databases: list[KeptDatabase]
    files: dict[str, dict[str, object]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """What belongs to the suite and could not be read."""
    outbox_days: int = 0
    """CRM_OUTBOX_DAYS at the time of the backup: how long events are kept. 0 if it is not known."""
    inbox_days: int = 0
    """CRM_INBOX_DAYS at the time of the backup: how long the keys of handled events are kept. 0 if it is not known."""
    format: int = FORMAT

    def write(self, directory: Path) -> None:
        """Write the manifest, and its checksum in the format of `sha256sum --check`."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        (directory / NAME).write_text(text)
        (directory / SUM).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {NAME}\n")

    @classmethod
    def read(cls, directory: Path) -> "Manifest":
        """Read the manifest of an unpacked backup. Raises BadBackup."""
        paths = [directory / name for name in (NAME, SUM)]
        return cls.parse(*(path.read_bytes() if path.is_file() else None for path in paths))

    @classmethod
    def parse(cls, text: bytes | None, told: bytes | None) -> "Manifest":
        """Parse a manifest and its checksum. Raises BadBackup."""
        if text is None or told is None:
            raise BadBackup(f"this is not a backup: it has no {NAME} with its checksum")
        if hashlib.sha256(text).hexdigest().encode() != told[:64]:
            raise BadBackup(_changed(NAME))
        document = json.loads(text)
        if document.get("format") != FORMAT:
            raise BadBackup(f"this release reads backups of format {FORMAT}; this one is of {document.get('format')}")
        databases = [KeptDatabase(**one) for one in document.pop("databases")]
        return cls(databases=databases, **document)

    def check(self, directory: Path) -> None:
        """Compare every file with the manifest. Raises BadBackup."""
        found = {}
        for name in self.files:
            if (path := directory / name).is_file():
                with path.open("rb") as file:
                    found[name] = described(file)
        self.compare(found)

    def compare(self, found: Mapping[str, Mapping[str, object]]) -> None:
        """Compare the files found, by name, with the manifest. Raises BadBackup."""
        for name, said in self.files.items():
            if name not in found:
                raise BadBackup(f"{name} is missing: the backup is not complete")
            if found[name] != said:
                raise BadBackup(_changed(name))


def _changed(name: str) -> str:
    return f"{name} is not what it was when the backup was made: take another backup"


def described(file: IO[bytes]) -> dict[str, object]:
    """Return the size and the checksum of a file."""
    digest, size = hashlib.sha256(), 0
    while piece := file.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}

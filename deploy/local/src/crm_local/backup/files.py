"""The files of records in a backup, if they are in a folder. A bucket has means of its own."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from crm_kit.configuration.secret_files import secret
from crm_local.backup.container import private
from crm_local.state import Home

FOLDER: Final = "files"
_KEY: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}")
"""The keys of files. What an interrupted upload left has another name."""


def folder_of(home: Home) -> Path | None:
    """Return the folder of the files of this deployment; None if they are in a bucket, or on a volume that is not here."""
    if secret("CRM_SERVICE_PASSWORDS") and not os.environ.get("CRM_FILES_URL"):
        return None
    parts = urlsplit(home.files_url())
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def keep(place: Path, home: Home) -> list[str]:
    """Copy the files into a backup, and return what is missing in words.

    Call it after the databases were read. A file never changes, and one that an attachment of that moment has is still there
    unless it was deleted since.
    """
    folder = folder_of(home)
    if folder is None:
        return ["files of records: back up the bucket or the volume of CRM_FILES_URL after this, by its own means"]
    for key in _keys_in(folder):
        target = place / FOLDER / key
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with (folder / key).open("rb") as file, private(target) as into:
                shutil.copyfileobj(file, into, 1024 * 1024)
        except FileNotFoundError:
            # Deleted meanwhile.
            target.unlink(missing_ok=True)
    return []


def put_back(place: Path, home: Home) -> str:
    """Copy the files of a backup to their folder, and return what was done in words. Files that are there stay."""
    keys = list(_keys_in(place / FOLDER))
    if not keys:
        return "restored  no files: the backup has none"
    folder = folder_of(home)
    if folder is None:
        return f"not restored: {len(keys)} files. Copy {FOLDER}/ of the backup to the place of CRM_FILES_URL"
    for key in keys:
        target = folder / key
        if target.exists():
            continue
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        part.unlink(missing_ok=True)
        with (place / FOLDER / key).open("rb") as file, private(part) as into:
            shutil.copyfileobj(file, into, 1024 * 1024)
            into.flush()
            os.fsync(into.fileno())
        part.rename(target)
    return f"restored  {len(keys)} files"


def _keys_in(folder: Path) -> Iterator[str]:
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*")))
    return (key for key in found if _KEY.fullmatch(key))

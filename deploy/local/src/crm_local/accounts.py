"""The operating-system account that our own servers run as: PostgreSQL refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_OWN_ACCOUNT = "liaison"


@dataclass(frozen=True)
class Account:
    """A system user that a server runs as."""

    name: str
    uid: int
    gid: int


def server_account(*preferred: str) -> Account | None:
    """The account for a server: None (the current user) unless we are root, then the first existing of `preferred`.

    If none exists, root creates a system account without home and shell.
    """
    if os.geteuid() != 0:
        return None
    for name in (*preferred, _OWN_ACCOUNT):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    subprocess.run(
        ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", _OWN_ACCOUNT],
        check=True,
        capture_output=True,
    )
    return server_account()


def may_enter(account: Account | None, directory: Path) -> bool:
    """Whether the account can enter the directory and all its parents, as far as they exist."""
    if account is None:
        return True
    for path in (directory, *directory.parents):
        if not path.exists():
            continue
        status = path.stat()
        mode = status.st_mode
        if status.st_uid == account.uid:
            allowed = mode & 0o100
        elif status.st_gid == account.gid:
            allowed = mode & 0o010
        else:
            allowed = mode & 0o001
        if not allowed:
            return False
    return True


def reachable(account: Account | None, wanted: Path, otherwise: Path) -> Path:
    """`wanted` if the account can reach it, else `otherwise` (for example, if the checkout is below /root)."""
    return wanted if may_enter(account, wanted.parent) else otherwise


def own_directory(path: Path, account: Account | None) -> Path:
    """Create a directory that only the account can read."""
    path.mkdir(parents=True, exist_ok=True)
    if account is not None:
        shutil.chown(path, account.uid, account.gid)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str, account: Account | None = None) -> Path:
    """Write a file that only its owner can ever read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if account is not None:
        shutil.chown(path, account.uid, account.gid)
    return path

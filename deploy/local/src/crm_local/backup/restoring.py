"""`crm restore`: a suite made of a backup, in an empty home or on servers that hold none yet."""

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

from crm_kit.broker.bus import BrokerDown, BrokerRefused
from crm_kit.broker.management import TopologyError
from crm_kit.clock import monotonic
from crm_kit.configuration.secret_files import secret
from crm_kit.operating.subscriptions import Subscriptions
from crm_local import entrypoints
from crm_local.backup import container, tools
from crm_local.backup.attending import Attended, serving
from crm_local.backup.filling import Filling, Occupied
from crm_local.backup.making import server_of
from crm_local.backup.manifest import BROKER, SETTINGS, BadBackup, Manifest
from crm_local.backup.tools import Failed
from crm_local.deployment import Deployment
from crm_local.servers import NoServer
from crm_local.servers.own import elsewhere
from crm_local.state import Home, Kept
from crm_local.suite import SERVICES

JOBS = 2


def main(argv: Sequence[str], home: Home) -> int:
    """Make the suite; returns the exit code. Raises NoServer and HomeInUse."""
    arguments = _parser().parse_args(argv)
    # Servers that were started for this are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began = monotonic()
    try:
        if secret("CRM_SERVICE_PASSWORDS"):
            scratch = Path(tempfile.gettempdir())
            with container.opened(arguments.source, scratch) as place:
                _restore(place, _checked(place), Attended(Deployment.of_environment()), arguments.jobs, home)
        else:
            with _new(home), container.opened(arguments.source, home.path) as place:
                _restore_home(place, home, arguments.jobs)
    except (
        BadBackup, Occupied, Failed, TopologyError, BrokerDown, BrokerRefused, RuntimeError, OSError, asyncpg.PostgresError
    ) as error:  # fmt: skip
        print(f"crm: {error or type(error).__name__}\nnothing was left behind", file=sys.stderr)
        return 1
    print(f"restored in {monotonic() - began:.1f} s; start it: ./crm up, or what starts your services")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crm restore",
        description="Make the suite of a backup, in a CRM_HOME that is empty, or on the servers that DATABASE_URL and"
        " AMQP_URL name when they hold none of its databases. Everybody logs in again afterwards.",
    )
    parser.add_argument("source", help="what `crm backup` made: a directory, a .tar file, or - for a tar stream")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"what is restored at a time; {JOBS} unless given")
    return parser


@contextmanager
def _new(home: Home) -> Iterator[None]:
    """A home that was empty before, and is again when the block fails. Raises Occupied."""
    places = [home.path, *(elsewhere(home.path / server) for server in ("postgres", "rabbitmq"))]
    for place in places:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise Occupied(f"{place} is not empty: a backup is restored into a new CRM_HOME, set it to another path")
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
    # Those of the processes, too: nobody else takes them for ports of the servers.
    with serving(home, kept) as attended:
        _restore(place, manifest, attended, jobs, home)


def _checked(place: Path) -> Manifest:
    """The manifest of a backup that this release can restore. Raises BadBackup."""
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


async def _fill(place: Path, manifest: Manifest, attended: Attended, jobs: int, home: Home) -> None:
    server = await server_of(attended.deployment.backends.database_url)
    if server < manifest.postgres:
        raise NoServer(f"the backup is of PostgreSQL {manifest.postgres}, and this server is PostgreSQL {server}")
    # An archive is read by what is at least as new as what wrote it.
    found = tools.find(max(server, manifest.tools), containers=attended.containers, home=home.path)
    broker = place / BROKER
    kept = Subscriptions.of(json.loads(broker.read_text())) if broker.exists() else None
    filling = Filling(attended.deployment, manifest, place, kept)
    await filling.require_empty()
    try:
        has_roles = await filling.fill(found, server, jobs)
        if not secret("CRM_SERVICE_PASSWORDS"):
            home.note_roles(has_roles)
    except BaseException:
        await filling.undo()
        raise

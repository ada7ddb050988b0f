"""`crm backup`: databases, files, keys, secrets, settings and the subscribers at the broker, as of one moment."""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg

from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.management import TopologyError
from crm_kit.clock import monotonic
from crm_kit.configuration.secret_files import secret
from crm_kit.network.postgres import Target, told
from crm_kit.operating import subscriptions
from crm_kit.together import together
from crm_local.backup import container, files, tools
from crm_local.backup.attending import Attended, attending
from crm_local.backup.cut import Cut, NoCut, cut
from crm_local.backup.manifest import BROKER, SETTINGS, BadBackup, KeptDatabase, Manifest, described
from crm_local.backup.retention import Retention
from crm_local.backup.tools import Failed, Tools
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import SERVICES

JOBS = 2


def main(argv: Sequence[str], home: Home) -> int:
    """Take or check a backup. Return the exit code. Raises NotReady, NoServer and HomeInUse."""
    arguments = _parser().parse_args(argv)
    # The backup contains keys and personal data.
    os.umask(0o077)
    # Servers that were started for this command are stopped at the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    stream = sys.stdout.buffer
    if arguments.verify:
        return _verify(arguments.target)
    try:
        # If standard output is the backup, messages go to standard error.
        with redirect_stdout(sys.stderr if arguments.target == container.STREAM else sys.stdout):
            with (
                container.making(arguments.target, Path(tempfile.gettempdir()), stream) as place,
                attending(home) as attended,
            ):
                manifest = asyncio.run(_fill(place, home, attended, arguments.jobs))
            print(f"{arguments.target}: {_told(manifest)}", flush=True)
    except (BadBackup, NoCut, Failed, BrokerDown, TopologyError, OSError, asyncpg.PostgresError) as error:
        print(f"crm: {told(error, text=True)}\nnothing was left behind", file=sys.stderr)
        return 1
    return 0


def _verify(source: str) -> int:
    try:
        print(f"complete and unchanged: {_told(container.verified(source))}")
    except (BadBackup, OSError) as error:
        print(f"crm: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crm backup",
        description="Back up the running suite as of one moment: databases, files, keys, secrets, settings, and the subscribers"
        " at the broker. A backup contains keys and personal data: encrypt it before you store it elsewhere.",
    )
    parser.add_argument("target", help="a new directory, a new .tar file, or - for a tar stream")
    parser.add_argument("--verify", action="store_true", help="check an existing backup, and change nothing")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"databases dumped at the same time; default: {JOBS}")
    return parser


def _told(manifest: Manifest) -> str:
    size = sum(int(str(said["bytes"])) for said in manifest.files.values()) / 1024 / 1024
    return (
        f"{manifest.instance} of {manifest.host} at {manifest.made_at}, {len(manifest.databases)} databases of PostgreSQL"
        f" {manifest.postgres}, {size:.1f} MiB"
    )


async def _fill(place: Path, home: Home, attended: Attended, jobs: int) -> Manifest:
    began = monotonic()
    deployment = attended.deployment
    server = await server_of(deployment.backends.database_url)
    found = tools.find(server, containers=attended.containers, home=home.path)
    missing = await _keep_broker(place, deployment)
    missing += _keep_settings(place, home)
    urls = {service.name: deployment.own_database(service) for service in SERVICES}
    async with cut(urls) as moment:
        print(f"as of {moment.at:%Y-%m-%d %H:%M:%S} UTC; writers waited {moment.locked_seconds * 1000:.0f} ms")
        databases = [await _describe(service, conn) for service, conn in moment.conns.items()]
        await _dump(place, urls, moment, found, jobs)
    missing += await asyncio.to_thread(files.keep, place, home)
    retention = Retention.of_environment(deployment)
    manifest = Manifest(
        made_at=moment.at.isoformat(timespec="milliseconds"),
        release=version("crm-local"),
        host=socket.gethostname(),
        instance=deployment.instance,
        postgres=server,
        tools=found.major,
        locked_ms=round(moment.locked_seconds * 1000),
        outbox_days=retention.outbox_days,
        inbox_days=retention.inbox_days,
        databases=databases,
        files=await asyncio.to_thread(_files, place),
        missing=missing,
    )
    manifest.write(place)
    for lack in missing:
        print(f"not included: {lack}")
    print(f"dumped by pg_dump of {found} in {monotonic() - began:.1f} s")
    return manifest


async def server_of(url: str) -> int:
    """Return the major version of a PostgreSQL server."""
    conn = await Target.of(url).connect("crm backup")
    try:
        return int(conn.get_server_version().major)
    finally:
        await conn.close()


async def _dump(place: Path, urls: dict[str, str], moment: Cut, found: Tools, jobs: int) -> None:
    turn = asyncio.Semaphore(max(1, jobs))

    async def one(service: str) -> None:
        async with turn:
            with container.private(place / _file(service)) as into:
                await found.dump(urls[service], moment.snapshots[service], into)

    await together(one(service) for service in urls)


def _file(service: str) -> str:
    return f"databases/{service}.dump"


_HAS_OLDEST = """
select exists (select from pg_attribute where attrelid = 'alembic_version'::regclass and attname = 'compatible_from'
  and not attisdropped)
"""


async def _describe(service: str, conn: asyncpg.Connection) -> KeptDatabase:
    has_oldest = await conn.fetchval(_HAS_OLDEST)
    oldest = await conn.fetchval("select max(compatible_from) from alembic_version") if has_oldest else None
    revision = await conn.fetchval("select max(version_num) from alembic_version")
    pending = await conn.fetchval("select count(*) from outbox where state = 'pending'")
    inbox = await conn.fetch("select source, count(*) from inbox group by source order by source")
    return KeptDatabase(
        service=service,
        file=_file(service),
        revision=revision or "",
        compatible_from=oldest or "",
        last_seq=await conn.fetchval("select coalesce(max(seq), 0) from outbox"),
        pending=pending,
        inbox={row[0]: row[1] for row in inbox},
    )


async def _keep_broker(place: Path, deployment: Deployment) -> list[str]:
    backends = deployment.backends
    if not backends.amqp_management_url:
        return ["subscribers and their queues: only the broker's management API tells them (AMQP_MANAGEMENT_URL)"]
    kept = await subscriptions.read(backends.amqp_url, backends.amqp_management_url)
    (place / BROKER).write_text(json.dumps(kept.document(), indent=2))
    return []


def _keep_settings(place: Path, home: Home) -> list[str]:
    if secret("CRM_SERVICE_PASSWORDS"):
        return ["secrets of the services: keep the .env, or the Secrets, that this deployment was made with"]
    settings: dict[str, Any] = {"kept": asdict(home.kept()), "operator_secret": home.operator_secret()}
    (place / SETTINGS).write_text(json.dumps(settings, indent=2))
    return []


def _files(place: Path) -> dict[str, dict[str, object]]:
    found = {}
    for path in sorted(place.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(place).as_posix()] = described(file)
    return found

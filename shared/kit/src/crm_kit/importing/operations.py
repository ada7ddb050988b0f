"""``crm imports`` shows and stops the imports of all services. It uses the databases, so it works while a service is down."""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from crm_kit import clock
from crm_kit.importing.jobs import CANCEL
from crm_kit.importing.queue import ENTITY
from crm_kit.network.postgres import told
from crm_kit.store.database import Database
from crm_kit.store.presenter import to_json

_LIST = f"""
select j.id, {ENTITY} as entity_type, j.status, j.total, j.done, j.skipped, j.failed, j.attempts, j.reason, j.message,
    j.created_at, j.next_attempt_at, coalesce((j.options ->> 'dry_run')::bool, false) as dry_run, j.principal_id as created_by,
    p.name as created_by_name
from import_job j left join principal_ref p on p.id = j.principal_id
where $1 or j.status in ('queued', 'running', 'failed') order by j.id desc limit 1000
"""


def main(argv: Sequence[str], databases: Mapping[str, str]) -> int:
    """Run ``crm imports …`` on these databases (service name to URL); returns the exit code."""
    arguments = _parser(sorted(databases)).parse_args(argv)
    try:
        return asyncio.run(_run(arguments, databases))
    except (SQLAlchemyError, OSError) as error:
        sys.stderr.write(f"the database cannot be used: {told(error)}\n")
        return 1


def _parser(services: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm imports", description="List and cancel imports.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="list imports that wait, run or failed, newest first")
    listing.add_argument("--all", action="store_true", help="include completed and canceled imports")
    listing.add_argument("--json", action="store_true", help="one JSON object per line")
    cancel = commands.add_parser("cancel", help="cancel an import; imported records stay")
    cancel.add_argument("id", type=UUID)
    for command in (listing, cancel):
        command.add_argument("--service", choices=services, help="only this service")
    return parser


async def _run(arguments: argparse.Namespace, databases: Mapping[str, str]) -> int:
    chosen = [arguments.service] if arguments.service else sorted(databases)
    if arguments.command == "list":
        for service in chosen:
            for job in await list_jobs(databases[service], everything=arguments.all):
                told = {"service": service, **job}
                sys.stdout.write((to_json(told).decode() if arguments.json else _line(told)) + "\n")
        return 0
    canceled = [service for service in chosen if await cancel_job(databases[service], arguments.id)]
    if not canceled:
        sys.stderr.write("no import with this id waits or runs\n")
        return 1
    sys.stdout.write(f"canceled in {canceled[0]}\n")
    return 0


def _line(job: Mapping[str, Any]) -> str:
    rest = f", again at {job['next_attempt_at']:%H:%M:%S}" if job["next_attempt_at"] else ""
    why = f": {job['message']}" if job["message"] else ""
    what = f"{job['entity_type']} (dry run)" if job["dry_run"] else job["entity_type"]
    return (
        f"{job['id']} {job['service']} {what} {job['status']}{rest}, {job['done']} of {job['total']} done,"
        f" {job['skipped']} skipped, {job['failed']} failed, by {job['created_by_name'] or job['created_by']}{why}"
    )


async def list_jobs(url: str, *, everything: bool) -> list[dict[str, Any]]:
    """Return up to 1,000 imports of a service, newest first. Without ``everything``, completed and canceled ones are left out."""
    database = Database(url, pool_size=1, application_name="crm imports")
    try:
        async with database.autocommit() as conn:
            return [dict(row) for row in (await conn.exec_driver_sql(_LIST, (everything,))).mappings()]
    finally:
        await database.dispose()


async def cancel_job(url: str, job_id: UUID) -> bool:
    """Cancel a job of a service. Returns False if the service has no unfinished job with this id."""
    database = Database(url, pool_size=1, application_name="crm imports")
    message = "An operator canceled the import. Ask them before you send the rest."
    try:
        async with database.begin() as conn:
            done = await conn.exec_driver_sql(CANCEL, (job_id, clock.now(), "canceled-by-operator", message))
            return done.rowcount > 0
    finally:
        await database.dispose()

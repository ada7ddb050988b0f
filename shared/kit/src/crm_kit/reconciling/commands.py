"""``crm events epoch``, ``rebuild`` and ``compare``: compare copies with their publishers, and repair them."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from asyncpg import PostgresError
from sqlalchemy.exc import SQLAlchemyError

from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.names import access_of, inbox_of
from crm_kit.broker.publishing import Publisher
from crm_kit.events.epochs import InTheWay, NoEpochs, at_work
from crm_kit.network.postgres import told
from crm_kit.reconciling.compare import KINDS, SETTLE_SECONDS, Report
from crm_kit.reconciling.parties import Party
from crm_kit.reconciling.restored import Pair, Suite

COMMANDS: Mapping[str, str] = {
    "epoch": "begin a new epoch of a service that was restored from a backup: its next events replace those the backup lacks",
    "rebuild": "rebuild the copies of a service from the records of the others, while everything runs",
    "compare": "show where copies differ from their publishers; fails if they differ",
}


class Unknown(Exception):
    """No copies match the names that the operator gave."""


def main(argv: Sequence[str], parties: Mapping[str, Party], amqp_url: str) -> int:
    """Run a command on these services; returns the exit code: 0 on success, 1 after a failure or if copies differ."""
    arguments = _parser(sorted(parties)).parse_args(argv)
    try:
        return asyncio.run(_run(arguments, parties, amqp_url))
    # Before ValueError, which a certificate that is not trusted is, too.
    except (SQLAlchemyError, PostgresError, OSError) as error:
        sys.stderr.write(
            f"a database cannot be used: {told(error)}. Run the command again: it continues where it stopped\n"
        )
        return 1
    except (NoEpochs, InTheWay, Unknown, BrokerDown, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parser(services: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm events", description="Copies and their publishers side by side.")
    commands = parser.add_subparsers(dest="command", required=True)
    epoch = commands.add_parser("epoch", help=COMMANDS["epoch"])
    epoch.add_argument("service", choices=services, help="the service whose database was restored")
    epoch.add_argument("--reason", required=True, help="the reason, which is stored with the epoch")
    epoch.add_argument("--no-rebuild", action="store_true", help="only begin the epoch, and rebuild copies later")
    rebuild = commands.add_parser("rebuild", help=COMMANDS["rebuild"])
    rebuild.add_argument("service", choices=services, help="the service whose copies are rebuilt")
    rebuild.add_argument("group", nargs="?", help="only this handler group, such as activities.refs")
    rebuild.add_argument("--from", dest="publisher", choices=services, help="only copies of this service's records")
    rebuild.add_argument("--anew", action="store_true", help="restart an unfinished rebuild")
    compare = commands.add_parser("compare", help=COMMANDS["compare"])
    compare.add_argument("service", nargs="?", choices=services, help="only the copies of this service")
    compare.add_argument("--json", action="store_true", help="one JSON object")
    compare.add_argument(
        "--settle",
        type=_seconds,
        default=SETTLE_SECONDS,
        help=f"the longest time in seconds to watch differences before they count; default {SETTLE_SECONDS:.0f}",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("0 to 3600 seconds")
    return seconds


async def _run(arguments: argparse.Namespace, parties: Mapping[str, Party], amqp_url: str) -> int:
    async with Suite.of(parties) as suite:
        match arguments.command:
            case "epoch":
                return await _epoch(suite, arguments)
            case "rebuild":
                publishers = [arguments.publisher] if arguments.publisher else None
                pairs = _projections(suite.pairs([arguments.service], publishers))
                if arguments.group:
                    pairs = [pair for pair in pairs if pair.group.name == arguments.group]
                if not pairs:
                    raise Unknown(_none(suite, arguments.service))
                return await rebuild(suite, pairs, anew=arguments.anew)
        return await _compare(suite, arguments, amqp_url)


async def _compare(suite: Suite, arguments: argparse.Namespace, amqp_url: str) -> int:
    publisher = Publisher(amqp_url, name="crm events compare")
    try:
        reports = [
            await suite.compare(pair, partial(drained, publisher, pair.follower), arguments.settle)
            for pair in suite.pairs([arguments.service] if arguments.service else None)
        ]
    finally:
        await publisher.close()
    _show(reports, as_json=arguments.json)
    return 1 if any(report.diverged for report in reports) else 0


def _none(suite: Suite, service: str) -> str:
    known = sorted({pair.group.name for pair in _projections(suite.pairs([service]))})
    return f"{service} has no such copies; its groups are {', '.join(known)}"


def _projections(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.group.kind == "projection"]


async def _epoch(suite: Suite, arguments: argparse.Namespace) -> int:
    name: str = arguments.service
    async with (await suite.runtime(name)).db.autocommit() as conn:
        working = await at_work(conn, name)
    if working:
        sys.stderr.write(
            f"{name} is running ({', '.join(working)}): its events since the restore have the old epoch. Copies are rebuilt, but"
            " steps have not handled these events\n"
        )
    await suite.begin_epoch(name, reason=arguments.reason, tell=say)
    if arguments.no_rebuild:
        return 0
    return await follow(suite, [name])


async def follow(suite: Suite, names: Sequence[str]) -> int:
    """Rebuild all copies of the records of restored services, and all copies in these services; returns the exit code."""
    pairs = _projections([*suite.pairs(publishers=names), *suite.pairs(names)])
    unique = {(pair.follower, pair.group.name, pair.publisher): pair for pair in pairs}
    return await rebuild(suite, list(unique.values()))


async def rebuild(suite: Suite, pairs: Sequence[Pair], *, anew: bool = False) -> int:
    """Rebuild one pair after the other; returns the exit code."""
    failed = 0
    for pair in pairs:
        done = await suite.rebuild(pair, say, anew=anew)
        failed += done.failed
        for failure in done.failures:
            sys.stderr.write(f"{pair.group.name}: {failure}\n")
    if failed:
        sys.stderr.write(f"{failed} records could not be projected. Their copies have not changed\n")
    return 1 if failed else 0


async def drained(publisher: Publisher, service: str) -> bool:
    """Whether a service's queues have no ready messages. Raises BrokerDown."""
    await publisher.ready()
    return not any((await publisher.depths([inbox_of(service), access_of(service)])).values())


def _show(reports: Sequence[Report], *, as_json: bool) -> None:
    if as_json:
        diverged = any(report.diverged for report in reports)
        say(json.dumps({"diverged": diverged, "groups": [asdict(report) for report in reports]}, default=str))
        return
    for report in reports:
        found = [f"{report.counts[kind]} {kind}" for kind in KINDS if report.counts[kind]]
        found += [f"{report.in_flight} on their way"] if report.in_flight else []
        found += [] if report.complete else ["and more: rebuild, then compare again"]
        say(f"{report.group} from {report.source}: {report.compared} compared, {', '.join(found) or 'alike'}")
        if report.since is not None:
            say(
                f"  it has followed the source since {report.since:%Y-%m-%dT%H:%M:%SZ}; earlier events are not expected"
            )
        for kind in KINDS:
            for id_ in report.ids[kind]:
                say(f"  {kind:<8} {id_}")


def say(line: str) -> None:
    """Print a line at once, because a rebuild may take long."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

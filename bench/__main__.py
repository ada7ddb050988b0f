"""`./crm bench`: run the measurements, print the table, write the JSON."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.ours import ours
from bench.report import Outcome, measure, prices, table, write_json
from bench.scenes import SCENES, Options, Ours, nobody
from bench.suite import suite


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="The suite against its ceilings, in one run.")
    parser.add_argument("--database-url", help="a PostgreSQL for the ceilings, whose user may create databases")
    parser.add_argument("--amqp-url", help="a RabbitMQ for the relay's ceiling, which is omitted without it")
    parser.add_argument("--port", type=int, default=8900, help="gateway port of the measured suite")
    parser.add_argument("--scene", action="append", choices=SCENES, help="only this scene (may be repeated)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side, in turns; the median is reported")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of one run")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--bank-file", type=Path, metavar="CSV", help="for scene bank: the Bank Marketing data")
    parser.add_argument("--pipeline", type=Path, metavar="FOLDER", help="for scene pipeline: the B2B pipeline's files")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="SERVICE",
        help="stop the processes of this service during the measurement",
    )
    parser.add_argument("--json", type=Path, default=Path(".crm/bench.json"), metavar="FILE")
    return parser.parse_args(given)


async def bench(options: Options, ours: Ours, scenes: Sequence[str], outcomes: list[Outcome]) -> None:
    """Measure scene after scene into `outcomes`, so that a crash does not lose earlier results."""
    for name in scenes:
        async with SCENES[name](options, ours) as rows:
            for row in rows:
                if row.ours or row.ceilings:
                    print(f"{row.name} …", file=sys.stderr, flush=True)
                outcomes.append(await measure(row, options.rounds))


async def measured(args: argparse.Namespace, outcomes: list[Outcome]) -> None:
    """Measure the ceilings alone on given servers, or everything next to a suite on the suite's servers."""
    common = {
        "rounds": args.rounds,
        "seconds": args.seconds,
        "connections": args.connections,
        "bank_file": args.bank_file,
        "pipeline": args.pipeline,
    }
    # Scenes that need files of others, or minutes, run only if they are named.
    scenes = args.scene or [scene for scene in SCENES if scene not in ("bank", "pipeline", "disk")]
    if args.database_url:
        await bench(Options(args.database_url, args.amqp_url, **common), nobody, scenes, outcomes)
        return
    async with suite(args.port) as standing:
        standing.freeze(args.without)
        status = standing.status
        await bench(Options(status["database_url"], status["amqp_url"], **common), ours(standing), scenes, outcomes)


def main() -> int:
    """Return exit code 1 if a row misses its target or a request failed."""
    args = arguments(sys.argv[1:])
    outcomes: list[Outcome] = []
    try:
        asyncio.run(measured(args, outcomes))
    finally:
        print(table(outcomes))
        if by_process := prices(outcomes):
            print(f"\n{by_process}")
        write_json(outcomes, args.json, rounds=args.rounds, seconds=args.seconds)
    return 1 if any(outcome.passed is False for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())

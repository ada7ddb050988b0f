"""The rows, grouped by what must exist while they run. Our sides come from a plug (`Ours`)."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import quote

from bench.ceilings import amqp
from bench.ceilings.apps import Ceilings, ceilings
from bench.data import lead_body, people, search_starts, search_terms
from bench.disk import TABLES, row_of
from bench.driver import Consumable, Load, run
from bench.report import PRICE, Goal, Row, Sample, Side, by_rate


@dataclass(frozen=True)
class Options:
    """Servers and durations of a bench.

    `seconds` is one run of one side; the total is rows × sides × rounds × seconds.
    """

    database_url: str
    amqp_url: str | None = None
    rounds: int = 5
    seconds: int = 5
    connections: int = 16
    events: int = 20_000
    bank_file: Path | None = None
    """The Bank Marketing data. Without it, the same number of people is generated."""
    pipeline: Path | None = None
    """The folder of the B2B pipeline. Without it, the same number of deals is generated."""


# Our sides of one scene by row name. Missing rows are measured without us.
Ours = Callable[[str, Options], AbstractAsyncContextManager[Mapping[str, Side]]]
Scene = Callable[[Options, Ours], AbstractAsyncContextManager[Sequence[Row]]]

NEWEST = "/leads?limit=50&sort=-created_at"


@asynccontextmanager
async def nobody(scene: str, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """The plug of a bench of the ceilings only."""
    yield {}


def creates(options: Options) -> Load:
    bodies = [lead_body(person) for person in people(2_000, seed=7)]
    return Load("POST", ["/leads"], bodies, connections=options.connections, seconds=options.seconds)


def gets(ids: Sequence[str], options: Options) -> Load:
    paths = [f"/leads/{lead}" for lead in Random(3).sample(ids, min(len(ids), 10_000))]
    return Load("GET", paths, connections=options.connections, seconds=options.seconds)


def lists(options: Options) -> Load:
    return Load("GET", [NEWEST], connections=options.connections, seconds=options.seconds)


def searches(options: Options) -> Load:
    paths = [f"/leads?limit=50&q={quote(term)}" for term in search_terms(500)]
    return Load("GET", paths, connections=options.connections, seconds=options.seconds)


SEARCHED = (1, 2, 3, 10)
"""Characters of the searches whose p95 is measured at 1,000,000 rows."""


def short_searches(length: int, options: Options) -> Load:
    paths = [f"/leads?limit=50&q={quote(start)}" for start in search_starts(200, length)]
    return Load("GET", paths, connections=2, seconds=options.seconds)


def searches_of_all_kinds(options: Options) -> Load:
    paths = [f"/search?q={quote(term)}" for term in search_terms(200)]
    return Load("GET", paths, connections=2, seconds=options.seconds)


def qualifies(ids: Sequence[str], options: Options) -> Load:
    return Load(
        "POST", [f"/leads/{lead}/qualify" for lead in ids], connections=options.connections, seconds=options.seconds
    )


def sides(standing: Ceilings, load: Load) -> dict[str, Side]:
    """Return both ceilings under one load that can be repeated."""

    def side(url: str) -> Side:
        async def once() -> Sample:
            return by_rate(await run(url, load))

        return once

    return {"A": side(standing.orm_url), "B": side(standing.raw_url)}


def consuming_sides(standing: Ceilings, load: Load) -> dict[str, Side]:
    """Return both ceilings under a load that uses up its paths, each with separate paths."""

    def side(url: str) -> Side:
        supply = Consumable(load)

        async def once() -> Sample:
            return by_rate(await supply.run(url))

        return once

    return {"A": side(standing.orm_url), "B": side(standing.raw_url)}


@asynccontextmanager
async def writes(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """A small database without search index on the ceilings: the cost of a request, not of the data."""
    supply = 10_000 + options.rounds * options.seconds * 1_500
    async with ceilings(options.database_url, supply) as standing, ours("writes", options) as we:
        create = sides(standing, creates(options))
        get = sides(standing, gets(standing.lead_ids, options))
        qualify = consuming_sides(standing, qualifies(standing.lead_ids, options))
        yield [
            Row("create, service", "requests/s", Goal(1.0, "A"), we.get("create, service"), create),
            Row("create, gateway", "requests/s", Goal(0.6, "A"), we.get("create, gateway"), create),
            Row("get, gateway", "requests/s", Goal(0.6, "A"), we.get("get, gateway"), get),
            Row("qualify, gateway", "requests/s", Goal(0.6, "A"), we.get("qualify, gateway"), qualify),
        ]


@asynccontextmanager
async def reads(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """100,000 leads."""
    async with (
        ceilings(options.database_url, 100_000, searchable=True) as standing,
        ours("reads", options) as we,
    ):
        listing, search = sides(standing, lists(options)), sides(standing, searches(options))
        yield [
            Row("list of 50 at 100,000, service", "requests/s", Goal(1.0, "A"), we.get("list, service"), listing),
            Row("search at 100,000, gateway", "requests/s", Goal(0.8, "A"), we.get("search, gateway"), search),
        ]


@asynccontextmanager
async def growth(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """Our p95 at 1,000,000 rows compared with 10,000: our small database is the ceiling."""
    async with ours("growth", options) as we:
        yield [
            Row(
                f"{work} p95, 1,000,000 against 10,000",
                "ms",
                Goal(1.5, "10,000", at_most=True),
                we.get(f"{work}, 1,000,000"),
                {"10,000": small} if (small := we.get(f"{work}, 10,000")) else {},
            )
            for work in ("list", "get")
        ] + [
            *(
                Row(f"search of {n} p95, 1,000,000", "ms", Goal(50, at_most=True), we.get(f"search of {n}"))
                for n in SEARCHED
            ),
            Row("search of all kinds p95, 1,000,000", "ms", Goal(150, at_most=True), we.get("search of all kinds")),
        ]


@asynccontextmanager
async def events(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """The backbone. The relay's ceiling publishes to a separate topology of the same shape as the suite's."""
    async with ours("events", options) as we:
        drain: dict[str, Side] = {}
        if options.amqp_url:
            drain["A"] = amqp.side(options.amqp_url, options.events)
        yield [
            Row("relay drain", "events/s", Goal(0.6, "A"), we.get("relay drain"), drain),
            Row("inbox drain into one projection", "events/s", Goal(2_500), we.get("inbox drain")),
            Row("inbox drain into references and timeline", "events/s", None, we.get("inbox drain, activities")),
            Row("commit to effect p95 at 200/s", "ms", Goal(100, at_most=True), we.get("commit to effect")),
            Row("read your write at the gateway, p95 at 200/s", "ms", None, we.get("read your write")),
            Row("CSV import", "leads/s", Goal(2_000), we.get("import")),
        ]


@asynccontextmanager
async def documents(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """The cost of lines: twenty products priced from a list, in one document."""
    async with ours("documents", options) as we:
        yield [
            Row("quote create, 20 lines, service", "requests/s", None, we.get("quote create, service")),
            Row("quote create, 20 lines, gateway", "requests/s", None, we.get("quote create, gateway")),
            Row("order to invoice, 20 lines", "chains/s", None, we.get("order to invoice")),
        ]


@asynccontextmanager
async def bank(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """Real input, once undisturbed and once with the importing worker killed twice. Every row must be imported once."""
    async with ours("bank", options) as we:
        yield [
            Row("bank file", "leads/s", Goal(2_000), we.get("bank")),
            Row("bank file, sales worker killed twice", "leads/s", None, we.get("bank, killed")),
            Row("bank file, until every consumer has caught up", "s", None, we.get("bank, caught up")),
        ]


@asynccontextmanager
async def pipeline(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """Another CRM's people, products, accounts and deals through the public API.

    The won value must match to the cent.
    """
    async with ours("pipeline", options) as we:
        yield [
            Row("b2b pipeline moved in", "s", None, we.get("pipeline")),
            Row("b2b pipeline, requests", "requests/s", None, we.get("pipeline, requests")),
            Row("b2b pipeline, deals", "deals/s", None, we.get("pipeline, deals")),
        ]


@asynccontextmanager
async def footprint(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """The resources of the suite before and after use, in the profile of CRM_PROFILE."""
    small = os.environ.get("CRM_PROFILE") == "small"
    own, all_of_it = (350, 600) if small else (400, None)
    async with ours("footprint", options) as we:
        yield [
            Row("start", "s", Goal(8, at_most=True), we.get("start")),
            Row("processor, idle", "% of a core", Goal(2, at_most=True), we.get("processor")),
            Row("memory, idle", "MiB", Goal(own, at_most=True), we.get("memory")),
            Row("memory, idle, with servers", "MiB", _at_most(all_of_it), we.get("memory, servers")),
            Row("memory, after use", "MiB", _at_most(own if small else None), we.get("memory after use")),
            Row("memory, after use, with servers", "MiB", _at_most(all_of_it), we.get("memory after use, servers")),
            Row("memory, 90 s after use", "MiB", _at_most(own if small else None), we.get("memory after rest")),
            Row(
                "memory, 90 s after use, with servers", "MiB", _at_most(all_of_it), we.get("memory after rest, servers")
            ),
        ]


@asynccontextmanager
async def disk(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """The growth on disk and the speed of deletion, once each, whatever the number of rounds."""
    async with ours("disk", options) as we:
        grown = [row_of(service, table) for service, tables in TABLES.items() for table in tables]
        yield [
            *(Row(name, "MiB", None, we.get(name)) for name in grown),
            Row("an event of a lead, in the stream and in queues", "bytes", None, we.get("event")),
            Row("old keys of events forgotten by a worker", "rows/s", Goal(1_000), we.get("forgets")),
        ]


@asynccontextmanager
async def cost(options: Options, ours: Ours) -> AsyncIterator[Sequence[Row]]:
    """Processor time instead of speed: it shows the cost of one more consumer on any machine, however busy."""
    async with ours("cost", options) as we:
        yield [Row(piece, PRICE, None, we.get(piece)) for piece in PIECES]


PIECES = ("create", "qualify", "imported lead")


def _at_most(bound: float | None) -> Goal | None:
    return None if bound is None else Goal(bound, at_most=True)


SCENES: Mapping[str, Scene] = {
    "disk": disk,
    "writes": writes,
    "reads": reads,
    "growth": growth,
    "events": events,
    "documents": documents,
    "bank": bank,
    "pipeline": pipeline,
    "footprint": footprint,
    "cost": cost,
}

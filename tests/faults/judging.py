"""The conditions that must hold in the databases after any fault."""

from dataclasses import asdict, dataclass
from uuid import UUID

import orjson

from crm_activities.consumers import CONSUMERS, HAPPENINGS

from .driver import Ledger
from .stage import SERVICES, Stage, until

GROUPS = ("activities.refs", "activities.timeline")
"""The groups that consume every event of ``FOLLOWED``. Their own rows show what took effect: no keys of their events are kept."""
FOLLOWED = [event.type for event in HAPPENINGS]
"""The types of events that these groups consume. Activities keep nothing of settings."""

WON = "crm.sales.opportunity.won.v1"
LAST_LINES = 30
"""Lines of each process's log to show when a test fails."""


@dataclass
class Books:
    """The rows of a service compared with its audit trail and its outbox."""

    records: int = 0
    events: int = 0
    rows_without_event: int = 0
    events_without_row: int = 0
    gaps: int = 0
    audit_without_event: int = 0
    unpublished: int = 0
    inversions: int = 0

    @property
    def balanced(self) -> bool:
        """Whether nothing is missing on either side."""
        wrong = {name: count for name, count in asdict(self).items() if name not in ("records", "events")}
        return not any(wrong.values())


async def read_books(stage: Stage, service: str) -> Books:
    """Compare every table of the service with its outbox."""
    books = Books()
    async with stage.connect(service) as conn:
        for entity in SERVICES[service].entities:
            table = entity.__tablename__
            books.records += await conn.fetchval(f'select count(*) from "{table}"')
            books.rows_without_event += await conn.fetchval(
                f'select count(*) from "{table}" t left join (select entity_id, max(entity_version) as version'
                " from outbox group by entity_id) o on o.entity_id = t.id where t.version is distinct from o.version"
            )
            books.events_without_row += await conn.fetchval(
                "select count(distinct entity_id) from outbox o where entity_type = $1"
                f' and not exists (select 1 from "{table}" t where t.id = o.entity_id)',
                table,
            )
        books.events = await conn.fetchval("select count(*) from outbox")
        books.gaps = await conn.fetchval(
            "select count(*) from (select entity_id from outbox group by entity_id"
            " having min(entity_version) <> 1 or max(entity_version) <> count(*)"
            " or count(distinct entity_version) <> count(*)) odd"
        )
        books.audit_without_event = await conn.fetchval(
            "select count(*) from outbox o full join audit a on a.event_id = o.id and a.entity_id = o.entity_id"
            " and a.version = o.entity_version where a.event_id is null or o.id is null"
        )
        books.unpublished = await conn.fetchval("select count(*) from outbox where state <> 'published'")
        books.inversions = await conn.fetchval(
            "select count(*) from outbox a join outbox b using (entity_id)"
            " where a.seq < b.seq and a.entity_version > b.entity_version"
        )
    return books


async def held_against_ledger(stage: Stage, ledger: Ledger) -> list[str]:
    """Return the differences between sales' tables and the answers to its clients; empty if every key had exactly one
    effect."""
    there: dict[tuple[str, UUID], int] = {}
    async with stage.connect("sales") as conn:
        for table in ("lead", "account", "contact", "opportunity"):
            there |= {
                (table, row["id"]): row["version"] for row in await conn.fetch(f"select id, version from {table}")
            }
        keys = {row["key"] for row in await conn.fetch("select key from idempotency")}
    told = ledger.versions
    false = [record for record, version in told.items() if there.get(record) != version]
    return [
        *(f"false 2xx: {record} @{told[record]}, there is {there.get(record)}" for record in false),
        *(f"nobody was told of {record} @{there[record]}" for record in there.keys() - told.keys()),
        *(f"key without acknowledgement: {key}" for key in keys - ledger.keys),
        *(f"acknowledged key is not kept: {key}" for key in ledger.keys - keys),
    ]


@dataclass
class Effects:
    """The effects in activities of the events of sales and of its own."""

    expected: int = 0
    """Number of pairs of an event and a group of projections that consumes it."""
    handled: int = 0
    parked: int = 0
    stored: int = 0
    """Number of events that wait, or are pending for another attempt."""
    steps_missing: int = 0
    """Number of pairs of an event and a group of steps that consumes it and has not finished it."""
    stale_copies: int = 0
    copies_ahead: int = 0
    timeline_missing: int = 0
    timeline_double: int = 0
    wins: int = 0
    tasks: int = 0
    wins_without_task: int = 0
    tasks_too_many: int = 0

    @property
    def exactly_once(self) -> bool:
        """Whether every event took effect once in every group."""
        wrong = (self.parked, self.stored, self.steps_missing, self.stale_copies, self.copies_ahead)
        doubtful = (self.timeline_missing, self.timeline_double, self.wins_without_task, self.tasks_too_many)
        return self.handled == self.expected and not any((*wrong, *doubtful)) and self.wins == self.tasks


async def read_effects(stage: Stage) -> Effects:
    """Compare activities' projections, tasks and finished steps with both outboxes."""
    effects = Effects()
    followed = "select id, entity_id, entity_version, type from outbox where type = any($1::text[])"
    async with stage.connect("sales") as conn:
        told = await conn.fetch(followed, FOLLOWED)
    async with stage.connect("activities") as conn:
        told += await conn.fetch(followed, FOLLOWED)
        bodies = await conn.fetch("select convert_from(body, 'utf8') b from outbox where type like '%.task.created.v1'")
        done = {(r["consumer"], r["event_id"]) for r in await conn.fetch("select * from inbox where state = 'done'")}
        states = {r["state"]: r["n"] for r in await conn.fetch("select state, count(*) n from inbox group by state")}
        copies = {r["id"]: r["version"] for r in await conn.fetch("select id, version from record_ref")}
        rows = await conn.fetch("select id, record_id, version, type from timeline_event")
        effects.tasks = await conn.fetchval("select count(*) from task")
    ids, shown = {row["id"] for row in told}, [row["id"] for row in rows]
    last: dict[UUID, int] = {}
    for row in told:
        last[row["entity_id"]] = max(row["entity_version"], last.get(row["entity_id"], 0))
    effects.expected = len(GROUPS) * len(ids)
    right = {(row["id"], row["record_id"], row["version"], row["type"]) for row in rows}
    effects.handled = sum(copies.get(row["entity_id"], 0) >= row["entity_version"] for row in told)
    effects.handled += sum((row["id"], row["entity_id"], row["entity_version"], row["type"]) in right for row in told)
    # The inbox has the key of each event that a group of steps consumes.
    effects.steps_missing = sum(
        (group.name, row["id"]) not in done
        for row in told
        for group in CONSUMERS.interested(row["type"])
        if group.kind == "step"
    )
    effects.parked = states.get("parked", 0)
    effects.stored = states.get("pending", 0) + states.get("waiting", 0)
    effects.stale_copies = sum(copies.get(record) != version for record, version in last.items())
    effects.copies_ahead = sum(copies.get(record, 0) > version for record, version in last.items())
    effects.timeline_missing = len(ids - set(shown))
    effects.timeline_double = len(shown) - len(set(shown))
    wins = {row["id"] for row in told if row["type"] == WON}
    causes = [UUID(orjson.loads(row["b"])["causationid"]) for row in bodies]
    effects.wins = len(wins)
    effects.wins_without_task = len(wins - set(causes))
    effects.tasks_too_many = len(causes) - len(set(causes) & wins)
    return effects


async def event_ids(stage: Stage) -> set[UUID]:
    """Return every event that sales and activities committed."""
    found: set[UUID] = set()
    for service in SERVICES:
        async with stage.connect(service) as conn:
            found |= {row["id"] for row in await conn.fetch("select id from outbox")}
    return found


async def calm(stage: Stage, *, seconds: float = 180) -> float:
    """Wait until every committed event is published and handled. Return the seconds."""
    seen: list[object] = []

    async def settled() -> bool:
        seen.clear()
        for service in SERVICES:
            async with stage.connect(service) as conn:
                if pending := await conn.fetchval("select count(*) from outbox where state = 'pending'"):
                    seen.append(f"{pending} events of {service} are not published")
                    return False
        effects = await read_effects(stage)
        seen.append(effects)
        steps_done = effects.steps_missing <= effects.parked + effects.stored and effects.wins == effects.tasks
        return effects.handled == effects.expected and steps_done

    try:
        return await until(settled, "every event published and handled", seconds=seconds, every=0.25)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}\n{await circumstances(stage)}") from error


async def circumstances(stage: Stage) -> str:
    """Return what an engineer would look at first: pending events with reasons, activity of the databases, last log
    lines."""
    told: list[str] = []
    for service in SERVICES:
        async with stage.connect(service) as conn:
            pending = await conn.fetch(
                "select seq, shard, type, attempts, next_attempt_at, last_error from outbox where state = 'pending'"
                " order by seq limit 20"
            )
            sessions = await conn.fetch(
                "select pid, application_name, state, wait_event, now() - state_change as since, left(query, 100) as query"
                " from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            )
        told += [f"{service} {row!r}" for row in (*pending, *sessions)]
    for member in stage.members:
        told.append(f"{member.name}, alive: {member.alive}, deaths: {member.deaths}")
        told += member.log.read_text().splitlines()[-LAST_LINES:]
    return "\n".join(told)

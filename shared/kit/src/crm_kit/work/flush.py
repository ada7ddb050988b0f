"""Composes the one statement that writes a unit of work: records, audit, outbox and the idempotency answer.

Each statement costs a quarter of a millisecond of Python in the async layer. The rows that it writes cost very little.
The rows of a table are sent as one JSON text. The statement's text therefore depends only on its tables and columns, and on
whether each has a single row: there are few texts, and all of them are prepared. The insert into the outbox selects from what
the records' ``returning`` gives. PostgreSQL therefore locks a row before it draws ``seq``, and the events of a record have
increasing versions in the order of ``seq``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import orjson

from crm_kit.store.presenter import encode
from crm_kit.work.idempotency import KEEP_ANSWER

Verb = Literal["insert", "update", "delete"]
Shape = tuple[Verb, str, tuple[str, ...]]

EVENT_COLUMNS = (
    "id uuid, shard smallint, entity_type text, entity_id uuid, entity_version int, type text, fact text, traceparent text,"
    " at timestamptz, actor text, correlation_id text, changes json, record json"
)


@dataclass(slots=True)
class Changes:
    """The rows of one flush, by verb, table and columns."""

    rows: dict[Shape, list[dict[str, Any]]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def add(self, verb: Verb, table: str, columns: Iterable[str], values: dict[str, Any]) -> None:
        """Add a row. ``values`` has at least id, version and the columns."""
        self.rows.setdefault((verb, table, tuple(columns)), []).append(values)

    @property
    def expected(self) -> int:
        """The number of records that the statement must change."""
        return sum(len(rows) for rows in self.rows.values())

    def statement(self, answer: tuple[Any, ...] | None) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL and its parameters. ``answer`` has the parameters of ``KEEP_ANSWER``."""
        single = all(len(rows) == 1 for rows in self.rows.values())
        sql = compose(tuple(self.rows), answer is not None, single)
        parameters = [json_text(rows) for rows in self.rows.values()]
        return sql, (*parameters, json_text(self.events), self.bodies, *(answer or ()))


def json_text(rows: list[dict[str, Any]]) -> str:
    """Return rows as a JSON array that PostgreSQL can cast back: instants in UTC, decimals as text."""
    return orjson.dumps(rows, default=encode).decode()


@lru_cache(maxsize=512)
def compose(shapes: tuple[Shape, ...], keeps_answer: bool, single: bool) -> str:
    """Return the text of the statement for these shapes. ``single`` means one row of each.

    PostgreSQL estimates a hundred rows for any JSON, and would then scan the table instead of using its primary key. ``single``
    therefore adds a limit.
    """
    limit = " limit 1" if single else ""
    parts = [_change(position, shape, limit) for position, shape in enumerate(shapes)]
    changed = " union all ".join(f"select id from r{position}" for position in range(len(shapes)))
    events, bodies = len(shapes) + 1, len(shapes) + 2
    parts.append(f"changed as ({changed})")
    parts.append(
        "event as (select e.* from rows from ("
        f"json_to_recordset(${events}::text::json) as ({EVENT_COLUMNS}), unnest(${bodies}::bytea[]))"
        " with ordinality as e (id, shard, entity_type, entity_id, entity_version, type, fact, traceparent, at, actor,"
        " correlation_id, changes, record, body, position) join changed on changed.id = e.entity_id)"
    )
    parts.append(
        "audited as (insert into audit (entity_id, version, entity_type, fact, at, actor, event_id, correlation_id,"
        " changes, record) select entity_id, entity_version, entity_type, fact, at, actor, id, correlation_id, changes,"
        " record from event)"
    )
    parts.append(
        "sent as (insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, traceparent,"
        " created_at) select id, shard, entity_type, entity_id, entity_version, type, body, traceparent, at"
        " from event order by position)"
    )
    if keeps_answer:
        parts.append(f"answered as ({KEEP_ANSWER.format(*range(bodies + 1, bodies + 8))})")
    return f"with {', '.join(parts)} select count(*) from changed"


def _change(position: int, shape: Shape, limit: str) -> str:
    verb, table, columns = shape
    # With schema and quotes, because the name of an entity may be a keyword or a type of SQL, such as order, case or box.
    target = f'public."{table}"'
    rows = f"(select * from json_populate_recordset(null::{target}, ${position + 1}::text::json){limit}) r"
    names = ", ".join(f'"{column}"' for column in columns)
    if verb == "insert":
        return f"r{position} as (insert into {target} ({names}) select {names} from {rows} returning id)"
    if verb == "update":
        assigned = ", ".join(f'"{column}" = r."{column}"' for column in columns)
        return (
            f"r{position} as (update {target} t set {assigned} from {rows}"
            " where t.id = r.id and t.version = r.version - 1 returning t.id)"
        )
    return f"r{position} as (delete from {target} t using {rows} where t.id = r.id and t.version = r.version returning t.id)"

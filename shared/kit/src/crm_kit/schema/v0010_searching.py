"""Search columns that a trigger fills with folded text, in place of generated columns in lower case.

``ahead`` installs the triggers and does the rows again, while the release before runs. That release does not write the columns,
and its searches find most of what they found.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from alembic import op
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import COLUMNS, Ahead, columns_of
from crm_kit.schema.patience import patiently
from crm_kit.store.searching import RULE, STAMP, TEXT, Searched, functions

AT_ONCE: Final = 2000
"""The number of rows of one transaction that does rows again."""
_SMALLEST = "00000000-0000-0000-0000-000000000000"

# The trigger does the row. Rows are locked in the order of their ids, as requests lock them.
_AGAIN = """
with page as (select id from public."{0}" where id > $1 order by id limit {1} for no key update),
done as (update public."{0}" t set {2} = 0 from page where t.id = page.id and t.{2} < {3})
select id from page order by id desc limit 1
"""
_REST = 'update public."{0}" set {1} = 0 where {1} < {2}'


def _steps(table: str, searched: Searched) -> Iterator[str]:
    """Yield the statements that install the trigger of a table. They may run twice."""
    yield f"""alter table public."{table}" add column if not exists {TEXT} text default '' not null"""
    yield f'alter table public."{table}" alter column {TEXT} drop expression if exists'
    yield f"""alter table public."{table}" alter column {TEXT} set default ''"""
    yield f'alter table public."{table}" add column if not exists {STAMP} smallint default 0 not null'
    for fill in searched.fills:
        yield f'alter table public."{table}" add column if not exists {fill.column} {fill.definition}'
    yield from searched.statements(table)


def ahead(tables: Mapping[str, Searched]) -> Ahead:
    """Return the function that installs the triggers of these tables, and does their rows again."""

    async def again(conn: AsyncConnection) -> None:
        for statement in functions():
            await conn.exec_driver_sql(statement)
        for table, searched in tables.items():
            columns = await columns_of(conn, table)
            if not columns:
                continue
            if STAMP not in columns:
                await patiently(conn, *_steps(table, searched))
            await do_again(conn, table)

    return again


async def do_again(conn: AsyncConnection, table: str) -> None:
    """Do the rows of a table again that were done by an older rule."""
    after: object = _SMALLEST
    while after is not None:
        after = await patiently(conn, _AGAIN.format(table, AT_ONCE, STAMP, RULE), parameters=(after,))


def upgrade(tables: Mapping[str, Searched]) -> None:
    """Install what ``ahead`` has not. Call it in a revision.

    A table with the stamp has its trigger and its rows are done, so nobody waits for it.
    """
    connection = op.get_bind()
    for statement in functions():
        connection.exec_driver_sql(statement)
    for table, searched in tables.items():
        if STAMP in connection.exec_driver_sql(COLUMNS, (f"public.{table}",)).scalar_one():
            continue
        for statement in _steps(table, searched):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(_REST.format(table, STAMP, RULE))

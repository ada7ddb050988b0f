"""Texts that people read are sorted as they expect, and folded alike on every server (``crm_kit.store.searching``).

``ahead`` replaces the functions, does the rows again by the new rule, and makes the indexes, while the release before runs. That
release sorts by its own indexes, which stay until the next release drops them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from alembic import op
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import Ahead, NewIndex, columns_of
from crm_kit.schema.patience import patiently
from crm_kit.schema.v0010_searching import do_again
from crm_kit.store.searching import STAMP, Searched, functions

_FOLDS_ASCII_ONLY: Final = "select lower('Ж') <> 'ж'"
_STANDS: Final = "select to_regclass($1::text) is not null"


def in_order(table: str, *columns: str) -> tuple[NewIndex, ...]:
    """Return the indexes of texts that people read (``crm_kit.store.columns.name_indexes``)."""
    return tuple(
        NewIndex(
            f"ix_{table}_{column}_in_order",
            table,
            (column,),
            definition=f"(public.crm_sort_key({column}) nulls first, id)",
        )
        for column in columns
    )


OWNERS: Final = in_order("principal_ref", "name")


def ahead(tables: Mapping[str, Searched], indexes: Sequence[NewIndex], folding: Sequence[str] = ()) -> Ahead:
    """Return the function that does what takes long. ``folding`` names the indexes of folded texts. They are made again where the
    locale of the database changed what was folded."""

    async def again(conn: AsyncConnection) -> None:
        for statement in functions():
            await conn.exec_driver_sql(statement)
        for table, searched in tables.items():
            if STAMP in await columns_of(conn, table):
                await patiently(conn, searched.function(table))
                await do_again(conn, table)
        if (await conn.exec_driver_sql(_FOLDS_ASCII_ONLY)).scalar_one():
            for index in folding:
                if (await conn.exec_driver_sql(_STANDS, (f"public.{index}",))).scalar_one():
                    await conn.exec_driver_sql(f"reindex index concurrently public.{index}")
        for new in (*OWNERS, *indexes):
            await new.make(conn)

    return again


def upgrade(tables: Mapping[str, Searched], indexes: Sequence[NewIndex]) -> None:
    """Do what ``ahead`` has not. Call it in a revision. The rows are done: a database without them was empty."""
    connection = op.get_bind()
    for statement in functions():
        connection.exec_driver_sql(statement)
    for table, searched in tables.items():
        connection.exec_driver_sql(searched.function(table))
    for new in (*OWNERS, *indexes):
        new.within()
